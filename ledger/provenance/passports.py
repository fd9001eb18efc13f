"""Passports: what the holder of the code on a part may see of it, which is what its bundle would disclose.

A code is an identifier and the subject's salt. The subject is looked up for every participant that may have created it,
so an unknown identifier, a missing salt and a wrong salt run through the same code to the same error. The only
difference left is how long a database takes for a key that exists and for one that does not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from millmark.ledger.canonical import Json
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind, identifier_hash, subject
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.bundles import Disclosing, choose_fields
from millmark.ledger.provenance.footprints import LotFootprint, build_lot_footprint
from millmark.ledger.provenance.permissions import Limits, Visibility
from millmark.ledger.provenance.reader import Direction, Reader
from millmark.ledger.provenance.statements import build_statements
from millmark.ledger.provenance.traces import build_lot_trace
from millmark.ledger.store import Book, Lineage, Rows, Store
from millmark.ledger.store.rows import IdentityRow, LotRow, ParticipantRow
from millmark.ledger.verify import Statement

_NO_SALT = bytes(32)


@dataclass(frozen=True, slots=True)
class Fact:
    """A disclosed field of a claims document."""

    thing: str
    """The subject of the document: `lot`, `order`, `assignment` or `certificate`."""
    subject: bytes
    """The lot or order; for an assignment or certificate, the lot of the passport."""
    record: int
    """Sequence of the record that commits to the document."""
    path: tuple[str | int, ...]
    value: Json


@dataclass(frozen=True, slots=True)
class Passport:
    """A lot as the holder of its code sees it."""

    trace: answers.Trace
    """Includes the lots from which it was made, never those that were made from it."""
    facts: tuple[Fact, ...]
    footprint: LotFootprint | None = None
    """What its documents state of its energy and emissions, if they are disclosed."""


def find_coded_lot(store: Store, identifier: str, salt: bytes | None) -> bytes:
    """The subject of the lot whose code has this identifier, in canonical form, and this salt. Raises the same
    NotFoundError whether the private book does not know the identifier, or the salt is wrong or None."""
    hashed = identifier_hash(salt or _NO_SALT, identifier)  # without a salt, too: the same work takes the same time
    with store.reading() as connection:
        rows = Rows(connection)
        # The code does not state who created the lot, so every participant is tried.
        subjects = [subject(SubjectKind.LOT, row.number, hashed) for row in rows.find(ParticipantRow)]
        known = rows.among(IdentityRow, "subject", subjects)
        recorded = rows.among(LotRow, "subject", (row.subject for row in known))
    if len(recorded) != 1 or salt is None:
        raise NotFoundError("there is no such passport", hint="scan the code on the part again")
    return recorded[0].subject


def passport(store: Store, lot: bytes, disclosing: Disclosing, limits: Limits) -> Passport:
    """Build the passport of a lot. It contains the names of other things and the fields that `disclosing` selects."""
    with _reading(store, lot, disclosing) as reader:
        trace = build_lot_trace(reader, lot, Direction.UP, limits)
        facts = tuple(_facts(reader, trace, disclosing))
        footprint = _footprint(reader, lot) if disclosing.shows_footprints else None
    return Passport(trace, facts, footprint)


def _footprint(reader: Reader, lot: bytes) -> LotFootprint | None:
    try:
        return build_lot_footprint(reader, lot)
    except NotFoundError:
        return None


def passport_statements(store: Store, lot: bytes, disclosing: Disclosing) -> tuple[Statement, ...]:
    """What a proof of the lot's state in the index would tell, for pages without such a proof. Raises as
    `build_statements` does."""
    with _reading(store, lot, disclosing) as reader:
        return build_statements(reader, [lot])


@contextmanager
def _reading(store: Store, lot: bytes, disclosing: Disclosing) -> Iterator[Reader]:
    with store.reading() as connection:
        rows, lineage = Rows(connection), Lineage(connection)
        yield Reader(rows, Book(connection), lineage, _CodeVisibility(rows, lineage, lot, disclosing.names))


class _CodeVisibility(Visibility):
    """Visibility for the holder of one lot's code, who is not a participant."""

    def __init__(self, rows: Rows, lineage: Lineage, lot: bytes, names: bool) -> None:
        super().__init__(rows, lineage, 0)  # no participant has the number 0
        self._lot, self._names = lot, names

    def among(self, kind: SubjectKind, subjects: Collection[bytes]) -> set[bytes]:  # noqa: ARG002  # as in Visibility
        """The subjects that may be shown: all of `subjects`, which are in the lot's trace, if names are disclosed; else
        the lot."""
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
    """Yield (thing, subject, record, claims root) of the lot, its inputs, order, assignments and certificates."""
    if trace.order is not None:
        yield "order", trace.order.subject, trace.order.sequence, trace.order.claims_root
    for row in map(reader.lot, (trace.lot.subject, *(lot.subject for lot in trace.upstream))):
        yield "lot", row.subject, row.sequence, row.claims_root
    for assignment in trace.assignments:
        yield "assignment", trace.lot.subject, assignment.assignment, assignment.claims_root
    for certificate in trace.certificates:
        yield "certificate", certificate.lot, certificate.certificate, certificate.claims_root
