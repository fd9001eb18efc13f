"""Rules of transformations, rework, and lots between stock and orders (contracts/src/history/Transformations.sol).

Lots without a history in the bundle are not judged. A lot that was made needs the histories of all that went into it;
an input does not need those of what was made from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from millmark.ledger.events import Event, lots
from millmark.ledger.records import (
    AssignmentState,
    Input,
    LotState,
    OrderState,
    TransformationKind,
    optional_subject,
)
from millmark.ledger.verify._quantities import MAX_LOTS, consume, join, make, own, quarantine
from millmark.ledger.verify._state import Certificate, Entry, Lot, Standing, State, broken, hold, on, subject_of_lot

__all__ = ["TRANSFORMATION_RULES"]

_MAKING = (TransformationKind.CONVERSION, TransformationKind.REWORK)
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
        work = _work(entry, state, order, change.operation) if change.kind in _MAKING else 0
    quarantined_by, behind = _take_inputs(entry, state, required=making)
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
        if quarantined_by:
            quarantine(lot, quarantined_by, behind)
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
    elif change.kind is TransformationKind.REWORK:
        fits = fits and conserved == 1
    hold(fits, entry, f"a {change.kind.name.lower()} of {conserved} lots, with {len(taken)} taken, into {len(made)}")


def _ascend(names: Sequence[bytes]) -> bool:
    return all(one < two for one, two in itertools.pairwise(names))


def _work(entry: Entry[Event], state: State, order: bytes, operation: int) -> int:
    """The assignment of an operation, if the record's participant has started it. Raises ReplayRefused."""
    current = state.order(entry, order).current.get(operation)
    if current is None or current.state is not AssignmentState.STARTED or current.owner != entry.participant:
        raise broken(entry, "the lot was made without a started assignment", order)
    return current.sequence


def _take_inputs(entry: Entry[lots.LotsTransformed], state: State, *, required: bool) -> tuple[int, Certificate | None]:
    """Take the inputs. Returns the participant who quarantined the reworked lot, 0 for none, and the certificate
    behind that."""
    change = entry.event.transformation
    order = optional_subject(change.order)
    quarantined_by, behind = 0, None
    for taken in change.inputs:
        if taken.lot not in state.lots and not required:
            continue
        lot = own(entry, state.lot(entry, taken.lot))
        reworked = change.kind is TransformationKind.REWORK and not taken.component
        if lot.state is LotState.QUARANTINED and reworked:
            quarantined_by, behind = lot.counterparty, lot.standing(lot.counterparty).quarantining
        else:
            hold(lot.state is LotState.HELD, entry, f"taken while {lot.state.name.lower()}", taken.lot)
        hold(taken.component or lot.unit == change.unit, entry, "the lot has another unit", taken.lot)
        joins = change.kind is TransformationKind.CONVERSION or (taken.component and change.kind in _MAKING)
        _take(entry, state, taken, order, joins=joins)
    return quarantined_by, behind


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
    work = _work(entry, state, order.subject, assignment.operation)
    hold(work == assignment.sequence, entry, "allocated under another assignment")
    join(lot, order.subject)


def _deallocated(entry: Entry[lots.LotDeallocated], state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    order = state.order_of(lot)
    if order is None or order.subject != entry.event.order:
        raise broken(entry, "the lot is of another order than stated")
    # Not established: that the buyer of an ended order with a gate could not act when its coordinator did this.
    unguarded = not order.terms.gates or order.state is OrderState.ENDED
    coordinates = order.coordinator == entry.participant and unguarded
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
