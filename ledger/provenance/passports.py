"""What whoever holds a part's code gets to see: the part, and what its bundle would tell.

A code is an identifier and the subject's salt. The subject is looked for under every participant that can have made
it, so an unknown identifier, a missing salt and a wrong one take one and the same way to the same error. What is left
to tell them apart is what a database does with a key that it has and one that it has not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ledger.canonical import Json
from ledger.claims import parse_claims
from ledger.errors import NotFoundError
from ledger.ids import SubjectKind, identifier_hash, subject
from ledger.provenance import answers
from ledger.provenance.disclosure import Disclosing, choose_fields
from ledger.provenance.limits import Limits
from ledger.provenance.permissions import View
from ledger.provenance.reader import Direction, Reader
from ledger.provenance.traces import build_lot_trace
from ledger.store import Book, Lineage, Rows, Store
from ledger.store.rows import IdentityRow, LotRow, ParticipantRow

__all__ = ["Fact", "Passport", "find_coded_lot", "passport"]

_NO_SALT = bytes(32)


@dataclass(frozen=True, slots=True)
class Fact:
    """A disclosed field of a claims document."""

    thing: str
    """What the document is about: `lot`, `order`, `assignment` or `certificate`."""
    subject: bytes
    """Of the lot or order; of the lot that a certificate is about."""
    record: int
    """Sequence of the record that commits to the document."""
    path: tuple[str | int, ...]
    value: Json


@dataclass(frozen=True, slots=True)
class Passport:
    """A lot as its code's holder sees it."""

    trace: answers.Trace
    """Up to what it came from, never down to what was made of it."""
    facts: tuple[Fact, ...]


def find_coded_lot(store: Store, identifier: str, salt: bytes | None) -> bytes:
    """The subject of the lot whose code has this identifier, in canonical form, and this salt.

    Raises NotFoundError, the same one, whenever there is none that the private book knows.
    """
    hashed = identifier_hash(salt or _NO_SALT, identifier)
    with store.reading() as connection:
        rows = Rows(connection)
        subjects = [subject(SubjectKind.LOT, row.number, hashed) for row in rows.find(ParticipantRow)]
        known = rows.among(IdentityRow, "subject", subjects)
        recorded = rows.among(LotRow, "subject", (row.subject for row in known))
    if len(recorded) != 1 or salt is None:
        raise NotFoundError("there is no such passport", hint="scan the code on the part again")
    return recorded[0].subject


def passport(store: Store, lot: bytes, disclosing: Disclosing, limits: Limits) -> Passport:
    """What the holder of that lot's code gets to see. Names of other things than the lot are in it when `disclosing`
    says so, fields of documents as far as it says."""
    with store.reading() as connection:
        rows, lineage = Rows(connection), Lineage(connection)
        reader = Reader(rows, Book(connection), lineage, _CodeView(rows, lineage, lot, disclosing.names))
        trace = build_lot_trace(reader, lot, Direction.UP, limits)
        facts = tuple(_facts(reader, trace, disclosing))
    return Passport(trace, facts)


class _CodeView(View):
    """Of whoever holds the code of one lot."""

    def __init__(self, rows: Rows, lineage: Lineage, lot: bytes, names: bool) -> None:
        super().__init__(rows, lineage, 0)
        self._lot, self._names = lot, names

    def among(self, kind: SubjectKind, subjects: Collection[bytes]) -> set[bytes]:  # noqa: ARG002  # View's signature
        """The lot; with names, whatever its trace comes to."""
        return set(subjects) if self._names else {self._lot} & set(subjects)


def _facts(reader: Reader, trace: answers.Trace, disclosing: Disclosing) -> Iterator[Fact]:
    if not disclosing.fields:
        return
    for thing, about, record, root in _documents(reader, trace):
        document = reader.book.document(root)
        if document is not None:
            claims = parse_claims(json.loads(document))
            for path in choose_fields(claims, disclosing):
                yield Fact(thing, about, record, path, claims.value(path))


def _documents(reader: Reader, trace: answers.Trace) -> Iterator[tuple[str, bytes, int, bytes]]:
    """Claims roots of the lot, of what it came from, of its order, its assignments and its certificates."""
    if trace.order is not None:
        yield "order", trace.order.subject, trace.order.sequence, trace.order.claims_root
    for row in _lots(reader, trace):
        yield "lot", row.subject, row.sequence, row.claims_root
    for assignment in trace.assignments:
        yield "assignment", trace.lot.subject, assignment.assignment, assignment.claims_root
    for certificate in trace.certificates:
        yield "certificate", certificate.lot, certificate.certificate, certificate.claims_root


def _lots(reader: Reader, trace: answers.Trace) -> Iterable[LotRow]:
    return [reader.lot(name) for name in (trace.lot.subject, *(lot.subject for lot in trace.upstream))]
