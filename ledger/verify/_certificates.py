"""Rules of certificates (contracts/src/interfaces/ICertificates.sol)."""

from __future__ import annotations

from ledger.events import certificates
from ledger.records import CertificateState, LotState, Verdict, optional_subject
from ledger.verify._state import WORTHLESS, Certificate, Entry, Lot, State, broken, hold, on, was_approved

__all__ = ["CERTIFICATE_RULES"]

_OPENING_PERIOD_S = 7 * 86_400


def _issued(entry: Entry[certificates.CertificateIssued], state: State) -> None:
    statement = entry.event.statement
    lot = state.lot(entry, entry.histories[0])
    hold(statement.lot == lot.subject, entry, "the statement is about another lot")
    hold(optional_subject(statement.order) == lot.order, entry, "the statement names another order")
    _verify_statement(entry, state, lot)
    certificate = Certificate(
        sequence=entry.sequence,
        lot=lot.subject,
        model=statement.model,
        issuer=entry.participant,
        verdict=statement.verdict,
        issued_at=entry.time,
        expires_at=statement.expires_at,
        statement=statement,
        anchor_size=entry.event.anchor_size,
        anchor_root=entry.event.anchor_root,
    )
    lot.certificates.append(certificate)
    state.certificates[entry.sequence] = certificate
    _apply_verdict(state, lot, certificate.issuer, certificate.verdict)


def _verify_statement(entry: Entry[certificates.CertificateIssued], state: State, lot: Lot) -> None:
    statement = entry.event.statement
    order = state.order_of(lot)
    inspector = 0 if order is None else order.terms.inspector
    hold(inspector in (0, entry.participant), entry, f"the order's inspector is participant {inspector}")
    hold(statement.verdict in (Verdict.PASS, Verdict.FAIL), entry, "the certificate has no verdict")
    hold(statement.expires_at > entry.time, entry, "the certificate expired before it was issued")
    hold(any(statement.inference_digest), entry, "the certificate has no inference digest")
    model = state.proved.model(entry, statement.model)
    hold(was_approved(model, entry.time), entry, f"model {statement.model} was not approved")
    stream = state.proved.stream(entry, statement.stream)
    size, root = entry.event.anchor_size, entry.event.anchor_root
    hold(statement.leaf_index < size <= stream.size, entry, "the evidence was not anchored")
    # Of an earlier anchor, only the size can be judged here; step 9 compares its root, where the evidence is shown.
    hold(size < stream.size or root == stream.root, entry, "the anchor has another root")


def _apply_verdict(state: State, lot: Lot, issuer: int, verdict: Verdict) -> None:
    # As Certificates._applyVerdict in contracts/src/history.
    if lot.state is LotState.SPENT:
        return
    if verdict is Verdict.FAIL:
        order = state.order_of(lot)
        gated = order is not None and order.terms.inspector == issuer
        if not lot.state.is_quarantined or gated:
            lot.state, lot.counterparty = LotState.QUARANTINED, issuer
    elif lot.state.is_quarantined and lot.counterparty == issuer:
        lot.state, lot.counterparty = LotState.HELD, 0


def _revoked(entry: Entry[certificates.CertificateRevoked], state: State) -> None:
    certificate = _latest(entry, state, "revoked")
    hold(certificate.issuer == entry.participant, entry, "revoked by another participant than its issuer")
    hold(certificate.state not in WORTHLESS, entry, f"revoked when it was {certificate.state.name.lower()}")
    certificate.state = CertificateState.REVOKED


def _upheld(entry: Entry[certificates.CertificateUpheld], state: State) -> None:
    certificate = _openable(entry, state)
    hold(not certificate.has_lapsed(entry.time), entry, "upheld past its deadline")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(entry.event.executed is published, entry, "a published model is executed, and no other")
    certificate.state = CertificateState.UPHELD
    certificate.executed = certificate.verdict if published else Verdict.NONE


def _refuted(entry: Entry[certificates.CertificateRefuted], state: State) -> None:
    certificate = _openable(entry, state)
    executed = entry.event.executed
    hold(executed in tuple(Verdict), entry, f"{executed} is no verdict")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(published or executed == Verdict.NONE, entry, "a model that is not published was executed")
    certificate.state, certificate.executed = CertificateState.REFUTED, executed
    # Without an execution, or with an invalid input, the lot counts as failed.
    verdict = Verdict.PASS if executed is Verdict.PASS else Verdict.FAIL
    _apply_verdict(state, state.lot(entry, certificate.lot), certificate.issuer, verdict)


def _demanded(entry: Entry[certificates.OpeningDemanded], state: State) -> None:
    certificate = _latest(entry, state, "demanded")
    hold(certificate.state is CertificateState.ISSUED, entry, f"demanded when {certificate.state.name.lower()}")
    deadline = entry.event.deadline
    hold(deadline == entry.time + _OPENING_PERIOD_S, entry, "the deadline is not seven days after the demand")
    certificate.state, certificate.opening_deadline = CertificateState.DEMANDED, deadline


def _openable(
    entry: Entry[certificates.CertificateUpheld | certificates.CertificateRefuted], state: State
) -> Certificate:
    certificate = _latest(entry, state, "opened")
    may = certificate.state in (CertificateState.ISSUED, CertificateState.DEMANDED)
    hold(may, entry, f"opened when {certificate.state.name.lower()}")
    return certificate


def _latest(
    entry: Entry[
        certificates.CertificateRevoked
        | certificates.CertificateUpheld
        | certificates.CertificateRefuted
        | certificates.OpeningDemanded
    ],
    state: State,
    done: str,
) -> Certificate:
    """The lot's latest certificate. Raises ReplayRefused unless the record names it."""
    lot = state.lot(entry, entry.histories[0])
    latest = lot.certificates[-1] if lot.certificates else None
    if latest is None or latest.sequence != entry.event.certificate:
        raise broken(entry, f"the certificate that is {done} is not the lot's latest")
    return latest


CERTIFICATE_RULES = dict(
    [
        on(certificates.CertificateIssued, _issued),
        on(certificates.CertificateRevoked, _revoked),
        on(certificates.CertificateUpheld, _upheld),
        on(certificates.CertificateRefuted, _refuted),
        on(certificates.OpeningDemanded, _demanded),
    ]
)
