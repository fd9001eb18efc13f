"""Rules of certificates (contracts/src/interfaces/ICertificates.sol)."""

from __future__ import annotations

import itertools

from millmark.ledger.events import certificates
from millmark.ledger.records import CertificateState, LotState, Verdict, optional_subject
from millmark.ledger.verify._quantities import MAX_LOTS, quarantine
from millmark.ledger.verify._state import WORTHLESS, Certificate, Entry, Lot, State, broken, hold, on, was_approved

__all__ = ["CERTIFICATE_RULES"]

_OPENING_PERIOD_S = 7 * 86_400
_MAY_OPEN = (CertificateState.ISSUED, CertificateState.DEMANDED, CertificateState.REVOKED)


def _issued(entry: Entry[certificates.CertificateIssued], state: State) -> None:
    statement = entry.event.statement
    named = tuple(item.lot for item in statement.items)
    hold(entry.histories == named, entry, "the statement is about other lots")
    most = MAX_LOTS if statement.model == 0 else 1
    hold(len(named) <= most, entry, f"a certificate on {len(named)} lots")
    hold(all(one < two for one, two in itertools.pairwise(named)), entry, "its lots do not ascend")
    _verify_statement(entry, state)
    shown = [item for item in statement.items if item.lot in state.shown]
    certificate = Certificate(
        sequence=entry.sequence,
        lot=shown[0].lot,
        lots=named,
        model=statement.model,
        issuer=entry.participant,
        verdict=statement.verdict,
        issued_at=entry.time,
        expires_at=statement.expires_at,
        statement=statement,
        anchor_size=entry.event.anchor_size,
        anchor_root=entry.event.anchor_root,
    )
    state.certificates[entry.sequence] = certificate
    for item in shown:
        lot = state.lot(entry, item.lot)
        hold(optional_subject(item.order) == lot.order, entry, "the statement names another order", lot.subject)
        _certify(lot, certificate)
        if state.inspects(certificate.issuer, lot):
            _follow(lot, certificate.verdict, certificate.issuer, certificate)


def _verify_statement(entry: Entry[certificates.CertificateIssued], state: State) -> None:
    statement = entry.event.statement
    hold(statement.verdict in (Verdict.PASS, Verdict.FAIL), entry, "the certificate has no verdict")
    hold(statement.expires_at > entry.time, entry, "the certificate expired before it was issued")
    hold(any(statement.inference_digest), entry, "the certificate has no inference digest")
    if statement.model:
        model = state.proved.model(entry, statement.model)
        hold(was_approved(model, entry.time), entry, f"model {statement.model} was not approved")
    stream = state.proved.stream(entry, statement.stream)
    size, root = entry.event.anchor_size, entry.event.anchor_root
    hold(statement.leaf_index < size <= stream.size, entry, "the evidence was not anchored")
    # Of an earlier anchor, only the size can be judged here; step 9 compares its root, where the evidence is shown.
    hold(size < stream.size or root == stream.root, entry, "the anchor has another root")


def _certify(lot: Lot, certificate: Certificate) -> None:
    # As Certificates._certify in contracts/src/history.
    standing = lot.standing(certificate.issuer)
    if standing.latest is not None and standing.latest.sequence < lot.reworked:
        standing.open = 0
    elif standing.latest is not None and lot.subject not in standing.latest.lots and standing.latest.is_open():
        standing.count(1)
    standing.latest = certificate
    lot.certificates.append(certificate)


def _follow(lot: Lot, verdict: Verdict, inspector: int, certificate: Certificate | None) -> None:
    """Move a lot as a verdict of a gate's inspector does. `certificate` is the one behind a quarantine."""
    if lot.state is LotState.SPENT:
        return
    if verdict is Verdict.FAIL:
        quarantine(lot, inspector, certificate)
    elif lot.state.is_quarantined and lot.counterparty == inspector:
        lot.state, lot.counterparty = LotState.HELD, 0


def _revoked(entry: Entry[certificates.CertificateRevoked], state: State) -> None:
    certificate = _named(entry, state)
    hold(entry.histories == certificate.lots, entry, "its histories are not the certificate's lots")
    hold(certificate.issuer == entry.participant, entry, "revoked by another participant than its issuer")
    hold(certificate.state not in WORTHLESS, entry, f"revoked when it was {certificate.state.name.lower()}")
    certificate.state = CertificateState.REVOKED


def _upheld(entry: Entry[certificates.CertificateUpheld], state: State) -> None:
    certificate = _openable(entry, state)
    hold(certificate.state is not CertificateState.REVOKED, entry, "upheld when it was revoked")
    hold(not certificate.has_lapsed(entry.time), entry, "upheld past its deadline")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(entry.event.executed is published, entry, "a published model is executed, and no other")
    if certificate.state is CertificateState.DEMANDED:
        _count(state.lot(entry, certificate.lot), certificate, -1)
    certificate.state = CertificateState.UPHELD
    certificate.executed = certificate.verdict if published else Verdict.NONE


def _refuted(entry: Entry[certificates.CertificateRefuted], state: State) -> None:
    certificate = _openable(entry, state)
    executed = entry.event.executed
    hold(executed in tuple(Verdict), entry, f"{executed} is not a verdict")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(published or executed == Verdict.NONE, entry, "a model that is not published was executed")
    lot = state.lot(entry, certificate.lot)
    if not certificate.opening_deadline:
        _count(lot, certificate, 1)
    certificate.state, certificate.executed = CertificateState.REFUTED, executed
    _follow_execution(state, lot, certificate)


def _follow_execution(state: State, lot: Lot, certificate: Certificate) -> None:
    # As Challenges._refute in contracts/src/history.
    order = optional_subject(certificate.statement.items[0].order)
    gated = lot.order == order and state.inspects(certificate.issuer, lot)
    known = certificate.executed is not Verdict.NONE or certificate.verdict is Verdict.PASS
    if not gated or not known or certificate.sequence < lot.reworked:
        return
    if certificate.executed is not Verdict.PASS:
        _follow(lot, Verdict.FAIL, certificate.issuer, None)
    elif lot.standing(certificate.issuer).quarantining is certificate:
        _follow(lot, Verdict.PASS, certificate.issuer, None)


def _demanded(entry: Entry[certificates.OpeningDemanded], state: State) -> None:
    certificate = _named(entry, state)
    hold(certificate.model != 0, entry, "demanded of a procedure")
    hold(certificate.state is CertificateState.ISSUED, entry, f"demanded when {certificate.state.name.lower()}")
    deadline = entry.event.deadline
    hold(deadline == entry.time + _OPENING_PERIOD_S, entry, "the deadline is not seven days after the demand")
    certificate.state, certificate.opening_deadline = CertificateState.DEMANDED, deadline
    _count(state.lot(entry, certificate.lot), certificate, 1)


def _count(lot: Lot, certificate: Certificate, change: int) -> None:
    """Count an open certificate, unless it is about the lot as it was before it was reworked."""
    if certificate.sequence > lot.reworked:
        lot.standing(certificate.issuer).count(change)


def _openable(
    entry: Entry[certificates.CertificateUpheld | certificates.CertificateRefuted], state: State
) -> Certificate:
    certificate = _named(entry, state)
    hold(certificate.model != 0, entry, "a procedure was opened")
    hold(certificate.state in _MAY_OPEN, entry, f"opened when {certificate.state.name.lower()}")
    return certificate


def _named(
    entry: Entry[
        certificates.CertificateRevoked
        | certificates.CertificateUpheld
        | certificates.CertificateRefuted
        | certificates.OpeningDemanded
    ],
    state: State,
) -> Certificate:
    """The certificate that a record names. Raises ReplayRefused unless it is about the record's lots."""
    certificate = state.certificates.get(entry.event.certificate)
    if certificate is None or entry.histories[0] != certificate.lots[0]:
        raise broken(entry, f"the lot has no certificate {entry.event.certificate}")
    return certificate


CERTIFICATE_RULES = dict(
    [
        on(certificates.CertificateIssued, _issued),
        on(certificates.CertificateRevoked, _revoked),
        on(certificates.CertificateUpheld, _upheld),
        on(certificates.CertificateRefuted, _refuted),
        on(certificates.OpeningDemanded, _demanded),
    ]
)
