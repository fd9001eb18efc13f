"""Which URLs webhooks may be sent to: only those that a participant could reach without us (no SSRF).

A target is https on a public address. Its name is resolved once per delivery, every resulting address is verified, and
the connection goes to a verified one, so changing the DNS answer in between (DNS rebinding) achieves nothing. Loopback,
also over http, is allowed only if the operator says so.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from millmark.ledger.errors import InputError
from millmark.services.webhooks.grounds import WebhookGround

PORTS: Final = frozenset({443, 8443})
_MAX_CHARACTERS: Final = 2048
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[(?=[^\]]*:)[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
"""Scheme and host in lower case; no user, fragment, backslash, space or non-ASCII character."""
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""Last label of a host that some programs parse as an IPv4 address, in decimal, octal or hexadecimal."""
_EMBEDDING: Final = [
    ipaddress.ip_network(one)
    for one in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]
"""IPv6 ranges that embed an IPv4 address, which may be a private one."""
_NOT_PUBLIC: Final = [
    ipaddress.ip_network(one)
    for one in (
        "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        "fec0::/10",  # site-local, as some networks still use it (RFC 3879)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
    )
]
"""Ranges that `ipaddress` takes for public, in some versions of Python at least."""
_LOOPBACK: Final = frozenset(map(ipaddress.ip_address, ("127.0.0.1", "::1")))
_HINT: Final = "give an https:// URL that is reachable from the internet"

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host name and a port to addresses."""


class TargetRefusedError(InputError):
    """A receiver's URL, or an address it resolves to, is not allowed."""

    code = "webhook-target-refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver's URL, checked as far as possible without resolving its name."""

    url: str
    secure: bool
    host: str
    """A name, or an IP address without brackets."""
    port: int
    path: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """Value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    async def address(self, resolve: Resolve, *, loopback: bool) -> str:
        """Resolves the host and returns one address to connect to. Raises TargetRefusedError if it resolves to nothing,
        or if any of its addresses is not allowed."""
        found = [self.host] if _address(self.host) else list(await resolve(self.host, self.port))
        if not found:
            raise TargetRefusedError(WebhookGround.UNRESOLVED.write(host=self.host), hint="check the name")
        # A name with a single forbidden address is refused, so that nobody can rely on which one is used.
        for one in found:
            verify_address(one, secure=self.secure, loopback=loopback)
        return found[0]


def parse_target(url: str, *, loopback: bool = False, ports: frozenset[int] = PORTS) -> Target:
    """Parses and checks a URL, without resolving its name. Raises TargetRefusedError."""
    match = _URL.fullmatch(url) if len(url) <= _MAX_CHARACTERS else None
    if match is None:
        raise TargetRefusedError(WebhookGround.NO_URL.write(), hint=_HINT)
    host, secure = match["host"].removeprefix("[").removesuffix("]"), match["scheme"] == "https"
    port = int(match["port"] or (443 if secure else 80))
    address = _address(host)
    if address is None:
        _verify_name(host)
    elif str(address) != host:
        raise TargetRefusedError(WebhookGround.NOT_CANONICAL.write(host=host), hint=f"write {address}")
    local = loopback and (host == "localhost" or address in _LOOPBACK)
    if not secure and not local:
        raise TargetRefusedError(WebhookGround.NOT_HTTPS.write(), hint=_HINT)
    # Few ports, so that webhooks cannot be used to probe other services of a host.
    if not (port in ports or (local and 1024 <= port <= 65535)):
        allowed = ", ".join(map(str, sorted(ports)))
        raise TargetRefusedError(WebhookGround.PORT.write(port=port), hint=f"use one of {allowed}")
    if host == "localhost" and not loopback:
        raise TargetRefusedError(WebhookGround.LOCALHOST.write(), hint=_HINT)
    if address is not None:
        verify_address(host, secure=secure, loopback=loopback)
    return Target(url, secure, host, port, (match["path"] or "/") + (match["query"] or ""))


def verify_address(text: str, *, secure: bool, loopback: bool) -> None:
    """Verifies that an address is on the public internet. Raises TargetRefusedError."""
    # A zone id (RFC 6874) does not change what kind of address it is.
    address = _address(text.partition("%")[0])
    if address is None:
        raise TargetRefusedError(WebhookGround.NO_ADDRESS.write(text=ascii(text[:60])), hint="check the name")
    if loopback and address in _LOOPBACK:
        return
    # Plain http is only allowed on the loopback, which was accepted above: hence `not secure` refuses.
    inside = any(address in one for one in (*_EMBEDDING, *_NOT_PUBLIC))
    if inside or not address.is_global or address.is_multicast or address.is_reserved or not secure:
        raise TargetRefusedError(WebhookGround.NOT_PUBLIC.write(address=str(address)), hint=_HINT)


def _verify_name(host: str) -> None:
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or _NUMERIC.fullmatch(labels[-1]):
        raise TargetRefusedError(
            WebhookGround.NO_HOST.write(host=host[:80]), hint="omit the trailing dot of a name; write addresses in full"
        )
    if len(labels) < 2 and host != "localhost":
        raise TargetRefusedError(WebhookGround.NO_PUBLIC_NAME.write(host=host), hint=_HINT)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
