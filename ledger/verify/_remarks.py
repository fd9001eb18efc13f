"""Remarks of a report: what needs attention, what is proved, and what is not."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.canonical import to_hex
from ledger.checkpoint import Checkpoint, SignedCheckpoint
from ledger.events import Event
from ledger.events.certificates import CertificateIssued
from ledger.events.custody import GateWaived
from ledger.events.lots import LotsTransformed
from ledger.events.notes import NoteRecorded
from ledger.evidence import LeafKind, build_window_commitment
from ledger.records import (
    CertificateState,
    CertificateStatus,
    LotState,
    NoteKind,
    Transformation,
    TransformationKind,
    Verdict,
)
from ledger.slots import KeySlots
from ledger.trust import BelievedBlock, Cosigners
from ledger.verify._descent import ancestors_of, made_of
from ledger.verify._state import Certificate, Entry, Lot, State
from ledger.verify._status import Verified, status_of
from ledger.verify.remark import Remark
from ledger.verify.report import moment

__all__ = ["attention", "not_proved", "proved"]

_MEASURES = {
    b"MGM": ("mass", 1), b"GRM": ("mass", 10**3), b"KGM": ("mass", 10**6), b"TNE": ("mass", 10**9),
    b"MMT": ("length", 1), b"CMT": ("length", 10), b"MTR": ("length", 10**3), b"KMT": ("length", 10**6),
    b"MLT": ("volume", 1), b"LTR": ("volume", 10**3), b"MTQ": ("volume", 10**6),
}  # fmt: skip
"""What units of UN/ECE Recommendation 20 measure, and how many of the smallest one each is."""
_NO_ROOT = bytes(32)


def attention(verified: Verified) -> Iterator[Remark]:
    """What a reader must not overlook, although it is not a reason to refuse the bundle."""
    state = verified.state
    for entry in verified.entries:
        key = state.proved.keys.get(entry.key) if entry.participant else None
        if key is not None and key.compromised_since and entry.time >= key.compromised_since:
            yield Remark("compromised", record=entry.sequence, declared=moment(key.declared_at))
    yield from _doubtful_signers(verified)
    for number, by in state.superseded.items():
        yield Remark("corrected", record=number, by=by)
    for certificate in state.certificates.values():
        yield from _doubtful_certificate(verified, certificate)
    for lot in state.lots.values():
        if lot.state.is_quarantined:
            yield Remark("quarantined", lot=_name(verified, lot.subject), by=verified.party(lot.counterparty))
    yield from _noted(verified)
    yield from _waived(verified)
    for record, number in state.lifted.items():
        yield Remark("lifted", record=record, by=verified.party(number))
    yield from _spent(verified)
    yield from _ungated(verified)
    yield from _same_digests(state)
    yield from _same_measurements(verified)
    yield from _other_windows(verified)
    yield from _odd_yields(verified)
    for number, company in state.proved.participants.items():
        if company.suspended:
            yield Remark("suspended", participant=verified.party(number))
        if company.departed:
            yield Remark("departed", participant=verified.party(number))
    for (creator, index), name_key in state.proved.name_keys.items():
        if index and name_key.set_at:
            yield Remark("renamed", participant=verified.party(creator), replaced=moment(name_key.set_at))


def _doubtful_signers(verified: Verified) -> Iterator[Remark]:
    """Co-signers whose key is revoked, or another participant's, on the ledger: the trust file is outdated."""
    bundle, last = verified.bundle, verified.headers[-1]
    if not isinstance(verified.trust.checkpoint, Cosigners):
        return
    owners = {key.address: key.participant for key in verified.trust.checkpoint.keys}
    checkpoint = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash)
    for address in SignedCheckpoint(checkpoint, bundle.signatures).signers():
        key, signer = verified.state.proved.keys.get(address), verified.party(owners[address])
        if key is not None and (key.revoked_at or _is_replaced(verified.state, key)):
            yield Remark("checkpoint_revoked", signer=signer)
        elif key is not None and key.participant != owners[address]:
            yield Remark("checkpoint_foreign", signer=signer, owner=verified.party(key.participant))


def _is_replaced(state: State, key: KeySlots) -> bool:
    """Whether a key ended by a recovery of its participant, as far as the bundle proves the participant."""
    company = state.proved.participants.get(key.participant)
    return company is not None and key.generation != company.generation


def _doubtful_certificate(verified: Verified, certificate: Certificate) -> Iterator[Remark]:
    if all(one is not certificate for one in verified.state.deciding(verified.state.lots[certificate.lot])):
        yield from _doubtful_other(verified, certificate)
        return
    number, verdict = certificate.sequence, certificate.verdict
    status = status_of(verified, certificate, verified.time)
    if status is not CertificateStatus.VALID or verdict is not Verdict.PASS:
        lot = _name(verified, certificate.lot)
        yield Remark("certificate", certificate=number, lot=lot, verdict=verdict, status=status)
    order, issuer = verified.state.order_of(verified.state.lots[certificate.lot]), certificate.issuer
    if order is not None and issuer in order.workers():
        lot = _name(verified, certificate.lot)
        yield Remark("own_work", certificate=number, lot=lot, inspector=verified.party(issuer))
    if certificate.state is CertificateState.DEMANDED:
        yield Remark("demanded", certificate=number, until=moment(certificate.opening_deadline))


def _doubtful_other(verified: Verified, certificate: Certificate) -> Iterator[Remark]:
    """A certificate that does not decide about its lot, if it failed, is open or was found wrong: whatever was issued
    after it, a reader must see it."""
    worth = certificate.verdict is Verdict.FAIL or certificate.is_open()
    if worth or certificate.state is CertificateState.REVOKED:
        lot, status = _name(verified, certificate.lot), status_of(verified, certificate, verified.time)
        yield Remark(
            "certificate", certificate=certificate.sequence, lot=lot, verdict=certificate.verdict, status=status
        )


def _noted(verified: Verified) -> Iterator[Remark]:
    """Every note: what it says is in its document, if that is shown; a recall notice has a line of its own."""
    for entry in verified.entries:
        if isinstance(entry.event, NoteRecorded):
            code = "recall_notice" if entry.event.kind_ == NoteKind.RECALL_NOTICE else "note"
            by = verified.party(entry.participant) if entry.participant else "the registry's owner"
            about = tuple(_name(verified, name) for name in entry.histories)
            yield Remark(code, record=entry.sequence, by=by, kind=_kind_of_note(entry.event.kind_), about=about)


def _kind_of_note(number: int) -> str:
    known = number in NoteKind.__members__.values()
    return NoteKind(number).name.lower().replace("_", " ") if known else f"kind {number}"


def _spent(verified: Verified) -> Iterator[Remark]:
    for lot in _parts(verified):
        if lot.state is LotState.SPENT:
            yield Remark("spent", lot=_name(verified, lot.subject))


def _ungated(verified: Verified) -> Iterator[Remark]:
    """Parts that would not pass a gate of their order, since inspector or model are not those that it names."""
    for lot in _parts(verified):
        name = _name(verified, lot.subject)
        gates = [one for one in verified.state.gates_of(lot) if not verified.state.is_waived(lot, one.inspector)]
        if gates and not lot.certificates:
            yield Remark("uncertified", lot=name)
            continue
        for gate in gates:
            latest = lot.standings[gate.inspector].latest if gate.inspector in lot.standings else None
            if latest is None or latest.model != gate.model:
                yield Remark("other_gate", lot=name, inspector=verified.party(gate.inspector), model=gate.model)


def _waived(verified: Verified) -> Iterator[Remark]:
    """Every gate that a buyer waived for a lot, whether it holds any more or not."""
    for entry in verified.entries:
        if not isinstance(entry.event, GateWaived):
            continue
        by, inspector = verified.party(entry.participant), verified.party(entry.event.inspector)
        lot, number = _name(verified, entry.histories[0]), entry.event.certificate
        if not number:
            yield Remark("waived_uncertified", record=entry.sequence, by=by, inspector=inspector, lot=lot)
            continue
        verdict = verified.state.certificates[number].verdict
        yield Remark(
            "waived",
            record=entry.sequence,
            by=by,
            inspector=inspector,
            lot=lot,
            certificate=number,
            verdict=verdict,
        )


def _same_digests(state: State) -> Iterator[Remark]:
    """Certificates with the same inference digest. An inference is of one lot, so one of two was never inspected."""
    first: dict[bytes, Certificate] = {}
    for certificate in state.certificates.values():
        if certificate.model == 0:
            continue
        earlier = first.setdefault(certificate.statement.inference_digest, certificate)
        if earlier.lot != certificate.lot:
            yield Remark("one_inference", first=earlier.sequence, second=certificate.sequence)


def _same_measurements(verified: Verified) -> Iterator[Remark]:
    """Certificates of different lots, and finished operations, that name one entry of one stream."""
    first: dict[tuple[bytes, int, bytes], Entry[Event]] = {}
    for entry in verified.entries:
        leaf, event = entry.event.leaf(), entry.event
        if leaf is None or (isinstance(event, CertificateIssued) and event.statement.model == 0):
            continue  # a procedure may measure several lots at once
        # An operation's measurement may be that of its lot's certificate; not of another operation.
        earlier = first.setdefault((leaf.stream, leaf.index, entry.event.kind.encode()), entry)
        if earlier is not entry and (earlier.histories != entry.histories or not isinstance(event, CertificateIssued)):
            yield Remark("one_measurement", first=earlier.sequence, second=entry.sequence)


def _other_windows(verified: Verified) -> Iterator[Remark]:
    """Certificates by inference whose shown entry is no window of their lot, or commits to other data than the shown
    inference."""
    opened = {one.record: build_window_commitment(one.salt, one.window) for one in verified.bundle.inferences}
    for evidence in verified.bundle.evidence:
        certificate, shown = verified.state.certificates.get(evidence.record), evidence.shown
        if certificate is None or certificate.model == 0 or shown is None:
            continue
        entry = shown.entry if shown.kind is LeafKind.WINDOW and isinstance(shown.entry, dict) else {}
        number = certificate.sequence
        if entry.get("lot") != to_hex(certificate.lot):
            yield Remark("no_window", certificate=number, lot=_name(verified, certificate.lot))
        elif number in opened and entry.get("commitment") != to_hex(opened[number]):
            yield Remark("other_window", certificate=number)


def _conversions(verified: Verified) -> Iterator[tuple[int, Transformation]]:
    for entry in verified.entries:
        if (
            isinstance(entry.event, LotsTransformed)
            and entry.event.transformation.kind is TransformationKind.CONVERSION
        ):
            yield entry.sequence, entry.event.transformation


def _odd_yields(verified: Verified) -> Iterator[Remark]:
    """Conversions between units of one measure that make or lose some of it. The contract does not know units. With
    components nothing can be said: they may be what became more."""
    for number, change in _conversions(verified):
        before, after = _MEASURES.get(change.unit), _MEASURES.get(change.output_unit)
        if before is None or after is None or any(taken.component for taken in change.inputs):
            continue
        (measure, size), (same, other) = before, after
        if measure == same and change.yield_in * size != change.yield_out * other:
            yield Remark(
                "odd_yield",
                record=number,
                given=change.yield_in,
                unit=change.unit.rstrip(b"\0").decode(),
                made=change.yield_out,
                output_unit=change.output_unit.rstrip(b"\0").decode(),
            )


def proved(verified: Verified) -> Iterator[str]:
    """What is proved, even if the sender is not trusted."""
    yield "these are all records of each history up to the proof block, in order, as the contracts took them"
    yield "which key made each record, for which participant, and in which block's time"
    yield "what each certificate's status was at the proof block"
    if not verified.not_followed:
        made = made_of(verified.state, verified.bundle.parts)
        whole = f"all that was made of the parts, in any number of steps, is among them: {len(made)} lots"
        yield f"{whole if made else 'nothing was made of the parts'}, up to the proof block"
    if verified.bundle.claims:
        yield "the disclosed fields are those that the records commit to; none of their documents was left out unseen"
    certified, finished = _measured(verified)
    if certified:
        yield "the measured entries of certificates were in their streams when these were issued, and still are"
    if finished:
        yield "the measured entries of finished operations are in their streams at the proof block"
    if verified.bundle.inferences:
        yield "the shown inferences are those that the certificates commit to, for these lots and no others"


def not_proved(verified: Verified) -> Iterator[Remark]:
    """What a reader might believe to be proved, although it is not."""
    for always in ("after", "truth", "others"):
        yield Remark(always)
    yield from _outside_of_histories(verified)
    yield from _not_shown(verified)
    if converted := tuple(number for number, _ in _conversions(verified)):
        yield Remark("conversions", records=converted)
    if verified.bundle.inferences:
        yield Remark("execution")
    if _measured(verified)[1]:
        yield Remark("finished")
    if verified.bundle.signatures and isinstance(verified.trust.checkpoint, BelievedBlock):
        yield Remark("signatures")
    if any(lot.withheld for lot in verified.state.lots.values()):
        yield Remark("withheld")


def _outside_of_histories(verified: Verified) -> Iterator[Remark]:
    """Remarks about lots without a history in the bundle."""
    state = verified.state
    if verified.not_followed:
        yield Remark("made_of", lots=len(verified.not_followed))
    inside = {name for lot in _parts(verified) for name in lot.contents} - state.lots.keys()
    if inside:
        yield Remark("packed", lots=len(inside))
    line = {name for lot in _parts(verified) for name in (lot.subject, *ancestors_of(state, lot))}
    received = sum(state.lots[name].from_outside for name in line)
    if received:
        yield Remark("received", lots=received)


def _not_shown(verified: Verified) -> Iterator[Remark]:
    """Data to which records commit, and that the sender withheld."""
    bundle, state = verified.bundle, verified.state
    nameless = sum(part not in verified.identifiers for part in bundle.parts)
    if nameless:
        yield Remark("nameless", parts=nameless)
    documents = sum(root != _NO_ROOT for entry in verified.entries for root in entry.event.roots()) - len(bundle.claims)
    if documents:
        yield Remark("documents", documents=documents)
    without = set(state.certificates) - {evidence.record for evidence in bundle.evidence}
    if without:
        yield Remark("measured", certificates=tuple(sorted(without)))
    inferred = {number for number, certificate in state.certificates.items() if certificate.model}
    closed = inferred - {inference.record for inference in bundle.inferences}
    if closed:
        yield Remark("inferences", certificates=tuple(sorted(closed)))


def _measured(verified: Verified) -> tuple[int, int]:
    """The numbers of certificates and of finished operations for which the bundle has evidence."""
    certified = sum(one.record in verified.state.certificates for one in verified.bundle.evidence)
    return certified, len(verified.bundle.evidence) - certified


def _parts(verified: Verified) -> Iterator[Lot]:
    return (verified.state.lots[name] for name in verified.bundle.parts)


def _name(verified: Verified, subject: bytes) -> str:
    return verified.identifiers.get(subject, to_hex(subject))
