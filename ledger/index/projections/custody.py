"""Who holds a lot, and to whom it is offered (contracts/src/history/Custody.sol)."""

from __future__ import annotations

from millmark.ledger.errors import IndexHaltedError
from millmark.ledger.events import Event, Recorded, custody
from millmark.ledger.index.state import State, on
from millmark.ledger.records import LotState
from millmark.ledger.store.rows import CustodyChangeRow, LotRow, WaiverRow


def note_change(record: Recorded[Event], state: State, lot: LotRow, *, to: int, before: int | None = None) -> None:
    """Add to a lot's custody timeline. `before` is the participant who held it until now, by default its custodian."""
    state.add(
        CustodyChangeRow(
            sequence=record.sequence,
            lot=lot.subject,
            kind=record.kind,
            from_participant=lot.custodian if before is None else before,
            to_participant=to,
            changed_at=record.block_time,
        )
    )


def custody_offered(record: Recorded[custody.CustodyOffered], state: State) -> None:
    lot = state.need(LotRow, record.subject)
    to = record.event.to
    # An offer stands on the timeline too, although the custodian changes only when it is accepted.
    note_change(record, state, lot, to=to)
    lot.offer = record.sequence
    lot.state, lot.counterparty = LotState.OFFERED, to


def return_offered(record: Recorded[custody.ReturnOffered], state: State) -> None:
    lot = state.need(LotRow, record.subject)
    note_change(record, state, lot, to=record.event.to)
    lot.offer = record.sequence
    lot.state = LotState.RETURNING  # the counterparty stays the one who quarantined it


def custody_accepted(record: Recorded[custody.CustodyAccepted], state: State) -> None:
    _take(record, state)


def custody_accepted_in_part(record: Recorded[custody.CustodyAcceptedInPart], state: State) -> None:
    _take(record, state)


def custody_declined(record: Recorded[custody.CustodyDeclined], state: State) -> None:
    _give_back(record, state)


def custody_withdrawn(record: Recorded[custody.CustodyWithdrawn], state: State) -> None:
    _give_back(record, state)


def custody_reclaimed(record: Recorded[custody.CustodyReclaimed], state: State) -> None:
    _take(record, state)


def gate_waived(record: Recorded[custody.GateWaived], state: State) -> None:
    lot, event = state.need(LotRow, record.subject), record.event
    if lot.order is None:
        raise IndexHaltedError(f"record {record.sequence} waives a gate of a lot without an order", hint="report this")
    state.add(
        WaiverRow(
            sequence=record.sequence,
            lot=lot.subject,
            inspector=event.inspector,
            buyer=record.participant,
            order=lot.order,
            certificate=event.certificate,
            waived_at=record.block_time,
            reason_root=event.reason_root,
        )
    )


def _take(record: Recorded[Event], state: State) -> None:
    lot = state.need(LotRow, record.subject)
    note_change(record, state, lot, to=record.participant)
    lot.custodian = record.participant
    _end_offer(lot)


def _give_back(record: Recorded[Event], state: State) -> None:
    lot = state.need(LotRow, record.subject)
    note_change(record, state, lot, to=lot.custodian)
    _end_offer(lot)


def _end_offer(lot: LotRow) -> None:
    """End a lot's open offer, if there is one: a returning lot stays quarantined."""
    if lot.state == LotState.RETURNING:
        lot.state = LotState.QUARANTINED
    elif lot.state == LotState.OFFERED:
        lot.state, lot.counterparty = LotState.HELD, 0


PROJECTIONS = dict(
    [
        on(custody.CustodyOffered, custody_offered),
        on(custody.ReturnOffered, return_offered),
        on(custody.CustodyAccepted, custody_accepted),
        on(custody.CustodyAcceptedInPart, custody_accepted_in_part),
        on(custody.CustodyDeclined, custody_declined),
        on(custody.CustodyWithdrawn, custody_withdrawn),
        on(custody.CustodyReclaimed, custody_reclaimed),
        on(custody.GateWaived, gate_waived),
    ]
)
