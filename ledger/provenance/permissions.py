"""What one participant may see of a company's index and private book.

Who acted, when, in which kind of record, and quantities are the whole consortium's. What things are called is not, and
neither is whether this company knows them. So a view decides which lots, orders and machines there are at all for its
participant:

    lot       it holds, held or made it, or anything that the lot came of or that was made of it (`linked`); it is
              offered the lot, or what carries it; it is buyer, coordinator or inspector of its order
    order     it is buyer, coordinator or inspector, or owns a machine with an assignment that was not turned down
    machine   it owns it, or may see an order in which the machine's owner took on work

Nothing that a participant can record unasked opens what is another's. So links go by accepted custody and by
transformations, which the ledger leaves to the custodian alone; certifying opens nothing, because any inspector may
certify, and so quarantine, a lot that no order's gate guards; proposing work opens no machine. Lots made of the same
material are not linked: neither came of the other. What lies further away than the bounds is not linked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from ledger.ids import SubjectKind
from ledger.provenance.limits import MOST_TRACED
from ledger.provenance.lots import Lots
from ledger.records import AssignmentState, Contract, LotState
from ledger.store import Cell, Lineage, Rows
from ledger.store.rows import (
    AssignmentRow,
    CustodyChangeRow,
    IdentityRow,
    LotRow,
    MachineRow,
    OrderRow,
    PackingRow,
    RecordRow,
)

__all__ = ["View"]

_DEPTH, _MOST = MOST_TRACED.depth, MOST_TRACED.lots
_TAKEN = "CustodyAccepted"
_TURNED_DOWN = (AssignmentState.DECLINED, AssignmentState.CANCELLED)
_TAKEN_ON = (AssignmentState.ACCEPTED, AssignmentState.STARTED, AssignmentState.FINISHED)


class View:
    """One participant's, of one state of the store."""

    def __init__(self, rows: Rows, lineage: Lineage, participant: int) -> None:
        self.participant = participant
        self.rows_of_lots = Lots(rows)
        self._rows, self._lineage = rows, lineage
        self._judged: dict[bytes, bool] = {}
        self._links: dict[bytes, bool] = {}

    def has(self, kind: SubjectKind, subject: bytes) -> bool:
        """Whether there is that thing for this participant."""
        return bool(self.among(kind, [subject]))

    def among(self, kind: SubjectKind, subjects: Collection[bytes]) -> set[bytes]:
        """Those of the given things that there are for this participant."""
        if kind is SubjectKind.LOT:
            return self.lots(subjects)
        if kind is SubjectKind.ORDER:
            return self.orders(subjects)
        return self._machines(subjects) if kind is SubjectKind.MACHINE else set()

    def identifiers(self, subjects: Iterable[bytes]) -> dict[bytes, str]:
        """What the given things are called, as far as it is known and they are there for this participant."""
        known: dict[SubjectKind, dict[bytes, str]] = defaultdict(dict)
        for row in self._rows.among(IdentityRow, "subject", subjects):
            known[SubjectKind(row.kind)][row.subject] = row.identifier
        return {subject: names[subject] for kind, names in known.items() for subject in self.among(kind, names.keys())}

    def lots(self, subjects: Collection[bytes]) -> set[bytes]:
        """Those of the given lots that there are for this participant."""
        new = {subject for subject in subjects if subject not in self._judged}
        seen = self._concerning(new)
        held = self.held(new)
        seen |= held
        for walk in (self._lineage.upstream, self._lineage.downstream):  # in line with what is held, many at once
            seen |= new & {lot for lot, _ in walk(held, _DEPTH, _MOST)}
        seen |= self._linked(sorted(new - seen))
        self._judged.update((lot, lot in seen) for lot in new)
        return {subject for subject in subjects if self._judged[subject]}

    def is_linked(self, lot: bytes) -> bool:
        """Whether the participant holds, held or made the lot, something that it came of, or something made of it."""
        if lot not in self._links:
            self._links[lot] = bool(self._linked([lot]))
        return self._links[lot]

    def _linked(self, lots: list[bytes]) -> set[bytes]:
        """Those that are linked. All their lines are walked at once, and back from what is held in them; where that is
        more than one lot's bounds, each half is looked at."""
        if not lots:
            return set()
        up, down = (walk(lots, _DEPTH, _MOST) for walk in (self._lineage.upstream, self._lineage.downstream))
        if max(len(up), len(down)) >= _MOST and len(lots) > 1:
            middle = len(lots) // 2
            return self._linked(lots[:middle]) | self._linked(lots[middle:])
        held = self.held({lot for lot, _ in (*up, *down)})
        return self._lineage.in_line_with(held, _DEPTH).intersection(lots)

    def held(self, lots: Collection[bytes]) -> set[bytes]:
        """Those of the given lots that the participant made, or had accepted custody of at any time, in a carrier or
        without one."""
        rows = {row.sequence: row for row in self.rows_of_lots.among(lots)}
        found = {row.subject for row in rows.values() if row.custodian == self.participant}
        by_me: dict[str, Cell] = {"contract": Contract.LEDGER.value, "participant": self.participant}
        found |= {rows[made].subject for made in self._rows.values(RecordRow, "sequence", "sequence", rows, **by_me)}
        taken: dict[str, Cell] = {"kind": _TAKEN, "to_participant": self.participant}
        found |= self._rows.values(CustodyChangeRow, "lot", "lot", set(lots) - found, **taken)
        packed = self._rows.values(PackingRow, "child", "child", set(lots) - found)
        return found | {lot for lot in packed if any(map(self._takes, self._lineage.custody(lot, _DEPTH)))}

    def orders(self, subjects: Collection[bytes]) -> set[bytes]:
        """Those of the given orders that there are for this participant."""
        given = {row.order for row in self._assignments("order", subjects)}
        return given | self._orders_of_parties(subjects)

    def _orders_of_parties(self, subjects: Collection[bytes]) -> set[bytes]:
        rows = self._rows.among(OrderRow, "subject", subjects)
        return {row.subject for row in rows if self.participant in (row.buyer, row.coordinator, row.inspector)}

    def _assignments(self, column: str, values: Collection[bytes]) -> list[AssignmentRow]:
        rows = self._rows.among(AssignmentRow, column, values)
        return [row for row in rows if row.owner == self.participant and row.state not in _TURNED_DOWN]

    def _machines(self, subjects: Collection[bytes]) -> set[bytes]:
        rows = {row.number: row for row in self._rows.among(MachineRow, "subject", subjects)}
        found = {row.subject for row in rows.values() if row.owner == self.participant}
        rest = [number for number, row in rows.items() if row.subject not in found]
        at_work = [row for row in self._rows.among(AssignmentRow, "machine", rest) if row.state in _TAKEN_ON]
        orders = self.orders({row.order for row in at_work})
        return found | {rows[row.machine].subject for row in at_work if row.order in orders}

    def _concerning(self, lots: Collection[bytes]) -> set[bytes]:
        """Offered to the participant, or of an order that it is a party to."""
        rows = self.rows_of_lots.among(lots)
        orders = self._orders_of_parties({row.order for row in rows if row.order is not None})
        return {row.subject for row in rows if row.order in orders or self._is_offered(row)}

    def _is_offered(self, row: LotRow) -> bool:
        """The lot itself, or what it is packed in. Of a quarantined one, `counterparty` is who quarantined it."""
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

    def _takes(self, change: CustodyChangeRow) -> bool:
        return change.kind == _TAKEN and change.to_participant == self.participant
