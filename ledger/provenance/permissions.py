"""What a participant may see of another company's index and private book.

The whole consortium may see who made which kind of record and when, and quantities. It may not see identifiers, nor
whether this company knows them. So a participant's visibility decides which lots, orders and machines exist for it:

    lot       the participant holds, held or made the lot, a lot from which it was made, or a lot made from it
              (`linked`); the lot, or one in which it is packed, is offered to the participant; or the participant is
              buyer, coordinator or inspector of the lot's order
    order     the participant is its buyer, coordinator or inspector, or owns a machine with an assignment that was
              neither declined nor cancelled
    machine   the participant owns it, or may see an order for which the machine's owner accepted work

A record that a participant can make alone never makes others' data visible to it. So links follow accepted custody and
transformations, which only a lot's custodian can record. Certifying makes nothing visible, since any inspector may
certify, and thereby quarantine, a lot that is not under an order's gate. Proposing work does not make a machine visible
either. Lots made from the same material are not linked, since neither was made from the other. What is further away
than the bounds (MAX_TRACED) is not linked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Contract, LotState
from millmark.ledger.store import Cell, Lineage, Rows
from millmark.ledger.store import rows as tables
from millmark.ledger.store.repository import WITHDRAWN

# Limits of answers.


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one answer. What lies beyond them is left out, and the answer states that."""

    depth: int = 64
    """Maximum number of steps from the lot that the request names."""
    lots: int = 1_000
    """Maximum number of lots in each list; the nearest are kept."""


MAX_TRACED = Limits(depth=256, lots=10_000)
"""The largest limits of a trace, and the bounds within which permissions follow transformations."""
MAX_RECALLED = Limits(depth=256, lots=100_000)
"""The largest limits of a recall, and its default: an incomplete recall is worse than a slow one."""


class Lots:
    """Reads each lot's row once, in one state of the store. Answers and the check of their visibility read the
    same lots, so they share it."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._read: dict[bytes, tables.LotRow | None] = {}

    def among(self, subjects: Iterable[bytes]) -> list[tables.LotRow]:
        """The rows of the given lots; lots that are not in the index are left out."""
        wanted = set(subjects)
        new = wanted - self._read.keys()
        if new:
            self._read.update(dict.fromkeys(new))  # None for lots that do not exist, which are not read again either
            self._read.update((row.subject, row) for row in self._rows.among(tables.LotRow, "subject", new))
        return [row for row in map(self._read.get, wanted) if row is not None]

    def get(self, subject: bytes) -> tables.LotRow | None:
        """The row of a lot; None if it is not in the index."""
        return next(iter(self.among([subject])), None)


_DEPTH, _MAX = MAX_TRACED.depth, MAX_TRACED.lots
_TAKEN = ("CustodyAccepted", "CustodyReclaimed")


class Visibility:
    """What exists for one participant, in one state of the store (see the module)."""

    def __init__(self, rows: Rows, lineage: Lineage, participant: int) -> None:
        self.participant = participant
        self.rows_of_lots = Lots(rows)
        self._rows, self._lineage = rows, lineage
        self._visible: dict[bytes, bool] = {}
        """Lots whose visibility was decided."""
        self._links: dict[bytes, bool] = {}
        """Lots that are known to be linked or not."""

    def has(self, kind: SubjectKind, subject: bytes) -> bool:
        """Whether a lot, order or machine exists for this participant."""
        return bool(self.among(kind, [subject]))

    def among(self, kind: SubjectKind, subjects: Collection[bytes]) -> set[bytes]:
        """The subjects that exist for this participant. Only lots, orders and machines do."""
        if kind is SubjectKind.LOT:
            return self.lots(subjects)
        if kind is SubjectKind.ORDER:
            return self.orders(subjects)
        return self._machines(subjects) if kind is SubjectKind.MACHINE else set()

    def identifiers(self, subjects: Iterable[bytes]) -> dict[bytes, str]:
        """The known identifiers, by subject, of those that exist for this participant."""
        known: dict[SubjectKind, dict[bytes, str]] = defaultdict(dict)
        for row in self._rows.among(tables.IdentityRow, "subject", subjects):
            known[SubjectKind(row.kind)][row.subject] = row.identifier
        return {subject: names[subject] for kind, names in known.items() for subject in self.among(kind, names.keys())}

    def lots(self, subjects: Collection[bytes]) -> set[bytes]:
        """Those of the lots that this participant may see."""
        new = {subject for subject in subjects if subject not in self._visible}
        seen = self._concerning(new)
        held = self.held(new)
        seen |= held
        # The cheap rules first. Two walks from all held lots then decide most of the rest, before each line is walked.
        for walk in (self._lineage.all_upstream, self._lineage.all_downstream):
            seen |= new & walk(held, _DEPTH, _MAX)
        seen |= self._linked(sorted(new - seen))
        self._visible.update((lot, lot in seen) for lot in new)
        return {subject for subject in subjects if self._visible[subject]}

    def is_linked(self, lot: bytes) -> bool:
        """Whether the participant holds, held or made the lot, a lot from which it was made, or a lot made from it."""
        if lot not in self._links:
            self._links[lot] = bool(self._linked([lot]))
        return self._links[lot]

    def _linked(self, lots: list[bytes]) -> set[bytes]:
        """The lots that are linked (see `is_linked`)."""
        if not lots:
            return set()
        # One walk for all lots finds everything near them; a walk back from what is held there then finds the linked
        # ones. The bounds are those of one lot, so a walk of several that reaches them may have missed something.
        up, down = (walk(lots, _DEPTH, _MAX) for walk in (self._lineage.all_upstream, self._lineage.all_downstream))
        if max(len(up), len(down)) >= _MAX and len(lots) > 1:
            middle = len(lots) // 2
            return self._linked(lots[:middle]) | self._linked(lots[middle:])
        return self._lineage.in_line_with(self.held(up | down), lots, _DEPTH, _MAX)

    def held(self, lots: Collection[bytes]) -> set[bytes]:
        """The lots that the participant created, holds, or ever took custody of, packed or not."""
        rows = {row.sequence: row for row in self.rows_of_lots.among(lots)}
        found = {row.subject for row in rows.values() if row.custodian == self.participant}
        by_me: dict[str, Cell] = {"contract": Contract.LEDGER.value, "participant": self.participant}
        found |= {
            rows[made].subject for made in self._rows.values(tables.RecordRow, "sequence", "sequence", rows, **by_me)
        }
        for kind in _TAKEN:
            taken: dict[str, Cell] = {"kind": kind, "to_participant": self.participant}
            found |= self._rows.values(tables.CustodyChangeRow, "lot", "lot", set(lots) - found, **taken)
        # While a lot is packed, only its carriers change hands, so the timelines of packed ones are needed in full.
        packed = self._rows.values(tables.PackingRow, "child", "child", set(lots) - found)
        return found | {lot for lot in packed if any(map(self._accepts, self._lineage.custody(lot, _DEPTH)))}

    def orders(self, subjects: Collection[bytes]) -> set[bytes]:
        """The orders that exist for this participant."""
        work = self._rows.among(tables.AssignmentRow, "order", subjects)
        given = {row.order for row in work if row.owner == self.participant and row.state not in WITHDRAWN}
        return given | self._orders_of_parties(subjects)

    def _orders_of_parties(self, subjects: Collection[bytes]) -> set[bytes]:
        rows = self._rows.among(tables.OrderRow, "subject", subjects)
        return {row.subject for row in rows if self.participant in _parties_of(row)}

    def _machines(self, subjects: Collection[bytes]) -> set[bytes]:
        rows = {row.number: row for row in self._rows.among(tables.MachineRow, "subject", subjects)}
        found = {row.subject for row in rows.values() if row.owner == self.participant}
        rest = [number for number, row in rows.items() if row.subject not in found]
        return found | {rows[number].subject for number in self._rows.find_engaged(rest, self.participant)}

    def _concerning(self, lots: Collection[bytes]) -> set[bytes]:
        """The lots that are offered to the participant, or of whose order it is buyer, coordinator or inspector."""
        rows = self.rows_of_lots.among(lots)
        orders = self._orders_of_parties({row.order for row in rows if row.order is not None})
        return {row.subject for row in rows if row.order in orders or self._is_offered(row)}

    def _is_offered(self, row: tables.LotRow) -> bool:
        """Whether the lot, or one in which it is packed, is offered to the participant."""
        # Both state and counterparty: the counterparty of a quarantined lot is the participant who quarantined it.
        around, seen = row, {row.subject}
        while (around.state, around.counterparty) != (LotState.OFFERED, self.participant):
            if around.parent is None or around.parent in seen:
                return False
            seen.add(around.parent)
            parent = self.rows_of_lots.get(around.parent)
            if parent is None:
                return False
            around = parent
        return True

    def _accepts(self, change: tables.CustodyChangeRow) -> bool:
        return change.kind in _TAKEN and change.to_participant == self.participant


def _parties_of(order: tables.OrderRow) -> set[int]:
    return {order.buyer, order.coordinator, *(gate.inspector for gate in tables.gates_of(order))}
