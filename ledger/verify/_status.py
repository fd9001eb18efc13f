"""Step 11: what certificates are worth, at the proof block and now; and the report of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.bundle import Bundle, SealedRecord
from ledger.headers import BlockHeader
from ledger.records import CertificateState, CertificateStatus, LotState, ModelState, Verdict
from ledger.trust import BelievedBlock, TrustFile
from ledger.verify._descent import ancestors_of, made_of
from ledger.verify._state import Certificate, Entry, Lot, State
from ledger.verify.refusals import StatusRefused
from ledger.verify.report import (
    AsOf,
    CertificateReport,
    DisclosedField,
    EvidenceReport,
    PartReport,
    Party,
    Report,
    Work,
    moment,
)

__all__ = ["Verified", "build_report", "verify_status"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What steps 1 to 10 established."""

    bundle: Bundle
    trust: TrustFile
    headers: Sequence[BlockHeader]
    state: State
    entries: Sequence[Entry]
    identifiers: dict[bytes, str]
    now_s: int

    @property
    def time(self) -> int:
        """Of the proof block."""
        return self.headers[0].timestamp

    @property
    def not_followed(self) -> set[bytes]:
        """What was made of the parts and is no part."""
        return made_of(self.state, self.bundle.parts) - set(self.bundle.parts)

    def party(self, number: int) -> Party:
        return Party(number, self.trust.participants.get(number))


def verify_status(verified: Verified) -> None:
    """No part is quarantined, and the latest certificate of each that has one passes and counts, at the proof block
    and now. Raises StatusRefused."""
    for name in verified.bundle.parts:
        lot = verified.state.lots[name]
        latest = lot.certificates[-1] if lot.certificates else None
        if latest is not None:
            status = _status(verified, latest, max(verified.time, verified.now_s))
            if status is not CertificateStatus.VALID:
                raise StatusRefused(
                    f"the part's certificate is {status.name.lower()}", subject=name, sequence=latest.sequence
                )
            if latest.verdict is not Verdict.PASS:
                raise StatusRefused("the part's verdict is fail", subject=name, sequence=latest.sequence)
        if lot.state is LotState.QUARANTINED:
            raise StatusRefused(f"the part is quarantined by {verified.party(lot.counterparty)}", subject=name)


def _status(verified: Verified, certificate: Certificate, time: int) -> CertificateStatus:
    """At the proof block, but for what comes by itself, expiry and the deadline of a demand: judged at `time`."""
    if certificate.state is CertificateState.REVOKED:
        return CertificateStatus.REVOKED
    if certificate.state is CertificateState.REFUTED:
        return CertificateStatus.REFUTED
    if verified.state.proved.models[certificate.model].state is not ModelState.APPROVED:
        return CertificateStatus.FALLEN
    if certificate.has_lapsed(time):
        return CertificateStatus.UNOPENED
    return CertificateStatus.EXPIRED if certificate.expires_at <= time else CertificateStatus.VALID


def build_report(verified: Verified) -> Report:
    """All that the bundle says, proved or disclosed."""
    bundle, state = verified.bundle, verified.state
    entries = {entry.sequence: entry for entry in verified.entries}
    return Report(
        as_of=_as_of(verified),
        parts=tuple(_part(verified, state.lots[name]) for name in bundle.parts),
        histories=len(bundle.histories),
        records=len(bundle.records),
        sealed=dict(sorted(_sealed(bundle).items())),
        certificates=tuple(_certificate(verified, one) for one in state.certificates.values()),
        disclosed=tuple(
            DisclosedField(
                record=claims.record,
                kind=entries[claims.record].kind,
                root=claims.root,
                path=claims.disclosure.paths[place],
                value=field.value,
            )
            for claims in bundle.claims
            for place, field in claims.disclosure.shown
        ),
        withheld=sum(len(one.disclosure.paths) - len(one.disclosure.shown) for one in bundle.claims),
        evidence=tuple(_evidence(bundle, entries)),
        inferences=tuple(inference.record for inference in bundle.inferences),
        attention=tuple(_attention(verified)),
        proved=tuple(_proved(verified)),
        not_proved=tuple(_not_proved(verified)),
        not_followed=tuple(sorted(verified.not_followed)),
    )


def _as_of(verified: Verified) -> AsOf:
    proof, checkpoint = verified.headers[0], verified.headers[-1]
    return AsOf(
        chain_id=verified.bundle.chain_id,
        ledger=verified.bundle.ledger,
        block_number=proof.number,
        block_hash=proof.hash,
        block_time=moment(proof.timestamp),
        age_s=verified.now_s - proof.timestamp,
        checkpoint_number=checkpoint.number,
        checkpoint_hash=checkpoint.hash,
        believed="block" if isinstance(verified.trust.checkpoint, BelievedBlock) else "cosigned",
    )


def _part(verified: Verified, lot: Lot) -> PartReport:
    state = verified.state
    order = state.order_of(lot)
    ancestors = ancestors_of(state, lot)
    return PartReport(
        subject=lot.subject,
        identifier=verified.identifiers.get(lot.subject),
        state=lot.state,
        quantity=lot.quantity,
        unit=lot.unit.rstrip(b"\0").decode("ascii", "replace"),
        made_by=verified.party(lot.maker),
        made_at=moment(state.entries_of[lot.subject][lot.sequence].time),
        made_on=tuple(_work(verified, [state.lots[name] for name in ancestors] + [lot])),
        order=lot.order,
        order_identifier=None if lot.order is None else verified.identifiers.get(lot.order),
        buyer=None if order is None else verified.party(order.buyer),
        holder=verified.party(_outermost(state, lot).custodian),
        quarantined_by=verified.party(lot.counterparty) if lot.state is LotState.QUARANTINED else None,
        certificate=_certificate(verified, lot.certificates[-1]) if lot.certificates else None,
        ancestors=tuple(sorted(ancestors)),
    )


def _work(verified: Verified, lots: Sequence[Lot]) -> Iterator[Work]:
    for lot in sorted(lots, key=lambda one: one.sequence):
        order = verified.state.order_of(lot)
        if order is not None and lot.assignment:
            done = order.assignments[lot.assignment]
            identifier = _machine_identifier(verified, done.machine)
            yield Work(lot.subject, done.operation, done.machine, identifier, verified.party(done.owner))


def _machine_identifier(verified: Verified, machine: int) -> str | None:
    named = verified.state.proved.named_machines
    return next((verified.identifiers[name] for name, number in named.items() if number == machine), None)


def _outermost(state: State, lot: Lot) -> Lot:
    while lot.parent is not None:
        lot = state.lots[lot.parent]
    return lot


def _certificate(verified: Verified, certificate: Certificate) -> CertificateReport:
    return CertificateReport(
        sequence=certificate.sequence,
        lot=certificate.lot,
        issuer=verified.party(certificate.issuer),
        model=certificate.model,
        verdict=certificate.verdict,
        status=_status(verified, certificate, verified.time),
        state=certificate.state,
        executed=certificate.executed,
        latest=verified.state.lots[certificate.lot].certificates[-1] is certificate,
        issued_at=moment(certificate.issued_at),
        expires_at=moment(certificate.expires_at),
        expired_now=certificate.expires_at <= verified.now_s,
    )


def _evidence(bundle: Bundle, entries: dict[int, Entry]) -> Iterator[EvidenceReport]:
    for evidence in bundle.evidence:
        fields = entries[evidence.record].fields
        named = fields.struct("statement") if "statement" in fields.values else fields
        shown = evidence.shown
        yield EvidenceReport(
            record=evidence.record,
            stream=named.raw("stream"),
            leaf_index=named.number("leaf_index"),
            entry=None if shown is None else shown.entry,
            shown=shown is not None,
        )


def _sealed(bundle: Bundle) -> Counter[str]:
    return Counter(one.kind for history in bundle.histories for one in history.records if isinstance(one, SealedRecord))


def _attention(verified: Verified) -> Iterator[str]:
    """What a reader should not overlook, though it is no reason to refuse the bundle."""
    state = verified.state
    for entry in verified.entries:
        since = state.proved.keys[entry.key].compromised_since
        if since and entry.time >= since:
            yield f"record {entry.sequence} was signed with a key that was later declared compromised by then"
    for number, by in state.superseded.items():
        yield f"record {number} is corrected by record {by}"
    for certificate in state.certificates.values():
        status = _status(verified, certificate, verified.time)
        latest = state.lots[certificate.lot].certificates[-1] is certificate
        if latest and (status is not CertificateStatus.VALID or certificate.verdict is not Verdict.PASS):
            yield (
                f"certificate {certificate.sequence} of {_name(verified, certificate.lot)}: "
                f"{certificate.verdict.name.lower()}, {status.name.lower()}"
            )
        if latest and certificate.state is CertificateState.DEMANDED:
            until = f"{moment(certificate.opening_deadline):%Y-%m-%d %H:%M} UTC"
            yield f"certificate {certificate.sequence} must be opened before {until}, or counts no more"
    for lot in state.lots.values():
        if lot.state is LotState.QUARANTINED:
            yield f"{_name(verified, lot.subject)} is quarantined by {verified.party(lot.counterparty)}"
    yield from _ungated(verified)
    yield from _same_digests(state)
    for number, company in state.proved.participants.items():
        if company.suspended:
            yield f"{verified.party(number)} is suspended"


def _ungated(verified: Verified) -> Iterator[str]:
    for name in verified.bundle.parts:
        lot = verified.state.lots[name]
        order = verified.state.order_of(lot)
        if order is not None and order.terms.inspector and not lot.certificates:
            yield f"{_name(verified, name)} has no certificate, and its order asks for one"


def _same_digests(state: State) -> Iterator[str]:
    """An inference belongs to one lot: the same digest for two says that at least one was never inspected."""
    first: dict[bytes, Certificate] = {}
    for certificate in state.certificates.values():
        earlier = first.setdefault(certificate.statement.raw("inference_digest"), certificate)
        if earlier.lot != certificate.lot:
            yield f"certificates {earlier.sequence} and {certificate.sequence} are of different lots with one inference"


def _proved(verified: Verified) -> Iterator[str]:
    yield "these are all records of each history up to the proof block, in order, as the contracts took them"
    yield "which key made each record, for which participant, and in which block's time"
    yield "what each certificate's status was at the proof block"
    if not verified.not_followed:
        made = made_of(verified.state, verified.bundle.parts)
        whole = f"all that was made of the parts, in any number of steps, is among them: {len(made)} lots"
        yield f"{whole if made else 'nothing was made of the parts'}, up to the proof block"
    if verified.bundle.claims:
        yield "the disclosed fields are those that the records commit to; none was left out unseen"
    if verified.bundle.evidence:
        yield "the measured entries were in their streams when they were used, and no stream was rewritten since"
    if verified.bundle.inferences:
        yield "the shown inferences are those that the certificates commit to, for these lots and no others"


def _not_proved(verified: Verified) -> Iterator[str]:
    yield "anything after the proof block"
    yield "that documents, sensors or people told the truth; that the part in your hand is the one named here"
    bundle, state = verified.bundle, verified.state
    yield "that no other lots are like these, by model, machine or order: who made the file chose its parts"
    if verified.not_followed:
        yield f"what became of {len(verified.not_followed)} lots that were made of the parts and are not among them"
    nameless = sum(part not in verified.identifiers for part in bundle.parts)
    if nameless:
        yield f"which things {nameless} parts are: the file has their subjects without identifiers"
    without = set(state.certificates) - {evidence.record for evidence in bundle.evidence}
    if without:
        yield f"measured data of certificates {_numbers(without)}: no evidence is shown"
    closed = set(state.certificates) - {inference.record for inference in bundle.inferences}
    if closed:
        yield f"inferences of certificates {_numbers(closed)}: input, salt and logits are not shown"
    if bundle.inferences:
        yield "that the models give these logits: execute them again with `python -m quality audit`"
    if bundle.signatures and isinstance(verified.trust.checkpoint, BelievedBlock):
        yield "whose signatures the bundle carries: the trust file names the checkpoint itself"
    if any(lot.sealed for lot in state.lots.values()):
        yield "how much is left of lots with sealed records; only the most that can be"


def _numbers(numbers: set[int]) -> str:
    shown = sorted(numbers)
    return ", ".join(map(str, shown[:10])) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def _name(verified: Verified, subject: bytes) -> str:
    return verified.identifiers.get(subject, "0x" + subject.hex())
