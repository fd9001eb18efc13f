"""What an attack on the verifier found: nothing false was accepted, and much was not said.

One test for each finding, by its number in ledger/verify/FINDINGS.md; those about text are in test_report_text.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.bundle import encode_bundle, parse_bundle
from millmark.ledger.checkpoint import Checkpoint, sign_checkpoint
from millmark.ledger.headers import parse_header
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import CertificateStatus, TransformationKind, Verdict
from millmark.ledger.trust import Cosigner, Cosigners, TrustFile
from millmark.ledger.verify import Step, VerificationError, verify_bundle
from millmark.ledger.verify.statements import Span
from tests.support.bundle_content import publish, publish_bytes
from tests.support.bundle_vector import vector_content
from tests.support.story import (
    BUYER,
    CARRIER,
    COORDINATOR,
    INSPECTOR,
    MAKER,
    NONE,
    OTHER,
    STREAM,
    Story,
    codes,
    name,
    said,
    tell,
    terms_of,
    texts,
)

SPLIT, CONVERSION = TransformationKind.SPLIT, TransformationKind.CONVERSION
ORDER, LOT, OTHER_LOT, BAR = (name(one) for one in ("order", "lot", "other lot", "bar"))


def digest(number: int) -> bytes:
    return bytes([number]) * 32


def gated() -> tuple[Story, int]:
    """A lot of an order with a gate, made and not certified; and its assignment."""
    story = Story()
    assignment = story.begin(ORDER)
    story.commission(LOT, ORDER, assignment)
    return story, assignment


def test_v1_a_refuted_certificate_is_told_whatever_was_issued_after_it() -> None:
    """The same inspector certifies again, on the same measurement: the contract opens the gate."""
    story, _ = gated()
    first = story.certify(LOT, ORDER, leaf_index=7)
    story.settle("CertificateRefuted", LOT, first)
    second = story.certify(LOT, ORDER, leaf_index=7, inference_digest=digest(2))
    report = tell(story, LOT)
    assert said(report, "passed")[0].records == (second,)
    [told] = said(report, "certificate")
    assert (told.records, told.values["status"]) == ((first,), CertificateStatus.REFUTED)
    [reuse] = said(report, "one_measurement")
    assert reuse.records == (first, second)
    assert not said(report, "one_inference")
    history = [one.code for one in report.statements if one.code.startswith("event_")]
    assert history == ["event_passed", "event_refuted", "event_passed"]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [("", None), ("revoked", CertificateStatus.REVOKED), ("demanded", CertificateStatus.UNOPENED)],
)
def test_v1_what_a_rework_voided_is_told_by_what_else_is_wrong(wrong: str, status: CertificateStatus | None) -> None:
    story, assignment = gated()
    first = story.certify(LOT, ORDER, leaf_index=7)
    if wrong == "revoked":
        story.record("CertificateRevoked", INSPECTOR, LOT, certificate=first)
    elif wrong == "demanded":
        story.demand(LOT, first)
    story.rework(LOT, assignment=assignment)
    story.certify(LOT, ORDER, leaf_index=21, inference_digest=digest(2))
    told = [(one.records, one.values["status"]) for one in said(tell(story, LOT, days=30), "certificate")]
    assert told == ([] if status is None else [((first,), status)])


def test_v2_a_fail_is_told_although_another_inspector_passed_the_lot() -> None:
    """The custodian's own quarantine kept the verdict from moving the lot, and was lifted by the custodian."""
    story = Story()
    story.receive(LOT)
    story.on_lot("LotQuarantined", LOT)
    failed = story.certify(LOT, verdict=2)
    story.on_lot("LotReleased", LOT)
    story.certify(LOT, by=OTHER, leaf_index=9, inference_digest=digest(2))
    report = tell(story, LOT)
    [told] = said(report, "certificate")
    assert (told.records, told.values["verdict"]) == ((failed,), Verdict.FAIL)
    history = [one.code for one in report.statements if one.code.startswith("event_")]
    assert history == ["event_quarantined", "event_failed", "event_released", "event_passed"]


def test_v2_a_fail_of_an_ancestor_is_told() -> None:
    story = Story()
    story.receive(BAR)
    failed = story.certify(BAR, verdict=2)
    [part] = story.transform(CONVERSION, {BAR: 10}, {"part": 10})
    [told] = said(tell(story, part), "certificate")
    assert (told.records, told.subject) == ((failed,), BAR)


def test_v3_other_lots_of_the_same_assignment_are_told_with_their_verdicts() -> None:
    """One thing, recorded as two lots: the maker itself has the motive."""
    story, assignment = gated()
    story.commission(OTHER_LOT, ORDER, assignment)
    story.certify(OTHER_LOT, ORDER, verdict=2)
    story.certify(LOT, ORDER, leaf_index=9, inference_digest=digest(2))
    report = tell(story, LOT, OTHER_LOT)
    told = {one.subject: one.values["verdict"] for one in said(report, "same_assignment")}
    assert told == {LOT: Verdict.PASS, OTHER_LOT: Verdict.FAIL}
    assert said(report, "other_lots")[0].records == (assignment,)
    assert "its maker included" in texts(report, "truth")[0]


def test_v3_lots_of_the_same_step_without_a_history_are_named() -> None:
    story = Story()
    story.receive(BAR)
    part, sister = story.transform(SPLIT, {BAR: 10}, {"part": 4, "sister": 6})
    del story.histories[sister]
    [told] = said(tell(story, part), "sisters")
    assert [one.subject for one in told.values["lots"]] == [sister]  # type: ignore[attr-defined]  # a tuple of things


def test_v4_one_measurement_for_two_lots_is_told() -> None:
    story = Story()
    numbers = []
    for place, lot in enumerate((LOT, OTHER_LOT)):
        story.receive(lot)
        numbers.append(story.certify(lot, leaf_index=7, inference_digest=digest(place + 1)))
    [told] = said(tell(story, LOT, OTHER_LOT), "one_measurement")
    assert told.records == tuple(numbers)


def test_v4_one_measurement_for_two_operations_is_told() -> None:
    story = Story()
    story.place(ORDER, operations=2)
    story.accept(ORDER)
    numbers = []
    for operation in (0, 1):
        assignment = story.propose(ORDER, operation)
        story.step("AssignmentAccepted", ORDER, assignment, operation)
        story.start(ORDER, assignment, operation)
        if not operation:
            story.commission(LOT, ORDER, assignment)
        story.step("AssignmentFinished", ORDER, assignment, operation, stream=STREAM, leaf_index=3, leaf_hash=NONE)
        numbers.append(len(story.entries))
    [told] = said(tell(story, LOT), "one_measurement")
    assert told.records == tuple(numbers)


def test_v4_a_certificate_on_the_entry_of_another_lots_operation_is_told() -> None:
    story, assignment = gated()
    story.finish(ORDER, assignment, leaf=3)
    finished = len(story.entries)
    own = story.certify(LOT, ORDER, stream=STREAM, leaf_index=3)
    assert not said(tell(story, LOT), "one_measurement"), "of the lot's own operation"
    story.receive(OTHER_LOT)
    other = story.certify(OTHER_LOT, stream=STREAM, leaf_index=3, inference_digest=digest(2))
    [told] = said(tell(story, LOT, OTHER_LOT), "one_measurement")
    assert told.records == (finished, own, other)


def test_v4_a_measurement_from_before_the_work_is_told() -> None:
    """Of a stream whose size at the start the assignment keeps: its entries before that are of other lots."""
    story, assignment = gated()
    certificate = story.certify(LOT, ORDER, stream=STREAM, leaf_index=0)
    [told] = said(tell(story, LOT), "old_measurement")
    assert told.records[0] == certificate
    assert (told.values["index"], told.values["size"]) == (0, 1)
    assert not said(tell(story, LOT), "timing"), "it is known"
    story, assignment = gated()
    story.certify(LOT, ORDER, stream=STREAM, leaf_index=1)
    assert not said(tell(story, LOT), "old_measurement")
    assert assignment


def test_v4_the_first_entry_of_a_stream_is_not_old_where_nothing_dates_it() -> None:
    story = Story()
    story.receive(LOT)
    story.certify(LOT, leaf_index=0)
    assert not said(tell(story, LOT), "old_measurement")


def test_v4_a_measurement_from_before_the_rework_is_told() -> None:
    story, assignment = gated()
    failed = story.certify(LOT, ORDER, verdict=2, leaf_index=20, size=21)
    story.rework(LOT, assignment=assignment)
    story.certify(LOT, ORDER, leaf_index=19, inference_digest=digest(2))
    [told] = said(tell(story, LOT), "old_measurement")
    assert told.values["size"] == 21
    story.certify(LOT, ORDER, leaf_index=21, inference_digest=digest(3))
    assert len(said(tell(story, LOT), "old_measurement")) == 1
    assert failed


def test_v4_a_certificate_on_another_entry_than_the_lots_operation_is_told() -> None:
    story, assignment = gated()
    story.finish(ORDER, assignment, leaf=5)
    finished = len(story.entries)
    certificate = story.certify(LOT, ORDER, stream=STREAM, leaf_index=6)
    [told] = said(tell(story, LOT), "other_measurement")
    assert told.records == (certificate, finished)
    assert str(certificate) in str(told)


def test_v4_what_nothing_dates_is_said_not_to_be_proved() -> None:
    story, _ = gated()
    certificate = story.certify(LOT, ORDER, leaf_index=7, size=40)
    [told] = said(tell(story, LOT), "timing")
    assert told.records == (certificate,)


def test_v5_that_inputs_are_measured_is_proved_or_said_not_to_be() -> None:
    content = vector_content()
    opened = tuple(one.record for one in content.bundle.inferences)
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert said(report, "inputs")[0].records == opened
    assert not said(report, "uncompared")
    content.change(evidence=())
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert said(report, "uncompared")[0].records == opened
    assert not said(report, "inputs")
    assert not said(report, "one_inference"), "each certificate has an inference of its own"


def test_v6_who_waived_a_gate_of_whom_is_told() -> None:
    story, _ = gated()
    story.record("GateWaived", BUYER, LOT, inspector=INSPECTOR, certificate=0)
    [told] = said(tell(story, LOT), "event_waived")
    assert (told.values["by"].participant, told.values["inspector"].participant) == (BUYER, INSPECTOR)  # type: ignore[attr-defined]  # parties


def test_v6_what_was_made_of_the_part_is_told_where_it_is_not_followed() -> None:
    story = Story()
    story.receive(LOT)
    made = story.transform(SPLIT, {LOT: 3}, {"one": 1, "two": 2})
    for one in made:
        del story.histories[one]
    report = tell(story, LOT)
    assert said(report, "made_of")[0].values["lots"] == 2
    assert not said(report, "all_made") + said(report, "nothing_made")
    story = Story()
    story.receive(LOT)
    assert said(tell(story, LOT), "nothing_made")
    made = story.transform(SPLIT, {LOT: 3}, {"one": 1, "two": 2})
    report = tell(story, LOT, *made)
    assert [said(report, code) for code in ("made_of", "nothing_made")] == [[], []]


def test_v7_what_was_converted_without_components_was_not_assembled() -> None:
    story = Story()
    story.receive(BAR)
    [part] = story.transform(CONVERSION, {BAR: 10}, {"part": 10})
    assert {"converted"} <= set(codes(tell(story, part)))
    assert "assembled" not in codes(tell(story, part))


def test_v6_a_demand_outlives_another_certificate() -> None:
    story, _ = gated()
    first = story.certify(LOT, ORDER, leaf_index=7)
    story.demand(LOT, first)
    story.certify(LOT, ORDER, leaf_index=7, inference_digest=digest(2))
    report = tell(story, LOT)
    assert said(report, "demanded")[0].records == (first,)
    late = tell(story, LOT, days=30)
    assert said(late, "unmet")[0].records == (first,)
    assert [one.values["status"] for one in said(late, "certificate")] == [CertificateStatus.UNOPENED]
    story.record("CertificateRevoked", INSPECTOR, LOT, certificate=first)
    assert said(tell(story, LOT), "unmet")[0].records == (first,), "revoked rather than opened"


def test_v7_who_only_split_is_not_said_to_have_made() -> None:
    story = Story()
    story.receive(BAR, quantity=2, by=CARRIER)
    part, other = story.transform(SPLIT, {BAR: 2}, {"one": 1, "two": 1}, by=CARRIER)
    del story.histories[other]
    report = tell(story, part, names={part: "urn:example:one", BAR: "urn:example:bar"})
    assert "made" not in codes(report)
    assert texts(report, "split")[0].startswith("urn:example:one: split off urn:example:bar by Zeta")
    assert texts(report, "received")[0].startswith("urn:example:bar: received from outside by Zeta")


def test_v7_who_assembled_is_told_apart_from_who_made() -> None:
    story, _ = gated()
    story.receive(BAR)
    [part] = story.transform(CONVERSION, {LOT: 1, BAR: 1}, {"pump": 1}, used=(BAR,), order=ORDER)
    report = tell(story, part, names={part: "urn:example:pump", LOT: "urn:example:hip", BAR: "urn:example:screw"})
    assert texts(report, "assembled")[0].startswith("urn:example:pump: assembled by Alder from")
    assert texts(report, "made")[0].startswith("urn:example:hip: made by Alder")


def test_v8_the_distance_to_the_believed_block_is_told_and_can_be_bounded() -> None:
    content = vector_content()
    content.later = 5
    data, trust = publish_bytes(content)
    [told] = said(verify_bundle(data, trust, now_s=content.time), "behind")
    assert told.values["blocks"] == 5
    headers = [parse_header(header) for header in parse_bundle(data).headers]
    span = headers[-1].timestamp - headers[0].timestamp
    assert told.values["span"] == Span(span)
    assert span > 0
    assert not said(verify_bundle(*alone(), now_s=content.time), "behind")
    verify_bundle(data, trust, now_s=content.time, max_behind=5)
    with pytest.raises(VerificationError, match="5 blocks before") as caught:
        verify_bundle(data, trust, now_s=content.time, max_behind=4)
    assert caught.value.step is Step.CHECKPOINT


def alone() -> tuple[bytes, TrustFile]:
    """A proof at the believed block itself."""
    content = vector_content()
    content.later = 0
    return publish_bytes(content)


def test_v9_each_document_is_told_with_lot_author_and_root() -> None:
    content = vector_content()
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    split = [str(one) for one in said(report, "document") if len(one.values["about"]) == 1 and one.values["root"]]  # type: ignore[arg-type]  # a tuple of things
    told = next(one for one in split if "urn:example:hip-2" in one)
    assert "document 2, on urn:example:hip-2, by Alder Forge:" in told
    authors = [one.split(", by ")[1].split(":")[0] for one in texts(report, "document") if "NoteRecorded" in one]
    assert authors == ["Umbra Inspection", "Alder Forge"]
    fewer = content.bundle.claims[:3]
    content.change(claims=fewer)
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert "every field that is withheld is counted" in texts(report, "fields")[0]


def test_v10_own_work_without_an_order_is_told() -> None:
    story = Story()
    story.receive(BAR)
    [part] = story.transform(CONVERSION, {BAR: 10}, {"part": 10})
    certificate = story.certify(part, by=MAKER)
    assert said(tell(story, part), "own_work")[0].records == (certificate,)


def test_v10_own_work_of_a_cancelled_assignment_is_told() -> None:
    story = Story()
    story.record("OrderPlaced", BUYER, ORDER, terms=terms_of(1, ()))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(LOT, ORDER, assignment)
    story.step("AssignmentCancelled", ORDER, assignment, by=COORDINATOR)
    certificate = story.certify(LOT, ORDER, by=MAKER)
    assert said(tell(story, LOT), "own_work")[0].records == (certificate,)


def test_v10_own_work_on_an_ancestor_is_told() -> None:
    story = Story()
    story.receive(BAR, by=CARRIER)
    [bulk] = story.transform(CONVERSION, {BAR: 10}, {"bulk": 10}, by=CARRIER)
    story.offer(bulk, MAKER, by=CARRIER)
    story.take(bulk, by=MAKER)
    [part] = story.transform(CONVERSION, {bulk: 10}, {"part": 10})
    certificate = story.certify(part, by=CARRIER)
    [told] = said(tell(story, part), "own_work")
    assert told.records == (certificate,)
    assert told.values["work"].subject == bulk  # type: ignore[attr-defined]  # a thing


def test_v10_goods_that_the_inspector_brought_in_are_told() -> None:
    story = Story()
    story.receive(BAR, by=CARRIER)
    certificate = story.certify(BAR, by=CARRIER)
    [told] = said(tell(story, BAR), "own_goods")
    assert told.records == (certificate,)


def test_v10_a_rework_without_an_order_is_own_work() -> None:
    story = Story()
    story.receive(LOT, by=CARRIER)
    story.offer(LOT, MAKER, by=CARRIER)
    story.take(LOT, by=MAKER)
    before = story.certify(LOT, by=MAKER)
    assert not said(tell(story, LOT), "own_work")
    story.rework(LOT)
    after = story.certify(LOT, by=MAKER, inference_digest=digest(2))
    assert [one.records for one in said(tell(story, LOT), "own_work")] == [(before,), (after,)]


def test_v13_an_entry_that_is_not_shown_silences_nothing() -> None:
    content = vector_content()
    hidden = tuple(replace(one, shown=None) for one in content.bundle.evidence)
    empty = tuple(
        replace(one, disclosure=replace(one.disclosure, shown=(), proof=one.disclosure.proof))
        for one in content.bundle.claims
    )
    content.change(evidence=hidden)
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert not {"measured_certificates", "measured_operations", "entry"} & set(codes(report))
    assert said(report, "entries")[0].records == tuple(one.record for one in hidden)
    assert empty


def test_v13_a_document_of_which_no_field_is_shown_is_not_shown() -> None:
    content = vector_content()
    data, trust = publish_bytes(content)
    assert "documents" not in codes(verify_bundle(data, trust, now_s=content.time))
    first = content.bundle.claims[0]
    with pytest.MonkeyPatch.context() as patch:
        # Taken as proved: what is asked here is what is said about it.
        patch.setattr("millmark.ledger.verify.verifier.verify_claims", lambda *_: None)
        content.change(
            claims=(replace(first, disclosure=replace(first.disclosure, shown=())), *content.bundle.claims[1:])
        )
        data, trust = publish_bytes(content)
        report = verify_bundle(data, trust, now_s=content.time)
    assert said(report, "documents")[0].records == (first.record,)
    assert "no field is shown" in texts(report, "document")[0]


def test_v14_a_lot_that_a_withheld_record_may_have_used_up_is_not_said_to_be_in_quarantine() -> None:
    story = Story()
    story.receive(BAR, quantity=10)
    part, other = story.transform(SPLIT, {BAR: 5}, {"part": 4, "rest": 1})
    del story.histories[other]
    story.withhold(BAR)
    story.on_lot("LotQuarantined", BAR)
    report = tell(story, part)
    assert "quarantined" not in codes(report)
    assert "withheld records may have used it up" in texts(report, "quarantined_or_spent")[0]


def test_v15_machines_of_components_are_not_those_of_the_part() -> None:
    story, assignment = gated()
    story.receive(BAR)
    [part] = story.transform(CONVERSION, {LOT: 1, BAR: 1}, {"pump": 1}, used=(LOT,), order=ORDER)
    report = tell(story, part, names={part: "urn:example:pump", LOT: "urn:example:screw"})
    assert [(one.subject, one.records) for one in said(report, "on_machine")] == [
        (LOT, (assignment,)),
        (part, (assignment,)),
    ]
    assert texts(report, "on_machine")[0].startswith("urn:example:screw: worked on machine 10 of Alder")


def test_v17_the_trust_file_is_told_and_not_proved() -> None:
    content = vector_content()
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert len(said(report, "trust_file")[0].values["digest"]) == 32  # type: ignore[arg-type]  # bytes
    assert "trust" in {one.code for one in report.not_proved}
    assert "named by the trust file" in texts(report, "checkpoint_named")[0]


def test_v17_signers_and_quorum_are_told() -> None:
    content = vector_content()
    signers = sorted((LocalSigner.generate() for _ in range(2)), key=lambda one: one.address)
    bundle, trust = publish(content)
    keys = tuple(Cosigner(number, one.address) for number, one in enumerate(signers, start=6))
    cosigned = replace(trust, checkpoint=Cosigners(1, keys))
    last = parse_header(bundle.headers[-1])
    point = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash)
    signed = sign_checkpoint(point, signers[0])
    data = encode_bundle(replace(bundle, signatures=signed.signatures))
    [told] = texts(verify_bundle(data, cosigned, now_s=content.time), "checkpoint_cosigned")
    assert "signed by Umbra Inspection; 1 of the 2 co-signers" in told


def test_v18_ledger_id_and_predecessor_are_told() -> None:
    content = vector_content()
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert "0x" + content.bundle.ledger_id.hex() in texts(report, "as_of")[0]
    assert "predecessor" not in codes(report)
    after = verify_bundle(data, replace(trust, predecessor=b"\7" * 20), now_s=content.time)
    assert "0x" + "07" * 20 in texts(after, "succeeds")[0]
    assert said(after, "predecessor")
