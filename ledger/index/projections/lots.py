"""Lots: made, received, transformed, scrapped, packed, set apart (contracts/src/history: Lots, Transformations)."""

from __future__ import annotations

from ledger.index.projections.custody import note_change
from ledger.index.projections.fields import Fields, number, raw, struct, structs, subject
from ledger.index.state import State
from ledger.records import LotState, Recorded, TransformationKind
from ledger.store.rows import (
    LotInputRow,
    LotOutputRow,
    LotRow,
    OperationRow,
    PackingRow,
    TransformationRow,
)

_MOST_LOTS = 64
"""Lots.MOST_LOTS: what a lot's number counts in."""


def lot_commissioned(record: Recorded, state: State) -> None:
    lot = _create(record, state, record.subject, record.fields)
    lot.order = subject(record.fields, "order")
    lot.assignment = number(record.fields, "assignment")


def lot_received(record: Recorded, state: State) -> None:
    _create(record, state, record.subject, record.fields)


def lots_transformed(record: Recorded, state: State) -> None:
    done = struct(record.fields, "transformation")
    state.add(_transformation(record, done))
    by = _take_inputs(record, state, structs(done, "inputs"))
    order = subject(done, "order")
    assignment = _assignment(state, done, order)
    made = record.histories[len(structs(done, "inputs")) :]
    for place, output in enumerate(structs(done, "outputs")):
        lot = _create(record, state, made[place], {**output, "unit": raw(done, "output_unit")}, place)
        lot.order, lot.assignment = order, assignment
        if by:
            lot.state, lot.counterparty = LotState.QUARANTINED, by
        state.add(LotOutputRow(record.sequence, lot.subject, lot.quantity))


def lot_scrapped(record: Recorded, state: State) -> None:
    _consume(state.need(LotRow, record.subject), number(record.fields, "quantity"))


def lots_packed(record: Recorded, state: State) -> None:
    parent, *children = record.histories
    for child in children:
        lot = state.need(LotRow, child)
        lot.parent, lot.packed_by = parent, record.sequence
        state.add(PackingRow(packed_by=record.sequence, child=child, parent=parent, unpacked_by=0))
        note_change(record, state, lot, to=lot.custodian)
    state.need(LotRow, parent).contents += len(children)


def lots_unpacked(record: Recorded, state: State) -> None:
    parent, *children = record.histories
    for child in children:
        lot = state.need(LotRow, child)
        state.need(PackingRow, lot.packed_by, child).unpacked_by = record.sequence
        note_change(record, state, lot, to=record.participant, since=record.participant)
        lot.parent, lot.packed_by = None, 0
        lot.custodian = record.participant
    state.need(LotRow, parent).contents -= len(children)


def lot_quarantined(record: Recorded, state: State) -> None:
    quarantine(record, state, state.need(LotRow, record.subject), record.participant)


def lot_released(record: Recorded, state: State) -> None:
    release(state.need(LotRow, record.subject))


def quarantine(record: Recorded, state: State, lot: LotRow, participant: int) -> None:
    """Sets a lot apart in a participant's name; an open offer lapses."""
    if lot.state == LotState.OFFERED:
        note_change(record, state, lot, to=lot.custodian)
    lot.state, lot.counterparty = LotState.QUARANTINED, participant


def release(lot: LotRow) -> None:
    lot.state, lot.counterparty = LotState.HELD, 0


def _create(record: Recorded, state: State, lot_subject: bytes, fields: Fields, place: int = 0) -> LotRow:
    lot = LotRow(
        subject=lot_subject,
        number=record.sequence * _MOST_LOTS + place,
        sequence=record.sequence,
        order=None,
        parent=None,
        packed_by=0,
        contents=0,
        quantity=number(fields, "quantity"),
        quantity_created=number(fields, "quantity"),
        unit=raw(fields, "unit"),
        custodian=record.participant,
        counterparty=0,
        state=LotState.HELD,
        certificate=0,
        assignment=0,
        created_at=record.block_time,
        claims_root=raw(fields, "claims_root"),
    )
    state.add(lot)
    note_change(record, state, lot, to=record.participant, since=0)
    return lot


def _take_inputs(record: Recorded, state: State, inputs: list[Fields]) -> int:
    """Takes the inputs out of their lots. Returns who quarantined the reworked one, 0 for nobody: no other kind of
    transformation takes a quarantined lot."""
    by = 0
    for taken in inputs:
        lot = state.need(LotRow, raw(taken, "lot"))
        if lot.state == LotState.QUARANTINED:
            by = lot.counterparty
        _consume(lot, number(taken, "quantity"))
        state.add(LotInputRow(record.sequence, lot.subject, number(taken, "quantity")))
    return by


def _consume(lot: LotRow, quantity: int) -> None:
    lot.quantity -= quantity
    if lot.quantity == 0:
        lot.state, lot.counterparty = LotState.SPENT, 0


def _assignment(state: State, done: Fields, order: bytes | None) -> int:
    """What conversion and rework of an order were done under; the contract names it by its operation."""
    making = number(done, "kind") in (TransformationKind.CONVERSION, TransformationKind.REWORK)
    if order is None or not making:
        return 0
    return state.need(OperationRow, order, number(done, "operation")).assignment


def _transformation(record: Recorded, done: Fields) -> TransformationRow:
    return TransformationRow(
        sequence=record.sequence,
        participant=record.participant,
        kind=number(done, "kind"),
        order=subject(done, "order"),
        operation=number(done, "operation"),
        unit=raw(done, "unit"),
        output_unit=raw(done, "output_unit"),
        loss=number(done, "loss"),
        yield_in=number(done, "yield_in"),
        yield_out=number(done, "yield_out"),
        transformed_at=record.block_time,
        claims_root=raw(done, "claims_root"),
    )


PROJECTIONS = {
    "LotCommissioned": lot_commissioned,
    "LotReceived": lot_received,
    "LotsTransformed": lots_transformed,
    "LotScrapped": lot_scrapped,
    "LotsPacked": lots_packed,
    "LotsUnpacked": lots_unpacked,
    "LotQuarantined": lot_quarantined,
    "LotReleased": lot_released,
}
