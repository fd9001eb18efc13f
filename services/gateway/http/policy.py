"""Where the gateway may be reached from, and whether callers need a credential."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from millmark.ledger.errors import SettingsError
from millmark.services.serving.hosts import LOOPBACK_HOSTS
from millmark.services.settings import Auth, build_origin


@dataclass(frozen=True, slots=True)
class Policy:
    """Validated settings. Call `build_policy` to create one."""

    auth: Auth
    origin: str
    """Scheme, host and port at which callers reach the gateway. Sign-in messages are bound to it."""
    hosts: frozenset[str]
    """Accepted host names in the Host header, without ports. Requests for other names are misdirected, or come from a
    page whose domain was pointed at this gateway (DNS rebinding)."""
    owner: int | None
    """The participant that the gateway belongs to. It sees everything in the index and the book."""
    named: bool = True
    """Whether the settings give the origin. Otherwise nothing but a browser on this machine asks for pages, and one
    that asks at another name of the machine is sent to the origin, where its cookies and passkeys are."""

    @property
    def needs_credential(self) -> bool:
        return not self.auth.is_open


def build_policy(
    auth: str = Auth.REQUIRED,
    *,
    host: str = "127.0.0.1",
    port: int = 8600,
    url: str | None = None,
    owner: int | None = None,
    tls: bool = False,
    signs: bool = False,
) -> Policy:
    """The policy of a gateway that listens on `host`, with its own TLS if `tls`, and is reached at `url`, by default
    the address that it listens on. `signs`: it has a key to record with.

    Raises SettingsError for settings that would expose data or tokens to the network.
    """
    mode, local = Auth(auth), _is_loopback(host)
    if url is None and not local:
        raise SettingsError(f"the gateway listens on {host}, but gateway_url is not set", hint="set gateway_url")
    origin = _origin(url or build_origin(host, port, tls=tls))
    name = _host_of(origin)
    far = name not in LOOPBACK_HOSTS
    # A public URL means that a proxy forwards other machines' requests to the loopback address.
    if mode.is_open and (far or not local):
        raise SettingsError(
            f"gateway_auth is {mode}, but the gateway is reachable from other machines",
            hint="set gateway_auth to required, or listen on 127.0.0.1 without a gateway_url",
        )
    if signs and not mode.may_sign:
        raise SettingsError(
            f"gateway_auth is {mode}, but the gateway has a key: anybody on this machine could record with it",
            hint="set gateway_auth to required, or to loopback-open-signing if you mean that",
        )
    # On the loopback, http is allowed: no other machine can read along.
    if far and origin.startswith("http:"):
        raise SettingsError(
            f"gateway_url {origin} would send tokens unencrypted",
            hint="set gateway_tls_certificate, or put a TLS proxy in front of the gateway; set its https:// address",
        )
    # On loopback, a local proxy or tool may name the loopback address instead of the public name.
    return Policy(mode, origin, LOOPBACK_HOSTS | {name} if local else frozenset({name}), owner, url is not None)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    # Only one spelling: sign-in messages are compared with the origin as text.
    if not usable or url != f"{parts.scheme}://{parts.netloc}".lower() or "@" in parts.netloc:
        raise SettingsError(
            f"gateway_url {url[:100]!a} is not a valid origin",
            hint="give only scheme, host and port, in lower case: https://gateway.example",
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
