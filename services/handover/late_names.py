"""Names that arrive here after the lots that they concern were handed on: hand-overs of several companies overtake each
other. What was handed on without them is made and sent again, so that names get as far as the lots do."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.provenance import MAX_TRACED
from millmark.ledger.store import Book, Connection, Lineage, Rows
from millmark.ledger.store.rows import PackingRow, RecordHistoryRow
from millmark.services.handover.allowances import Gets
from millmark.services.handover.repository import DeliveryRow, HandoverRepository
from millmark.services.handover.table import find_record, is_standing, recipients_of

__all__ = ["send_again", "unknown_lots"]


def unknown_lots(book: Book, named: Iterable[Identity]) -> set[bytes]:
    """The subjects of those lots that have no name here yet."""
    lots = {one.subject for one in named if one.kind is SubjectKind.LOT}
    return {subject for subject in lots if book.identity(subject) is None}


def send_again(connection: Connection, lots: Collection[bytes], me: int, now_ms: int) -> None:
    """Makes hand-overs due again whose bundles lack these lots' names: those of lots that were made from them, and of
    what such lots were packed in."""
    if not lots:
        return
    rows, handovers = Rows(connection), HandoverRepository(connection)
    reached = _with_carriers(rows, Lineage(connection).all_downstream(lots, MAX_TRACED.depth, MAX_TRACED.lots))
    sequences = {row.sequence for row in rows.among(RecordHistoryRow, "subject", reached)}
    for row in rows.among(DeliveryRow, "sequence", sequences):
        if row.state != "over" and _has_bundle(rows, row, me):  # also those that wait: one may be in the making
            handovers.make_again(row.sequence, row.recipient, now_ms)


def _with_carriers(rows: Rows, lots: set[bytes]) -> set[bytes]:
    """The lots, and those in which they were ever packed, at any depth."""
    found, level = set(lots), lots
    while level:
        level = {row.parent for row in rows.among(PackingRow, "child", level)} - found
        found |= level
    return found


def _has_bundle(rows: Rows, row: DeliveryRow, me: int) -> bool:
    record = find_record(rows, row.sequence)
    if record is None or not is_standing(rows, record):
        return False
    return any(Gets.LOT_PROOF in entry.gets for entry in recipients_of(rows, record, me).get(row.recipient, ()))
