"""Whom a call-back of lots concerns: who made, has or ever had any of them, or of what was made from them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from millmark.ledger.records import Contract
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import CustodyChangeRow, LotInputRow, LotOutputRow, LotRow, PackingRow, RecordRow

__all__ = ["carried_in", "find_concerned", "packed_in", "walk"]

_MOST_LOTS = 2_000
"""Lots that are followed."""


def find_concerned(rows: Rows, lots: Collection[bytes], at: int | None = None) -> set[int]:
    """The participants. `at`: sequence of the record that calls the lots back; None if it is not recorded yet. Nobody
    leaves the set as records are added, so that sender and receiver of a notice agree on it although one of them may
    have newer records: what is unpacked after the notice still counts as packed."""
    reached = walk(lots, lambda found: packed_in(rows, found, at) | _made_from(rows, found))
    made = {row.sequence for row in rows.among(LotRow, "subject", reached)}
    found = {row.participant for row in rows.among(RecordRow, "sequence", made, contract=Contract.LEDGER.value)}
    changes = [(row, 0, 0) for row in rows.among(CustodyChangeRow, "lot", reached)]
    packings = rows.among(PackingRow, "child", reached)
    moved = _changes_of(rows, {one.parent for one in packings})
    for one in packings:
        changes += [(row, one.packed_by, one.unpacked_by) for row in moved.get(one.parent, [])]
    return found | {
        row.to_participant
        for row, since, until in changes
        if row.kind.startswith("CustodyAccepted") and row.sequence > since and (not until or row.sequence < until)
    }


def walk(start: Collection[bytes], step: Callable[[set[bytes]], set[bytes]]) -> set[bytes]:
    """`start` and all that follows from it by steps; not much more than 2,000."""
    found, layer = set(start), set(start)
    while layer and len(found) < _MOST_LOTS:
        layer = step(layer) - found
        found |= layer
    return found


def packed_in(rows: Rows, lots: set[bytes], at: int | None = None) -> set[bytes]:
    """What is packed directly in any of these lots, or was so at a record or later."""
    return {row.child for row in rows.among(PackingRow, "parent", lots) if _lasts(row, at)}


def carried_in(rows: Rows, lots: set[bytes], at: int | None = None) -> set[bytes]:
    """That in which any of these lots is packed directly, or was so at a record or later."""
    return {row.parent for row in rows.among(PackingRow, "child", lots) if _lasts(row, at)}


def _lasts(row: PackingRow, at: int | None) -> bool:
    return not row.unpacked_by or (at is not None and row.unpacked_by > at)


def _made_from(rows: Rows, lots: set[bytes]) -> set[bytes]:
    taken: set[int] = rows.values(LotInputRow, "sequence", "lot", lots)
    made: set[bytes] = rows.values(LotOutputRow, "lot", "sequence", taken)
    return made


def _changes_of(rows: Rows, lots: Collection[bytes]) -> dict[bytes, list[CustodyChangeRow]]:
    found: dict[bytes, list[CustodyChangeRow]] = {}
    for row in rows.among(CustodyChangeRow, "lot", lots):
        found.setdefault(row.lot, []).append(row)
    return found
