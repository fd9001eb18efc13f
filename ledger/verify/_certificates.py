"""Custody and certificates (contracts/src/interfaces: ICustody, ICertificates)."""

from __future__ import annotations

from collections.abc import Callable

from ledger.records import CertificateState, LotState, Verdict
from ledger.verify._state import Certificate, Entry, Lot, State, broken, hold, was_approved

__all__ = ["CERTIFICATE_RULES", "CUSTODY_RULES"]

_MOST_DEPTH = 8
_OPENING_PERIOD_S = 7 * 86_400
_WORTHLESS = (CertificateState.REVOKED, CertificateState.REFUTED)


def _offered(entry: Entry, state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    to = entry.fields.number("to")
    hold(lot.parent is None, entry, "a packed lot moves on its own")
    hold(lot.custodian == entry.participant, entry, f"participant {lot.custodian} has custody")
    hold(lot.state is LotState.HELD, entry, f"offered while {lot.state.name.lower()}")
    hold(to != entry.participant, entry, "offered to its own custodian")
    state.proved.participant(entry, to)
    _verify_way(entry, state, lot, to, 0)
    lot.state, lot.counterparty = LotState.OFFERED, to


def _accepted(entry: Entry, state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.counterparty == entry.participant, entry, f"offered to participant {lot.counterparty}")
    hold(entry.fields.number("from") == lot.custodian, entry, f"participant {lot.custodian} had custody")
    _verify_way(entry, state, lot, entry.participant, 0)
    lot.custodian, lot.state, lot.counterparty = entry.participant, LotState.HELD, 0


def _declined(entry: Entry, state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.counterparty == entry.participant, entry, f"offered to participant {lot.counterparty}")
    lot.state, lot.counterparty = LotState.HELD, 0


def _withdrawn(entry: Entry, state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.custodian == entry.participant, entry, f"participant {lot.custodian} has custody")
    lot.state, lot.counterparty = LotState.HELD, 0


def _open_offer(entry: Entry, state: State) -> Lot:
    lot = state.lot(entry, entry.histories[0])
    hold(lot.state is LotState.OFFERED, entry, f"there is no offer: the lot is {lot.state.name.lower()}")
    return lot


def _verify_way(entry: Entry, state: State, lot: Lot, to: int, depth: int) -> None:
    """Every gate to `to` is open, and nothing packed in the lot is set apart: of what has a history in the bundle."""
    hold(depth <= _MOST_DEPTH, entry, "packed too deep", lot.subject)
    _verify_gate(entry, state, lot, to)
    for name in sorted(lot.contents):
        child = state.lots.get(name)
        if child is not None:
            hold(child.state is LotState.HELD, entry, f"what is packed is {child.state.name.lower()}", name)
            _verify_way(entry, state, child, to, depth + 1)


def _verify_gate(entry: Entry, state: State, lot: Lot, to: int) -> None:
    order = state.order_of(lot)
    if order is None or order.buyer != to or not order.terms.inspector:
        return
    latest = lot.certificates[-1] if lot.certificates else None
    open_ = (
        latest is not None
        and latest.state not in _WORTHLESS
        and not latest.has_lapsed(entry.time)
        and latest.expires_at > entry.time
        and was_approved(state.proved.model(entry, latest.model), entry.time)
        and (latest.verdict, latest.issuer, latest.model) == (Verdict.PASS, order.terms.inspector, order.terms.model)
    )
    hold(open_, entry, "custody passes a closed gate", lot.subject)


def _issued(entry: Entry, state: State) -> None:
    statement = entry.fields.struct("statement")
    lot = state.lot(entry, entry.histories[0])
    hold(statement.raw("lot") == lot.subject, entry, "the statement is about another lot")
    hold(statement.subject("order") == lot.order, entry, "the statement names another order")
    _verify_statement(entry, state, lot)
    certificate = Certificate(
        sequence=entry.sequence,
        lot=lot.subject,
        model=statement.number("model"),
        issuer=entry.participant,
        verdict=Verdict(statement.number("verdict")),
        issued_at=entry.time,
        expires_at=statement.number("expires_at"),
        statement=statement,
        anchor_size=entry.fields.number("anchor_size"),
        anchor_root=entry.fields.raw("anchor_root"),
    )
    lot.certificates.append(certificate)
    state.certificates[entry.sequence] = certificate
    _apply_verdict(state, lot, certificate.issuer, certificate.verdict)


def _verify_statement(entry: Entry, state: State, lot: Lot) -> None:
    statement = entry.fields.struct("statement")
    order = state.order_of(lot)
    inspector = 0 if order is None else order.terms.inspector
    hold(inspector in (0, entry.participant), entry, f"the order's inspector is participant {inspector}")
    hold(statement.number("verdict") in (Verdict.PASS, Verdict.FAIL), entry, "the certificate has no verdict")
    hold(statement.number("expires_at") > entry.time, entry, "the certificate expired before it was issued")
    hold(any(statement.raw("inference_digest")), entry, "the certificate has no inference digest")
    model = state.proved.model(entry, statement.number("model"))
    hold(was_approved(model, entry.time), entry, f"model {statement.number('model')} was not approved")
    stream = state.proved.stream(entry, statement.raw("stream"))
    size, root = entry.fields.number("anchor_size"), entry.fields.raw("anchor_root")
    hold(statement.number("leaf_index") < size <= stream.size, entry, "the evidence was not anchored")
    hold(size < stream.size or root == stream.root, entry, "the anchor has another root")


def _apply_verdict(state: State, lot: Lot, issuer: int, verdict: Verdict) -> None:
    if lot.state is LotState.SPENT:
        return
    if verdict is Verdict.FAIL:
        order = state.order_of(lot)
        gated = order is not None and order.terms.inspector == issuer
        if lot.state is not LotState.QUARANTINED or gated:
            lot.state, lot.counterparty = LotState.QUARANTINED, issuer
    elif lot.state is LotState.QUARANTINED and lot.counterparty == issuer:
        lot.state, lot.counterparty = LotState.HELD, 0


def _revoked(entry: Entry, state: State) -> None:
    certificate = _latest(entry, state, "revoked")
    hold(certificate.issuer == entry.participant, entry, "revoked by another than its issuer")
    hold(certificate.state not in _WORTHLESS, entry, f"revoked when it was {certificate.state.name.lower()}")
    certificate.state = CertificateState.REVOKED


def _upheld(entry: Entry, state: State) -> None:
    certificate = _openable(entry, state)
    hold(not certificate.has_lapsed(entry.time), entry, "upheld past its deadline")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(bool(entry.fields.number("executed")) is published, entry, "a published model is executed, and no other")
    certificate.state = CertificateState.UPHELD
    certificate.executed = certificate.verdict if published else Verdict.NONE


def _refuted(entry: Entry, state: State) -> None:
    certificate = _openable(entry, state)
    executed = entry.fields.number("executed")
    hold(executed in tuple(Verdict), entry, f"{executed} is no verdict")
    published = any(state.proved.model(entry, certificate.model).code)
    hold(published or executed == Verdict.NONE, entry, "a model that is not published was executed")
    certificate.state, certificate.executed = CertificateState.REFUTED, Verdict(executed)
    verdict = Verdict.PASS if executed == Verdict.PASS else Verdict.FAIL
    _apply_verdict(state, state.lot(entry, certificate.lot), certificate.issuer, verdict)


def _demanded(entry: Entry, state: State) -> None:
    certificate = _latest(entry, state, "demanded")
    hold(certificate.state is CertificateState.ISSUED, entry, f"demanded when {certificate.state.name.lower()}")
    deadline = entry.fields.number("deadline")
    hold(deadline == entry.time + _OPENING_PERIOD_S, entry, "the deadline is not in seven days")
    certificate.state, certificate.opening_deadline = CertificateState.DEMANDED, deadline


def _openable(entry: Entry, state: State) -> Certificate:
    certificate = _latest(entry, state, "opened")
    may = certificate.state in (CertificateState.ISSUED, CertificateState.DEMANDED)
    hold(may, entry, f"opened when {certificate.state.name.lower()}")
    return certificate


def _latest(entry: Entry, state: State, done: str) -> Certificate:
    """The lot's latest certificate, which the record must name."""
    lot = state.lot(entry, entry.histories[0])
    latest = lot.certificates[-1] if lot.certificates else None
    if latest is None or latest.sequence != entry.fields.number("certificate"):
        raise broken(entry, f"what is {done} is not the lot's latest certificate")
    return latest


CUSTODY_RULES: dict[str, Callable[[Entry, State], None]] = {
    "CustodyOffered": _offered,
    "CustodyAccepted": _accepted,
    "CustodyDeclined": _declined,
    "CustodyWithdrawn": _withdrawn,
}
CERTIFICATE_RULES: dict[str, Callable[[Entry, State], None]] = {
    "CertificateIssued": _issued,
    "CertificateRevoked": _revoked,
    "CertificateUpheld": _upheld,
    "CertificateRefuted": _refuted,
    "OpeningDemanded": _demanded,
}
