"""The seal of a plan: the entry in the coordinator's stream that commits to it, whole and part by part.

Readers get the plan whole; an owner gets its own rows, the list of offers and the slot prices (`PlanPart`).
So that both hold the coordinator to the same plan, the entry names the plan's digest, and the claims root of a document
with the plan's members, each row a field of its own (CLAIMS.md): a part is that document without the other fields.

The coordinator signs what the entry names, so that an owner can show others what it was given, and no others' streams.
The signature is over EIP-712 typed data in the domain of checkpoints (ledger/TRUST.md):

    PlanSeal(bytes32 call,bytes32 plan,bytes32 claims)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import Json, canonical_json, keccak256, parse_hex32, parse_json, to_hex
from millmark.ledger.claims import MAX_BYTES, Claims, Field, Path, build_claims
from millmark.ledger.errors import CanonicalError, ClaimsError, PlanError, SigningError
from millmark.ledger.plans.file import PART_FORMAT, PlanPart, parse_part
from millmark.ledger.plans.plan import PLAN_FORMAT, Plan, parse_plan
from millmark.ledger.signatures import Address, Signature, Signer, recover_address
from millmark.services.directory.document import typed_digest
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.grounds import PlanningGround

SEAL_FORMAT = "millmark.plan-seal"
_TYPE = keccak256(b"PlanSeal(bytes32 call,bytes32 plan,bytes32 claims)")
_MAX_TEXT = MAX_BYTES
_DEPTH = 8
_SHARED = ("before", "call", "cause", "dropped", "offers", "tie")
"""Members that everybody gets who gets a part, each as canonical JSON."""
_WHOLE = ("fixed", "now")
_LISTS = ("rows", "legs", "reworked")
"""`reworked` is left out if there are none, as in the plan."""
_AMOUNTS = (("cost", "total"), ("cost", "spent"))
"""What of the cost everybody gets, so that all come to the same gap."""
_EMPTY = tuple((name,) for name in _LISTS)
"""An empty list is itself a field."""


@dataclass(frozen=True, slots=True)
class PlanSeal:
    """What is in the stream of a plan."""

    call: bytes
    plan: bytes
    """Digest of the plan."""
    claims: bytes
    """Claims root of its document."""
    signature: bytes
    """65 bytes: r, s and v = 27 or 28."""

    def to_json(self) -> dict[str, Json]:
        return {
            "format": SEAL_FORMAT,
            "version": 1,
            "call": to_hex(self.call),
            "plan": to_hex(self.plan),
            "claims": to_hex(self.claims),
            "signature": to_hex(self.signature),
        }

    def recover_signer(self, chain_id: int, ledger: bytes) -> Address:
        """The address that signed. Raises PlanningError for an invalid signature; one for another ledger has another
        signer."""
        try:
            return recover_address(
                _digest(chain_id, ledger, self.call, self.plan, self.claims), Signature.from_bytes(self.signature)
            )
        except SigningError as error:
            raise PlanningError(f"the signature of a plan's seal is invalid: {error.cause}") from None


def build_seal(plan: Plan, chain_id: int, ledger: bytes, signer: Signer) -> tuple[PlanSeal, Claims]:
    """The entry for a plan, and the document behind it. Raises PlanningError for a plan that is too large for one, and
    SigningError."""
    value = plan.to_json()
    document: dict[str, Json] = {name: _write(value[name]) for name in (*_SHARED, *_WHOLE)}
    document |= {name: [_write(one) for one in _items(value[name])] for name in _LISTS if name in value}
    document |= {"plan": to_hex(plan.digest), "cost": value["cost"]}
    document["bound"] = {"value": plan.bound.value, "prices": _write(plan.bound.to_json()["prices"])}
    try:
        claims = build_claims(document)
    except ClaimsError as error:
        raise PlanningError(PlanningGround.LARGE.write(error=error.cause), hint="call fewer orders") from None
    signature = signer.sign_digest(_digest(chain_id, ledger, plan.call, plan.digest, claims.root)).to_bytes()
    return PlanSeal(plan.call, plan.digest, claims.root, signature), claims


def parse_seal(value: Json) -> PlanSeal:
    """Raises PlanningError."""
    names = {"format", "version", "call", "plan", "claims", "signature"}
    if not isinstance(value, dict) or value.keys() != names or value["format"] != SEAL_FORMAT or value["version"] != 1:
        raise PlanningError("it is not the seal of a plan of version 1", hint="update this program")
    try:
        call, plan, claims = (parse_hex32(str(value[name])) for name in ("call", "plan", "claims"))
        return PlanSeal(call, plan, claims, _hex(value["signature"]))
    except (CanonicalError, PlanError):
        raise PlanningError("the seal of a plan is malformed") from None


def list_shown(claims: Claims, participant: int) -> list[Path]:
    """The paths of the document, which must be whole, that a participant gets who reads no offers."""
    return [path for path in claims.paths if _may_read(claims, path, participant)]


def read_plan(claims: Claims, seal: PlanSeal) -> Plan | None:
    """The whole plan; None if the document is a part. Raises PlanningError if it is not the sealed one."""
    if any(not isinstance(field, Field) for _, field in claims.fields):
        return None
    try:
        shown = _object(claims.document)
        members: dict[str, Json] = {name: _read(shown[name]) for name in (*_SHARED, *_WHOLE)}
        members |= {name: [_read(one) for one in _items(shown[name])] for name in _LISTS if name in shown}
        bound = _object(shown["bound"])
        members |= {"cost": shown["cost"], "bound": {"value": bound["value"], "prices": _read(bound["prices"])}}
        plan = parse_plan({"format": PLAN_FORMAT, "version": 1, **members})
    except (PlanError, ClaimsError, KeyError) as error:
        raise PlanningError(f"the document of a plan is malformed: {getattr(error, 'cause', error)}") from None
    if (plan.digest, plan.call) != (seal.plan, seal.call) or shown.get("plan") != to_hex(seal.plan):
        raise PlanningError("the document of a plan is not that of the plan that was sealed")
    return plan


def read_part(claims: Claims, seal: PlanSeal, participant: int) -> PlanPart:
    """What the document shows of the plan to a participant. Raises PlanningError."""
    known = {path: field.value for path, field in claims.fields if isinstance(field, Field)}
    try:
        members: dict[str, Json] = {name: _read(known[name,]) for name in _SHARED}
        members |= {name: [_read(value) for value in _listed(known, name)] for name in _LISTS}
        if ("cost", "spent") in known:
            members["spent"] = known["cost", "spent"]
        if not members["reworked"]:
            del members["reworked"]
        members["plan"], members["total"] = known["plan",], known["cost", "total"]
        members["bound"] = {"value": known["bound", "value"], "prices": _read(known["bound", "prices"])}
        members["participant"] = participant
        part = parse_part({"format": PART_FORMAT, "version": 1, **members})
    except (PlanError, KeyError) as error:
        raise PlanningError(f"the part of a plan is malformed: {getattr(error, 'cause', error)}") from None
    if (part.plan, part.call) != (seal.plan, seal.call):
        raise PlanningError("the part of a plan is not one of the plan that was sealed")
    return part


def _digest(chain_id: int, ledger: bytes, call: bytes, plan: bytes, claims: bytes) -> bytes:
    return typed_digest(chain_id, ledger, _TYPE + call + plan + claims)


def _hex(value: Json) -> bytes:
    if not isinstance(value, str) or not re.fullmatch("0x[0-9a-f]{130}", value):
        raise PlanError("a signature is malformed")
    return bytes.fromhex(value[2:])


def _may_read(claims: Claims, path: Path, participant: int) -> bool:
    if path[0] in (*_SHARED, "plan", "bound") or path in (*_AMOUNTS, *_EMPTY):
        return True
    if path[0] not in _LISTS:
        return False
    item = _object(_read(claims.value(path)))
    return participant in ([item["owner"]] if path[0] != "legs" else [item["from"], item["to"], item["carrier"]])


def _listed(known: Mapping[Path, Json], name: str) -> Iterator[Json]:
    """The shown items of a list, in their order; an empty list is itself a field."""
    return (known[path] for path in sorted(path for path in known if path[0] == name and len(path) == 2))


def _write(value: Json) -> str:
    return canonical_json(value).decode()


def _read(text: Json) -> Json:
    if not isinstance(text, str):
        raise PlanError("a field of a plan's document must be text")
    try:
        value = parse_json(text.encode(), max_bytes=_MAX_TEXT, max_depth=_DEPTH)
    except CanonicalError as error:
        raise PlanError(f"a field of a plan's document is malformed: {error.cause}") from None
    if _write(value) != text:
        raise PlanError("a field of a plan's document is not in canonical form")
    return value


def _items(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        raise PlanError("a plan's document lacks a list")
    return value


def _object(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise PlanError("a plan's document has no object in a place")
    return value


def dump(claims: Claims) -> str:
    """The document as the book keeps it."""
    return json.dumps(claims.to_json())
