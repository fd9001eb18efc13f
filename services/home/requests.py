"""`request.json`: what a company that wants to join gives to the operator.

Its recipient key is signed with the key that the company wants admitted, which shows that the company has that key.
Everything else is the company's word, for the operator to judge: that the file came from the company is for them to
settle between each other, as is its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.errors import CanonicalError, InputError, TrustError
from millmark.ledger.records import ALL_ROLES, Role
from millmark.ledger.signatures import Address, to_checksum
from millmark.ledger.trust import parse_checksum, parse_members, parse_number
from millmark.services.directory.document import DirectoryEntry, entry_from_json, entry_to_json
from millmark.services.directory.errors import RecipientKeyError
from millmark.services.directory.grounds import ConsortiumGround

MAX_REQUEST_BYTES = 1 << 14
_FORMAT, _VERSION = "millmark-request", 1
_HINT = "have the company write it again with `millmark join`"


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What a company asks of the operator: to be admitted to a ledger or, once admitted, to be listed differently."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    key: Address
    """The company's first key."""
    roles: Role
    entry: DirectoryEntry
    """As it is to stand in the directory; participant 0, since the ledger assigns the number."""

    def to_bytes(self) -> bytes:
        listed = entry_to_json(self.entry)
        del listed["participant"]
        value: dict[str, Json] = {
            "format": _FORMAT,
            "version": _VERSION,
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
            raise InputError(ConsortiumGround.REQUEST_UNSIGNED.write(), hint=_HINT)
    except (CanonicalError, TrustError, RecipientKeyError) as error:
        cause = ConsortiumGround.REQUEST_UNUSABLE.write(words=error.cause)
        raise InputError(cause, hint=error.hint or _HINT) from None
    return request


def _parse(value: Json) -> AdmissionRequest:
    listed = ("name", "gln", "gateway", "contact", "recipient_key")
    form, version, chain_id, ledger, key, roles, *rest = parse_members(
        value, "format", "version", "chain_id", "ledger", "key", "roles", *listed, optional="contact"
    )
    if (form, version) != (_FORMAT, _VERSION):
        raise TrustError(f"not a {_FORMAT} file of version {_VERSION}")
    return AdmissionRequest(
        chain_id=parse_number(chain_id, 2**53 - 1),
        ledger=parse_checksum(ledger),
        key=parse_checksum(key),
        roles=_parse_roles(roles),
        entry=entry_from_json({"participant": 0, **_given(dict(zip(listed, rest, strict=True)))}),
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
