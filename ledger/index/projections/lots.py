"""Lots: created, received, transformed, scrapped, packed, quarantined (contracts/src/history/Lots.sol and others)."""

from __future__ import annotations

from collections.abc import Iterable

from millmark.ledger.events import Event, Recorded, lots
from millmark.ledger.index.projections.custody import note_change
from millmark.ledger.index.projections.standings import hand_on, quarantine, release
from millmark.ledger.index.state import State, on
from millmark.ledger.records import Input, LotState, Transformation, TransformationKind, optional_subject
from millmark.ledger.store.rows import (
    LotInputRow,
    LotOutputRow,
    LotRow,
    OperationRow,
    PackingRow,
    StandingRow,
    TransformationRow,
)

_MAX_LOTS = 64
"""Lots.MOST_LOTS. A lot's number is its creating record's sequence times this, plus its position in that record."""


def lot_commissioned(record: Recorded[lots.LotCommissioned], state: State) -> None:
    event = record.event
    lot = _create(record, state, record.subject, event.quantity, event.unit, event.claims_root)
    lot.order, lot.assignment = optional_subject(event.order), event.assignment


def lot_received(record: Recorded[lots.LotReceived], state: State) -> None:
    event = record.event
    _create(record, state, record.subject, event.quantity, event.unit, event.claims_root)


def lots_transformed(record: Recorded[lots.LotsTransformed], state: State) -> None:
    done = record.event.transformation
    state.add(_transformation(record, done))
    by, behind = _quarantined_by(state, done)
    _take_inputs(record, state, done.inputs)
    order = optional_subject(done.order)
    assignment = _assignment(state, done, order)
    made = record.event.outputs(record.histories)
    for place, output in enumerate(done.outputs):
        lot = _create(record, state, made[place], output.quantity, output.unit, output.claims_root, place)
        lot.order, lot.assignment = order, assignment
        if by:  # reworking does not lift the quarantine
            quarantine(record, state, lot, by, behind)
        if done.kind is TransformationKind.SPLIT:
            hand_on(state, state.need(LotRow, done.inputs[0].lot), lot)
        state.add(LotOutputRow(record.sequence, lot.subject, lot.quantity))


def lot_reworked(record: Recorded[lots.LotReworked], state: State) -> None:
    """The lot is the rework's output, so that whoever recalls a component finds it."""
    done, lot = record.event.rework, state.need(LotRow, record.subject)
    state.add(
        TransformationRow(
            sequence=record.sequence,
            participant=record.participant,
            kind=TransformationKind.REWORK,
            order=optional_subject(done.order),
            operation=done.operation,
            unit=lot.unit,
            output_unit=lot.unit,
            loss=0,
            yield_in=1,
            yield_out=1,
            transformed_at=record.block_time,
            claims_root=done.claims_root,
        )
    )
    _take_inputs(record, state, done.components)
    state.add(LotOutputRow(record.sequence, lot.subject, lot.quantity))
    lot.reworked = record.sequence


def lot_allocated(record: Recorded[lots.LotAllocated], state: State) -> None:
    state.need(LotRow, record.subject).order = record.event.order


def lot_deallocated(record: Recorded[lots.LotDeallocated], state: State) -> None:
    state.need(LotRow, record.subject).order = None


def lot_scrapped(record: Recorded[lots.LotScrapped], state: State) -> None:
    _consume(state.need(LotRow, record.subject), record.event.quantity)


def lots_packed(record: Recorded[lots.LotsPacked], state: State) -> None:
    parent, *children = record.histories
    for child in children:
        lot = state.need(LotRow, child)
        lot.parent, lot.packed_by = parent, record.sequence
        state.add(PackingRow(packed_by=record.sequence, child=child, parent=parent, unpacked_by=0))
        note_change(record, state, lot, to=lot.custodian)
    state.need(LotRow, parent).contents += len(children)


def lots_unpacked(record: Recorded[lots.LotsUnpacked], state: State) -> None:
    parent, *children = record.histories
    for child in children:
        lot = state.need(LotRow, child)
        state.need(PackingRow, lot.packed_by, child).unpacked_by = record.sequence
        note_change(record, state, lot, to=record.participant, before=record.participant)
        lot.parent, lot.packed_by = None, 0
        lot.custodian = record.participant  # while it was packed, only its parent changed hands
    state.need(LotRow, parent).contents -= len(children)


def lot_quarantined(record: Recorded[lots.LotQuarantined], state: State) -> None:
    quarantine(record, state, state.need(LotRow, record.subject), record.participant)


def lot_released(record: Recorded[lots.LotReleased], state: State) -> None:
    release(record, state, state.need(LotRow, record.subject))


def _create(
    record: Recorded[Event],
    state: State,
    subject: bytes,
    quantity: int,
    unit: bytes,
    claims_root: bytes,
    place: int = 0,
) -> LotRow:
    lot = LotRow(
        subject=subject,
        number=record.sequence * _MAX_LOTS + place,
        sequence=record.sequence,
        order=None,
        parent=None,
        packed_by=0,
        contents=0,
        offer=0,
        quantity=quantity,
        quantity_created=quantity,
        unit=unit,
        custodian=record.participant,
        counterparty=0,
        state=LotState.HELD,
        reworked=0,
        certificate=0,
        assignment=0,
        created_at=record.block_time,
        claims_root=claims_root,
    )
    state.add(lot)
    note_change(record, state, lot, to=record.participant, before=0)
    return lot


def _quarantined_by(state: State, done: Transformation) -> tuple[int, int]:
    """The participant who quarantined an input, and the certificate behind that; zeros for none.

    Only rework takes a quarantined lot: the one that is not a component.
    """
    for taken in done.inputs:
        lot = state.need(LotRow, taken.lot)
        if lot.state == LotState.QUARANTINED:
            standing = state.get(StandingRow, lot.subject, lot.counterparty)
            return lot.counterparty, 0 if standing is None else standing.quarantining
    return 0, 0


def _take_inputs(record: Recorded[Event], state: State, inputs: Iterable[Input]) -> None:
    for taken in inputs:
        lot = state.need(LotRow, taken.lot)
        _consume(lot, taken.quantity)
        state.add(LotInputRow(record.sequence, lot.subject, taken.quantity, taken.component))


def _consume(lot: LotRow, quantity: int) -> None:
    lot.quantity -= quantity
    if lot.quantity == 0:
        lot.state, lot.counterparty = LotState.SPENT, 0


def _assignment(state: State, done: Transformation, order: bytes | None) -> int:
    """The assignment under which an order's conversion or rework was done, 0 for all else.

    The event names only the operation; its current assignment is the one that the contract checked.
    """
    making = done.kind in (TransformationKind.CONVERSION, TransformationKind.REWORK)
    if order is None or not making:
        return 0
    return state.need(OperationRow, order, done.operation).assignment


def _transformation(record: Recorded[Event], done: Transformation) -> TransformationRow:
    return TransformationRow(
        sequence=record.sequence,
        participant=record.participant,
        kind=done.kind,
        order=optional_subject(done.order),
        operation=done.operation,
        unit=done.unit,
        output_unit=done.output_unit,
        loss=done.loss,
        yield_in=done.yield_in,
        yield_out=done.yield_out,
        transformed_at=record.block_time,
        claims_root=done.claims_root,
    )


PROJECTIONS = dict(
    [
        on(lots.LotCommissioned, lot_commissioned),
        on(lots.LotReceived, lot_received),
        on(lots.LotsTransformed, lots_transformed),
        on(lots.LotReworked, lot_reworked),
        on(lots.LotAllocated, lot_allocated),
        on(lots.LotDeallocated, lot_deallocated),
        on(lots.LotScrapped, lot_scrapped),
        on(lots.LotsPacked, lots_packed),
        on(lots.LotsUnpacked, lots_unpacked),
        on(lots.LotQuarantined, lot_quarantined),
        on(lots.LotReleased, lot_released),
    ]
)
