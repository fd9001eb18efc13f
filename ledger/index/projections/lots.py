"""Lots: created, received, transformed, scrapped, packed, quarantined (contracts/src/history/Lots.sol and others)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from millmark.ledger import records
from millmark.ledger.errors import IndexHaltedError
from millmark.ledger.events import Event, Recorded, certificates, lots
from millmark.ledger.index.state import State, copy_to, on, row_of
from millmark.ledger.store import rows

# Who holds a lot, and to whom it is offered (contracts/src/history/Custody.sol).


def note_change(record: Recorded[Event], state: State, lot: rows.LotRow, *, to: int, before: int | None = None) -> None:
    """Add to a lot's custody timeline. `before` is the participant who held it until now, by default its custodian."""
    state.add(
        rows.CustodyChangeRow(
            sequence=record.sequence,
            lot=lot.subject,
            kind=record.kind,
            from_participant=lot.custodian if before is None else before,
            to_participant=to,
            changed_at=record.block_time,
        )
    )


def custody_offered(record: Recorded[lots.CustodyOffered], state: State) -> None:
    lot = state.need(rows.LotRow, record.subject)
    to = record.event.to
    # An offer stands on the timeline too, although the custodian changes only when it is accepted.
    note_change(record, state, lot, to=to)
    lot.offer = record.sequence
    lot.state, lot.counterparty = records.LotState.OFFERED, to


def return_offered(record: Recorded[lots.ReturnOffered], state: State) -> None:
    lot = state.need(rows.LotRow, record.subject)
    note_change(record, state, lot, to=record.event.to)
    lot.offer = record.sequence
    lot.state = records.LotState.RETURNING  # the counterparty stays the one who quarantined it


def gate_waived(record: Recorded[lots.GateWaived], state: State) -> None:
    lot, event = state.need(rows.LotRow, record.subject), record.event
    if lot.order is None:
        raise IndexHaltedError(f"record {record.sequence} waives a gate of a lot without an order", hint="report this")
    state.add(
        row_of(
            rows.WaiverRow,
            event,
            sequence=record.sequence,
            lot=lot.subject,
            buyer=record.participant,
            order=lot.order,
            waived_at=record.block_time,
        )
    )


def _take(record: Recorded[Event], state: State) -> None:
    lot = state.need(rows.LotRow, record.subject)
    note_change(record, state, lot, to=record.participant)
    lot.custodian = record.participant
    _end_offer(lot)


def _give_back(record: Recorded[Event], state: State) -> None:
    lot = state.need(rows.LotRow, record.subject)
    note_change(record, state, lot, to=lot.custodian)
    _end_offer(lot)


def _end_offer(lot: rows.LotRow) -> None:
    """End a lot's open offer, if there is one: a returning lot stays quarantined."""
    if lot.state == records.LotState.RETURNING:
        lot.state = records.LotState.QUARANTINED
    elif lot.state == records.LotState.OFFERED:
        lot.state, lot.counterparty = records.LotState.HELD, 0


# What certificates amount to, per lot and inspector (contracts/src/history/Verdicts.sol).

_NO_KEY = bytes(20)


def standing_of(state: State, lot: bytes, inspector: int) -> rows.StandingRow:
    """The standing of an inspector on a lot, which is added if there is none."""
    found = state.get(rows.StandingRow, lot, inspector)
    if found is None:
        found = rows.StandingRow(lot, inspector, latest=0, quarantining=0, open=0, key=_NO_KEY)
        state.add(found)
    return found


def inspectors_of(state: State, lot: rows.LotRow) -> tuple[int, ...]:
    """The inspectors of the gates of the lot's order."""
    gates = () if lot.order is None else rows.gates_of(state.need(rows.OrderRow, lot.order))
    return tuple(gate.inspector for gate in gates)


def is_open(certificate: rows.CertificateRow) -> bool:
    """Whether a certificate was demanded or refuted, and not upheld."""
    demanded = certificate.opening_deadline != 0 and certificate.state != records.CertificateState.UPHELD
    return demanded or certificate.state == records.CertificateState.REFUTED


def counted(open_: int, change: int) -> int:
    """The number of open certificates after a change of one. At its most it stays, as in the contract."""
    return open_ if open_ == records.MAX_OPEN or open_ + change < 0 else open_ + change


def hand_on(state: State, lot: rows.LotRow, part: rows.LotRow) -> None:
    """Give a lot that was split off what the gates' inspectors certified of the whole, except what a rework voided."""
    for inspector in inspectors_of(state, part):
        standing = state.get(rows.StandingRow, lot.subject, inspector)
        if standing is None or not standing.latest or standing.latest < lot.reworked:
            continue
        latest = state.need(rows.CertificateRow, standing.latest)
        still = counted(standing.open, -1) if is_open(latest) else standing.open
        state.add(
            rows.StandingRow(part.subject, inspector, standing.latest, quarantining=0, open=still, key=standing.key)
        )
        state.add(rows.CertifiedLotRow(standing.latest, part.subject))
        part.certificate = max(part.certificate, standing.latest)


def follow_verdict(
    record: Recorded[Event], state: State, lot: rows.LotRow, verdict: records.Verdict, inspector: int, certificate: int
) -> None:
    """Quarantine a lot for a gate's inspector if the verdict is a fail; otherwise lift that quarantine."""
    if lot.state == records.LotState.SPENT:
        return
    if verdict is records.Verdict.FAIL:
        quarantine(record, state, lot, inspector, certificate)
    elif records.LotState(lot.state).is_quarantined and lot.counterparty == inspector:
        release(record, state, lot)


def quarantine(record: Recorded[Event], state: State, lot: rows.LotRow, participant: int, certificate: int = 0) -> None:
    """Quarantine a lot in a participant's name; an open offer lapses. `certificate` is behind it, 0 for none."""
    _let_lapse(record, state, lot)
    lot.state, lot.counterparty = records.LotState.QUARANTINED, participant
    standing = state.get(rows.StandingRow, lot.subject, participant)
    if certificate or standing is not None:
        standing_of(state, lot.subject, participant).quarantining = certificate


def release(record: Recorded[Event], state: State, lot: rows.LotRow) -> None:
    """End a lot's quarantine; an open offer to its maker lapses."""
    _let_lapse(record, state, lot)
    lot.state, lot.counterparty = records.LotState.HELD, 0


def _let_lapse(record: Recorded[Event], state: State, lot: rows.LotRow) -> None:
    if lot.state in (records.LotState.OFFERED, records.LotState.RETURNING):
        note_change(record, state, lot, to=lot.custodian)


_MAX_LOTS = 64
"""Lots.MOST_LOTS. A lot's number is its creating record's sequence times this, plus its position in that record."""


def lot_commissioned(record: Recorded[lots.LotCommissioned], state: State) -> None:
    event = record.event
    lot = _create(record, state, record.subject, event.quantity, event.unit, event.claims_root)
    lot.order, lot.assignment = records.optional_subject(event.order), event.assignment


def lot_received(record: Recorded[lots.LotReceived], state: State) -> None:
    event = record.event
    _create(record, state, record.subject, event.quantity, event.unit, event.claims_root)


def lots_transformed(record: Recorded[lots.LotsTransformed], state: State) -> None:
    done = record.event.transformation
    state.add(_transformation(record, done))
    _take_inputs(record, state, done.inputs)
    order = records.optional_subject(done.order)
    assignment = _assignment(state, done, order)
    made = record.event.outputs(record.histories)
    for place, output in enumerate(done.outputs):
        lot = _create(record, state, made[place], output.quantity, output.unit, output.claims_root, place)
        lot.order, lot.assignment = order, assignment
        if done.kind is records.TransformationKind.SPLIT:
            hand_on(state, state.need(rows.LotRow, done.inputs[0].lot), lot)
        state.add(rows.LotOutputRow(record.sequence, lot.subject, lot.quantity))


def lot_reworked(record: Recorded[lots.LotReworked], state: State) -> None:
    """The lot is the rework's output, so that whoever recalls a component finds it."""
    done, lot = record.event.rework, state.need(rows.LotRow, record.subject)
    state.add(
        row_of(
            rows.TransformationRow,
            done,
            sequence=record.sequence,
            participant=record.participant,
            kind=rows.StepKind.REWORK,
            order=records.optional_subject(done.order),
            unit=lot.unit,
            output_unit=lot.unit,
            yield_in=1,
            yield_out=1,
            transformed_at=record.block_time,
        )
    )
    _take_inputs(record, state, done.components)
    state.add(rows.LotOutputRow(record.sequence, lot.subject, lot.quantity))
    lot.reworked = record.sequence


def lot_allocated(record: Recorded[lots.LotAllocated], state: State) -> None:
    state.need(rows.LotRow, record.subject).order = record.event.order


def lot_deallocated(record: Recorded[lots.LotDeallocated], state: State) -> None:
    state.need(rows.LotRow, record.subject).order = None


def lot_scrapped(record: Recorded[lots.LotScrapped], state: State) -> None:
    _consume(state.need(rows.LotRow, record.subject), record.event.quantity)


def lots_packed(record: Recorded[lots.LotsPacked], state: State) -> None:
    parent, *children = record.histories
    for child in children:
        lot = state.need(rows.LotRow, child)
        lot.parent, lot.packed_by = parent, record.sequence
        state.add(rows.PackingRow(packed_by=record.sequence, child=child, parent=parent, unpacked_by=0))
        note_change(record, state, lot, to=lot.custodian)
    state.need(rows.LotRow, parent).contents += len(children)


def lots_unpacked(record: Recorded[lots.LotsUnpacked], state: State) -> None:
    parent, *children = record.histories
    if record.participant != record.event.custodian:
        _end_offer(state.need(rows.LotRow, parent))
    for child in children:
        lot = state.need(rows.LotRow, child)
        state.need(rows.PackingRow, lot.packed_by, child).unpacked_by = record.sequence
        note_change(record, state, lot, to=record.event.custodian, before=record.event.custodian)
        lot.parent, lot.packed_by = None, 0
        lot.custodian = record.event.custodian  # while it was packed, only its parent changed hands
    state.need(rows.LotRow, parent).contents -= len(children)


def lot_quarantined(record: Recorded[lots.LotQuarantined], state: State) -> None:
    quarantine(record, state, state.need(rows.LotRow, record.subject), record.participant)


def lot_released(record: Recorded[lots.LotReleased], state: State) -> None:
    release(record, state, state.need(rows.LotRow, record.subject))


def _create(
    record: Recorded[Event],
    state: State,
    subject: bytes,
    quantity: int,
    unit: bytes,
    claims_root: bytes,
    place: int = 0,
) -> rows.LotRow:
    lot = row_of(
        rows.LotRow,
        subject=subject,
        number=record.sequence * _MAX_LOTS + place,
        sequence=record.sequence,
        quantity=quantity,
        quantity_created=quantity,
        unit=unit,
        custodian=record.participant,
        state=records.LotState.HELD,
        created_at=record.block_time,
        claims_root=claims_root,
    )
    state.add(lot)
    note_change(record, state, lot, to=record.participant, before=0)
    return lot


def _take_inputs(record: Recorded[Event], state: State, inputs: Iterable[records.Input]) -> None:
    for taken in inputs:
        lot = state.need(rows.LotRow, taken.lot)
        _consume(lot, taken.quantity)
        state.add(rows.LotInputRow(record.sequence, lot.subject, taken.quantity, taken.component))


def _consume(lot: rows.LotRow, quantity: int) -> None:
    lot.quantity -= quantity
    if lot.quantity == 0:
        lot.state, lot.counterparty = records.LotState.SPENT, 0


def _assignment(state: State, done: records.Transformation, order: bytes | None) -> int:
    """The assignment under which an order's conversion was done, 0 for all else. The event names only the operation;
    its current assignment is the one that the contract checked."""
    if order is None or done.kind is not records.TransformationKind.CONVERSION:
        return 0
    return state.need(rows.OperationRow, order, done.operation).assignment


def _transformation(record: Recorded[Event], done: records.Transformation) -> rows.TransformationRow:
    return row_of(
        rows.TransformationRow,
        done,
        sequence=record.sequence,
        participant=record.participant,
        order=records.optional_subject(done.order),
        transformed_at=record.block_time,
    )


# Certificates and the evidence under them (contracts/src/history/Certificates.sol, Evidence.sol).

_EMPTY_ROOT = hashlib.sha256().digest()
"""Head of the empty tree, RFC 9162 section 2.1.1."""


def certificate_issued(record: Recorded[certificates.CertificateIssued], state: State) -> None:
    statement = record.event.statement
    state.add(_certificate(record))
    for item in statement.items:
        lot = state.need(rows.LotRow, item.lot)
        state.add(rows.CertifiedLotRow(record.sequence, lot.subject))
        _certify(record, state, lot)
        inspectors = inspectors_of(state, lot)
        if not inspectors or record.participant in inspectors:
            lot.certificate = record.sequence
        if record.participant in inspectors:
            follow_verdict(record, state, lot, statement.verdict, record.participant, record.sequence)


def _certify(record: Recorded[certificates.CertificateIssued], state: State, lot: rows.LotRow) -> None:
    """As Certificates._certify in contracts/src/history: what was open stays open, whatever is issued."""
    standing = standing_of(state, lot.subject, record.participant)
    if standing.latest and standing.latest < lot.reworked:
        standing.open = 0
    elif standing.latest:
        latest = state.need(rows.CertificateRow, standing.latest)
        if latest.lot != lot.subject and is_open(latest):
            standing.open = counted(standing.open, 1)
    standing.latest, standing.key = record.sequence, record.key


def certificate_upheld(record: Recorded[certificates.CertificateUpheld], state: State) -> None:
    certificate = state.need(rows.CertificateRow, record.event.certificate)
    # One that was opened without a demand had not been counted.
    if certificate.state == records.CertificateState.DEMANDED:
        _count(state, certificate, -1)
    certificate.state, certificate.opened_at = records.CertificateState.UPHELD, record.block_time
    if record.event.executed:
        certificate.executed = certificate.verdict


def certificate_refuted(record: Recorded[certificates.CertificateRefuted], state: State) -> None:
    """The lot follows the execution, as in Challenges._refute of contracts/src/history."""
    certificate = state.need(rows.CertificateRow, record.event.certificate)
    # A demanded one has been counted since the demand, and stays so: what is upheld cannot be refuted any more.
    if not certificate.opening_deadline:
        _count(state, certificate, 1)
    certificate.state, certificate.opened_at = records.CertificateState.REFUTED, record.block_time
    executed = certificate.executed = record.event.executed
    lot = state.need(rows.LotRow, record.subject)
    moves = lot.order == certificate.order and certificate.issuer in inspectors_of(state, lot)
    known = executed is not records.Verdict.NONE or certificate.verdict == records.Verdict.PASS
    if not moves or not known or certificate.sequence < lot.reworked:
        return
    if executed is not records.Verdict.PASS:
        follow_verdict(record, state, lot, records.Verdict.FAIL, certificate.issuer, 0)
    elif standing_of(state, lot.subject, certificate.issuer).quarantining == certificate.sequence:
        follow_verdict(record, state, lot, records.Verdict.PASS, certificate.issuer, 0)


def opening_demanded(record: Recorded[certificates.OpeningDemanded], state: State) -> None:
    certificate = state.need(rows.CertificateRow, record.event.certificate)
    certificate.state = records.CertificateState.DEMANDED
    certificate.opening_deadline = record.event.deadline
    _count(state, certificate, 1)


def _count(state: State, certificate: rows.CertificateRow, change: int) -> None:
    """Count an open certificate, unless it is about the lot as it was before it was reworked."""
    if certificate.sequence > state.need(rows.LotRow, certificate.lot).reworked:
        standing = standing_of(state, certificate.lot, certificate.issuer)
        standing.open = counted(standing.open, change)


def certificate_revoked(record: Recorded[certificates.CertificateRevoked], state: State) -> None:
    certificate = state.need(rows.CertificateRow, record.event.certificate)
    certificate.state = records.CertificateState.REVOKED
    certificate.revoked_at = record.block_time
    certificate.reason_root = record.event.reason_root


def stream_opened(record: Recorded[certificates.StreamOpened], state: State) -> None:
    state.add(
        row_of(
            rows.StreamRow,
            record.event,
            subject=record.subject,
            sequence=record.sequence,
            owner=record.participant,
            root=_EMPTY_ROOT,
            opened_at=record.block_time,
        )
    )


def stream_anchored(record: Recorded[certificates.StreamAnchored], state: State) -> None:
    copy_to(state.need(rows.StreamRow, record.subject), record.event)
    anchored = row_of(
        rows.AnchorRow, record.event, sequence=record.sequence, stream=record.subject, anchored_at=record.block_time
    )
    state.add(anchored)


def _certificate(record: Recorded[certificates.CertificateIssued]) -> rows.CertificateRow:
    statement = record.event.statement
    return row_of(
        rows.CertificateRow,
        record.event,
        statement,
        sequence=record.sequence,
        lot=record.subject,
        order=records.optional_subject(statement.items[0].order),
        issuer=record.participant,
        state=records.CertificateState.ISSUED,
        issued_at=record.block_time,
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
        on(lots.CustodyOffered, custody_offered),
        on(lots.ReturnOffered, return_offered),
        on(lots.CustodyAccepted, _take),
        on(lots.CustodyDeclined, _give_back),
        on(lots.CustodyWithdrawn, _give_back),
        on(lots.CustodyReclaimed, _take),
        on(lots.GateWaived, gate_waived),
        on(certificates.CertificateIssued, certificate_issued),
        on(certificates.CertificateRevoked, certificate_revoked),
        on(certificates.CertificateUpheld, certificate_upheld),
        on(certificates.CertificateRefuted, certificate_refuted),
        on(certificates.OpeningDemanded, opening_demanded),
        on(certificates.StreamOpened, stream_opened),
        on(certificates.StreamAnchored, stream_anchored),
    ]
)
