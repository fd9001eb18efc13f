"""What certificates amount to, per lot and inspector (contracts/src/history/Verdicts.sol)."""

from __future__ import annotations

from millmark.ledger.events import Event, Recorded
from millmark.ledger.index.projections.custody import note_change
from millmark.ledger.index.state import State
from millmark.ledger.records import MAX_OPEN, CertificateState, LotState, Verdict
from millmark.ledger.store.rows import CertificateRow, CertifiedLotRow, LotRow, OrderRow, StandingRow, gates_of

_NO_KEY = bytes(20)


def standing_of(state: State, lot: bytes, inspector: int) -> StandingRow:
    """The standing of an inspector on a lot, which is added if there is none."""
    found = state.get(StandingRow, lot, inspector)
    if found is None:
        found = StandingRow(lot, inspector, latest=0, quarantining=0, open=0, key=_NO_KEY)
        state.add(found)
    return found


def inspectors_of(state: State, lot: LotRow) -> tuple[int, ...]:
    """The inspectors of the gates of the lot's order."""
    return () if lot.order is None else tuple(gate.inspector for gate in gates_of(state.need(OrderRow, lot.order)))


def is_open(certificate: CertificateRow) -> bool:
    """Whether a certificate was demanded or refuted, and not upheld."""
    demanded = certificate.opening_deadline != 0 and certificate.state != CertificateState.UPHELD
    return demanded or certificate.state == CertificateState.REFUTED


def counted(open_: int, change: int) -> int:
    """The number of open certificates after a change of one. At its most it stays, as in the contract."""
    return open_ if open_ == MAX_OPEN or open_ + change < 0 else open_ + change


def hand_on(state: State, lot: LotRow, part: LotRow) -> None:
    """Give a lot that was split off what the gates' inspectors certified of the whole, except what a rework voided."""
    for inspector in inspectors_of(state, part):
        standing = state.get(StandingRow, lot.subject, inspector)
        if standing is None or not standing.latest or standing.latest < lot.reworked:
            continue
        latest = state.need(CertificateRow, standing.latest)
        still = counted(standing.open, -1) if is_open(latest) else standing.open
        state.add(StandingRow(part.subject, inspector, standing.latest, quarantining=0, open=still, key=standing.key))
        state.add(CertifiedLotRow(standing.latest, part.subject))
        part.certificate = max(part.certificate, standing.latest)


def follow_verdict(
    record: Recorded[Event], state: State, lot: LotRow, verdict: Verdict, inspector: int, certificate: int
) -> None:
    """Quarantine a lot for a gate's inspector if the verdict is a fail; otherwise lift that quarantine."""
    if lot.state == LotState.SPENT:
        return
    if verdict is Verdict.FAIL:
        quarantine(record, state, lot, inspector, certificate)
    elif LotState(lot.state).is_quarantined and lot.counterparty == inspector:
        release(record, state, lot)


def quarantine(record: Recorded[Event], state: State, lot: LotRow, participant: int, certificate: int = 0) -> None:
    """Quarantine a lot in a participant's name; an open offer lapses. `certificate` is behind it, 0 for none."""
    _end_offer(record, state, lot)
    lot.state, lot.counterparty = LotState.QUARANTINED, participant
    standing = state.get(StandingRow, lot.subject, participant)
    if certificate or standing is not None:
        standing_of(state, lot.subject, participant).quarantining = certificate


def release(record: Recorded[Event], state: State, lot: LotRow) -> None:
    """End a lot's quarantine; an open offer to its maker lapses."""
    _end_offer(record, state, lot)
    lot.state, lot.counterparty = LotState.HELD, 0


def _end_offer(record: Recorded[Event], state: State, lot: LotRow) -> None:
    if lot.state in (LotState.OFFERED, LotState.RETURNING):
        note_change(record, state, lot, to=lot.custodian)
