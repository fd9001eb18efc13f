"""Step 6, rules of lots: made, taken from, packed, transformed, reworked, handed over, noted about.

Those of the contracts (contracts/src), told independently of them: one mistake cannot be in both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from millmark.ledger.events import Event, lots
from millmark.ledger.events.certificates import NoteRecorded
from millmark.ledger.records import (
    AssignmentState,
    Disposition,
    Gate,
    Input,
    LotState,
    ModelState,
    NoteKind,
    OrderState,
    TransformationKind,
    Verdict,
    optional_subject,
)
from millmark.ledger.verify._state import (
    Certificate,
    Entry,
    Lot,
    Order,
    Standing,
    State,
    Waiver,
    broken,
    hold,
    inspectors_of,
    on,
    subject_of_lot,
)
from millmark.ledger.verify.report import ReplayRefused

# What rules of lots have in common: lots are made, taken from, and joined to orders.
#
# A withheld record took an unknown quantity of a lot; from then on, `quantity` is the most that can be left.

MAX_LOTS = 64


def make(entry: Entry[Event], state: State, name: bytes, unit: bytes, quantity: int) -> Lot:
    """Create a lot of no order, held by the record's participant. Raises ReplayRefused."""
    hold(name not in state.lots and name not in state.orders, entry, "the lot was made before", name)
    hold(quantity > 0 and any(unit), entry, "the lot has no quantity, or no unit", name)
    lot = Lot(name, entry.sequence, entry.participant, None, unit, quantity, quantity, entry.participant)
    state.lots[name] = lot
    return lot


def join(lot: Lot, order: bytes) -> None:
    """Make a lot one of an order."""
    lot.order = order
    lot.orders.add(order)


def own(entry: Entry[Event], lot: Lot) -> Lot:
    """Return the lot if it is not packed and the record's participant has custody of it. Raises ReplayRefused."""
    hold(lot.parent is None, entry, "a packed lot moves on its own", lot.subject)
    if lot.custodian != entry.participant:
        raise broken(entry, f"participant {lot.custodian} has custody", lot.subject)
    return lot


def quarantine(lot: Lot, by: int, behind: Certificate | None) -> None:
    """Quarantine a lot in a participant's name, with the certificate behind it."""
    lot.state, lot.counterparty = LotState.QUARANTINED, by
    lot.standing(by).quarantining = behind


def consume(entry: Entry[Event], lot: Lot, quantity: int) -> None:
    """Take a quantity out of a lot. Raises ReplayRefused."""
    hold(quantity > 0, entry, "nothing is taken", lot.subject)
    hold(quantity <= lot.quantity, entry, f"{quantity} taken of {lot.quantity}", lot.subject)
    hold(not lot.contents, entry, "taken with lots packed in it", lot.subject)
    lot.quantity -= quantity
    if not lot.quantity:
        lot.state, lot.counterparty = LotState.SPENT, 0


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


# Rules of lots: created, scrapped, packed, quarantined (contracts/src/interfaces/ILots.sol).
#
# If a record touches several lots, those without a history in the bundle are not judged.

_HANDED_ON = (Disposition.EXPORTED, Disposition.SOLD)
"""What no quantity leaves quarantine for."""


def _commissioned(entry: Entry[lots.LotCommissioned], state: State) -> None:
    event = entry.event
    order = state.order(entry, event.order)
    assignment = order.assignments.get(event.assignment)
    if assignment is None:
        raise broken(entry, f"the order has no assignment {event.assignment}")
    work = _making(entry, state, order.subject, assignment.operation)
    hold(work == assignment.sequence, entry, "the lot was made without a started assignment")
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
    """Not established: that a custodian other than the participant had not been able to act for 14 days, and that the
    participant might reclaim the parent. The proved state has neither as it was at the time."""
    parent, children = _packing(entry, state)
    custodian = entry.event.custodian
    has = parent.parent is None and parent.custodian == custodian
    hold(has, entry, f"participant {custodian} does not have the parent", parent.subject)
    if entry.participant != custodian:
        state.proved.participant(entry, custodian)
        if parent.state in _OFFERED:
            _end_offer(parent)
    free = parent.state in (LotState.HELD, LotState.QUARANTINED)
    hold(free, entry, f"unpacking while {parent.state.name.lower()}", parent.subject)
    for name in children:
        hold(name in parent.contents, entry, "it was not in that parent", name)
        if name in state.shown:
            child = state.lot(entry, name)
            # It changed hands with its parent, so its own custodian was out of date.
            child.parent, child.custodian = None, custodian
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


# Rules of transformations, rework, and lots between stock and orders (contracts/src/history/Transformations.sol).
#
# Lots without a history in the bundle are not judged. A lot that was made needs the histories of all that went into it;
# an input does not need those of what was made from it.

_FREE = (LotState.HELD, LotState.QUARANTINED)


def _transformed(entry: Entry[lots.LotsTransformed], state: State) -> None:
    change = entry.event.transformation
    hold(change.kind in tuple(TransformationKind), entry, "a transformation of no known kind")
    _verify_shape(entry)
    made = entry.event.outputs(entry.histories)
    # Inputs and order must be in the bundle only if a lot that it made is: an input does not need them.
    making = any(name in state.shown for name in made)
    order = optional_subject(change.order)
    known = order is not None and (order in state.orders or making)
    work = 0
    if order is not None and known:
        state.order(entry, order)
        work = _making(entry, state, order, change.operation) if change.kind is TransformationKind.CONVERSION else 0
    _take_inputs(entry, state, required=making)
    _verify_balance(entry)
    for name, output in zip(made, change.outputs, strict=True):
        hold(output.quantity > 0 and any(output.unit), entry, "an output without quantity or unit", name)
        if name not in state.shown:
            continue
        lot = make(entry, state, name, output.unit, output.quantity)
        lot.inputs = entry.event.inputs
        if order is not None:
            join(lot, order)
        if order is not None and work:
            lot.work.append((order, work, entry.sequence))
        if change.kind is TransformationKind.SPLIT:
            _hand_on(state, state.lot(entry, change.inputs[0].lot), lot)


def _hand_on(state: State, lot: Lot, part: Lot) -> None:
    """Give a lot that was split off what the gates' inspectors certified of the whole, except what a rework voided."""
    for gate in state.gates_of(part):
        standing = lot.standings.get(gate.inspector)
        if standing is None or standing.latest is None or standing.latest.sequence < lot.reworked:
            continue
        handed = part.standings[gate.inspector] = Standing(standing.latest, standing.open)
        if standing.latest.is_open():
            handed.count(-1)
        part.certificates.append(standing.latest)
    part.certificates.sort(key=lambda one: one.sequence)


def _verify_shape(entry: Entry[lots.LotsTransformed]) -> None:
    change, taken = entry.event.transformation, entry.event.inputs
    made = tuple(subject_of_lot(entry.participant, one.identifier_hash) for one in change.outputs)
    hold(entry.histories == taken + made, entry, "its histories are not its inputs and outputs")
    hold(len(set(entry.histories)) == len(taken + made), entry, "a lot stands in it twice")
    hold(_ascend(taken), entry, "its inputs do not ascend")
    conserved = sum(not one.component for one in change.inputs)
    fits = 0 < conserved <= len(taken) <= MAX_LOTS and 0 < len(made) <= MAX_LOTS
    if change.kind is TransformationKind.SPLIT:
        fits = fits and len(taken) == 1 and len(made) > 1
    elif change.kind is TransformationKind.MERGE:
        fits = fits and 1 < len(taken) == conserved and len(made) == 1
    hold(fits, entry, f"a {change.kind.name.lower()} of {conserved} lots, with {len(taken)} taken, into {len(made)}")


def _ascend(names: Sequence[bytes]) -> bool:
    return all(one < two for one, two in itertools.pairwise(names))


def _work(entry: Entry[Event], state: State, order: bytes, operation: int) -> int:
    """The assignment of an operation, if the record's participant has started it. Raises ReplayRefused."""
    current = state.order(entry, order).current.get(operation)
    if current is None or current.state is not AssignmentState.STARTED or current.owner != entry.participant:
        raise broken(entry, "the lot was made without a started assignment", order)
    return current.sequence


def _making(entry: Entry[Event], state: State, order: bytes, operation: int) -> int:
    """The same of an order that has not ended: it gets no more lots."""
    hold(state.order(entry, order).state is not OrderState.ENDED, entry, "made under an order that ended", order)
    return _work(entry, state, order, operation)


def _take_inputs(entry: Entry[lots.LotsTransformed], state: State, *, required: bool) -> None:
    change = entry.event.transformation
    order = optional_subject(change.order)
    for taken in change.inputs:
        if taken.lot not in state.lots and not required:
            continue
        lot = own(entry, state.lot(entry, taken.lot))
        hold(lot.state is LotState.HELD, entry, f"taken while {lot.state.name.lower()}", taken.lot)
        hold(taken.component or lot.unit == change.unit, entry, "the lot has another unit", taken.lot)
        _take(entry, state, taken, order, joins=change.kind is TransformationKind.CONVERSION)


def _take(entry: Entry[Event], state: State, taken: Input, order: bytes | None, *, joins: bool) -> None:
    """Take a quantity for something of `order`. `joins`: whether that may be of another order than the lot."""
    lot = state.lot(entry, taken.lot)
    hold(optional_subject(taken.order) == lot.order, entry, "the lot is of another order than stated", lot.subject)
    if lot.order != order:
        hold(order is None or joins, entry, "the lot joins an order", lot.subject)
        _verify_leaves(entry, state, lot, into=order)
    consume(entry, lot, taken.quantity)


def _verify_leaves(entry: Entry[Event], state: State, lot: Lot, into: bytes | None) -> None:
    """Raises ReplayRefused unless a lot may leave its order: a gated one, or any one for stock, by its buyer's act."""
    order = state.order_of(lot)
    if order is None or (into is not None and not order.terms.gates):
        return
    hold(order.buyer == entry.participant, entry, "the lot leaves its order", lot.subject)


def _verify_balance(entry: Entry[lots.LotsTransformed]) -> None:
    change = entry.event.transformation
    conserved = sum(taken.quantity for taken in change.inputs if not taken.component)
    made = sum(output.quantity for output in change.outputs if output.unit == change.output_unit)
    gone = change.loss + sum(
        output.quantity for output in change.outputs if output.unit == change.unit != change.output_unit
    )
    # Of no side 0: so less is gone than was taken, and `yield_out` is not 0 either.
    balanced = made * change.yield_in > 0 and (conserved - gone) * change.yield_out == made * change.yield_in
    if change.kind is not TransformationKind.CONVERSION:
        one_unit = all(output.unit == change.unit == change.output_unit for output in change.outputs)
        balanced = balanced and one_unit and change.yield_in == change.yield_out
    yields = f"{change.yield_in} to {change.yield_out}"
    hold(balanced, entry, f"{conserved} in, {gone} lost or left and {made} out do not balance at {yields}")


# Rework that keeps the identifier


def _reworked(entry: Entry[lots.LotReworked], state: State) -> None:
    change, components = entry.event.rework, entry.event.components
    hold(entry.histories == (change.lot, *components), entry, "its histories are not its lot and components")
    fits = len(components) <= MAX_LOTS and _ascend(components) and change.lot not in components
    fits = fits and all(one.component for one in change.components)
    hold(fits, entry, "its components are at most 64, ascending, and not the lot itself")
    shown = change.lot in state.shown
    if shown:
        _rework(entry, state, state.lot(entry, change.lot))
    for taken in change.components:
        if taken.lot in state.lots or shown:
            lot = own(entry, state.lot(entry, taken.lot))
            hold(lot.state is LotState.HELD, entry, f"taken while {lot.state.name.lower()}", taken.lot)
            _take(entry, state, taken, optional_subject(change.order), joins=True)


def _rework(entry: Entry[lots.LotReworked], state: State, lot: Lot) -> None:
    own(entry, lot)
    hold(lot.state in _FREE, entry, f"reworked while {lot.state.name.lower()}")
    hold(not lot.contents, entry, "reworked with lots packed in it")
    order = optional_subject(entry.event.rework.order)
    hold(order == lot.order, entry, "the lot is of another order than stated")
    work = 0 if order is None else _work(entry, state, order, entry.event.rework.operation)
    hold(entry.event.assignment == work, entry, "reworked under another assignment")
    if order is not None:
        lot.work.append((order, work, entry.sequence))
    lot.inputs = (*lot.inputs, *entry.event.components)
    lot.reworked = entry.sequence


# Stock and orders


def _allocated(entry: Entry[lots.LotAllocated], state: State) -> None:
    lot = own(entry, state.lot(entry, entry.histories[0]))
    hold(lot.state is LotState.HELD, entry, f"allocated while {lot.state.name.lower()}")
    hold(lot.order is None, entry, "the lot has an order already")
    order = state.order(entry, entry.event.order)
    assignment = order.assignments.get(entry.event.assignment)
    if assignment is None:
        raise broken(entry, f"the order has no assignment {entry.event.assignment}")
    work = _making(entry, state, order.subject, assignment.operation)
    hold(work == assignment.sequence, entry, "allocated under another assignment")
    join(lot, order.subject)


def _deallocated(entry: Entry[lots.LotDeallocated], state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    order = state.order_of(lot)
    if order is None or order.subject != entry.event.order:
        raise broken(entry, "the lot is of another order than stated")
    # Not established: that the buyer of an ended order with a gate could not act when its coordinator did this.
    unguarded = not order.terms.gates or order.state is OrderState.ENDED
    bought = lot.custodian == order.buyer
    coordinates = order.coordinator == entry.participant and unguarded and not bought
    hold(order.buyer == entry.participant or coordinates, entry, "the lot leaves its order without consent")
    hold(lot.state in _FREE and lot.parent is None, entry, "taken out of its order while packed, offered or spent")
    lot.order = None


TRANSFORMATION_RULES = dict(
    [
        on(lots.LotsTransformed, _transformed),
        on(lots.LotReworked, _reworked),
        on(lots.LotAllocated, _allocated),
        on(lots.LotDeallocated, _deallocated),
    ]
)


# Rules of custody and of waived gates (contracts/src/interfaces: ICustody.sol, IGates.sol).

_MAX_DEPTH = 8
_OFFERED = (LotState.OFFERED, LotState.RETURNING)


def _offered(entry: Entry[lots.CustodyOffered], state: State) -> None:
    to = entry.event.to
    lot = _offer(entry, state, to)
    if lot.state is not LotState.HELD:
        raise broken(entry, f"offered while {lot.state.name.lower()}")
    _verify_way(entry, state, lot, to)
    lot.state, lot.counterparty = LotState.OFFERED, to


def _return_offered(entry: Entry[lots.ReturnOffered], state: State) -> None:
    to = entry.event.to
    lot = _offer(entry, state, to)
    hold(lot.state is LotState.QUARANTINED, entry, f"returned while {lot.state.name.lower()}")
    hold(to == lot.maker, entry, f"returned to participant {to}, but made by {lot.maker}")
    hold(not lot.contents, entry, "returned with lots packed in it")
    lot.state = LotState.RETURNING  # the counterparty stays the one who quarantined it


def _offer(entry: Entry[Event], state: State, to: int) -> Lot:
    lot = own(entry, state.lot(entry, entry.histories[0]))
    hold(to != entry.participant, entry, "offered to its own custodian")
    state.proved.participant(entry, to)
    lot.offer = entry.sequence
    return lot


def _accepted(entry: Entry[lots.CustodyAccepted], state: State) -> None:
    _take_over(entry, state, entry.event.offer)


def _declined(entry: Entry[lots.CustodyDeclined], state: State) -> None:
    _end_offer(_answered(entry, state, entry.event.offer))


def _withdrawn(entry: Entry[lots.CustodyWithdrawn], state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.custodian == entry.participant, entry, f"participant {lot.custodian} has custody")
    _end_offer(lot)


def _reclaimed(entry: Entry[lots.CustodyReclaimed], state: State) -> None:
    """Not established: that the custodian had not been able to act for 14 days, and that a participant that is not a
    party of the order was its trustee. The proved state has neither as it was at the time."""
    lot = state.lot(entry, entry.histories[0])
    from_ = entry.event.from_
    state.proved.participant(entry, from_)
    hold(lot.parent is None, entry, "a packed lot moves on its own")
    hold(lot.custodian == from_, entry, f"participant {lot.custodian} had custody")
    hold(from_ != entry.participant, entry, "reclaimed from itself")
    hold(lot.state is not LotState.SPENT, entry, "reclaimed when nothing was left")
    _verify_way(entry, state, lot, entry.participant, reclaimed=True)
    if lot.state in _OFFERED:
        _end_offer(lot)
    lot.custodian = entry.participant


def _take_over(entry: Entry[Event], state: State, offer: int) -> Lot:
    lot = _answered(entry, state, offer)
    _verify_way(entry, state, lot, entry.participant)  # again: a gate can have closed since the offer
    _end_offer(lot)
    lot.custodian = entry.participant
    return lot


def _answered(entry: Entry[Event], state: State, offer: int) -> Lot:
    """The lot, if its open offer is record `offer`, and was made to the entry's participant. Raises ReplayRefused."""
    lot = _open_offer(entry, state)
    to = lot.maker if lot.state is LotState.RETURNING else lot.counterparty
    if to != entry.participant:
        raise broken(entry, f"offered to participant {to}")
    if offer != lot.offer:
        raise broken(entry, f"it answers offer {offer}, but {lot.offer} stands")
    return lot


def _open_offer(entry: Entry[Event], state: State) -> Lot:
    lot = state.lot(entry, entry.histories[0])
    if lot.state not in _OFFERED:
        raise broken(entry, f"there is no offer: the lot is {lot.state.name.lower()}")
    return lot


def _end_offer(lot: Lot) -> None:
    """A returning lot stays quarantined, by the same participant."""
    if lot.state is LotState.RETURNING:
        lot.state = LotState.QUARANTINED
    else:
        lot.state, lot.counterparty = LotState.HELD, 0


def _verify_way(
    entry: Entry[Event], state: State, lot: Lot, to: int, depth: int = 0, *, reclaimed: bool = False
) -> None:
    """Raises ReplayRefused unless every gate on the way to `to` is open, and everything packed in the lot is held, or
    quarantined if it is reclaimed. Not established for packed lots without a history in the bundle."""
    hold(depth <= _MAX_DEPTH, entry, "packed too deep", lot.subject)
    _verify_gate(entry, state, lot, to)
    for name in sorted(lot.contents):
        child = state.lots.get(name)
        if child is not None:
            moves = child.state is LotState.HELD or (reclaimed and child.state is LotState.QUARANTINED)
            hold(moves, entry, f"what is packed is {child.state.name.lower()}", name)
            _verify_way(entry, state, child, to, depth + 1, reclaimed=reclaimed)


def _verify_gate(entry: Entry[Event], state: State, lot: Lot, to: int) -> None:
    order = state.order_of(lot)
    if order is None or order.buyer != to:
        return
    for gate in order.terms.gates:
        open_ = _is_open(entry, state, lot, gate) or state.is_waived(lot, gate.inspector)
        hold(open_, entry, f"custody passes the closed gate of participant {gate.inspector}", lot.subject)


def _is_open(entry: Entry[Event], state: State, lot: Lot, gate: Gate) -> bool:
    # Not established: that the inspector could act then, and that its key was not compromised. The report says that.
    standing = lot.standing(gate.inspector)
    latest = standing.latest
    return (
        latest is not None
        and latest.sequence > lot.reworked
        and standing.open == 0
        and not latest.is_open()  # it may be one that was handed on, and is counted on the lot that it is about
        and state.counts(entry, latest)
        and (latest.verdict, latest.model) == (Verdict.PASS, gate.model)
    )


def _waived(entry: Entry[lots.GateWaived], state: State) -> None:
    lot, inspector = state.lot(entry, entry.histories[0]), entry.event.inspector
    order = state.order_of(lot)
    if order is None or not state.inspects(inspector, lot):
        raise broken(entry, f"the lot's order has no gate of participant {inspector}")
    state.proved.participant(entry, inspector)
    hold(entry.participant == order.buyer, entry, "a gate is waived by another participant than the buyer")
    hold(lot.state is not LotState.SPENT, entry, "a gate is waived when nothing was left")
    latest = lot.standing(inspector).latest
    number = 0 if latest is None else latest.sequence
    hold(entry.event.certificate == number, entry, f"the waiver names another certificate than {number}")
    lot.waivers[inspector] = Waiver(entry.sequence, order.subject, latest)


CUSTODY_RULES = dict(
    [
        on(lots.CustodyOffered, _offered),
        on(lots.ReturnOffered, _return_offered),
        on(lots.CustodyAccepted, _accepted),
        on(lots.CustodyDeclined, _declined),
        on(lots.CustodyWithdrawn, _withdrawn),
        on(lots.CustodyReclaimed, _reclaimed),
        on(lots.GateWaived, _waived),
    ]
)


# Step 6 for notes: whether who made one had a part in what it is about.
#
# Not established: that a note of participant 0 is by the registry's owner of its time, whose address has no history.
# For that, only the contracts' code can be relied on.


def _noted(entry: Entry[NoteRecorded], state: State) -> None:
    about = entry.event.about
    hold(entry.event.kind_ != 0, entry, "a note without a kind")
    hold(about < entry.sequence, entry, f"a note about record {about} before that was made")
    hold(about != 0 or entry.event.kind_ != NoteKind.CORRECTION, entry, "a correction of no record")
    ascending = all(first < second for first, second in zip(entry.histories, entry.histories[1:], strict=False))
    hold(ascending, entry, "the subjects of a note are not strictly ascending")
    for name in entry.histories:
        # Of what has no history in the bundle, the state that the note was made in is not known.
        if name in state.shown:
            _require_part(entry, state, name)
            earlier = state.entries_of.get(name, {}).get(about)
            # Anybody with a part may say that a record is wrong. Only who made it takes something back by that.
            own = earlier is not None and earlier.participant == entry.participant
            if own and entry.event.kind_ == NoteKind.CORRECTION:
                state.corrected[about] = entry.sequence


def _require_part(entry: Entry[NoteRecorded], state: State, name: bytes) -> None:
    order, lot = state.orders.get(name), state.lots.get(name)
    hold(order is not None or lot is not None, entry, "a note on what does not exist yet", name)
    if not entry.participant:
        return
    may = order is not None and _is_party(order, entry.participant)
    if lot is not None:
        held = lot.parent is None and lot.custodian == entry.participant
        own = state.order_of(lot)
        may = held or lot.maker == entry.participant or (own is not None and _is_party(own, entry.participant))
        # A certificate of several lots is found by the first of them, as by the contract.
        may = may or any(one.issuer == entry.participant and one.lots[0] == name for one in lot.certificates)
    hold(may, entry, "a note by a participant without a part in it", name)


def _is_party(order: Order, participant: int) -> bool:
    return participant in {order.buyer, order.coordinator} | inspectors_of(order.terms)


NOTE_RULES = dict([on(NoteRecorded, _noted)])
