"""Statements that a reader must not overlook, although they are not reasons to refuse the bundle."""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.events.certificates import CertificateUpheld, OpeningDemanded
from millmark.ledger.events.custody import GateWaived
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.events.notes import NoteRecorded
from millmark.ledger.records import (
    CertificateState,
    CertificateStatus,
    LotState,
    NoteKind,
    Transformation,
    TransformationKind,
    Verdict,
)
from millmark.ledger.slots import KeySlots
from millmark.ledger.verify._footprints import judge_footprints
from millmark.ledger.verify._measurements import measurements
from millmark.ledger.verify._own_work import own_work
from millmark.ledger.verify._state import Certificate, Lot, State
from millmark.ledger.verify._status import Verified, status_apart_from_rework, status_of
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Statement, say
from millmark.ledger.verify.values import Model, Span, Unit

__all__ = ["attention", "conversions"]

_MEASURES = {
    b"MGM": ("mass", 1), b"GRM": ("mass", 10**3), b"KGM": ("mass", 10**6), b"TNE": ("mass", 10**9),
    b"MMT": ("length", 1), b"CMT": ("length", 10), b"MTR": ("length", 10**3), b"KMT": ("length", 10**6),
    b"MLT": ("volume", 1), b"LTR": ("volume", 10**3), b"MTQ": ("volume", 10**6),
}  # fmt: skip
"""What units of UN/ECE Recommendation 20 measure, and how many of the smallest one each is."""


def attention(verified: Verified) -> Iterator[Statement]:
    """What a reader must not overlook."""
    yield from _behind(verified)
    for lot in verified.state.lots.values():
        yield from _doubtful(verified, lot)
    yield from _ungated(verified)
    yield from _waived(verified)
    yield from own_work(verified)
    yield from measurements(verified)
    yield from verified.derive(judge_footprints).doubts
    yield from _lots(verified)
    yield from _noted(verified)
    yield from _records(verified)
    yield from _odd_yields(verified)
    yield from _doubtful_signers(verified)
    yield from _companies(verified)


def _behind(verified: Verified) -> Iterator[Statement]:
    proof, last = verified.headers[0], verified.headers[-1]
    if last.number != proof.number:
        yield say("behind", blocks=last.number - proof.number, span=Span(last.timestamp - proof.timestamp))


def _doubtful(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """Every certificate of a lot that failed, or was refuted, revoked or demanded, whatever was issued after it; and
    the one that decides, if it is not valid for another reason."""
    deciding = verified.state.deciding(lot)
    records = verified.state.entries_of[lot.subject].values()
    demanded = {one.event.certificate: one.participant for one in verified.entries_with(OpeningDemanded)}
    upheld = {one.event.certificate for one in records if isinstance(one.event, CertificateUpheld)}
    for certificate in lot.certificates:
        status = status_of(verified, certificate, verified.judged_at, lot)
        if status is CertificateStatus.VOIDED:  # that a rework voided it does not hide what else is wrong with it
            own = status_apart_from_rework(verified, certificate, verified.judged_at)
            status = own if own in _NEVER_VALID else status
        bad = certificate.verdict is Verdict.FAIL or status in _NEVER_VALID
        if bad or (any(one is certificate for one in deciding) and status is not CertificateStatus.VALID):
            yield _certificate("certificate", verified, lot, certificate, verdict=certificate.verdict, status=status)
        unsettled = certificate.state in (CertificateState.DEMANDED, CertificateState.REVOKED)
        if certificate.opening_deadline and unsettled and certificate.sequence not in upheld:
            due = certificate.state is CertificateState.DEMANDED and not certificate.has_lapsed(verified.judged_at)
            until = moment(certificate.opening_deadline)
            if due:
                by = verified.party(demanded[certificate.sequence])
                yield _certificate("demanded", verified, lot, certificate, by=by, until=until)
            else:
                yield _certificate("unmet", verified, lot, certificate, until=until)


_NEVER_VALID = (
    CertificateStatus.REVOKED,
    CertificateStatus.REFUTED,
    CertificateStatus.UNOPENED,
    CertificateStatus.FALLEN,
)


def _certificate(code: str, verified: Verified, lot: Lot, certificate: Certificate, **values: object) -> Statement:
    return say(
        code,
        lot.subject,
        (certificate.sequence,),
        certificate=certificate.sequence,
        lot=verified.thing(lot.subject),
        issuer=verified.party(certificate.issuer),
        **values,
    )


def _ungated(verified: Verified) -> Iterator[Statement]:
    """Parts that would not pass a gate of their order, since inspector or model are not those that it names."""
    for lot in verified.parts:
        name = verified.thing(lot.subject)
        gates = [one for one in verified.state.gates_of(lot) if not verified.state.is_waived(lot, one.inspector)]
        if gates and not lot.certificates:
            yield say("uncertified", lot.subject, lot=name)
            continue
        for gate in gates:
            latest = lot.standings[gate.inspector].latest if gate.inspector in lot.standings else None
            if latest is None or latest.model != gate.model:
                inspector, model = verified.party(gate.inspector), Model(gate.model)
                yield say("other_gate", lot.subject, lot=name, inspector=inspector, model=model)


def _waived(verified: Verified) -> Iterator[Statement]:
    """Every gate that a buyer waived for a lot, whether it holds any more or not."""
    for entry in verified.entries_with(GateWaived):
        number, lot = entry.event.certificate, entry.histories[0]
        named: dict[str, object] = {
            "record": entry.sequence,
            "by": verified.party(entry.participant),
            "inspector": verified.party(entry.event.inspector),
            "lot": verified.thing(lot),
        }
        if number:
            verdict = verified.state.certificates[number].verdict
            yield say("waived", lot, (entry.sequence, number), **named, certificate=number, verdict=verdict)
        else:
            yield say("waived_uncertified", lot, (entry.sequence,), **named)


def _lots(verified: Verified) -> Iterator[Statement]:
    """Lots that are in quarantine, and parts that were scrapped or used up."""
    for lot in verified.state.lots.values():
        if lot.state.is_quarantined:
            # What withheld records took is not known: it may be all, and then the contract quarantines nothing.
            code = "quarantined_or_spent" if lot.withheld else "quarantined"
            by = verified.party(lot.counterparty)
            yield say(code, lot.subject, lot=verified.thing(lot.subject), by=by)
    for lot in verified.parts:
        if lot.state is LotState.SPENT:
            yield say("spent", lot.subject, lot=verified.thing(lot.subject))


def _noted(verified: Verified) -> Iterator[Statement]:
    """Every note: what it says is in its document, if that is shown; a recall notice has a line of its own."""
    for entry in verified.entries_with(NoteRecorded):
        number = entry.event.kind_
        known = number in NoteKind.__members__.values()
        code = "recall_notice" if number == NoteKind.RECALL_NOTICE else "note"
        by, about = verified.party(entry.participant), verified.things(entry.histories)
        note = NoteKind(number) if known else number
        yield say(code, entry.histories[0], (entry.sequence,), record=entry.sequence, by=by, note=note, about=about)


def _records(verified: Verified) -> Iterator[Statement]:
    """Records of keys that were compromised, and records that were corrected."""
    keys = verified.state.proved.keys
    for entry in verified.entries:
        key = keys.get(entry.key) if entry.participant else None
        if key is not None and key.compromised_since and entry.time >= key.compromised_since:
            declared = moment(key.declared_at)
            yield say("compromised", None, (entry.sequence,), record=entry.sequence, declared=declared)
    for record, who in verified.state.lifted.items():
        yield say("lifted", None, (record,), record=record, by=verified.party(who))
    for number, by in verified.state.superseded.items():
        yield say("corrected", None, (number, by), record=number, by=by)


def _companies(verified: Verified) -> Iterator[Statement]:
    """What became of the companies that recorded something."""
    for number, company in verified.state.proved.participants.items():
        if company.suspended:
            yield say("suspended", participant=verified.party(number))
        if company.departed:
            yield say("departed", participant=verified.party(number))
    for (creator, index), name_key in verified.state.proved.name_keys.items():
        if index and name_key.set_at:
            yield say("renamed", participant=verified.party(creator), replaced=moment(name_key.set_at))


def _doubtful_signers(verified: Verified) -> Iterator[Statement]:
    """Co-signers whose key is revoked, or another participant's, on the ledger: the trust file is outdated."""
    if verified.trust.cosigners is None:
        return
    owners = {key.address: key.participant for key in verified.trust.cosigners.keys}
    for address in verified.reasons.signers:
        key, signer = verified.state.proved.keys.get(address), verified.party(owners[address])
        if key is not None and (key.revoked_at or _is_replaced(verified.state, key)):
            yield say("checkpoint_revoked", signer=signer)
        elif key is not None and key.participant != owners[address]:
            yield say("checkpoint_foreign", signer=signer, owner=verified.party(key.participant))


def _is_replaced(state: State, key: KeySlots) -> bool:
    """Whether a key ended by a recovery of its participant, as far as the bundle proves the participant."""
    company = state.proved.participants.get(key.participant)
    return company is not None and key.generation != company.generation


def conversions(verified: Verified) -> Iterator[tuple[int, Transformation]]:
    for entry in verified.entries_with(LotsTransformed):
        if entry.event.transformation.kind is TransformationKind.CONVERSION:
            yield entry.sequence, entry.event.transformation


def _odd_yields(verified: Verified) -> Iterator[Statement]:
    """Conversions between units of one measure that make or lose some of it. The contract does not know units. With
    components nothing can be said: they may be what became more."""
    for number, change in conversions(verified):
        before, after = _MEASURES.get(change.unit), _MEASURES.get(change.output_unit)
        if before is None or after is None or any(taken.component for taken in change.inputs):
            continue
        (measure, size), (same, other) = before, after
        if measure == same and change.yield_in * size != change.yield_out * other:
            yield say(
                "odd_yield",
                None,
                (number,),
                record=number,
                given=change.yield_in,
                unit=Unit(change.unit.decode()),
                made=change.yield_out,
                output_unit=Unit(change.output_unit.decode()),
            )
