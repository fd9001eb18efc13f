"""`consortium.json`: what a company has to know to join. The operator gives it to the companies; nothing in it is
secret, and everything in it is checked against the chain of whoever uses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.chain import find_profile
from millmark.ledger.chain.deploying import Deployment, deployment_to_json, parse_deployment
from millmark.ledger.errors import CanonicalError, InputError, SettingsError, TrustError
from millmark.ledger.signatures import Address, to_checksum
from millmark.ledger.trust import parse_checksum, parse_members
from millmark.services.directory.document import verify_gateway_url, verify_name

MAX_CONSORTIUM_BYTES = 1 << 16
_FORMAT, _VERSION = "millmark-consortium", 1
_HINT = "get the file again from the operator, who wrote it with `millmark init`"


@dataclass(frozen=True, slots=True)
class Consortium:
    """A ledger and its operator. Not established: that the chain agrees."""

    name: str
    chain_url: str
    """A hint: a company with a node of its own asks that one."""
    engine: str
    deployment: Deployment
    owner: Address
    """Owner of the registry."""
    gateway: str
    """URL of the operator's gateway, which serves the directory."""

    def to_bytes(self) -> bytes:
        value: dict[str, Json] = {
            "format": _FORMAT,
            "version": _VERSION,
            "name": self.name,
            "chain_url": self.chain_url,
            "engine": self.engine,
            "deployment": deployment_to_json(self.deployment),
            "owner": to_checksum(self.owner),
            "gateway": self.gateway,
        }
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def parse_consortium(data: bytes) -> Consortium:
    """Raises InputError for a file that is not of the format."""
    names = ("format", "version", "name", "chain_url", "engine", "deployment", "owner", "gateway")
    try:
        value = parse_json(data, max_bytes=MAX_CONSORTIUM_BYTES, max_depth=3)
        form, version, name, chain_url, engine, deployment, owner, gateway = parse_members(value, *names)
        if (form, version) != (_FORMAT, _VERSION):
            raise TrustError(f"not a {_FORMAT} file of version {_VERSION}")
        if not (isinstance(name, str) and isinstance(chain_url, str) and isinstance(engine, str)):
            raise TrustError("name, chain_url and engine are not strings")
        if not isinstance(gateway, str) or not isinstance(deployment, Mapping):
            raise TrustError("gateway is not a string, or deployment not an object")
        verify_name(name)
        verify_gateway_url(gateway)
        verify_chain_url(chain_url)
        find_profile(engine)
        return Consortium(name, chain_url, engine, parse_deployment(deployment), parse_checksum(owner), gateway)
    except (CanonicalError, TrustError, SettingsError) as error:
        raise InputError(f"the consortium file cannot be used: {error.cause}", hint=_HINT) from None
    except ValueError as error:
        raise InputError(
            f"the consortium file cannot be used: its deployment is malformed ({error})", hint=_HINT
        ) from None


def verify_chain_url(url: str) -> None:
    """Raises TrustError unless it is one line that begins with http:// or https://."""
    if not url.startswith(("http://", "https://")) or not url.isprintable() or len(url) > 500 or " " in url:
        raise TrustError(f"{url[:80]!a} is not the URL of a chain node", hint="give http:// or https:// and a host")
