"""Pages of lists, and single items, as visible to one participant (`viewer`; None sees everything).

Lists are ascending, or descending with `newest_first`. A page is found by scanning rows in order and leaving out what
is not visible. The number of scanned rows is bounded, so a page may be short or even empty although more follow: the
list ends only when `after` is None.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind, canonical_name
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.answers import OpenedStream, RegisteredMachine, answer_of
from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.provenance.reader import Reader, build_unknown, open_reader
from millmark.ledger.provenance.traces import build_assignment, build_custody, build_lot, build_orders
from millmark.ledger.records import AssignmentState
from millmark.ledger.store import Store
from millmark.ledger.store import rows as tables
from millmark.ledger.store.repository import Cell

V = TypeVar("V")
R = TypeVar("R")
S = TypeVar("S", tables.OrderRow, tables.LotRow, tables.MachineRow)
_BATCH_ROWS = 250
_MAX_SCANNED = 1_000
"""Rows that are scanned for one page."""
_WAITING = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED)
_Filters: TypeAlias = "dict[str, int | bytes]"


@dataclass(frozen=True, slots=True)
class Page(Generic[V]):
    """A part of a list."""

    items: tuple[V, ...]
    after: int | None
    """The number after which the list continues; None at its end."""
    first: int | None = None
    """The number of the first item; None if there is none."""


def cut(members: tuple[answers.Participant, ...], after: int | None, limit: int) -> Page[answers.Participant]:
    """A page of the participants after a number. `members` are ascending by number."""
    rest = [one for one in members if after is None or one.participant > after]
    return Page(tuple(rest[:limit]), rest[limit - 1].participant if len(rest) > limit else None)


def orders(
    store: Store,
    viewer: int | None,
    after: int | None,
    limit: int,
    filters: _Filters,
    identifier: str | None = None,
    *,
    newest_first: bool = False,
) -> Page[answers.Order]:
    """Orders by sequence. Filters: state, buyer, coordinator. With an identifier, all orders with it, on one page."""
    with open_reader(store, viewer) as reader:
        rows, last = _subjects(
            reader, SubjectKind.ORDER, tables.OrderRow, "sequence", after, limit, filters, identifier, newest_first
        )
        found = build_orders(reader, [row.subject for row in rows])
        return Page(_ordered(found, newest_first), last, _first(row.sequence for row in rows))


def order(store: Store, subject: bytes, viewer: int | None) -> answers.Order:
    """An order by subject. Raises NotFoundError if it does not exist for the viewer."""
    with open_reader(store, viewer) as reader:
        _need(reader, SubjectKind.ORDER, tables.OrderRow, subject)
        return build_orders(reader, [subject])[0]


def assignments(
    store: Store,
    viewer: int | None,
    after: int | None,
    limit: int,
    filters: _Filters,
    *,
    newest_first: bool = False,
) -> Page[answers.Assignment]:
    """Assignments of orders that are visible to the viewer, by sequence. Filters: order, machine, owner, state."""
    seen = SubjectKind.ORDER, "order"
    with open_reader(store, viewer) as reader:
        rows, last = _page(reader, tables.AssignmentRow, "sequence", after, limit, filters, seen, newest_first)
        reader.name(row.order for row in rows)
        return Page(tuple(_assignment(reader, row) for row in rows), last, _first(row.sequence for row in rows))


def assignment(store: Store, sequence: int, viewer: int | None) -> answers.Assignment:
    """An assignment by sequence. Raises NotFoundError if it or its order does not exist for the viewer."""
    with open_reader(store, viewer) as reader:
        return _assignment(reader, find_assignment(reader, sequence))


def find_assignment(reader: Reader, sequence: int) -> tables.AssignmentRow:
    """The row of an assignment. Raises as `assignment` does."""
    row = reader.rows.get(tables.AssignmentRow, sequence)
    if row is None or not reader.visible(SubjectKind.ORDER, [row.order]):
        raise _no_number(reader, "proposed no assignment", sequence)
    return row


def lots(
    store: Store,
    viewer: int | None,
    after: int | None,
    limit: int,
    filters: _Filters,
    identifier: str | None = None,
    *,
    newest_first: bool = False,
) -> Page[answers.Lot]:
    """Lots by number. Filters: state, custodian, order, assignment. With an identifier, all lots with it, on a page."""
    with open_reader(store, viewer) as reader:
        rows, last = _subjects(
            reader, SubjectKind.LOT, tables.LotRow, "number", after, limit, filters, identifier, newest_first
        )
        reader.load(row.subject for row in rows)
        return Page(tuple(build_lot(reader, row) for row in rows), last, _first(row.number for row in rows))


def lot(store: Store, subject: bytes, viewer: int | None) -> answers.Lot:
    """A lot by subject. Raises NotFoundError if it does not exist for the viewer."""
    with open_reader(store, viewer) as reader:
        row = _need(reader, SubjectKind.LOT, tables.LotRow, subject)
        reader.load([subject])
        return build_lot(reader, row)


def custody(
    store: Store, subject: bytes, viewer: int | None, after: int | None, limit: int
) -> Page[answers.CustodyChange]:
    """A lot's custody timeline, with that of lots in which it was packed at the time. Raises as `lot` does. A page may
    have more than `limit` entries, since all entries of one record are on the same page."""
    with open_reader(store, viewer) as reader:
        _need(reader, SubjectKind.LOT, tables.LotRow, subject)
        found = [one for one in build_custody(reader, subject, Limits()) if after is None or one.sequence > after]
    last = found[:limit][-1].sequence if found else 0
    shown = [one for one in found if one.sequence <= last]  # one record may change the lot and its carrier
    return Page(tuple(shown), shown[-1].sequence if len(shown) < len(found) else None)


def certificates(
    store: Store,
    viewer: int | None,
    after: int | None,
    limit: int,
    filters: _Filters,
    *,
    newest_first: bool = False,
) -> Page[answers.Certificate]:
    """Certificates on lots that are visible to the viewer, by sequence. Filters: lot, issuer, model."""
    seen = SubjectKind.LOT, "lot"
    with open_reader(store, viewer) as reader:
        rows, last = _page(reader, tables.CertificateRow, "sequence", after, limit, filters, seen, newest_first)
        found = _ordered(reader.certificates(rows), newest_first)
        return Page(found, last, _first(row.sequence for row in rows))


def visible_lots(store: Store, subjects: Collection[bytes], viewer: int | None) -> Collection[bytes]:
    """Those of the lots that exist for the viewer."""
    with open_reader(store, viewer) as reader:
        return reader.visible(SubjectKind.LOT, subjects)


def certified_lots(store: Store, certificate: int, viewer: int | None) -> tuple[answers.Lot, ...]:
    """The lots that a certificate is about, by number, as far as they exist for the viewer."""
    with open_reader(store, viewer) as reader:
        about = [one.lot for one in reader.rows.find(tables.CertifiedLotRow, certificate=certificate)]
        rows = reader.rows.among(tables.LotRow, "subject", reader.visible(SubjectKind.LOT, about))
        reader.load(row.subject for row in rows)
        return tuple(build_lot(reader, row) for row in sorted(rows, key=lambda row: row.number))


def machines(
    store: Store,
    viewer: int | None,
    after: int | None,
    limit: int,
    filters: _Filters,
    identifier: str | None = None,
    *,
    newest_first: bool = False,
) -> Page[RegisteredMachine]:
    """Machines by number. Filter: owner. With an identifier, all machines with it, on one page."""
    with open_reader(store, viewer) as reader:
        rows, last = _subjects(
            reader, SubjectKind.MACHINE, tables.MachineRow, "number", after, limit, filters, identifier, newest_first
        )
        return Page(_machines(reader, rows), last, _first(row.number for row in rows))


def machine(store: Store, number: int, viewer: int | None) -> RegisteredMachine:
    """A machine by number. Raises NotFoundError if it does not exist for the viewer."""
    with open_reader(store, viewer) as reader:
        row = reader.rows.get(tables.MachineRow, number)
        if row is None or not reader.visible(SubjectKind.MACHINE, [row.subject]):
            raise _no_number(reader, "registered no machine", number)
        return _machines(reader, [row])[0]


def streams(
    store: Store,
    viewer: int | None,
    after: int | None,
    limit: int,
    filters: _Filters,
    identifier: str | None = None,
    *,
    newest_first: bool = False,
) -> Page[OpenedStream]:
    """Streams by sequence; of a viewer, its own. Filters: machine, owner. With an identifier, all that have it."""
    if viewer is not None and filters.get("owner", viewer) != viewer:
        return Page((), None)
    owned = filters if viewer is None else {**filters, "owner": viewer}
    with open_reader(store) as reader:
        if identifier is None:
            rows, last = _page(reader, tables.StreamRow, "sequence", after, limit, owned, None, newest_first)
        else:
            rows, last = _named(reader, SubjectKind.STREAM, tables.StreamRow, identifier, owned), None
        return Page(_streams(reader, rows), last, _first(row.sequence for row in rows))


def anchors(
    store: Store, stream: bytes, after: int | None, limit: int, *, newest_first: bool = False
) -> Page[tables.AnchorRow]:
    """The anchors of a stream, by size. Whether the stream exists for a viewer, `streams` tells."""
    with open_reader(store) as reader:
        rows, last = _page(reader, tables.AnchorRow, "size", after, limit, {"stream": stream}, None, newest_first)
        return Page(tuple(rows), last, _first(row.size for row in rows))


def cut_numbered(items: Sequence[V], after: int | None, limit: int, *, newest_first: bool = False) -> Page[V]:
    """A page of a list that is held whole, oldest first. The oldest item is number 1, so that numbers last when newer
    ones come."""
    numbered = list(enumerate(items, 1))
    if newest_first:
        rest = [one for one in reversed(numbered) if after is None or one[0] < after]
    else:
        rest = [one for one in numbered if after is None or one[0] > after]
    shown, more = rest[:limit], len(rest) > limit
    return Page(tuple(item for _, item in shown), shown[-1][0] if more else None, _first(place for place, _ in shown))


def models(
    store: Store, after: int | None, limit: int, filters: _Filters, *, newest_first: bool = False
) -> Page[answers.Model]:
    """Models by number, which every participant may see. Filters: state, inspector."""
    with open_reader(store) as reader:
        rows, last = _page(reader, tables.ModelRow, "number", after, limit, filters, None, newest_first)
        return Page(tuple(reader.model(row.number) for row in rows), last, _first(row.number for row in rows))


def model(store: Store, number: int) -> answers.Model:
    """A model by number. Raises NotFoundError if it does not exist."""
    with open_reader(store) as reader:
        if reader.rows.get(tables.ModelRow, number) is None:
            raise _no_number(reader, "registered no model", number)
        return reader.model(number)


def _ordered(items: tuple[V, ...], newest_first: bool) -> tuple[V, ...]:
    """Items that were built in ascending order, in the order of the list."""
    return items[::-1] if newest_first else items


def _first(numbers: Iterable[int]) -> int | None:
    return next(iter(numbers), None)


def _subjects(
    reader: Reader,
    kind: SubjectKind,
    row: type[S],
    column: str,
    after: int | None,
    limit: int,
    filters: _Filters,
    identifier: str | None,
    newest_first: bool,
) -> tuple[list[S], int | None]:
    """As `_page`, of what there is for the viewer; with an identifier, those so called."""
    if identifier is not None:
        return _named(reader, kind, row, identifier, filters), None
    return _page(reader, row, column, after, limit, filters, (kind, "subject"), newest_first)


def _page(
    reader: Reader,
    kind: type[R],
    column: str,
    after: int | None,
    limit: int,
    filters: _Filters,
    visible: tuple[SubjectKind, str] | None,
    newest_first: bool,
) -> tuple[list[R], int | None]:
    """The next rows after `after`, and the number after which the list continues. A row is in the list if what its
    column of `visible` names exists for the viewer; with None, all are."""
    found: list[R] = []
    equals: dict[str, Cell] = dict(filters)
    for _ in range(0, _MAX_SCANNED, _BATCH_ROWS):
        rows = reader.rows.page(kind, column, after, _BATCH_ROWS, newest_first=newest_first, **equals)
        # Once per batch: one row at a time would cost many queries.
        seen = set() if visible is None else reader.visible(visible[0], {getattr(row, visible[1]) for row in rows})
        for row in rows:
            if visible is None or getattr(row, visible[1]) in seen:
                # `after` is still the last row before this one, with which the next page begins.
                if len(found) == limit:
                    return found, after
                found.append(row)
            after = getattr(row, column)
        if len(rows) < _BATCH_ROWS:
            return found, None
    return found, after


def _named(reader: Reader, kind: SubjectKind, row: type[R], identifier: str, filters: _Filters) -> list[R]:
    # An identifier has at most one subject per company, and a short name names few: enough for one page.
    named = [one.subject for one in reader.book.identities(identifier) if one.kind is kind]
    # Something is judged even if nothing has the name: the time taken must not tell that something does.
    judged = named or [one.subject for one in reader.book.stand_ins(canonical_name(identifier), kind)]
    seen = reader.visible(kind, judged)
    found = reader.rows.among(row, "subject", seen if named else ())
    return [one for one in found if all(getattr(one, name) == value for name, value in filters.items())]


def _need(reader: Reader, kind: SubjectKind, row: type[R], subject: bytes) -> R:
    found = reader.rows.get(row, subject)
    if found is None or not reader.visible(kind, [subject]):
        raise build_unknown(reader, subject)
    return found


def _no_number(reader: Reader, what: str, number: int) -> NotFoundError:
    return NotFoundError(
        f"record {number} {what} up to block {reader.cursor.block_number}",
        hint="use the sequence of the record that did",
    )


def _assignment(reader: Reader, row: tables.AssignmentRow) -> answers.Assignment:
    current = reader.rows.get(tables.OperationRow, row.order, row.operation)
    return build_assignment(reader, row, current is not None and current.assignment == row.sequence)


def _streams(reader: Reader, rows: Sequence[tables.StreamRow]) -> tuple[OpenedStream, ...]:
    reader.name(row.subject for row in rows)
    return tuple(
        answer_of(
            OpenedStream,
            row,
            identifier=reader.identifier(row.subject),
            owner=reader.party(row.owner),
            machine=reader.some_machine(row.machine),
        )
        for row in rows
    )


def _machines(reader: Reader, rows: Sequence[tables.MachineRow]) -> tuple[RegisteredMachine, ...]:
    reader.name(row.subject for row in rows)
    at_work = reader.rows.among(tables.AssignmentRow, "machine", (row.number for row in rows), ended_at=0)
    return tuple(
        answer_of(
            RegisteredMachine,
            row,
            machine=row.number,
            identifier=reader.identifier(row.subject),
            owner=reader.party(row.owner),
            waiting=sum(one.machine == row.number and one.state in _WAITING for one in at_work),
            working=sum(one.machine == row.number and one.state == AssignmentState.STARTED for one in at_work),
        )
        for row in rows
    )
