"""Certificates and the evidence under them (contracts/src/history/Certificates.sol, Evidence.sol)."""

from __future__ import annotations

import hashlib

from ledger.events import Event, Recorded, certificates, evidence
from ledger.index.projections.lots import quarantine, release
from ledger.index.state import State, on
from ledger.records import CertificateState, LotState, Verdict, optional_subject
from ledger.store.rows import AnchorRow, CertificateRow, LotRow, OrderRow, StreamRow

_EMPTY_ROOT = hashlib.sha256().digest()
"""Head of the empty tree, RFC 9162 section 2.1.1."""


def certificate_issued(record: Recorded[certificates.CertificateIssued], state: State) -> None:
    state.add(_certificate(record))
    lot = state.need(LotRow, record.subject)
    lot.certificate = record.sequence
    _follow(record, state, lot, record.event.statement.verdict is Verdict.FAIL, record.participant)


def certificate_upheld(record: Recorded[certificates.CertificateUpheld], state: State) -> None:
    certificate = _opened(record, state, CertificateState.UPHELD)
    if record.event.executed:
        certificate.executed = certificate.verdict


def certificate_refuted(record: Recorded[certificates.CertificateRefuted], state: State) -> None:
    """Applies the re-executed verdict to the lot, which is quarantined if there is none (the input was invalid)."""
    certificate = _opened(record, state, CertificateState.REFUTED)
    certificate.executed = record.event.executed
    lot = state.need(LotRow, record.subject)
    _follow(record, state, lot, record.event.executed is not Verdict.PASS, certificate.issuer)


def opening_demanded(record: Recorded[certificates.OpeningDemanded], state: State) -> None:
    certificate = state.need(CertificateRow, record.event.certificate)
    certificate.state = CertificateState.DEMANDED
    certificate.opening_deadline = record.event.deadline


def _opened(
    record: Recorded[certificates.CertificateUpheld | certificates.CertificateRefuted],
    state: State,
    outcome: CertificateState,
) -> CertificateRow:
    certificate = state.need(CertificateRow, record.event.certificate)
    certificate.state, certificate.opened_at = outcome, record.block_time
    return certificate


def _follow(record: Recorded[Event], state: State, lot: LotRow, fails: bool, inspector: int) -> None:
    """A failing verdict quarantines the lot for its inspector; a passing one lifts that inspector's quarantine."""
    if lot.state == LotState.SPENT:
        return
    apart = LotState(lot.state).is_quarantined
    if fails:
        # Only the order's inspector takes over another's quarantine: any other could lift it by failing, then passing.
        if not apart or _holds_gate(state, lot, inspector):
            quarantine(record, state, lot, inspector)
    elif apart and lot.counterparty == inspector:
        release(record, state, lot)


def _holds_gate(state: State, lot: LotRow, inspector: int) -> bool:
    """Whether the lot's order names this inspector."""
    return lot.order is not None and state.need(OrderRow, lot.order).inspector == inspector


def certificate_revoked(record: Recorded[certificates.CertificateRevoked], state: State) -> None:
    certificate = state.need(CertificateRow, record.event.certificate)
    certificate.state = CertificateState.REVOKED
    certificate.revoked_at = record.block_time
    certificate.reason_root = record.event.reason_root


def stream_opened(record: Recorded[evidence.StreamOpened], state: State) -> None:
    state.add(
        StreamRow(
            subject=record.subject,
            sequence=record.sequence,
            machine=record.event.machine,
            owner=record.participant,
            size=0,
            root=_EMPTY_ROOT,
            opened_at=record.block_time,
            claims_root=record.event.claims_root,
        )
    )


def stream_anchored(record: Recorded[evidence.StreamAnchored], state: State) -> None:
    size, root = record.event.size, record.event.root
    stream = state.need(StreamRow, record.subject)
    stream.size, stream.root = size, root
    state.add(AnchorRow(record.sequence, record.subject, size, root, anchored_at=record.block_time))


def _certificate(record: Recorded[certificates.CertificateIssued]) -> CertificateRow:
    statement = record.event.statement
    return CertificateRow(
        sequence=record.sequence,
        lot=record.subject,
        order=optional_subject(statement.order),
        issuer=record.participant,
        model=statement.model,
        verdict=statement.verdict,
        state=CertificateState.ISSUED,
        issued_at=record.block_time,
        expires_at=statement.expires_at,
        opening_deadline=0,
        opened_at=0,
        executed=Verdict.NONE,
        revoked_at=0,
        inference_digest=statement.inference_digest,
        stream=statement.stream,
        leaf_index=statement.leaf_index,
        leaf_hash=statement.leaf_hash,
        anchor_size=record.event.anchor_size,
        anchor_root=record.event.anchor_root,
        claims_root=statement.claims_root,
        reason_root=bytes(32),
    )


PROJECTIONS = dict(
    [
        on(certificates.CertificateIssued, certificate_issued),
        on(certificates.CertificateRevoked, certificate_revoked),
        on(certificates.CertificateUpheld, certificate_upheld),
        on(certificates.CertificateRefuted, certificate_refuted),
        on(certificates.OpeningDemanded, opening_demanded),
        on(evidence.StreamOpened, stream_opened),
        on(evidence.StreamAnchored, stream_anchored),
    ]
)
