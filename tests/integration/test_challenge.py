"""Certificates opened on the embedded chain: a true one is upheld, a false one refuted, an unopened one lapses; the
gate and the index follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.errors import SubmitError
from millmark.ledger.evidence import (
    EvidenceLog,
    LeafKind,
    build_inference_context,
    build_leaf_data,
    build_window_commitment,
    build_window_entry,
)
from millmark.ledger.ids import SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.provenance import Certificate, find_certificate, find_issue, open_reader, recall, trace_lot
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptCustody,
    AcceptOrder,
    Anchor,
    ApproveModel,
    CertificateStatus,
    Challenge,
    CommissionLot,
    Contract,
    DemandOpening,
    Gate,
    Inference,
    IssueCertificate,
    Issued,
    Item,
    LotState,
    Measured,
    OfferCustody,
    OpenStream,
    OrderTerms,
    PlaceOrder,
    ProposeAssignment,
    PublishModel,
    RegisterMachine,
    Rework,
    ReworkLot,
    StartAssignment,
    Statement,
    Verdict,
)
from millmark.ledger.store import Store
from millmark.quality import Decision, Dense, Network, Scale, build_model, model_digest
from millmark.quality import Inference as Inspected
from millmark.quality import Verdict as ModelVerdict
from millmark.quality.inference import pack_window
from millmark.services.demo.consortium import Consortium, found_consortium, hash_of
from millmark.services.inspections.extracts import read_issued
from tests.support.bundle_world import signers_of
from tests.support.ledger_world import Template
from tests.support.stores import new_store

pytestmark = pytest.mark.integration

NOTHING = bytes(32)
PIECE = b"H87"
YEAR_S, WEEK_S = 365 * 86_400, 7 * 86_400
WIDTH = 5
MODEL = Network(
    width=WIDTH,
    decimals=0,
    decision=Decision(outputs=1, rejects=1, threshold=0),
    scales=(Scale(0, 1, 0),),
    layers=(Dense(inputs=WIDTH, outputs=1, multiplier=0, biases=(-100,), weights=bytes([3] * WIDTH)),),
)
GOOD, BAD = pack_window([2] * WIDTH), pack_window([100] * WIDTH)
LOGIT = {GOOD: -70, BAD: 1400}


@dataclass
class Shop:
    """One gated order of two parts, and the inspector's bench."""

    engine: EmbeddedChain
    consortium: Consortium
    store: Store
    model: int
    order: bytes
    lot: bytes
    stream: bytes
    log: EvidenceLog

    def anchor(self) -> Anchor:
        """One more entry under the bench's anchor."""
        self.log.append({"n": self.log.tree.size})
        return self._anchor()

    def _anchor(self) -> Anchor:
        return Anchor(self.stream, self.log.tree.size, self.log.tree.root())

    def certify(
        self, window: bytes, verdict: ModelVerdict, logit: int, measured: bytes | None = None
    ) -> tuple[int, Inference]:
        """Of the lot, on an inference that the inspector states, true or not. `measured`: what the bench measured, if
        it is to be another window."""
        salt, last = bytes(range(32)), self.log.tree.size
        commitment = build_window_commitment(salt, measured or window)
        entry = self.log.append(build_window_entry(self.lot, commitment, last, last, 0), kind=LeafKind.WINDOW)
        self.consortium.record(self.consortium.inspector, [self._anchor()])
        deployment = self.consortium.chain.deployment
        context = build_inference_context(
            chain_id=deployment.chain_id,
            ledger=deployment.ledger,
            lot=self.lot,
            stream=self.stream,
            leaf_index=entry.index,
            leaf=entry.leaf_hash,
        )
        inspected = Inspected(context, model_digest(build_model(MODEL)), salt, window, (logit,), verdict)
        statement = Statement(
            items=(Item(self.lot, self.order),),
            model=self.model,
            verdict=Verdict(int(verdict)),
            expires_at=self.now() + YEAR_S,
            inference_digest=inspected.digest,
            claims_root=NOTHING,
            stream=self.stream,
            leaf_index=entry.index,
            leaf_hash=entry.leaf_hash,
        )
        [certificate] = self.consortium.record(self.consortium.inspector, [IssueCertificate(statement)])
        return certificate, Inference(window, salt, (logit,), int(verdict))

    def issuing(self, lot: bytes, certificate: int | None = None) -> tuple[int, bytes, Issued]:
        """What opens a certificate of the lot, by default the one that decides about it, out of the index."""
        with open_reader(self.store) as reader:
            row = find_certificate(reader, lot, certificate)
            issue = find_issue(reader, row.sequence)
        return row.sequence, issue.key, read_issued(issue)

    def measured(self, issued: Issued) -> Measured:
        entry = self.log.entries[issued.statement.leaf_index]
        proof = self.log.tree.inclusion_proof(entry.index, issued.anchor_size)
        return Measured(build_leaf_data(entry.kind, entry.salt, entry.entry), tuple(proof))

    def challenge(self, inference: Inference, certificate: int | None = None) -> None:
        self.follow()
        number, key, issued = self.issuing(self.lot, certificate)
        challenge = Challenge(number, key, issued, inference, self.measured(issued))
        self.consortium.record(self.consortium.carrier, [challenge])

    def rework(self) -> None:
        self.consortium.record(self.consortium.makers[0], [ReworkLot(Rework(self.lot, self.order, 0, NOTHING, ()))])

    def demand(self, certificate: int) -> None:
        self.consortium.record(self.consortium.auditor, [DemandOpening(self.lot, self.order, certificate)])

    def follow(self) -> None:
        Follower(self.consortium.chain, self.store).follow()

    def warp(self, seconds: int) -> None:
        """The next block comes so much later."""
        self.engine._tester.time_travel(self.now() + seconds)  # no node lets its clock be set from outside

    def deliver(self) -> None:
        items = (Item(self.lot, self.order),)
        buyer = self.consortium.buyer
        [offer] = self.consortium.record(self.consortium.makers[0], [OfferCustody(items, buyer.number, NOTHING)])
        self.consortium.record(buyer, [AcceptCustody(items, offer, NOTHING)])

    def now(self) -> int:
        chain = self.consortium.chain
        return chain.header(chain.final_number()).timestamp

    def traced(self) -> Certificate:
        """The lot's latest certificate as a trace has it, which is as the contract has it."""
        self.follow()
        trace = trace_lot(self.store, self.lot)
        found = trace.certificates[-1]
        chain = self.consortium.chain
        standing = chain.read_struct(Contract.LEDGER, "standingOf", self.lot, self.consortium.inspector.number)
        assert standing["latest"] == found.certificate
        [status] = chain.read(Contract.LEDGER, "certificateStatus", found.certificate)
        assert found.status == status
        assert chain.read_struct(Contract.LEDGER, "lotOf", self.lot)["state"] == trace.lot.state
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with new_store(tmp_path) as store:
        yield _SHOP.copy(store)[0]


def _open_shop(store: Store, engine: EmbeddedChain) -> Shop:
    consortium = found_consortium(store, engine)
    maker, inspector, coordinator = consortium.makers[0], consortium.inspector, consortium.coordinator
    [model] = consortium.record(inspector, [PublishModel(build_model(MODEL), NOTHING)])
    consortium.record(consortium.auditor, [ApproveModel(model, NOTHING)])
    order = consortium.name(SubjectKind.ORDER, consortium.buyer, "urn:example:order")
    terms = OrderTerms(1, coordinator.number, (Gate(inspector.number, model),), 2**40 - 1, 0, bytes(3), NOTHING)
    consortium.record(consortium.buyer, [PlaceOrder(hash_of(order), terms)])
    consortium.record(coordinator, [AcceptOrder(order.subject, NOTHING)])
    mill = consortium.name(SubjectKind.MACHINE, maker, "urn:example:mill")
    [machine] = consortium.record(maker, [RegisterMachine(hash_of(mill), NOTHING)])
    [task] = consortium.record(coordinator, [ProposeAssignment(order.subject, 0, machine, NOTHING)])
    consortium.record(maker, [AcceptAssignment(order.subject, 0, task, NOTHING)])
    drive = consortium.name(SubjectKind.STREAM, maker, "urn:example:drive")
    consortium.record(maker, [OpenStream(hash_of(drive), machine, NOTHING)])
    consortium.record(maker, [StartAssignment(order.subject, 0, task, drive.subject, NOTHING)])
    lot = consortium.name(SubjectKind.LOT, maker, "urn:example:part")
    consortium.record(maker, [CommissionLot(hash_of(lot), order.subject, 0, 1, PIECE, NOTHING)])
    gauge = consortium.name(SubjectKind.MACHINE, inspector, "urn:example:gauge")
    [bench] = consortium.record(inspector, [RegisterMachine(hash_of(gauge), NOTHING)])
    stream = consortium.name(SubjectKind.STREAM, inspector, "urn:example:measured")
    consortium.record(inspector, [OpenStream(hash_of(stream), bench, NOTHING)])
    return Shop(engine, consortium, store, model, order.subject, lot.subject, stream.subject, EvidenceLog())


_SHOP = Template(_open_shop, lambda shop: signers_of(shop.consortium), EmbeddedChain)


def refused(shop: Shop, error: str) -> None:
    with pytest.raises(SubmitError, match=error):
        shop.deliver()


def test_a_published_model_is_kept_byte_for_byte(shop: Shop) -> None:
    chain = shop.consortium.chain
    stored = chain.read_struct(Contract.REGISTRY, "modelOf", shop.model)
    code = stored["code"]
    assert isinstance(code, bytes)
    assert chain.node.code(code) == b"\0" + build_model(MODEL)
    assert stored["digest"] == model_digest(build_model(MODEL))
    certificate, _ = shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    assert shop.traced().certificate == certificate
    model = shop.traced().model
    assert model is not None
    assert model.code == code


def test_a_true_verdict_is_upheld(shop: Shop) -> None:
    certificate, inference = shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    shop.demand(certificate)
    demanded = shop.traced()
    assert demanded.status is CertificateStatus.VALID
    assert demanded.opening_deadline is not None
    shop.challenge(inference)
    upheld = shop.traced()
    assert (upheld.status, upheld.executed) == (CertificateStatus.VALID, Verdict.PASS)
    assert upheld.opened_at is not None
    shop.warp(WEEK_S)
    assert shop.traced().status is CertificateStatus.VALID
    shop.deliver()


def test_a_false_verdict_is_refuted_and_the_gate_stays_shut(shop: Shop) -> None:
    _, inference = shop.certify(BAD, ModelVerdict.PASS, LOGIT[BAD])
    assert shop.traced().status is CertificateStatus.VALID
    shop.challenge(inference)
    refuted = shop.traced()
    assert (refuted.status, refuted.verdict, refuted.executed) == (
        CertificateStatus.REFUTED,
        Verdict.PASS,
        Verdict.FAIL,
    )
    lot = trace_lot(shop.store, shop.lot).lot
    assert lot.state is LotState.QUARANTINED
    assert lot.counterparty is not None
    assert lot.counterparty.participant == shop.consortium.inspector.number
    refused(shop, "LotStateWrong")
    [recalled] = recall(shop.store, model=shop.model).certificates
    assert recalled.status is CertificateStatus.REFUTED
    with pytest.raises(SubmitError, match="CertificateStateWrong"):
        shop.challenge(inference)


def test_false_logits_are_refuted_though_the_verdict_is_right(shop: Shop) -> None:
    _, inference = shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD] + 1)
    shop.challenge(inference)
    assert (shop.traced().status, shop.traced().executed) == (CertificateStatus.REFUTED, Verdict.PASS)
    refused(shop, "GateClosed")
    shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    refused(shop, "GateClosed")
    shop.rework()
    refused(shop, "GateClosed")
    shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    shop.deliver()


def test_h2_an_earlier_certificate_is_refuted(shop: Shop) -> None:
    first, inference = shop.certify(BAD, ModelVerdict.PASS, LOGIT[BAD])
    shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    shop.challenge(inference, first)
    shop.follow()
    found = {one.certificate: one.status for one in trace_lot(shop.store, shop.lot).certificates}
    assert found[first] is CertificateStatus.REFUTED
    assert trace_lot(shop.store, shop.lot).lot.state is LotState.QUARANTINED


def test_an_input_of_another_width_is_refuted(shop: Shop) -> None:
    _, inference = shop.certify(GOOD[8:], ModelVerdict.PASS, 0)
    shop.challenge(inference)
    assert (shop.traced().status, shop.traced().executed) == (CertificateStatus.REFUTED, Verdict.NONE)


def test_an_unopened_certificate_lapses(shop: Shop) -> None:
    certificate, inference = shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    shop.demand(certificate)
    with pytest.raises(SubmitError, match="CertificateStateWrong"):
        shop.demand(certificate)
    shop.warp(WEEK_S)
    shop.consortium.record(shop.consortium.inspector, [shop.anchor()])
    assert shop.traced().status is CertificateStatus.UNOPENED
    refused(shop, "GateClosed")
    with pytest.raises(SubmitError, match="CertificateOpeningLate"):
        shop.challenge(inference)


def test_what_is_not_the_certified_inference_is_refused(shop: Shop) -> None:
    """Whatever is changed of input, salt, logits or verdict, and whatever of the record."""
    _, inference = shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    for changed in (
        replace(inference, window=BAD),
        replace(inference, salt=NOTHING),
        replace(inference, logits=(LOGIT[GOOD] - 1,)),
        replace(inference, logits=()),
        replace(inference, verdict=2),
    ):
        with pytest.raises(SubmitError, match="CertificateInferenceWrong"):
            shop.challenge(changed)
    number, key, issued = shop.issuing(shop.lot)
    carrier = shop.consortium.carrier
    false_issued, measured = replace(issued, anchor_size=issued.anchor_size + 1), shop.measured(issued)
    with pytest.raises(SubmitError, match="CertificateDataWrong"):
        shop.consortium.record(carrier, [Challenge(number, key, false_issued, inference, measured)])
    with pytest.raises(SubmitError, match="CertificateDataWrong"):
        shop.consortium.record(carrier, [Challenge(number, bytes(20), issued, inference, measured)])
    longer = replace(measured, proof=(*measured.proof, NOTHING))
    with pytest.raises(SubmitError, match="CertificateLeafUnproven"):
        shop.consortium.record(carrier, [Challenge(number, key, issued, inference, longer)])
    assert shop.traced().status is CertificateStatus.VALID


def test_h3_an_input_that_was_not_measured_is_refuted(shop: Shop) -> None:
    """The inspector makes up an input that passes, and names the true measurement, which fails."""
    _, inference = shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD], measured=BAD)
    shop.challenge(inference)
    assert (shop.traced().status, shop.traced().executed) == (CertificateStatus.REFUTED, Verdict.NONE)


def test_h3_one_measurement_does_not_serve_two_lots(shop: Shop) -> None:
    """The measurement of one lot is certified for another: its leaf alone refutes that."""
    certificate, inference = shop.certify(GOOD, ModelVerdict.PASS, LOGIT[GOOD])
    shop.follow()
    _, _, issued = shop.issuing(shop.lot)
    maker, order = shop.consortium.makers[0], shop.order
    other = shop.consortium.name(SubjectKind.LOT, maker, "urn:example:other-part")
    shop.consortium.record(maker, [CommissionLot(hash_of(other), order, 0, 1, PIECE, NOTHING)])
    copied = replace(issued.statement, items=(Item(other.subject, order),))
    [second] = shop.consortium.record(shop.consortium.inspector, [IssueCertificate(copied)])
    assert second > certificate
    shop.follow()
    number, key, issued = shop.issuing(other.subject)
    nothing = Inference(b"", NOTHING, (), 0)
    shop.consortium.record(shop.consortium.carrier, [Challenge(number, key, issued, nothing, shop.measured(issued))])
    shop.follow()
    with open_reader(shop.store) as reader:
        assert reader.status(find_certificate(reader, to_hex(other.subject), second)) is CertificateStatus.REFUTED
    shop.challenge(inference, certificate)
