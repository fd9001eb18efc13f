"""Rules of lots: created, transformed, scrapped, packed, quarantined (contracts/src/interfaces/ILots.sol).

If a record touches several lots, those without a history in the bundle are not judged. A withheld record took an
unknown quantity of a lot; from then on, `quantity` is the most that can be left.
"""

from __future__ import annotations

import itertools

from ledger.events import Event, lots
from ledger.records import AssignmentState, LotState, TransformationKind, optional_subject
from ledger.verify._state import Entry, Lot, State, broken, hold, on, subject_of_lot
from ledger.verify.refusals import ReplayRefused

__all__ = ["LOT_RULES", "pass_withheld"]

_MAX_LOTS = 64
_MAKING = (TransformationKind.CONVERSION, TransformationKind.REWORK)


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
    lot = _make(entry, state, entry.histories[0], event.unit, event.quantity)
    lot.order, lot.assignment = order.subject, assignment.sequence


def _received(entry: Entry[lots.LotReceived], state: State) -> None:
    lot = _make(entry, state, entry.histories[0], entry.event.unit, entry.event.quantity)
    lot.from_outside = True


def _make(entry: Entry[Event], state: State, name: bytes, unit: bytes, quantity: int) -> Lot:
    hold(name not in state.lots and name not in state.orders, entry, "the lot was made before", name)
    hold(quantity > 0 and any(unit), entry, "the lot has no quantity, or no unit", name)
    lot = Lot(name, entry.sequence, entry.participant, None, unit, quantity, quantity, entry.participant)
    state.lots[name] = lot
    return lot


def _scrapped(entry: Entry[lots.LotScrapped], state: State) -> None:
    lot = _own(entry, state.lot(entry, entry.histories[0]))
    hold(lot.state in (LotState.HELD, LotState.QUARANTINED), entry, f"scrapped while {lot.state.name.lower()}")
    _consume(entry, lot, entry.event.quantity)


def _quarantined(entry: Entry[lots.LotQuarantined], state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    order = state.order_of(lot)
    # The gate's inspector may quarantine a lot without having custody of it.
    if order is None or order.terms.inspector != entry.participant:
        _own(entry, lot)
    free = lot.state in (LotState.HELD, LotState.OFFERED)
    hold(free, entry, f"quarantined while {lot.state.name.lower()}")
    lot.state, lot.counterparty = LotState.QUARANTINED, entry.participant


def _released(entry: Entry[lots.LotReleased], state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    hold(lot.state is LotState.QUARANTINED, entry, f"released while {lot.state.name.lower()}")
    hold(
        lot.counterparty == entry.participant, entry, "released by another participant than the one who quarantined it"
    )
    lot.state, lot.counterparty = LotState.HELD, 0


def pass_withheld(lot: Lot, after: int) -> None:
    """Apply a withheld transformation, which took some of a lot after record `after`. Raises ReplayRefused."""
    free = lot.state in (LotState.HELD, LotState.QUARANTINED) and lot.parent is None and not lot.contents
    if not free or not lot.quantity:
        cause = "a withheld record follows, although nothing could be taken from the lot"
        raise ReplayRefused(cause, subject=lot.subject, sequence=after)
    lot.withheld += 1
    lot.quantity -= 1  # the least that it can have taken
    if not lot.quantity:
        lot.state, lot.counterparty = LotState.SPENT, 0


# Transformations


def _transformed(entry: Entry[lots.LotsTransformed], state: State) -> None:
    change = entry.event.transformation
    hold(change.kind in tuple(TransformationKind), entry, "a transformation of no known kind")
    _verify_shape(entry)
    made = entry.event.outputs(entry.histories)
    # Inputs and order must be in the bundle only if a lot that it made is: an input does not need them.
    making = any(name in state.shown for name in made)
    under = _verify_order(entry, state, required=making)
    quarantined_by = _take(entry, state, required=making)
    for name, output in zip(made, change.outputs, strict=True):
        hold(output.quantity > 0 and any(change.output_unit), entry, "an output without quantity", name)
        if name not in state.shown:
            continue
        lot = _make(entry, state, name, change.output_unit, output.quantity)
        lot.order, lot.assignment = optional_subject(change.order), under
        lot.inputs = entry.event.inputs
        if quarantined_by:
            lot.state, lot.counterparty = LotState.QUARANTINED, quarantined_by


def _verify_shape(entry: Entry[lots.LotsTransformed]) -> None:
    kind, taken = entry.event.transformation.kind, entry.event.inputs
    outputs = entry.event.transformation.outputs
    made = tuple(subject_of_lot(entry.participant, one.identifier_hash) for one in outputs)
    hold(entry.histories == taken + made, entry, "its histories are not its inputs and outputs")
    hold(len(set(entry.histories)) == len(taken + made), entry, "a lot stands in it twice")
    hold(all(one < two for one, two in itertools.pairwise(taken)), entry, "its inputs do not ascend")
    fits = 0 < len(taken) <= _MAX_LOTS and 0 < len(made) <= _MAX_LOTS
    if kind is TransformationKind.SPLIT:
        fits = fits and len(taken) == 1 and len(made) > 1
    elif kind is TransformationKind.MERGE:
        fits = fits and len(taken) > 1 and len(made) == 1
    elif kind is TransformationKind.REWORK:
        fits = fits and len(taken) == 1
    hold(fits, entry, f"a {kind.name.lower()} of {len(taken)} lots into {len(made)}")


def _verify_order(entry: Entry[lots.LotsTransformed], state: State, *, required: bool) -> int:
    """The assignment under which a transformation was done; 0 for none, or if the order is not in the bundle."""
    change = entry.event.transformation
    name = optional_subject(change.order)
    if name is None or (name not in state.orders and not required):
        return 0
    order = state.order(entry, name)
    if change.kind not in _MAKING:
        return 0
    current = order.current.get(change.operation)
    if current is None or current.state is not AssignmentState.STARTED or current.owner != entry.participant:
        raise broken(entry, "the lot was made without a started assignment", name)
    return current.sequence


def _take(entry: Entry[lots.LotsTransformed], state: State, *, required: bool) -> int:
    """Take the inputs, and verify the balance. Returns the participant who quarantined the reworked lot, 0 for none."""
    change = entry.event.transformation
    kind, order, unit = change.kind, optional_subject(change.order), change.unit
    quarantined_by = total = 0
    complete = True
    for taken in change.inputs:
        name, quantity = taken.lot, taken.quantity
        if name not in state.lots and not required:
            complete = (
                complete and kind is not TransformationKind.CONVERSION
            )  # of all other kinds, every input has the same unit
            total += quantity
            continue
        lot = _own(entry, state.lot(entry, name))
        if lot.state is LotState.QUARANTINED and kind is TransformationKind.REWORK:
            quarantined_by = lot.counterparty
        else:
            hold(lot.state is LotState.HELD, entry, f"taken while {lot.state.name.lower()}", name)
        into_another = kind is TransformationKind.CONVERSION and order is not None
        hold(lot.order == order or into_another, entry, "the lot leaves its order", name)
        hold(lot.unit == unit or kind is TransformationKind.CONVERSION, entry, "the lot has another unit", name)
        total += quantity if lot.unit == unit else 0
        _consume(entry, lot, quantity)
    if complete:  # which inputs of a conversion count is known only if all have a history here
        _verify_balance(entry, total)
    return quarantined_by


def _verify_balance(entry: Entry[lots.LotsTransformed], total: int) -> None:
    change = entry.event.transformation
    made = sum(output.quantity for output in change.outputs)
    loss, yield_in, yield_out = change.loss, change.yield_in, change.yield_out
    same = change.unit == change.output_unit
    balanced = (
        loss <= total
        and yield_in > 0
        and yield_out > 0
        and (total - loss) * yield_out == made * yield_in
        and (yield_in == yield_out if same else change.kind is TransformationKind.CONVERSION)
    )
    hold(balanced, entry, f"{total} in, {loss} lost and {made} out do not balance at {yield_in} to {yield_out}")


def _consume(entry: Entry[Event], lot: Lot, quantity: int) -> None:
    hold(quantity > 0, entry, "nothing is taken", lot.subject)
    hold(quantity <= lot.quantity, entry, f"{quantity} taken of {lot.quantity}", lot.subject)
    hold(not lot.contents, entry, "taken with lots packed in it", lot.subject)
    lot.quantity -= quantity
    if not lot.quantity:
        lot.state, lot.counterparty = LotState.SPENT, 0


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
    _free(entry, parent)
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
    hold(0 < len(children) <= _MAX_LOTS and ascending, entry, "packed lots are 1 to 64, ascending")
    return state.lot(entry, parent), tuple(children)


def _free(entry: Entry[Event], lot: Lot) -> Lot:
    _own(entry, lot)
    hold(lot.state is LotState.HELD, entry, f"packing while {lot.state.name.lower()}", lot.subject)
    return lot


def _own(entry: Entry[Event], lot: Lot) -> Lot:
    """Return the lot if it is not packed and the record's participant has custody of it. Raises ReplayRefused."""
    hold(lot.parent is None, entry, "a packed lot moves on its own", lot.subject)
    hold(lot.custodian == entry.participant, entry, f"participant {lot.custodian} has custody", lot.subject)
    return lot


LOT_RULES = dict(
    [
        on(lots.LotCommissioned, _commissioned),
        on(lots.LotReceived, _received),
        on(lots.LotsTransformed, _transformed),
        on(lots.LotScrapped, _scrapped),
        on(lots.LotsPacked, _packed),
        on(lots.LotsUnpacked, _unpacked),
        on(lots.LotQuarantined, _quarantined),
        on(lots.LotReleased, _released),
    ]
)
