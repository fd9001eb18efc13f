"""The files that pass between operator and company when a company joins.

`consortium.json` is what a company has to know. The operator gives it to the companies; nothing in it is secret, and
everything in it is checked against the chain of whoever uses it.

`request.json` is what the company gives to the operator. Its recipient key is signed with the key that the company
wants admitted, which shows that the company has that key. Everything else is the company's word, for the operator to
judge: that the file came from the company is for them to settle between each other, as is its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.chain import find_profile
from millmark.ledger.chain.deploying import Deployment, deployment_to_json, parse_deployment
from millmark.ledger.errors import CanonicalError, InputError, SettingsError, TrustError
from millmark.ledger.records import ALL_ROLES, Role
from millmark.ledger.signatures import Address, to_checksum
from millmark.ledger.trust import parse_checksum, parse_members, parse_number
from millmark.services.directory import document

MAX_CONSORTIUM_BYTES = 1 << 16
_CONSORTIUM_FORMAT, _CONSORTIUM_VERSION = "millmark-consortium", 1
_CONSORTIUM_HINT = "get the file again from the operator, who wrote it with `millmark init`"


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
            "format": _CONSORTIUM_FORMAT,
            "version": _CONSORTIUM_VERSION,
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
        if (form, version) != (_CONSORTIUM_FORMAT, _CONSORTIUM_VERSION):
            raise TrustError(f"not a {_CONSORTIUM_FORMAT} file of version {_CONSORTIUM_VERSION}")
        if not (isinstance(name, str) and isinstance(chain_url, str) and isinstance(engine, str)):
            raise TrustError("name, chain_url or engine is not a string")
        if not isinstance(gateway, str) or not isinstance(deployment, Mapping):
            raise TrustError("gateway is not a string, or deployment not an object")
        document.verify_name(name)
        document.verify_gateway_url(gateway)
        verify_chain_url(chain_url)
        find_profile(engine)
        return Consortium(name, chain_url, engine, parse_deployment(deployment), parse_checksum(owner), gateway)
    except (CanonicalError, TrustError, SettingsError) as error:
        raise InputError(f"the consortium file cannot be used: {error.cause}", hint=_CONSORTIUM_HINT) from None
    except ValueError as error:
        raise InputError(
            f"the consortium file cannot be used: its deployment is malformed ({error})", hint=_CONSORTIUM_HINT
        ) from None


def verify_chain_url(url: str) -> None:
    """Raises TrustError unless it is one line that begins with http:// or https://."""
    if not url.startswith(("http://", "https://")) or not url.isprintable() or len(url) > 500 or " " in url:
        raise TrustError(f"{url[:80]!a} is not the URL of a chain node", hint="give http:// or https:// and a host")


MAX_REQUEST_BYTES = 1 << 14
_REQUEST_FORMAT, _REQUEST_VERSION = "millmark-request", 1
_REQUEST_HINT = "have the company write it again with `millmark join`"


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What a company asks of the operator: to be admitted to a ledger or, once admitted, to be listed differently."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    key: Address
    """The company's first key."""
    roles: Role
    entry: document.DirectoryEntry
    """As it is to stand in the directory; participant 0, since the ledger assigns the number."""

    def to_bytes(self) -> bytes:
        listed = document.entry_to_json(self.entry)
        del listed["participant"]
        value: dict[str, Json] = {
            "format": _REQUEST_FORMAT,
            "version": _REQUEST_VERSION,
            "chain_id": self.chain_id,
            "ledger": to_checksum(self.ledger),
            "key": to_checksum(self.key),
            "roles": [str(role.name) for role in Role if role & self.roles],
            **listed,
        }
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def parse_request(data: bytes) -> AdmissionRequest:
    """Raises InputError for a file that is not of the format, or whose recipient key its own key did not sign."""
    try:
        value = parse_json(data, max_bytes=MAX_REQUEST_BYTES, max_depth=3)
        request = _parse(value)
        statement = request.entry.recipient_key
        if statement is None or statement.recover_signer(request.chain_id, request.ledger) != request.key:
            raise InputError(document.ConsortiumGround.REQUEST_UNSIGNED.write(), hint=_REQUEST_HINT)
    except (CanonicalError, TrustError, document.RecipientKeyError) as error:
        cause = document.ConsortiumGround.REQUEST_UNUSABLE.write(words=error.cause)
        raise InputError(cause, hint=error.hint or _REQUEST_HINT) from None
    return request


def _parse(value: Json) -> AdmissionRequest:
    listed = ("name", "gln", "gateway", "contact", "recipient_key")
    form, version, chain_id, ledger, key, roles, *rest = parse_members(
        value, "format", "version", "chain_id", "ledger", "key", "roles", *listed, optional="contact"
    )
    if (form, version) != (_REQUEST_FORMAT, _REQUEST_VERSION):
        raise TrustError(f"not a {_REQUEST_FORMAT} file of version {_REQUEST_VERSION}")
    return AdmissionRequest(
        chain_id=parse_number(chain_id, 2**53 - 1),
        ledger=parse_checksum(ledger),
        key=parse_checksum(key),
        roles=_parse_roles(roles),
        entry=document.entry_from_json({"participant": 0, **_given(dict(zip(listed, rest, strict=True)))}),
    )


def _given(members: dict[str, Json]) -> dict[str, Json]:
    """Without a contact that was left out."""
    return {name: value for name, value in members.items() if name != "contact" or value is not None}


def _parse_roles(value: Json) -> Role:
    if not isinstance(value, list) or not value:
        raise TrustError("its roles are not a list of at least one")
    roles = Role(0)
    for name in value:
        if not isinstance(name, str) or name not in Role.__members__:
            raise TrustError(f"a role is not one of {', '.join(str(role.name) for role in Role if role & ALL_ROLES)}")
        roles |= Role[name]
    return roles
