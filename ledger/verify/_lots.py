"""Rules of lots: created, scrapped, packed, quarantined (contracts/src/interfaces/ILots.sol).

If a record touches several lots, those without a history in the bundle are not judged.
"""

from __future__ import annotations

import itertools

from millmark.ledger.events import Event, lots
from millmark.ledger.records import AssignmentState, Disposition, LotState, ModelState, OrderState
from millmark.ledger.verify._quantities import MAX_LOTS, consume, join, make, own, quarantine
from millmark.ledger.verify._state import Entry, Lot, State, broken, hold, on

__all__ = ["LOT_RULES"]

_HANDED_ON = (Disposition.EXPORTED, Disposition.SOLD)
"""What no quantity leaves quarantine for."""


def _commissioned(entry: Entry[lots.LotCommissioned], state: State) -> None:
    event = entry.event
    order = state.order(entry, event.order)
    assignment = order.assignments.get(event.assignment)
    if assignment is None:
        raise broken(entry, f"the order has no assignment {event.assignment}")
    started = assignment.state is AssignmentState.STARTED and assignment.owner == entry.participant
    hold(
        started and order.current[assignment.operation] is assignment,
        entry,
        "the lot was made without a started assignment",
    )
    lot = make(entry, state, entry.histories[0], event.unit, event.quantity)
    join(lot, order.subject)
    lot.work.append((order.subject, assignment.sequence, entry.sequence))


def _received(entry: Entry[lots.LotReceived], state: State) -> None:
    lot = make(entry, state, entry.histories[0], entry.event.unit, entry.event.quantity)
    lot.from_outside = True


def _scrapped(entry: Entry[lots.LotScrapped], state: State) -> None:
    lot = own(entry, state.lot(entry, entry.histories[0]))
    disposition = entry.event.disposition
    hold(disposition in tuple(Disposition), entry, f"{disposition} is not a disposition")
    free = lot.state is LotState.HELD or (lot.state is LotState.QUARANTINED and disposition not in _HANDED_ON)
    hold(free, entry, f"{Disposition(disposition).name.lower()} while {lot.state.name.lower()}")
    consume(entry, lot, entry.event.quantity)


def _quarantined(entry: Entry[lots.LotQuarantined], state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    # A gate's inspector may quarantine a lot without having custody of it.
    if not state.inspects(entry.participant, lot):
        own(entry, lot)
    free = lot.state in (LotState.HELD, LotState.OFFERED)
    hold(free, entry, f"quarantined while {lot.state.name.lower()}")
    quarantine(lot, entry.participant, None)


def _released(entry: Entry[lots.LotReleased], state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    hold(lot.state is LotState.QUARANTINED, entry, f"released while {lot.state.name.lower()}")
    if lot.counterparty != entry.participant:
        hold(_is_liftable(entry, state, lot), entry, "released by another participant than the one who quarantined it")
        own(entry, lot)
    lot.state, lot.counterparty = LotState.HELD, 0


def _is_liftable(entry: Entry[lots.LotReleased], state: State, lot: Lot) -> bool:
    """Whether the custodian may lift another's quarantine: the certificate behind it does not count any more, the buyer
    waived that inspector's gate for the lot, or the order is delivered.

    Not established: that who quarantined it without a certificate had no roles any more. The report says that.
    """
    order, behind = state.order_of(lot), lot.standing(lot.counterparty).quarantining
    if order is not None and order.state is OrderState.DELIVERED:
        return True
    if state.is_waived(lot, lot.counterparty):
        return True
    if behind is None:
        state.lifted[entry.sequence] = lot.counterparty
        return True
    # A model that was withdrawn by the proof block may have been withdrawn by then.
    fell = behind.model != 0 and state.proved.model(entry, behind.model).state is ModelState.WITHDRAWN
    return fell or not state.counts(entry, behind)


# Packing


def _packed(entry: Entry[lots.LotsPacked], state: State) -> None:
    parent, children = _packing(entry, state)
    _free(entry, parent)
    hold(parent.subject not in children, entry, "packed into itself")
    for name in children:
        if name in state.shown:
            child = _free(entry, state.lot(entry, name))
            child.parent = parent.subject
            child.parents.add(parent.subject)
    parent.contents.update(children)


def _unpacked(entry: Entry[lots.LotsUnpacked], state: State) -> None:
    parent, children = _packing(entry, state)
    own(entry, parent)
    free = parent.state in (LotState.HELD, LotState.QUARANTINED)
    hold(free, entry, f"unpacking while {parent.state.name.lower()}", parent.subject)
    for name in children:
        hold(name in parent.contents, entry, "it was not in that parent", name)
        if name in state.shown:
            child = state.lot(entry, name)
            # It changed hands with its parent, so its own custodian was out of date.
            child.parent, child.custodian = None, entry.participant
    parent.contents.difference_update(children)


def _packing(entry: Entry[lots.LotsPacked | lots.LotsUnpacked], state: State) -> tuple[Lot, tuple[bytes, ...]]:
    parent, *children = entry.histories
    ascending = all(one < two for one, two in itertools.pairwise(children))
    hold(0 < len(children) <= MAX_LOTS and ascending, entry, "packed lots are 1 to 64, ascending")
    return state.lot(entry, parent), tuple(children)


def _free(entry: Entry[Event], lot: Lot) -> Lot:
    own(entry, lot)
    hold(lot.state is LotState.HELD, entry, f"packing while {lot.state.name.lower()}", lot.subject)
    return lot


LOT_RULES = dict(
    [
        on(lots.LotCommissioned, _commissioned),
        on(lots.LotReceived, _received),
        on(lots.LotScrapped, _scrapped),
        on(lots.LotsPacked, _packed),
        on(lots.LotsUnpacked, _unpacked),
        on(lots.LotQuarantined, _quarantined),
        on(lots.LotReleased, _released),
    ]
)
