"""Certificates and the evidence under them (contracts/src/history/Certificates.sol, Evidence.sol)."""

from __future__ import annotations

import hashlib

from ledger.index.projections.fields import ZERO, Fields, number, raw, struct, subject
from ledger.index.projections.lots import quarantine, release
from ledger.index.state import State
from ledger.records import CertificateState, LotState, Recorded, Verdict
from ledger.store.rows import AnchorRow, CertificateRow, LotRow, OrderRow, StreamRow

_EMPTY_ROOT = hashlib.sha256().digest()
"""Head of the empty tree, RFC 9162 section 2.1.1."""


def certificate_issued(record: Recorded, state: State) -> None:
    statement = struct(record.fields, "statement")
    state.add(_certificate(record, statement))
    lot = state.need(LotRow, record.subject)
    lot.certificate = record.sequence
    _follow(record, state, lot, number(statement, "verdict") == Verdict.FAIL, record.participant)


def certificate_upheld(record: Recorded, state: State) -> None:
    certificate = _opened(record, state, CertificateState.UPHELD)
    if record.fields["executed"]:
        certificate.executed = certificate.verdict


def certificate_refuted(record: Recorded, state: State) -> None:
    """The lot goes where what was executed sends it; where nothing was, it is set apart."""
    certificate = _opened(record, state, CertificateState.REFUTED)
    certificate.executed = number(record.fields, "executed")
    lot = state.need(LotRow, record.subject)
    _follow(record, state, lot, certificate.executed != Verdict.PASS, certificate.issuer)


def opening_demanded(record: Recorded, state: State) -> None:
    certificate = state.need(CertificateRow, number(record.fields, "certificate"))
    certificate.state = CertificateState.DEMANDED
    certificate.opening_deadline = number(record.fields, "deadline")


def _opened(record: Recorded, state: State, outcome: CertificateState) -> CertificateRow:
    certificate = state.need(CertificateRow, number(record.fields, "certificate"))
    certificate.state, certificate.opened_at = outcome, record.block_time
    return certificate


def _follow(record: Recorded, state: State, lot: LotRow, fails: bool, inspector: int) -> None:
    """A verdict quarantines the lot in its inspector's name, or lifts that inspector's quarantine."""
    if lot.state == LotState.SPENT:
        return
    if fails:
        if lot.state != LotState.QUARANTINED or _holds_gate(state, lot, inspector):
            quarantine(record, state, lot, inspector)
    elif lot.state == LotState.QUARANTINED and lot.counterparty == inspector:
        release(lot)


def _holds_gate(state: State, lot: LotRow, inspector: int) -> bool:
    """Whether the inspector is the one whom the lot's order names."""
    return lot.order is not None and state.need(OrderRow, lot.order).inspector == inspector


def certificate_revoked(record: Recorded, state: State) -> None:
    certificate = state.need(CertificateRow, number(record.fields, "certificate"))
    certificate.state = CertificateState.REVOKED
    certificate.revoked_at = record.block_time
    certificate.reason_root = raw(record.fields, "reason_root")


def stream_opened(record: Recorded, state: State) -> None:
    state.add(
        StreamRow(
            subject=record.subject,
            sequence=record.sequence,
            machine=number(record.fields, "machine"),
            owner=record.participant,
            size=0,
            root=_EMPTY_ROOT,
            opened_at=record.block_time,
            claims_root=raw(record.fields, "claims_root"),
        )
    )


def stream_anchored(record: Recorded, state: State) -> None:
    size, root = number(record.fields, "size"), raw(record.fields, "root")
    stream = state.need(StreamRow, record.subject)
    stream.size, stream.root = size, root
    state.add(AnchorRow(record.sequence, record.subject, size, root, anchored_at=record.block_time))


def _certificate(record: Recorded, statement: Fields) -> CertificateRow:
    return CertificateRow(
        sequence=record.sequence,
        lot=record.subject,
        order=subject(statement, "order"),
        issuer=record.participant,
        model=number(statement, "model"),
        verdict=number(statement, "verdict"),
        state=CertificateState.ISSUED,
        issued_at=record.block_time,
        expires_at=number(statement, "expires_at"),
        opening_deadline=0,
        opened_at=0,
        executed=Verdict.NONE,
        revoked_at=0,
        inference_digest=raw(statement, "inference_digest"),
        stream=raw(statement, "stream"),
        leaf_index=number(statement, "leaf_index"),
        leaf_hash=raw(statement, "leaf_hash"),
        anchor_size=number(record.fields, "anchor_size"),
        anchor_root=raw(record.fields, "anchor_root"),
        claims_root=raw(statement, "claims_root"),
        reason_root=ZERO,
    )


PROJECTIONS = {
    "CertificateIssued": certificate_issued,
    "CertificateRevoked": certificate_revoked,
    "CertificateUpheld": certificate_upheld,
    "CertificateRefuted": certificate_refuted,
    "OpeningDemanded": opening_demanded,
    "StreamOpened": stream_opened,
    "StreamAnchored": stream_anchored,
}
