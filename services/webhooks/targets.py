"""Where webhooks may go: nowhere that a participant could not reach without us.

A target is https on a public address. What a name stands for is looked up once for each delivery; every address found
is judged, and the connection goes to one that was: a name that answers differently the next time leads nowhere else.
Loopback, over http too, only where the operator allows it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ledger.errors import InputError

__all__ = ["PORTS", "Resolve", "Target", "TargetRefusedError", "parse_target", "verify_address"]

PORTS: Final = frozenset({443, 8443})
_MOST_CHARACTERS: Final = 2048
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[(?=[^\]]*:)[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
"""Lower case throughout its origin; no user, no fragment, no backslash, no blank, no letter that is not ASCII."""
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""Last label of what programs read as an IPv4 address, in whatever base."""
_EMBEDDING: Final = [
    ipaddress.ip_network(one)
    for one in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]
"""IPv6 ranges in which an IPv4 address hides."""
_LOOPBACK: Final = frozenset(map(ipaddress.ip_address, ("127.0.0.1", "::1")))
_HINT: Final = "give an https:// address that is reachable from the internet"

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From name and port to addresses."""


class TargetRefusedError(InputError):
    """The address of a receiver is not one that is sent to."""

    code = "webhook-target-refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address of a receiver."""

    url: str
    secure: bool
    host: str
    """A name, or an address without brackets."""
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    async def address(self, resolve: Resolve, *, loopback: bool) -> str:
        """One address that the name stands for now, to be connected to as it is. Raises TargetRefusedError when one of
        them is not to be sent to, or there is none."""
        found = [self.host] if _address(self.host) else list(await resolve(self.host, self.port))
        if not found:
            raise TargetRefusedError(f"{self.host} has no address", hint="check the name")
        for one in found:
            verify_address(one, secure=self.secure, loopback=loopback)
        return found[0]


def parse_target(url: str, *, loopback: bool = False, ports: frozenset[int] = PORTS) -> Target:
    """Raises TargetRefusedError for what is not to be sent to, as far as its text says so."""
    match = _URL.fullmatch(url) if len(url) <= _MOST_CHARACTERS else None
    if match is None:
        raise TargetRefusedError(
            "the address is not a plain https URL in lower case, without user or fragment", hint=_HINT
        )
    host, secure = match["host"].removeprefix("[").removesuffix("]"), match["scheme"] == "https"
    port = int(match["port"] or (443 if secure else 80))
    address = _address(host)
    if address is None:
        _verify_name(host)
    elif str(address) != host:
        raise TargetRefusedError(f"{host} is not how an address is written", hint=f"write {address}")
    local = loopback and (host == "localhost" or address in _LOOPBACK)
    if not secure and not local:
        raise TargetRefusedError("the address is not https", hint=_HINT)
    if not (port in ports or (local and 1024 <= port <= 65535)):
        raise TargetRefusedError(f"port {port} is not sent to", hint=f"use one of {', '.join(map(str, sorted(ports)))}")
    if host == "localhost" and not loopback:
        raise TargetRefusedError("localhost is not sent to", hint=_HINT)
    if address is not None:
        verify_address(host, secure=secure, loopback=loopback)
    return Target(url, secure, host, port, (match["path"] or "/") + (match["query"] or ""))


def verify_address(text: str, *, secure: bool, loopback: bool) -> None:
    """Raises TargetRefusedError for an address that is not on the public internet."""
    address = _address(text.partition("%")[0])
    if address is None:
        raise TargetRefusedError(f"{text[:60]!a} is no address", hint="check the name")
    if loopback and address in _LOOPBACK:
        return
    hidden = isinstance(address, ipaddress.IPv6Address) and any(address in one for one in _EMBEDDING)
    if hidden or not address.is_global or address.is_multicast or address.is_reserved or not secure:
        raise TargetRefusedError(f"{address} is not on the public internet", hint=_HINT)


def _verify_name(host: str) -> None:
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or _NUMERIC.fullmatch(labels[-1]):
        raise TargetRefusedError(
            f"{host[:80]} is no host name", hint="write names without a last dot, addresses in full"
        )
    if len(labels) < 2 and host != "localhost":
        raise TargetRefusedError(f"{host} is a name of a local network", hint=_HINT)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
