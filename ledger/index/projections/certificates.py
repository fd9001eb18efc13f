"""Certificates and the evidence under them (contracts/src/history/Certificates.sol, Evidence.sol)."""

from __future__ import annotations

import hashlib

from millmark.ledger.events import Recorded, certificates, evidence
from millmark.ledger.index.projections.standings import counted, follow_verdict, inspectors_of, is_open, standing_of
from millmark.ledger.index.state import State, on
from millmark.ledger.records import CertificateState, Verdict, optional_subject
from millmark.ledger.store.rows import AnchorRow, CertificateRow, CertifiedLotRow, LotRow, StreamRow

_EMPTY_ROOT = hashlib.sha256().digest()
"""Head of the empty tree, RFC 9162 section 2.1.1."""


def certificate_issued(record: Recorded[certificates.CertificateIssued], state: State) -> None:
    statement = record.event.statement
    state.add(_certificate(record))
    for item in statement.items:
        lot = state.need(LotRow, item.lot)
        state.add(CertifiedLotRow(record.sequence, lot.subject))
        _certify(record, state, lot)
        inspectors = inspectors_of(state, lot)
        if not inspectors or record.participant in inspectors:
            lot.certificate = record.sequence
        if record.participant in inspectors:
            follow_verdict(record, state, lot, statement.verdict, record.participant, record.sequence)


def _certify(record: Recorded[certificates.CertificateIssued], state: State, lot: LotRow) -> None:
    """As Certificates._certify in contracts/src/history: what was open stays open, whatever is issued."""
    standing = standing_of(state, lot.subject, record.participant)
    if standing.latest and standing.latest < lot.reworked:
        standing.open = 0
    elif standing.latest:
        latest = state.need(CertificateRow, standing.latest)
        if latest.lot != lot.subject and is_open(latest):
            standing.open = counted(standing.open, 1)
    standing.latest, standing.key = record.sequence, record.key


def certificate_upheld(record: Recorded[certificates.CertificateUpheld], state: State) -> None:
    certificate = state.need(CertificateRow, record.event.certificate)
    # One that was opened without a demand had not been counted.
    if certificate.state == CertificateState.DEMANDED:
        _count(state, certificate, -1)
    certificate.state, certificate.opened_at = CertificateState.UPHELD, record.block_time
    if record.event.executed:
        certificate.executed = certificate.verdict


def certificate_refuted(record: Recorded[certificates.CertificateRefuted], state: State) -> None:
    """The lot follows the execution, as in Challenges._refute of contracts/src/history."""
    certificate = state.need(CertificateRow, record.event.certificate)
    # A demanded one has been counted since the demand, and stays so: what is upheld cannot be refuted any more.
    if not certificate.opening_deadline:
        _count(state, certificate, 1)
    certificate.state, certificate.opened_at = CertificateState.REFUTED, record.block_time
    executed = certificate.executed = record.event.executed
    lot = state.need(LotRow, record.subject)
    moves = lot.order == certificate.order and certificate.issuer in inspectors_of(state, lot)
    known = executed is not Verdict.NONE or certificate.verdict == Verdict.PASS
    if not moves or not known or certificate.sequence < lot.reworked:
        return
    if executed is not Verdict.PASS:
        follow_verdict(record, state, lot, Verdict.FAIL, certificate.issuer, 0)
    elif standing_of(state, lot.subject, certificate.issuer).quarantining == certificate.sequence:
        follow_verdict(record, state, lot, Verdict.PASS, certificate.issuer, 0)


def opening_demanded(record: Recorded[certificates.OpeningDemanded], state: State) -> None:
    certificate = state.need(CertificateRow, record.event.certificate)
    certificate.state = CertificateState.DEMANDED
    certificate.opening_deadline = record.event.deadline
    _count(state, certificate, 1)


def _count(state: State, certificate: CertificateRow, change: int) -> None:
    """Count an open certificate, unless it is about the lot as it was before it was reworked."""
    if certificate.sequence > state.need(LotRow, certificate.lot).reworked:
        standing = standing_of(state, certificate.lot, certificate.issuer)
        standing.open = counted(standing.open, change)


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
        order=optional_subject(statement.items[0].order),
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
