"""Entries of streams: how hand-overs carry them, to whom each goes, and how a company writes its own. First, the seal
of a plan: the entry in the coordinator's stream that commits to it, whole and part by part.

Readers get the plan whole; an owner gets its own rows, the list of offers and the slot prices (`PlanPart`).
So that both hold the coordinator to the same plan, the entry names the plan's digest, and the claims root of a document
with the plan's members, each row a field of its own (CLAIMS.md): a part is that document without the other fields.

The coordinator signs what the entry names, so that an owner can show others what it was given, and no others' streams.
The signature is over EIP-712 typed data in the domain of checkpoints (ledger/TRUST.md):

    PlanSeal(bytes32 call,bytes32 plan,bytes32 claims)
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from millmark.ledger import errors
from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, keccak256, parse_json, to_hex
from millmark.ledger.claims import MAX_BYTES, Claims, Field, Path, build_claims, parse_claims
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import HASH_BYTES, Tree, leaf_hash, verify_inclusion
from millmark.ledger.plans.call import Call, Objective
from millmark.ledger.plans.file import PART_FORMAT, PlanPart
from millmark.ledger.plans.form import Form, Hash, Size
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.plans.plan import PLAN_FORMAT, Plan
from millmark.ledger.signatures import Address, Signature, Signer, recover_address
from millmark.ledger.store import Book, Connection, Rows
from millmark.ledger.store.rows import DocumentRow, MachineRow
from millmark.services.directory.document import typed_digest
from millmark.services.planning.errors import PlanningError, PlanningGround
from millmark.services.planning.repository import CallRow, LeafRow, PlanningRepository, PlanRow, What

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
class PlanSeal(Form):
    """What is in the stream of a plan."""

    WHAT, FORMAT = "the seal of a plan", SEAL_FORMAT
    call: Hash
    plan: Hash
    """Digest of the plan."""
    claims: Hash
    """Claims root of its document."""
    signature: Annotated[bytes, Size(65)]
    """r, s and v = 27 or 28."""

    def recover_signer(self, chain_id: int, ledger: bytes) -> Address:
        """The address that signed. Raises PlanningError for an invalid signature; one for another ledger has another
        signer."""
        return recover_signer(
            _digest(chain_id, ledger, self.call, self.plan, self.claims), self.signature, "plan's seal"
        )


def recover_signer(digest: bytes, signature: bytes, what: str) -> Address:
    try:
        return recover_address(digest, Signature.from_bytes(signature))
    except errors.SigningError as error:
        raise PlanningError(f"the signature of a {what} is invalid: {error.cause}") from None


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
    except errors.ClaimsError as error:
        raise PlanningError(PlanningGround.LARGE.write(error=error.cause), hint="call fewer orders") from None
    signature = signer.sign_digest(_digest(chain_id, ledger, plan.call, plan.digest, claims.root)).to_bytes()
    return PlanSeal(plan.call, plan.digest, claims.root, signature), claims


def parse_seal(value: Json) -> PlanSeal:
    """Raises PlanningError."""
    try:
        return PlanSeal.parse(value)
    except errors.PlanError as error:
        raise PlanningError(f"the seal of a plan is malformed: {error.cause}", hint=error.hint) from None


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
        plan = Plan.parse({"format": PLAN_FORMAT, "version": 1, **members})
    except (errors.PlanError, errors.ClaimsError, KeyError) as error:
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
        part = PlanPart.parse({"format": PART_FORMAT, "version": 1, **members})
    except (errors.PlanError, KeyError) as error:
        raise PlanningError(f"the part of a plan is malformed: {getattr(error, 'cause', error)}") from None
    if (part.plan, part.call) != (seal.plan, seal.call):
        raise PlanningError("the part of a plan is not one of the plan that was sealed")
    return part


def _digest(chain_id: int, ledger: bytes, call: bytes, plan: bytes, claims: bytes) -> bytes:
    return typed_digest(chain_id, ledger, _TYPE + call + plan + claims)


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
        raise errors.PlanError("a field of a plan's document must be text")
    try:
        value = parse_json(text.encode(), max_bytes=_MAX_TEXT, max_depth=_DEPTH)
    except errors.CanonicalError as error:
        raise errors.PlanError(f"a field of a plan's document is malformed: {error.cause}") from None
    if _write(value) != text:
        raise errors.PlanError("a field of a plan's document is not in canonical form")
    return value


def _items(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        raise errors.PlanError("a plan's document lacks a list")
    return value


def _object(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise errors.PlanError("a plan's document has no object in a place")
    return value


# Entries of streams as hand-overs carry them: opened, with the proof that the anchor covers them.

_KINDS = {"offer": LeafKind.OFFER, "plan": LeafKind.PLAN}
_WORDS = {kind: word for word, kind in _KINDS.items()}
_MAX_PROOF = 64


@dataclass(frozen=True, slots=True)
class OpenedLeaf:
    """An entry, its salt, and where it is in the tree that a record anchored. Not established: that it is there."""

    kind: LeafKind
    index: int
    salt: bytes
    """32 bytes."""
    entry: Json
    proof: tuple[bytes, ...]
    """Inclusion proof (RFC 9162, section 2.1.3), 32 bytes a hash."""

    @property
    def leaf(self) -> bytes:
        """RFC 9162 leaf hash, 32 bytes. Raises CanonicalError, RecordError."""
        return leaf_hash(build_leaf_data(self.kind, self.salt, self.entry))

    @property
    def text(self) -> str:
        return canonical_json(self.entry).decode()

    def to_json(self) -> Json:
        return {
            "entry": self.entry,
            "index": self.index,
            "kind": _WORDS[self.kind],
            "proof": _base64(b"".join(self.proof)),
            "salt": _base64(self.salt),
        }


def parse_opened_leaf(value: Json) -> OpenedLeaf:
    """Raises PlanningError."""
    if not isinstance(value, dict) or value.keys() != {"entry", "index", "kind", "proof", "salt"}:
        raise PlanningError("an entry in it is malformed")
    index, kind, proof, salt = value["index"], value["kind"], _read_base64(value["proof"]), _read_base64(value["salt"])
    if (
        isinstance(index, bool)
        or not isinstance(index, int)
        or not 0 <= index <= MAX_SAFE_INTEGER
        or not isinstance(kind, str)
        or kind not in _KINDS
        or len(salt) != SALT_BYTES
        or len(proof) % HASH_BYTES
        or len(proof) > _MAX_PROOF * HASH_BYTES
    ):
        raise PlanningError("an entry in it is malformed")
    hashes = tuple(proof[at : at + HASH_BYTES] for at in range(0, len(proof), HASH_BYTES))
    return OpenedLeaf(_KINDS[kind], index, salt, value["entry"], hashes)


def verify_opened_leaf(opened: OpenedLeaf, size: int, root: bytes) -> bytes:
    """Verifies that the entry is in the tree of this size and root. Returns its leaf hash. Raises PlanningError."""
    try:
        leaf = opened.leaf
        verify_inclusion(leaf, opened.index, size, opened.proof, root)
    except (errors.CanonicalError, errors.ProofError, errors.RecordError) as error:
        raise PlanningError(f"entry {opened.index} in it is not in the anchored stream: {error.cause}") from None
    return leaf


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read_base64(value: Json) -> bytes:
    try:
        found = base64.urlsafe_b64decode(f"{value}===") if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        found = None
    # Encoded again: unused bits of the last digit could be set.
    if found is None or _base64(found) != value:
        raise PlanningError("an entry in it has malformed bytes")
    return found


# What is handed over because of an anchor: which entries of the company's streams it covers, and to whom each goes.

KIND_OF = {
    What.CALL: LeafKind.PLAN,
    What.OFFER: LeafKind.OFFER,
    What.WITHDRAWAL: LeafKind.OFFER,
    What.PLAN: LeafKind.PLAN,
}
Paths = tuple[tuple[str, ...], ...]


def find_call(rows: Rows, digest: bytes) -> Call | None:
    """A call that is known here."""
    row = rows.get(CallRow, digest)
    leaf = None if row is None else rows.get(LeafRow, row.leaf)
    return None if leaf is None else Call.parse(leaf.value)


def called(rows: Rows, leaf: LeafRow) -> set[int]:
    """To whom a call goes."""
    row = rows.get(CallRow, leaf.call)
    return set() if row is None else set(row.called)


def readers(rows: Rows, leaf: LeafRow) -> set[int]:
    """Whom the call names as readers of its offers."""
    call = find_call(rows, leaf.call)
    return set() if call is None else set(call.readers)


def coordinator_and_readers(rows: Rows, leaf: LeafRow) -> set[int]:
    call = find_call(rows, leaf.call)
    return set() if call is None else {call.coordinator, *call.readers}


def owners_and_carriers(rows: Rows, leaf: LeafRow) -> set[int]:
    """The companies that made offers for a plan's call, and the plan's carriers. Readers are left out: they get the
    whole plan."""
    offers = rows.find(LeafRow, call=leaf.call, what=What.OFFER)
    return ({row.owner for row in offers} | _carriers(rows, leaf)) - readers(rows, leaf)


def objective_of(rows: Rows, leaf: LeafRow) -> str:
    """The objective of a call, in canonical JSON; empty if it is not known."""
    row = rows.get(CallRow, leaf.call)
    return "" if row is None else row.objective


def machines_of(rows: Rows, leaf: LeafRow) -> list[MachineRow]:
    """The machine that an offer is of."""
    try:
        found = rows.get(MachineRow, Offer.parse(leaf.value).machine)
    except errors.PlanError:
        found = None
    return [] if found is None else [found]


def plan_paths(rows: Rows, leaf: LeafRow, participant: int) -> tuple[bytes, Paths]:
    """The claims root of a plan's document, and the paths that a participant may read who reads no offers."""
    seal = parse_seal(leaf.value)
    claims = _claims(rows, seal.claims)
    paths = () if claims is None else list_shown(claims, participant)
    return seal.claims, tuple(tuple(map(str, path)) for path in paths)


def open_leaves(rows: Rows, book: Book, stream: bytes, size: int, wanted: Iterable[bytes]) -> list[OpenedLeaf]:
    """Opens own entries, with proofs in the tree of this size. Raises PlanningError if the book lacks the stream."""
    listed = [row for row in rows.among(LeafRow, "leaf", wanted) if row.stream == stream]
    if not listed:
        return []
    leaves = book.leaves(stream, size)
    if len(leaves) < size:
        raise PlanningError("the book lacks entries of the stream", hint="restore the private book from a backup")
    tree = Tree(leaves)
    opened = (
        OpenedLeaf(KIND_OF[row.what], row.leaf_index, row.salt, row.value, tuple(tree.inclusion_proof(row.leaf_index)))
        for row in listed
    )
    return sorted(opened, key=lambda one: one.index)


def _carriers(rows: Rows, leaf: LeafRow) -> set[int]:
    seal = parse_seal(leaf.value)
    claims = _claims(rows, seal.claims)
    plan = None if claims is None else read_plan(claims, seal)
    return set() if plan is None else {leg.carrier for leg in plan.legs} - {0}


def _claims(rows: Rows, root: bytes) -> Claims | None:
    row = rows.get(DocumentRow, root)
    return None if row is None else parse_claims(json.loads(row.document))


# Writes calls, offers, withdrawals and plans as entries of the company's own stream, within the caller's transaction.
# The book has the entry before the anchor is sent; the anchor covers whatever was written, so the next one makes up for
# one that was lost.


@dataclass(frozen=True, slots=True)
class OwnStream:
    """A stream of this company whose evidence its book keeps."""

    subject: bytes
    owner: int
    anchored: int
    """How many entries are anchored."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was written, and what is to be anchored now."""

    leaves: tuple[bytes, ...]
    """Leaf hashes of the new entries."""
    first: int
    """Index of the first of them."""
    size: int
    root: bytes


def seal_call(
    connection: Connection, stream: OwnStream, call: Call, objective: Objective, asked: Sequence[int]
) -> Sealed:
    """Writes a call. `asked`: the companies to whom it goes."""
    sealed = _append(connection, stream, [(What.CALL, call.digest, call.to_json())])
    text = canonical_json(objective.to_json()).decode()
    row = CallRow(call.digest, sealed.leaves[0], call.coordinator, call.closes, text, " ".join(map(str, sorted(asked))))
    PlanningRepository(connection).put_call(row)
    return sealed


def seal_offers(connection: Connection, stream: OwnStream, entries: Sequence[Offer | OfferWithdrawal]) -> Sealed:
    """Writes offers and withdrawals of one machine."""
    kinds = [What.OFFER if isinstance(one, Offer) else What.WITHDRAWAL for one in entries]
    listed = [(what, one.call, one.to_json()) for what, one in zip(kinds, entries, strict=True)]
    return _append(connection, stream, listed)


def seal_plan(connection: Connection, stream: OwnStream, call: Call, plan: Plan, signer: Signer) -> Sealed:
    """Writes a plan for a call, signed by its coordinator, and keeps its document in the book. Raises PlanningError if
    it is too large, SigningError."""
    seal, claims = build_seal(plan, call.chain_id, call.ledger, signer)
    Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
    sealed = _append(connection, stream, [(What.PLAN, plan.call, seal.to_json())])
    PlanningRepository(connection).put_plan(
        PlanRow(plan.digest, plan.call, sealed.leaves[0], claims.root, sealed.first)
    )
    return sealed


def seal_event(connection: Connection, stream: OwnStream, entry: Mapping[str, Json]) -> Sealed:
    """Writes what no record and no entry of another stream says: what happened, or that a forecast was made."""
    book = Book(connection)
    size = verify_kept(book, stream)
    made = _entry(LeafKind.EVENT, size, entry)
    book.add_evidence(stream.subject, [made])
    return _sealed(book, stream, [made])


def _append(connection: Connection, stream: OwnStream, entries: Sequence[tuple[str, bytes, Json]]) -> Sealed:
    book, planning = Book(connection), PlanningRepository(connection)
    size = verify_kept(book, stream)
    made = [_entry(KIND_OF[what], size + place, value) for place, (what, _, value) in enumerate(entries)]
    book.add_evidence(stream.subject, made)
    for entry, (what, call, value) in zip(made, entries, strict=True):
        text = canonical_json(value).decode()
        place = stream.owner, stream.subject, entry.index, entry.salt, text, 0, b"", 0
        planning.add_leaf(LeafRow(entry.leaf_hash, call, what, *place))
    return _sealed(book, stream, made)


def verify_kept(book: Book, stream: OwnStream) -> int:
    """How many entries the book has. Raises InputError if the stream is captured elsewhere."""
    size = book.evidence_size(stream.subject)
    if size < stream.anchored:
        raise errors.InputError(
            PlanningGround.KEPT_ELSEWHERE.write(),
            hint="open a stream of its own for offers or plans",
        )
    return size


def _entry(kind: LeafKind, index: int, value: Json) -> EvidenceEntry:
    salt = secrets.token_bytes(SALT_BYTES)
    return EvidenceEntry(index, salt, value, leaf_hash(build_leaf_data(kind, salt, value)), kind)


def _sealed(book: Book, stream: OwnStream, made: Sequence[EvidenceEntry]) -> Sealed:
    size = made[-1].index + 1
    root = Tree(book.leaves(stream.subject, size)).root()
    return Sealed(tuple(one.leaf_hash for one in made), made[0].index, size, root)
