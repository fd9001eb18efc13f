"""Builds records from request bodies, and collects what the private book has to store for them.

The index supplies the fields that follow from the resource named in a path, so that callers need not send them.
"""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from millmark.ledger import events, footprint, merkle, products, provenance
from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.claims import Claims, Field, build_claims, parse_claims
from millmark.ledger.errors import InputError, NotFoundError, RegisterError, SpecificationError
from millmark.ledger.events.orders import EndProposed, RevisionProposed
from millmark.ledger.evidence import EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.footprint import Moment, Reading, RegisterEntry
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.names import Deployed, NameKey, derive_identity, subjects_of
from millmark.ledger.provenance import listings, traces
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import AssignmentState, CertificateState, Contract, Item, Packed, Record, Verdict
from millmark.ledger.store import Book, Rows, Store, outbox, outbox_records
from millmark.ledger.store import rows as tables
from millmark.services.gateway.http.problems import NameTakenError, NoNameKeyError
from millmark.services.gateway.recording.bodies import struct_of
from millmark.services.gateway.recording.repository import RecordingRepository, describe_subjects
from millmark.services.inspections.extracts import build_challenge, find_kept_inference
from millmark.services.planning.reading import is_for_offers
from millmark.services.setpoints import SetpointState, inbox
from millmark.services.setpoints.document import setpoint_event_id
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow

# Names of the things that the company's records create: derived from its name keys, and never given twice.

_TABLES: Mapping[SubjectKind, type[tables.MachineRow] | type[tables.StreamRow] | type[tables.RecordHistoryRow]] = {
    SubjectKind.ORDER: tables.RecordHistoryRow,
    SubjectKind.LOT: tables.RecordHistoryRow,
    SubjectKind.STREAM: tables.StreamRow,
    SubjectKind.MACHINE: tables.MachineRow,
}
_REFUSED = (outbox_records.OutboxState.FAILED, outbox_records.OutboxState.CANCELLED)


class Namer:
    """Derives identities for one company. A second subject for an identifier of its own is refused: no receiver would
    accept a bundle that shows it, since an earlier one exists."""

    def __init__(self, store: Store, ledger: Deployed, keys: Sequence[NameKey]) -> None:
        self._store, self._ledger, self._outbox = store, ledger, outbox.Outbox(store)
        self._keys = {key.hash: key for key in keys}

    def name(self, creator: int, kind: SubjectKind, identifier: str) -> Identity:
        """The identity of a new thing of `creator`. Raises NoNameKeyError, NameTakenError and IdentifierError."""
        with self._store.reading() as connection:
            rows, recordings = Rows(connection), RecordingRepository(connection)
            identity = derive_identity(self._ledger, self._registered(rows, creator), kind, creator, identifier)
            subjects = subjects_of(kind, creator, identity.identifier, identity.proofs)
            # Also under a salt that no name key gave, as a record may have that was made elsewhere.
            known = [one for one in Book(connection).identities(identity.identifier) if one.kind is kind]
            subjects = [*subjects, *(one.subject for one in known if one.creator == creator)]
            recorded = next((one for one in subjects if rows.find(_TABLES[kind], subject=one)), None)
            asked = recordings.naming([describe_subjects([one]) for one in subjects])
        what = f"{kind.name.lower()} {identity.identifier}"
        if recorded is not None:
            raise NameTakenError(f"there is a {what} already: {to_hex(recorded)}", hint="use another identifier")
        # Of a record that creates several things, the contract refuses a second one.
        queued = self._outbox.find([row.key for row in asked]).values()
        if any(record.state not in _REFUSED for record in queued):
            raise NameTakenError(f"a record that creates the {what} is queued", hint="see its status in /v1/records")
        return identity

    def derive(self, creator: int, kind: SubjectKind, identifier: str) -> Identity:
        """The identity of a thing of `creator`, whether or not it exists. Raises NoNameKeyError, IdentifierError."""
        with self._store.reading() as connection:
            keys = self._registered(Rows(connection), creator)
        return derive_identity(self._ledger, keys, kind, creator, identifier)

    def _registered(self, rows: Rows, creator: int) -> list[NameKey]:
        """All name keys that the company has registered, oldest first: under each, a receiver wants a proof."""
        hashes = [
            row.hash for row in sorted(rows.find(tables.NameKeyRow, participant=creator), key=lambda row: row.index)
        ]
        if not hashes:
            raise NoNameKeyError(
                "this company has not registered a name key", hint="register one with `millmark keys name`"
            )
        missing = [digest for digest in hashes if digest not in self._keys]
        if missing:
            raise NoNameKeyError(
                f"the gateway lacks the name key 0x{missing[0].hex()}", hint="ask its operator to set gateway_name_keys"
            )
        # A name from a key that is being replaced could be recorded after the change, and then be worthless.
        early = self._keys.keys() - set(hashes)
        if early:
            raise NoNameKeyError(
                f"the name key 0x{min(early).hex()} is not registered yet",
                hint="register it with `millmark keys name`, and wait until the index has the record",
            )
        return [self._keys[digest] for digest in hashes]


Verify: TypeAlias = "Callable[[Reader, Mapping[str, Any], products.FindProduct], None]"


def verify_terms(reader: Reader, body: Mapping[str, Any], find: products.FindProduct) -> None:
    """Check the terms of an order, placed or revised, whose document is in the request or in the book. Raises
    SpecificationError or ProductError, also for a product of which no quantity is agreed. Nothing is established for a
    document that is neither, one of which fields are erased or were never handed over, and one without the
    specification of a known product."""
    terms = body["terms"]
    document = terms["claims"] if terms["claims"] is not None else _kept(reader, terms["claims_root"])
    made = None if document is None else products.verify_order_document(document, terms["operations"], find)
    if made is not None and not terms["quantity"]:
        raise SpecificationError(
            f"the order does not say how many pieces of {made.product.product}",
            hint='such as "quantity": 1, "unit": "H87"',
        )


def _kept(reader: Reader, root: str | None) -> Mapping[str, Json] | None:
    """The document with a claims root, if the book has all of it."""
    stored = None if root is None else reader.book.document(bytes.fromhex(root[2:]))
    if stored is None:
        return None
    claims = parse_claims(json.loads(stored))
    if not all(isinstance(field, Field) for _, field in claims.fields):
        return None
    return claims.document if isinstance(claims.document, Mapping) else None


# The record with which a certificate's issuer answers a demand: it opens the inference, out of the company's book.


def find_demanded(reader: Reader, asked: Mapping[str, Any]) -> dict[str, object]:
    """The fields of a challenge of the company's own certificate, of which nothing comes from the caller. Raises
    NotFoundError if the certificate, or what it was made on, is not kept here; InputError for one of another company,
    or one whose opening is not demanded or too late: the contract would refuse that, and what was measured would be in
    a transaction all the same. Asked again for what may be on the ledger already, it is built in any state."""
    row = traces.find_certificate_row(reader, asked["id"])
    _verify_own(row, asked["creator"])
    if not asked["again"]:  # what is on the ledger already has changed the state that it found
        _verify_demanded(reader, row)
    record = build_challenge(reader, row, find_kept_inference(reader, row))
    return {
        "certificate": record.certificate,
        "key": record.key,
        "issued": record.issued,
        "inference": record.inference,
        "measured": record.measured,
    }


def _verify_own(row: tables.CertificateRow, company: int) -> None:
    if row.issuer != company:
        raise InputError(
            f"certificate {row.sequence} is of another company",
            hint="whoever holds the measurement opens it with `millmark quality challenge`",
        )


def _verify_demanded(reader: Reader, row: tables.CertificateRow) -> None:
    if row.state != CertificateState.DEMANDED:
        raise InputError(
            f"nobody demands now that certificate {row.sequence} be opened",
            hint="to open it all the same: `millmark quality challenge`",
        )
    if row.opening_deadline <= reader.cursor.block_time:
        raise InputError(f"it is too late to open certificate {row.sequence}", hint="issue another one")


# Entries that are taken at this gateway: kept in the book, and anchored by the record that is queued with them.


def build_event(index: int, event: str, content: Mapping[str, Json], draw: Callable[[], bytes]) -> EvidenceEntry:
    """The entry of an event with this id; `draw` supplies its salt."""
    data: dict[str, Json] = {"data": dict(content), "id": event}
    salt = draw()
    return EvidenceEntry(index, salt, data, merkle.leaf_hash(build_leaf_data(LeafKind.EVENT, salt, data)))


def anchor_with(book: Book, stream: tables.StreamRow, added: Sequence[EvidenceEntry], size: int) -> dict[str, object]:
    """Fields of the anchor over the first `size` entries of a stream and those that are added to them."""
    leaves = [*book.leaves(stream.subject, size), *(one.leaf_hash for one in added)]
    return {"stream": stream.subject, "size": len(leaves), "root": merkle.Tree(leaves).root(), "added": added}


# Register readings that are taken at this gateway: each becomes an entry of the machine's stream, and is anchored.
#
# The gateway finds out what the reading at the finish has to say beside the register: the entry of the start, whether
# the register was set back meanwhile, and whether other operations ran on the machine (ledger/footprint/FOOTPRINT.md).
# A reset that is stated with a reading becomes an entry of its own before it: operations which run meanwhile see it
# too.

_MAY: Mapping[Moment, tuple[AssignmentState, ...]] = {
    Moment.START: (AssignmentState.ACCEPTED, AssignmentState.STARTED),
    Moment.FINISH: (AssignmentState.STARTED,),
}


def find_register(reader: Reader, asked: Mapping[str, Any]) -> dict[str, object]:
    """The anchor that has the reading, and the entry to be kept.

    A reading that is in the stream already and is not anchored is anchored again. Raises NotFoundError for an unknown
    assignment, InputError for one of another company or in another state, for a stream that is captured or kept
    elsewhere, and for a second reading with another value; RegisterError for one that cannot be of the same register.
    """
    moment = Moment(asked["moment"])
    row = listings.find_assignment(reader, asked["id"])
    if row.owner != asked["creator"]:
        raise InputError(f"assignment {row.sequence} is of another company", hint="its machine's owner reads the meter")
    if row.state not in _MAY[moment]:
        state = AssignmentState(row.state).name.lower()
        raise InputError(f"assignment {row.sequence} is {state}", hint="read before it starts, and before it finishes")
    stream = _stream(reader, row, asked)
    size = reader.book.evidence_size(stream.subject)
    if asked["captured"] or size < stream.size:
        raise InputError(
            "the evidence of this stream is not kept here", hint="send the reading to the node as an event"
        )
    event = footprint.register_event_id(row.sequence, moment)
    found = reader.book.find_event(stream.subject, event)
    if found is not None:
        _verify_same(reader.book, stream, found, asked["register_wh"], size)
        return anchor_with(reader.book, stream, [], size)
    now = int(time.time())
    reset = asked["reset"]
    resets = [] if reset is None else [Reading(now, reset[1], Moment.RESET, before_wh=reset[0])]
    entry = _build(reader.book, stream.subject, Reading(now, asked["register_wh"], moment, row.sequence), asked, resets)
    draw = cast("Callable[[], bytes]", asked["salt"])
    added = [_write(size + place, f"{event}/reset", RegisterEntry(one), draw) for place, one in enumerate(resets)]
    return anchor_with(reader.book, stream, [*added, _write(size + len(added), event, entry, draw)], size)


def _write(index: int, event: str, entry: RegisterEntry, draw: Callable[[], bytes]) -> EvidenceEntry:
    return build_event(index, event, footprint.build_register_data(entry), draw)


def _stream(reader: Reader, row: tables.AssignmentRow, asked: Mapping[str, Any]) -> tables.StreamRow:
    named = asked["stream"]
    subject = row.stream if named is None else bytes.fromhex(named[2:])
    of_machine = reader.rows.find(tables.StreamRow, machine=row.machine)
    found = [one for one in of_machine if subject is None or one.subject == subject]
    if len(found) != 1:
        raise InputError(f"{len(found)} streams of machine {row.machine} are meant", hint="name one as `stream`")
    return found[0]


def _verify_same(book: Book, stream: tables.StreamRow, index: int, wh: int, size: int) -> None:
    kept = book.evidence_entry(stream.subject, index)
    entry = None if kept is None else footprint.parse_register_entry(kept.entry)
    if entry is None or entry.reading.wh != wh:
        raise InputError(
            f"entry {index} of the stream has another reading of this moment", hint="a reading is taken once"
        )
    if size == stream.size:
        raise InputError(
            f"the reading is entry {index} of the stream already, and anchored", hint="go on with the work"
        )


@dataclass(frozen=True, slots=True)
class _Known:
    index: int
    leaf: bytes
    entry: RegisterEntry


def _build(
    book: Book, stream: bytes, reading: Reading, asked: Mapping[str, Any], resets: Sequence[Reading]
) -> RegisterEntry:
    known, assignment = list(_readings(book, stream)), reading.assignment
    if reading.moment is Moment.START:
        if asked["quantity"] is not None:
            raise InputError("only a reading at the finish has a quantity", hint="leave it out")
        latest = [one.entry.reading for one in known[-1:]]
        footprint.allocate([*latest, *resets, reading])
        return RegisterEntry(reading)
    first = next((place for place, one in enumerate(known) if _is_start(one, assignment)), None)
    if first is None:
        raise InputError(
            f"assignment {assignment} has no register reading at its start",
            hint="finish it with an event that shows the work: what it used is not metered",
        )
    return _finish(known, first, reading, asked["quantity"], resets)


def _finish(
    known: Sequence[_Known], first: int, finish: Reading, quantity: int | None, stated: Sequence[Reading]
) -> RegisterEntry:
    start = known[first]
    between = [one.entry.reading for one in known[first + 1 :]]
    beside = [
        Reading(start.entry.reading.time_s, start.entry.reading.wh, Moment.START, one)
        for one in _running(known[:first])
    ]
    found = footprint.allocate([*beside, start.entry.reading, *between, *stated, finish])
    segments = found.segments[finish.assignment]
    alone = all(one.among == 1 for one in segments)
    resets = footprint.resets_among([start.entry.reading, *between, *stated])
    entry = RegisterEntry(finish, start.index, start.leaf, quantity, resets, () if alone else tuple(segments))
    footprint.wh_between(start.entry, entry)  # whoever gets the two entries must find the same
    return entry


def _running(known: Sequence[_Known]) -> list[int]:
    """The operations that had started by then and not finished."""
    running: dict[int, None] = {}
    for one in known:
        if one.entry.reading.moment is Moment.START:
            running[one.entry.assignment] = None
        elif one.entry.reading.moment is Moment.FINISH:
            running.pop(one.entry.assignment, None)
    return list(running)


def _is_start(one: _Known, assignment: int) -> bool:
    return one.entry.reading.moment is Moment.START and one.entry.assignment == assignment


def _readings(book: Book, stream: bytes) -> Iterator[_Known]:
    """The register readings of a stream, in its order; those that cannot be read are events like others."""
    for index, text, leaf in book.entries_with(stream, '"register":'):
        try:
            entry = footprint.parse_register_entry(json.loads(text))
        except RegisterError:
            continue
        if entry is not None:
            yield _Known(index, leaf, entry)


# The operator's answer to proposed setpoints: an entry of the machine's stream, which is anchored.
#
# Nothing else accepts a proposal: it is accepted if and only if the stream has the entry.


def find_setpoint_answer(reader: Reader, asked: Mapping[str, Any]) -> dict[str, object]:
    """The anchor that has the answer, and the entry to be kept.

    The same answer that is in the stream already and is not anchored is anchored again. Raises NotFoundError for an
    unknown proposal; InputError for one of another company's machine, for one that is answered, superseded or over, for
    a refusal without a reason, and for a stream that is captured or kept elsewhere."""
    repository = SetpointRepository(reader.rows)
    row = repository.get(asked["id"])
    if row is None:
        raise NotFoundError(f"there is no proposal {asked['id']}", hint="millmark setpoints list")
    machine, stream = reader.rows.get(tables.MachineRow, row.machine), reader.rows.get(tables.StreamRow, row.stream)
    if machine is None or stream is None or machine.owner != asked["creator"]:
        raise InputError(f"machine {row.machine} is of another company", hint="its owner answers proposals for it")
    now_s = int(time.time())
    answer = inbox.build_answer(row, asked["answer"], asked["reason_text"], now_s)
    size = reader.book.evidence_size(row.stream)
    if (found := inbox.find_answer(reader.book, row)) is not None:
        _verify_repeated(row, found, answer, anchored=stream.size)
        return anchor_with(reader.book, stream, [], size)
    _verify_open(reader, repository, row, now_s)
    # Of a company's streams a node captures all but those for offers.
    captured = asked["captured"] and not is_for_offers(reader.book, stream)
    if captured or size < stream.size:
        hint = f"send the node the event {setpoint_event_id(row.number, row.digest)}, as SETPOINTS.md shows it"
        raise InputError("the evidence of this stream is not kept here", hint=hint)
    draw = cast("Callable[[], bytes]", asked["salt"])
    entry = build_event(size, setpoint_event_id(row.number, row.digest), {"setpoint": answer}, draw)
    return anchor_with(reader.book, stream, [entry], size)


def _verify_repeated(
    row: SetpointRow, found: tuple[int, Mapping[str, object]], answer: Mapping[str, Json], *, anchored: int
) -> None:
    index, known = found
    if {**known, "at": answer["at"]} != answer:
        raise InputError(f"proposal {row.number} is {known.get('answer')} already", hint="an answer is given once")
    if index < anchored:
        raise InputError(f"proposal {row.number} is {known.get('answer')} already, and that is anchored")


def _verify_open(reader: Reader, repository: SetpointRepository, row: SetpointRow, now_s: int) -> None:
    state = inbox.state_of(reader.book, repository, row, now_s)
    if state is SetpointState.SUPERSEDED:
        raise InputError(f"a later proposal took the place of {row.number}", hint="answer that one")
    if state is SetpointState.EXPIRED:
        raise InputError(f"proposal {row.number} was for a state that is over", hint="have another one made")


E = TypeVar("E", bound=events.Event)
_NONE = bytes(32)


@dataclass(slots=True)
class Builder:
    """Builds one record; not reusable."""

    rows: Rows
    """The index."""
    name: Callable[[str], Identity] | None
    """Names the things that the record creates; None if it creates nothing with an identifier."""
    salt: Callable[[], bytes]
    """Returns the next salt for claims."""
    identities: list[Identity] = field(default_factory=list)
    documents: list[Claims] = field(default_factory=list)
    evidence: list[tuple[bytes, EvidenceEntry]] = field(default_factory=list)
    """Entries of the company's own streams that the record anchors, with their streams."""

    def build(self, kind: type[Record], body: Mapping[str, Any], given: Mapping[str, Any]) -> Record:
        """Returns the record. Raises InputError or a subclass for values that the body's types allow but that are
        invalid."""
        self.evidence = [(given["stream"], entry) for entry in given.get("added", ())]
        struct = struct_of(kind)
        made = self._struct(struct, body, given)
        whole: Callable[..., Record] = kind
        return cast(Record, made) if struct is kind else whole(made)

    def keep(self, book: Book) -> None:
        """Stores identifiers and documents in the book."""
        for identity in self.identities:
            book.add_identity(identity)
        for claims in self.documents:
            book.put_document(claims.root, json.dumps(claims.to_json()))
        for stream, entry in self.evidence:
            # The root was computed before this transaction; another entry may have come first.
            if book.evidence_size(stream) != entry.index:
                raise InputError("another entry was added to the stream meanwhile", hint="send the request again")
            book.add_evidence(stream, [entry])

    @property
    def is_unique(self) -> bool:
        """Whether no other request can lead to the same record: it has a name or salts of this request."""
        return bool(self.identities or self.documents or self.evidence)

    def _struct(self, struct: type, body: Mapping[str, Any], given: Mapping[str, Any]) -> object:
        hints = get_type_hints(struct, include_extras=True)
        values = {one.name: given[one.name] for one in fields(struct) if one.name in given}
        for one in fields(struct):
            if one.name not in values:
                values[one.name] = self._field(one.name, hints[one.name], {**given, **body})
        return struct(**values)

    def _field(self, name: str, hint: Any, body: Mapping[str, Any]) -> object:
        if name == "identifier_hash":
            return self._name(body["identifier"])
        if name.endswith("_root"):
            return self._document(body.get(name.removesuffix("_root")), body.get(name), name)
        if name.endswith(("_at", "_since")):
            return _seconds(name, body[name])
        if name in ("consignment", "items"):
            return tuple(Item(_raw(lot), self._order_of(_raw(lot))) for lot in body["lots"])
        if name == "order" and body.get(name) is None:
            lot = body.get("lot")
            return _NONE if lot is None else self._order_of(lot if isinstance(lot, bytes) else _raw(lot))
        if body[name] is None:
            return bytes(3)  # a unit that was left out
        return self._value(hint, body[name])

    def _value(self, hint: Any, value: Any) -> object:
        if get_origin(hint) is tuple:
            return tuple(self._value(get_args(hint)[0], one) for one in value)
        if get_origin(hint) is Annotated:
            base, size, *_ = get_args(hint)
            if isinstance(size, Packed):
                return self._value(base, value)
            # Three bytes are a UN/ECE unit code, padded with zeros on the chain.
            return value if base is int else value.encode().ljust(3, b"\0") if size == 3 else _raw(value)
        if hint is bool:
            return value
        if hint is bytes:
            return _raw(value)
        if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
            return hint[value.upper()]
        if isinstance(hint, type) and is_dataclass(hint):
            return self._struct(hint, value, {})
        raise TypeError(f"{hint} has no JSON form")

    def _name(self, identifier: str) -> bytes:
        if self.name is None:
            raise TypeError("a record of this kind names nothing new")
        identity = self.name(identifier)
        if identity in self.identities:
            raise InputError(f"{identity.identifier} is given twice", hint="give each new thing its own identifier")
        # Collected here and stored only with the record, so that a refused body leaves nothing in the book.
        self.identities.append(identity)
        return identifier_hash(identity.salt, identity.identifier)

    def _document(self, document: Json, root: str | None, name: str) -> bytes:
        # The two could differ, and then one of them would be ignored silently.
        if document is not None and root is not None:
            raise InputError(
                f"both {name} and its document are given", hint=f"omit {name}, or {name.removesuffix('_root')}"
            )
        if document is None:
            return _NONE if root is None else _raw(root)
        claims = build_claims(document, salt=self.salt)
        self.documents.append(claims)
        return claims.root

    def _order_of(self, lot: bytes) -> bytes:
        row = self.rows.get(tables.LotRow, lot)
        # A lot that is not indexed yet has no known order. The contract rejects the record if the guess is wrong.
        return _NONE if row is None or row.order is None else row.order


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _seconds(name: str, text: str) -> int:
    """Raises InputError for a date that does not exist, such as 30 February."""
    try:
        found = int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        found = -1
    if found < 0:
        raise InputError(f"{name} is not a time since 1970", hint="give RFC 3339 in UTC, such as 2026-12-01T12:00:00Z")
    return found


Given: TypeAlias = "Mapping[str, Any]"
"""Fields of a record, by name, in the types of the record."""
Find: TypeAlias = "Callable[[Reader, Given], Given]"
"""Maps the parameters of a path, the additional members of a body, and `creator` (who records) to fields."""


def subject(name: str) -> Find:
    """Supplies the subject in the path as the field `name`. Whether the subject exists is for the contract to judge: it
    may not be indexed yet."""
    return lambda _, asked: {name: bytes.fromhex(asked["subject"][2:])}


def number(name: str) -> Find:
    """Supplies the number in the path as the field `name`."""
    return lambda _, asked: {name: asked["id"]}


def find_assigned(reader: Reader, asked: Given) -> Given:
    """Fields that name an assignment. Raises NotFoundError if it is not in the index."""
    row = listings.find_assignment(reader, asked["id"])
    return {"order": row.order, "operation": row.operation, "assignment": row.sequence}


def find_finished(reader: Reader, asked: Given) -> Given:
    """Fields that name an assignment and the entry that shows its work.

    Where this gateway keeps the evidence of the stream, it finds the entry by the event's id, and supplies or checks
    the leaf hash: the contract cannot, and would record a wrong one for good. Raises NotFoundError for an assignment
    or event that is not known here, InputError for a wrong or missing leaf, or one of a kind that shows no work."""
    row = listings.find_assignment(reader, asked["id"])
    stream = row.stream if asked["stream"] is None else _raw(asked["stream"])
    if stream is None:
        raise InputError(f"assignment {row.sequence} is not started", hint="start it first, with the machine's stream")
    index = _find_leaf(reader, stream, row.stream_size, asked)
    _verify_kind(reader, stream, index)
    leaf = {"stream": stream, "leaf_index": index, "leaf_hash": _leaf_hash(reader, stream, index, asked["leaf_hash"])}
    return {"order": row.order, "operation": row.operation, "assignment": row.sequence, **leaf}


def find_measured(reader: Reader, asked: Given) -> Given:
    """The entry that a certificate rests on: found by the event's id, its leaf hash supplied or checked, as for an
    assignment's work. Raises as `find_finished` does."""
    stream = _raw(asked["stream"])
    index = _find_leaf(reader, stream, 0, asked)
    _verify_kind(reader, stream, index)
    return {"leaf_index": index, "leaf_hash": _leaf_hash(reader, stream, index, asked["leaf_hash"])}


def _find_leaf(reader: Reader, stream: bytes, least: int, asked: Given) -> int:
    index, event = asked["leaf_index"], asked["event"]
    if (index is None) is (event is None):
        raise InputError("the stream's entry must be named in one way", hint="give either leaf_index or event")
    found = index if event is None else reader.book.find_event(stream, event, least)
    if found is None:
        raise NotFoundError(
            f"no event {event!r} is kept here that was measured after the work began",
            hint="wait until the node has anchored it, or give leaf_index and leaf_hash as the node answered them",
        )
    return cast(int, found)


def _verify_kind(reader: Reader, stream: bytes, index: int) -> None:
    """Raises InputError for an entry that is kept here and shows no work: the contract would take it."""
    entry = reader.book.evidence_entry(stream, index)
    if entry is not None and not entry.kind.shows_work:
        raise InputError(
            f"entry {index} of the stream is of the kind {entry.kind.name.lower()}, which shows neither work nor a "
            "measurement",
            hint="name the event, window or operation that does",
        )


def _leaf_hash(reader: Reader, stream: bytes, index: int, stated: str | None) -> bytes:
    entry = reader.book.evidence_entry(stream, index)
    if entry is not None and stated not in (None, to_hex(entry.leaf_hash)):
        raise InputError(
            f"entry {index} of the stream has the leaf hash {to_hex(entry.leaf_hash)}, and not {stated}",
            hint="leave leaf_hash out, or correct it or leaf_index",
        )
    if entry is None and stated is None:
        raise InputError(
            f"entry {index} of the stream is not kept here, so its leaf hash is not known",
            hint="give leaf_hash as the node answered it, or let node and gateway use one database",
        )
    return entry.leaf_hash if entry is not None else _raw(str(stated))


def find_certified(reader: Reader, asked: Given) -> Given:
    """Fields that name a certificate and its lots, and what shows this company's part in a demand that it be opened.
    Raises NotFoundError if it is not in the index."""
    row = traces.find_certificate_row(reader, asked["id"])
    order = reader.lot(row.lot).order or _NONE
    return {
        "lot": row.lot,
        "ground": order if row.verdict == Verdict.PASS else _ground(reader, row.lot, asked["creator"]),
        "lots": provenance.find_certified_lots(reader, row.sequence),
        "certificate": row.sequence,
    }


def find_grounds(reader: Reader, asked: Given) -> Given:
    """The subjects of a note in ascending order, and what shows this company's part in each: the identifier hash of a
    lot that it named, its latest certificate of the lot, or else the lot's order. The contract judges whether that is
    enough."""
    subjects = sorted({bytes.fromhex(one[2:]) for one in asked["subjects"]})
    grounds = tuple(_ground(reader, one, asked["creator"]) for one in subjects)
    return {"subjects": tuple(subjects), "grounds": grounds}


def _ground(reader: Reader, name: bytes, creator: int) -> bytes:
    identity = reader.book.identity(name)
    if identity is not None and identity.creator == creator:
        return identifier_hash(identity.salt, identity.identifier)
    issued = [row.sequence for row in reader.rows.find(tables.CertificateRow, lot=name, issuer=creator)]
    if issued:
        return max(issued).to_bytes(32, "big")
    row = reader.rows.get(tables.LotRow, name)
    return _NONE if row is None or row.order is None else row.order


def find_returned(reader: Reader, asked: Given) -> Given:
    """The fields that name a lot and prove who made it. Raises NotFoundError if the book lacks the lot's identifier and
    salt, of which its subject is made."""
    lot = bytes.fromhex(asked["subject"][2:])
    identity = reader.book.identity(lot)
    if identity is None:
        raise NotFoundError(
            "the book lacks the lot's identifier, which proves who made it",
            hint="import the hand-over that came with it: `millmark import FILE`",
        )
    return {
        "lot": lot,
        "to": identity.creator,
        "identifier_hash": identifier_hash(identity.salt, identity.identifier),
    }


def find_proposal(reader: Reader, asked: Given) -> Given:
    """The fields that name a proposed revision of an order. Raises NotFoundError if the record proposed no revision of
    it."""
    order, proposal, terms = _proposal(reader, asked, RevisionProposed, "a revision")
    return {"order": order, "terms": terms.terms, "proposal": proposal}


def find_end(reader: Reader, asked: Given) -> Given:
    """The fields that name the proposed end of an order; 0 is of one that nobody is left to propose. Raises
    NotFoundError if the record did not propose its end."""
    if asked["id"] == 0:
        return {"order": bytes.fromhex(asked["subject"][2:]), "proposal": 0}
    order, proposal, _ = _proposal(reader, asked, EndProposed, "the end")
    return {"order": order, "proposal": proposal}


def _proposal(reader: Reader, asked: Given, kind: type[E], what: str) -> tuple[bytes, int, E]:
    order, sequence = bytes.fromhex(asked["subject"][2:]), asked["id"]
    row = reader.rows.get(tables.RecordRow, Contract.LEDGER.value, sequence)
    proposed = None if row is None else row.event()
    if row is None or not isinstance(proposed, kind) or row.subject != order:
        raise NotFoundError(f"record {sequence} does not propose {what} of this order", hint="see the order's trace")
    return order, sequence, proposed
