"""Builds records from request bodies, and collects what the private book has to store for them.

The index supplies the fields that follow from the resource named in a path, so that callers need not send them.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.claims import Claims, build_claims
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.events import Event
from millmark.ledger.events.orders import EndProposed, RevisionProposed
from millmark.ledger.evidence import EvidenceEntry
from millmark.ledger.ids import Identity, identifier_hash
from millmark.ledger.provenance import find_certified_lots, find_opening
from millmark.ledger.provenance.listings import find_assignment
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.traces import find_certificate_row
from millmark.ledger.records import Contract, Item, Packed, Record
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import LotRow, RecordRow
from millmark.services.gateway.recording.bodies import struct_of

__all__ = [
    "Builder",
    "Find",
    "find_assigned",
    "find_certified",
    "find_end",
    "find_finished",
    "find_grounds",
    "find_measured",
    "find_proposal",
    "find_returned",
    "find_superseded",
    "number",
    "subject",
]

E = TypeVar("E", bound=Event)
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
        row = self.rows.get(LotRow, lot)
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
    row = find_assignment(reader, asked["id"])
    return {"order": row.order, "operation": row.operation, "assignment": row.sequence}


def find_finished(reader: Reader, asked: Given) -> Given:
    """Fields that name an assignment and the entry that shows its work.

    Where this gateway keeps the evidence of the stream, it finds the entry by the event's id, and supplies or checks
    the leaf hash: the contract cannot, and would record a wrong one for good. Raises NotFoundError for an assignment
    or event that is not known here, InputError for a wrong or missing leaf, or one of a kind that shows no work.
    """
    row = find_assignment(reader, asked["id"])
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
    """Fields that name a certificate and its lots. Raises NotFoundError if it is not in the index."""
    row = find_certificate_row(reader, asked["id"])
    return {
        "lot": row.lot,
        "order": reader.lot(row.lot).order or bytes(32),
        "lots": find_certified_lots(reader, row.sequence),
        "certificate": row.sequence,
    }


def find_grounds(reader: Reader, asked: Given) -> Given:
    """The subjects of a note in ascending order, and what shows this company's part in each: the identifier hash of a
    lot that it named, or else the lot's order. The contract judges whether that is enough."""
    subjects = sorted({bytes.fromhex(one[2:]) for one in asked["subjects"]})
    grounds = tuple(_ground(reader, one, asked["creator"]) for one in subjects)
    return {"subjects": tuple(subjects), "grounds": grounds}


def _ground(reader: Reader, name: bytes, creator: int) -> bytes:
    identity = reader.book.identity(name)
    if identity is not None and identity.creator == creator:
        return identifier_hash(identity.salt, identity.identifier)
    row = reader.rows.get(LotRow, name)
    return _NONE if row is None or row.order is None else row.order


def find_returned(reader: Reader, asked: Given) -> Given:
    """The fields that name a lot and prove who made it. Raises NotFoundError if the book lacks the lot's identifier and
    salt, of which its subject is made.
    """
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


def find_superseded(reader: Reader, asked: Given) -> Given:
    """The fields of a correction: the subject in the path, and the opening that proves to the contract that the
    corrected record is in the subject's history. Raises InputError if the record is not in that history."""
    name = bytes.fromhex(asked["subject"][2:])
    return {"subject": name, "opening": find_opening(reader, name, asked["sequence"])}


def find_proposal(reader: Reader, asked: Given) -> Given:
    """The fields that name a proposed revision of an order. Raises NotFoundError if the record proposed no revision of
    it.
    """
    order, proposal, terms = _proposal(reader, asked, RevisionProposed, "a revision")
    return {"order": order, "terms": terms.terms, "proposal": proposal}


def find_end(reader: Reader, asked: Given) -> Given:
    """The fields that name the proposed end of an order; 0 is of one that nobody is left to propose.

    Raises NotFoundError if the record did not propose its end.
    """
    if asked["id"] == 0:
        return {"order": bytes.fromhex(asked["subject"][2:]), "proposal": 0}
    order, proposal, _ = _proposal(reader, asked, EndProposed, "the end")
    return {"order": order, "proposal": proposal}


def _proposal(reader: Reader, asked: Given, kind: type[E], what: str) -> tuple[bytes, int, E]:
    order, sequence = bytes.fromhex(asked["subject"][2:]), asked["id"]
    row = reader.rows.get(RecordRow, Contract.LEDGER.value, sequence)
    proposed = None if row is None else row.event()
    if row is None or not isinstance(proposed, kind) or row.subject != order:
        raise NotFoundError(f"record {sequence} does not propose {what} of this order", hint="see the order's trace")
    return order, sequence, proposed
