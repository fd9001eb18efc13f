"""What a reader should know beside the parts: what not to overlook, what is proved, and what is not."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.checkpoint import Checkpoint, SignedCheckpoint
from ledger.records import CertificateState, CertificateStatus, LotState, Verdict
from ledger.trust import BelievedBlock, Cosigners
from ledger.verify._descent import ancestors_of, made_of
from ledger.verify._kinds import roots_of
from ledger.verify._state import Certificate, Lot, State
from ledger.verify._status import Verified, status_of
from ledger.verify.report import moment

__all__ = ["attention", "not_proved", "proved"]


def attention(verified: Verified) -> Iterator[str]:
    """What a reader should not overlook, though it is no reason to refuse the bundle."""
    state = verified.state
    for entry in verified.entries:
        since = state.proved.keys[entry.key].compromised_since
        if since and entry.time >= since:
            yield f"record {entry.sequence} was signed with a key that was later declared compromised by then"
    yield from _doubtful_signers(verified)
    for number, by in state.superseded.items():
        yield f"record {number} is corrected by record {by}"
    for certificate in state.certificates.values():
        yield from _doubtful_certificate(verified, certificate)
    for lot in state.lots.values():
        if lot.state is LotState.QUARANTINED:
            yield f"{_name(verified, lot.subject)} is quarantined by {verified.party(lot.counterparty)}"
    yield from _spent(verified)
    yield from _ungated(verified)
    yield from _same_digests(state)
    for number, company in state.proved.participants.items():
        if company.suspended:
            yield f"{verified.party(number)} is suspended"


def _doubtful_signers(verified: Verified) -> Iterator[str]:
    """Co-signers whose key the ledger itself has as another's, or as revoked: the trust file is behind."""
    bundle, last = verified.bundle, verified.headers[-1]
    if not isinstance(verified.trust.checkpoint, Cosigners):
        return
    owners = {key.address: key.participant for key in verified.trust.checkpoint.keys}
    checkpoint = Checkpoint(bundle.chain_id, bundle.ledger, last.number, last.hash)
    for address in SignedCheckpoint(checkpoint, bundle.signatures).signers():
        key, signer = verified.state.proved.keys.get(address), verified.party(owners[address])
        if key is not None and (key.revoked_at or key.participant != owners[address]):
            what = "revoked" if key.revoked_at else f"that of {verified.party(key.participant)}"
            yield f"the checkpoint is signed for {signer} with a key that the ledger has as {what}"


def _doubtful_certificate(verified: Verified, certificate: Certificate) -> Iterator[str]:
    if verified.state.lots[certificate.lot].certificates[-1] is not certificate:
        return
    status = status_of(verified, certificate, verified.time)
    if status is not CertificateStatus.VALID or certificate.verdict is not Verdict.PASS:
        judged = f"{certificate.verdict.name.lower()}, {status.name.lower()}"
        yield f"certificate {certificate.sequence} of {_name(verified, certificate.lot)}: {judged}"
    if certificate.state is CertificateState.DEMANDED:
        until = f"{moment(certificate.opening_deadline):%Y-%m-%d %H:%M} UTC"
        yield f"certificate {certificate.sequence} must be opened before {until}, or counts no more"


def _spent(verified: Verified) -> Iterator[str]:
    for lot in _parts(verified):
        if lot.state is LotState.SPENT:
            yield f"nothing is left of {_name(verified, lot.subject)}: it was scrapped, or other lots were made of it"


def _ungated(verified: Verified) -> Iterator[str]:
    """Parts that would not pass their order's gate, because of who certified them with which model."""
    for lot in _parts(verified):
        order = verified.state.order_of(lot)
        if order is None or not order.terms.inspector:
            continue
        wanted = (order.terms.inspector, order.terms.model)
        if not lot.certificates:
            yield f"{_name(verified, lot.subject)} has no certificate, and its order asks for one"
        elif (lot.certificates[-1].issuer, lot.certificates[-1].model) != wanted:
            asked = f"one of {verified.party(wanted[0])} with model {wanted[1]}"
            yield f"the certificate of {_name(verified, lot.subject)} is not what its order asks for: {asked}"


def _same_digests(state: State) -> Iterator[str]:
    """An inference belongs to one lot: the same digest for two says that at least one was never inspected."""
    first: dict[bytes, Certificate] = {}
    for certificate in state.certificates.values():
        earlier = first.setdefault(certificate.statement.raw("inference_digest"), certificate)
        if earlier.lot != certificate.lot:
            yield f"certificates {earlier.sequence} and {certificate.sequence} are of different lots with one inference"


def proved(verified: Verified) -> Iterator[str]:
    """What holds, whoever made the bundle."""
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


def not_proved(verified: Verified) -> Iterator[str]:
    """What a reader might take for proved, and is not."""
    yield "anything after the proof block"
    yield (
        "that documents, sensors or people told the truth; that the part in your hand is the one named here, or that "
        "nobody else recorded another by its name"
    )
    yield "that no other lots are like these, by model, machine or order: who made the file chose its parts"
    yield from _outside_of_histories(verified)
    yield from _not_shown(verified)
    if verified.bundle.inferences:
        yield "that the models give these logits: execute them again with `python -m quality audit`"
    if _measured(verified)[1]:
        yield "that the measured entries of finished operations were in their streams before the proof block"
    if verified.bundle.signatures and isinstance(verified.trust.checkpoint, BelievedBlock):
        yield "whose signatures the bundle carries: the trust file names the checkpoint itself"
    if any(lot.sealed for lot in verified.state.lots.values()):
        yield "how much is left of lots with sealed records; only the most that can be"


def _outside_of_histories(verified: Verified) -> Iterator[str]:
    """About lots that no history here tells of."""
    state = verified.state
    if verified.not_followed:
        yield f"what became of {len(verified.not_followed)} lots that were made of the parts and are not among them"
    inside = {name for lot in _parts(verified) for name in lot.contents} - state.lots.keys()
    if inside:
        yield f"how {len(inside)} lots stand that are packed in the parts and have no history here"
    line = {name for lot in _parts(verified) for name in (lot.subject, *ancestors_of(state, lot))}
    received = sum(state.lots[name].from_outside for name in line)
    if received:
        yield f"where {received} lots came from that were received from outside: who received them says so"


def _not_shown(verified: Verified) -> Iterator[str]:
    """What records commit to, and the sender kept."""
    bundle, state = verified.bundle, verified.state
    nameless = sum(part not in verified.identifiers for part in bundle.parts)
    if nameless:
        yield f"which things {nameless} parts are: the file has their subjects without identifiers"
    documents = sum(any(root) for entry in verified.entries for root in roots_of(entry.fields)) - len(bundle.claims)
    if documents:
        yield f"what {documents} documents say that records commit to: nothing of them is shown"
    without = set(state.certificates) - {evidence.record for evidence in bundle.evidence}
    if without:
        yield f"measured data of certificates {_numbers(without)}: no evidence is shown"
    closed = set(state.certificates) - {inference.record for inference in bundle.inferences}
    if closed:
        yield f"inferences of certificates {_numbers(closed)}: input, salt and logits are not shown"


def _measured(verified: Verified) -> tuple[int, int]:
    """How many entries of certificates and of finished operations there is evidence of."""
    certified = sum(one.record in verified.state.certificates for one in verified.bundle.evidence)
    return certified, len(verified.bundle.evidence) - certified


def _parts(verified: Verified) -> Iterator[Lot]:
    return (verified.state.lots[name] for name in verified.bundle.parts)


def _numbers(numbers: set[int]) -> str:
    shown = sorted(numbers)
    return ", ".join(map(str, shown[:10])) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def _name(verified: Verified, subject: bytes) -> str:
    return verified.identifiers.get(subject, "0x" + subject.hex())
