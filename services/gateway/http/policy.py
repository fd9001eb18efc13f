"""From where the gateway may be reached, and whether callers need a credential."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from ledger.errors import SettingsError

__all__ = ["Auth", "Policy", "build_policy"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Auth(enum.StrEnum):
    """What a caller without a credential is."""

    REQUIRED = "required"
    """Nobody: only the routes that ACCESS.md opens to anybody are answered."""
    LOOPBACK_OPEN = "loopback-open"
    """The operator: for development, on the loopback alone."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Checked settings: `build_policy` makes it."""

    auth: Auth
    origin: str
    """Scheme, host and port under which callers reach the gateway; what sign-in messages are bound to."""
    hosts: frozenset[str]
    """Names, without ports, that a request's Host header may have. Others come from a page of somebody else whose name
    was pointed at us (DNS rebinding), or were sent astray."""
    owner: int | None
    """The participant that the gateway belongs to: it sees all that index and book hold."""

    @property
    def needs_credential(self) -> bool:
        return self.auth is Auth.REQUIRED


def build_policy(
    auth: str = Auth.LOOPBACK_OPEN,
    *,
    host: str = "127.0.0.1",
    port: int = 8600,
    url: str | None = None,
    owner: int | None = None,
    tls: bool = False,
) -> Policy:
    """The policy of a gateway that listens on `host`, with `tls` of its own or without, and is reached under `url`,
    which defaults to where it listens.

    Raises SettingsError for settings that would expose data or tokens to others on the network.
    """
    local = _is_loopback(host)
    if url is None and not local:
        raise SettingsError(f"the gateway listens on {host}, and its public URL is not set", hint="set gateway_url")
    origin = _origin(url or f"{'https' if tls else 'http'}://{_bracketed(host)}:{port}")
    name = _host_of(origin)
    far = name not in _LOOPBACK
    if auth == Auth.LOOPBACK_OPEN and (far or not local):
        raise SettingsError(
            "gateway_auth is loopback-open, and the gateway is reached from elsewhere",
            hint="set gateway_auth to required, or listen on 127.0.0.1 without a gateway_url",
        )
    if far and origin.startswith("http:"):
        raise SettingsError(
            f"gateway_url {origin} would send tokens in clear",
            hint="set gateway_tls_certificate, or put a server with TLS before the gateway; give its https:// address",
        )
    return Policy(Auth(auth), origin, _LOOPBACK | {name} if local else frozenset({name}), owner)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    if not usable or url != f"{parts.scheme}://{parts.netloc}".lower() or "@" in parts.netloc:
        raise SettingsError(
            f"gateway_url {url[:100]!a} is no address of a site",
            hint="give scheme, host and port alone, in lower case: https://gateway.example",
        )
    return url


def _host_of(origin: str) -> str:
    return _bracketed(urlsplit(origin).hostname or "")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
