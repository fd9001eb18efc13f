"""Refuses requests for another host than this server's.

A page whose domain was pointed at this server (DNS rebinding) would otherwise have a browser on this machine send it
anything: for the browser, the page and the server are the same site.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

ABSENT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""What the system says of an address that this machine does not have, as where IPv6 is switched off."""
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""As they stand in a Host header."""
_LOOPBACK = ("127.0.0.1", "::1")
_PORT = re.compile(r":[0-9]{1,5}$")
_BODY = json.dumps(
    {
        "type": "about:blank",
        "status": 421,
        "code": "host-refused",
        "detail": "the Host header is not a name of this server",
        "hint": "use the address that it prints at start, or add the name to its configuration",
    }
).encode()


def is_own_host(given: Iterable[str], own: frozenset[str]) -> bool:
    """Whether there is one Host header, and it is one of our own names. Ports are ignored: a proxy may listen on
    another one than we do."""
    names = [_PORT.sub("", host.lower()) for host in given]
    return len(names) == 1 and names[0] in own


def choose_hosts(host: str, more: Iterable[str] = ()) -> frozenset[str] | None:
    """Our own names if we listen on `host`, with those of the configuration; None if any has to be accepted, because we
    listen on all addresses and no names are configured."""
    names = frozenset(one.lower() for one in more)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return LOOPBACK_HOSTS | names | {host.lower()}
    if address.is_unspecified and not names:
        return None
    return LOOPBACK_HOSTS | names | {f"[{address}]" if address.version == 6 else str(address)}


def choose_addresses(host: str) -> tuple[str, ...]:
    """The addresses on which a server listens that is to listen on `host`: at `localhost`, browsers try one of the two
    of the loopback first, and which one differs (RFC 6761, section 6.3)."""
    return _LOOPBACK if host in (*_LOOPBACK, "localhost") else (host,)


class HostCheck:
    """ASGI middleware that answers 421 to requests for other hosts than `hosts`; None accepts all."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] != "http" or self._hosts is None or is_own_host(given, self._hosts):
            await self._app(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(_BODY)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 421, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})
