"""Lists, a page at a time, of what there is for somebody; and single things.

A page is found by looking at the rows in order and leaving out what is not there for the viewer. How many rows one page
looks at is bounded, so a page may be short, or empty, and yet more may come: `after` says where to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from ledger.errors import NotFoundError
from ledger.ids import SubjectKind
from ledger.provenance import answers
from ledger.provenance.build_answers import build_assignment, build_custody, build_lot, build_orders
from ledger.provenance.jsonform import moment
from ledger.provenance.limits import Limits
from ledger.provenance.reader import Reader, open_reader
from ledger.provenance.resolve import build_unknown
from ledger.provenance.resource_answers import RegisteredMachine
from ledger.records import AssignmentState
from ledger.store import Store
from ledger.store.rows import AssignmentRow, CertificateRow, LotRow, MachineRow, ModelRow, OperationRow, OrderRow
from ledger.store.statements import Cell

__all__ = [
    "Page",
    "assignment",
    "assignments",
    "certificates",
    "custody",
    "cut",
    "lot",
    "lots",
    "machine",
    "machines",
    "model",
    "models",
    "order",
    "orders",
]

V = TypeVar("V")
R = TypeVar("R")
S = TypeVar("S", OrderRow, LotRow)
_AT_ONCE = 250
_MOST_LOOKED_AT = 1_000
"""Rows that one page looks at."""
_WAITING = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED)
_Filters: TypeAlias = "dict[str, int | bytes]"


@dataclass(frozen=True, slots=True)
class Page(Generic[V]):
    """Some of a list."""

    items: tuple[V, ...]
    after: int | None
    """Behind which number the list goes on; None at its end."""


def cut(members: tuple[answers.Participant, ...], after: int | None, limit: int) -> Page[answers.Participant]:
    """Some of the participants, by number."""
    rest = [one for one in members if after is None or one.participant > after]
    return Page(tuple(rest[:limit]), rest[limit - 1].participant if len(rest) > limit else None)


def orders(
    store: Store, viewer: int | None, after: int | None, limit: int, filters: _Filters, identifier: str | None = None
) -> Page[answers.Order]:
    """By the sequence of their placing. Filters: state, buyer, coordinator. With an identifier, those so called."""
    with open_reader(store, viewer) as reader:
        rows, last = _subjects(reader, SubjectKind.ORDER, OrderRow, "sequence", after, limit, filters, identifier)
        return Page(build_orders(reader, [row.subject for row in rows]), last)


def order(store: Store, subject: bytes, viewer: int | None) -> answers.Order:
    """Raises NotFoundError when there is none for the viewer."""
    with open_reader(store, viewer) as reader:
        _need(reader, SubjectKind.ORDER, OrderRow, subject)
        return build_orders(reader, [subject])[0]


def assignments(
    store: Store, viewer: int | None, after: int | None, limit: int, filters: _Filters
) -> Page[answers.Assignment]:
    """Those of the orders that there are for the viewer, by the sequence of their proposal. Filters: order, machine,
    owner, state."""
    with open_reader(store, viewer) as reader:

        def there(rows: Sequence[AssignmentRow]) -> Collection[bytes]:
            return _among(reader, SubjectKind.ORDER, {row.order for row in rows})

        rows, last = _page(reader, AssignmentRow, "sequence", after, limit, filters, "order", there)
        return Page(tuple(_assignment(reader, row) for row in rows), last)


def assignment(store: Store, sequence: int, viewer: int | None) -> answers.Assignment:
    """Raises NotFoundError when there is none, or not its order for the viewer."""
    with open_reader(store, viewer) as reader:
        return _assignment(reader, find_assignment(reader, sequence))


def find_assignment(reader: Reader, sequence: int) -> AssignmentRow:
    """Raises as `assignment`."""
    row = reader.rows.get(AssignmentRow, sequence)
    if row is None or not _among(reader, SubjectKind.ORDER, [row.order]):
        raise _no_number(reader, "proposed no assignment", sequence)
    return row


def lots(
    store: Store, viewer: int | None, after: int | None, limit: int, filters: _Filters, identifier: str | None = None
) -> Page[answers.Lot]:
    """By number. Filters: state, custodian, order. With an identifier, those so called."""
    with open_reader(store, viewer) as reader:
        rows, last = _subjects(reader, SubjectKind.LOT, LotRow, "number", after, limit, filters, identifier)
        reader.load(row.subject for row in rows)
        return Page(tuple(build_lot(reader, row) for row in rows), last)


def lot(store: Store, subject: bytes, viewer: int | None) -> answers.Lot:
    """Raises NotFoundError when there is none for the viewer."""
    with open_reader(store, viewer) as reader:
        row = _need(reader, SubjectKind.LOT, LotRow, subject)
        reader.load([subject])
        return build_lot(reader, row)


def custody(
    store: Store, subject: bytes, viewer: int | None, after: int | None, limit: int
) -> Page[answers.CustodyChange]:
    """What changed who holds a lot, in itself or in what it was packed in, by sequence. Raises as `lot`."""
    with open_reader(store, viewer) as reader:
        _need(reader, SubjectKind.LOT, LotRow, subject)
        found = [one for one in build_custody(reader, subject, Limits()) if after is None or one.sequence > after]
    last = found[:limit][-1].sequence if found else 0
    shown = [one for one in found if one.sequence <= last]  # one record may change the lot and its carrier
    return Page(tuple(shown), shown[-1].sequence if len(shown) < len(found) else None)


def certificates(
    store: Store, viewer: int | None, after: int | None, limit: int, filters: _Filters
) -> Page[answers.Certificate]:
    """Those of the lots that there are for the viewer, by the sequence of their issue. Filters: lot, issuer, model."""
    with open_reader(store, viewer) as reader:

        def there(rows: Sequence[CertificateRow]) -> Collection[bytes]:
            return _among(reader, SubjectKind.LOT, {row.lot for row in rows})

        rows, last = _page(reader, CertificateRow, "sequence", after, limit, filters, "lot", there)
        return Page(reader.certificates(rows), last)


def machines(
    store: Store, viewer: int | None, after: int | None, limit: int, filters: _Filters
) -> Page[RegisteredMachine]:
    """By number. Filters: owner."""
    with open_reader(store, viewer) as reader:

        def there(rows: Sequence[MachineRow]) -> Collection[bytes]:
            return _among(reader, SubjectKind.MACHINE, [row.subject for row in rows])

        rows, last = _page(reader, MachineRow, "number", after, limit, filters, "subject", there)
        return Page(_machines(reader, rows), last)


def machine(store: Store, number: int, viewer: int | None) -> RegisteredMachine:
    """Raises NotFoundError when there is none for the viewer."""
    with open_reader(store, viewer) as reader:
        row = reader.rows.get(MachineRow, number)
        if row is None or not _among(reader, SubjectKind.MACHINE, [row.subject]):
            raise _no_number(reader, "registered no machine", number)
        return _machines(reader, [row])[0]


def models(store: Store, after: int | None, limit: int, filters: _Filters) -> Page[answers.Model]:
    """All, by number: what is said of them is on the chain. Filters: state, inspector."""
    with open_reader(store) as reader:
        rows, last = _page(reader, ModelRow, "number", after, limit, filters, "subject", None)
        return Page(tuple(reader.model(row.number) for row in rows), last)


def model(store: Store, number: int) -> answers.Model:
    """Raises NotFoundError when there is none."""
    with open_reader(store) as reader:
        if reader.rows.get(ModelRow, number) is None:
            raise _no_number(reader, "registered no model", number)
        return reader.model(number)


def _subjects(
    reader: Reader,
    kind: SubjectKind,
    row: type[S],
    column: str,
    after: int | None,
    limit: int,
    filters: _Filters,
    identifier: str | None,
) -> tuple[list[S], int | None]:
    """As `_page`, of what there is for the viewer; with an identifier, those so called."""

    def there(rows: Sequence[S]) -> Collection[bytes]:
        return _among(reader, kind, [one.subject for one in rows])

    if identifier is not None:
        return _named(reader, kind, row, identifier, filters), None
    return _page(reader, row, column, after, limit, filters, "subject", there)


def _page(
    reader: Reader,
    kind: type[R],
    column: str,
    after: int | None,
    limit: int,
    filters: _Filters,
    seen_by: str,
    there: Callable[[Sequence[R]], Collection[bytes]] | None,
) -> tuple[list[R], int | None]:
    """Rows beyond `after`, and where the list goes on. `seen_by` is the column that `there` judges; None for all."""
    found: list[R] = []
    equals: dict[str, Cell] = dict(filters)
    for _ in range(0, _MOST_LOOKED_AT, _AT_ONCE):
        rows = reader.rows.page(kind, column, after, _AT_ONCE, **equals)
        seen = None if there is None else there(rows)
        for row in rows:
            if seen is None or getattr(row, seen_by) in seen:
                if len(found) == limit:
                    return found, after
                found.append(row)
            after = getattr(row, column)
        if len(rows) < _AT_ONCE:
            return found, None
    return found, after


def _named(reader: Reader, kind: SubjectKind, row: type[R], identifier: str, filters: _Filters) -> list[R]:
    """What has that identifier, one thing of each company at most: few enough for one page."""
    named = [one.subject for one in reader.book.identities(identifier) if one.kind is kind]
    found = [one for subject in _among(reader, kind, named) if (one := reader.rows.get(row, subject)) is not None]
    return [one for one in found if all(getattr(one, name) == value for name, value in filters.items())]


def _among(reader: Reader, kind: SubjectKind, subjects: Collection[bytes]) -> Collection[bytes]:
    return subjects if reader.view is None else reader.view.among(kind, subjects)


def _need(reader: Reader, kind: SubjectKind, row: type[R], subject: bytes) -> R:
    found = reader.rows.get(row, subject)
    if found is None or not _among(reader, kind, [subject]):
        raise build_unknown(reader, subject)
    return found


def _no_number(reader: Reader, what: str, number: int) -> NotFoundError:
    return NotFoundError(
        f"record {number} {what} up to block {reader.cursor.block_number}",
        hint="give the sequence of that record",
    )


def _assignment(reader: Reader, row: AssignmentRow) -> answers.Assignment:
    current = reader.rows.get(OperationRow, row.order, row.operation)
    return build_assignment(reader, row, current is not None and current.assignment == row.sequence)


def _machines(reader: Reader, rows: Sequence[MachineRow]) -> tuple[RegisteredMachine, ...]:
    reader.name(row.subject for row in rows)
    at_work = reader.rows.among(AssignmentRow, "machine", (row.number for row in rows))
    return tuple(
        RegisteredMachine(
            machine=row.number,
            subject=row.subject,
            identifier=reader.identifier(row.subject),
            owner=reader.party(row.owner),
            registered_at=moment(row.registered_at),
            retired_at=moment(row.retired_at),
            waiting=sum(one.machine == row.number and one.state in _WAITING for one in at_work),
            working=sum(one.machine == row.number and one.state == AssignmentState.STARTED for one in at_work),
            claims_root=row.claims_root,
        )
        for row in rows
    )
