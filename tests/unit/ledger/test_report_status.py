"""How certificates stand at the borders of time, and what is said, or not, of parts with and without what their order
asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from millmark.ledger.bundle import EvidenceEntryShown, ShownClaims, ShownEvidence
from millmark.ledger.claims import build_claims
from millmark.ledger.evidence import LeafKind
from millmark.ledger.footprint import Moment, Reading, RegisterEntry, build_register_data
from millmark.ledger.records import CertificateStatus, ModelState
from millmark.ledger.verify import Section, Step, VerificationError, describe, verify_bundle
from millmark.ledger.verify._disclosures import named_starts, verify_claims, verify_inferences
from millmark.ledger.verify._state import did_stand
from millmark.ledger.verify.recorded import Measured, _with_measured
from millmark.ledger.verify.report import ClaimsRefused, InferencesRefused, Report
from millmark.ledger.verify.statements import say
from tests.support.bundle_content import publish_bytes
from tests.support.bundle_vector import vector_bytes, vector_content, vector_now, vector_trust
from tests.support.story import (
    AUDITOR,
    BUYER,
    CARRIER,
    MAKER,
    MODEL,
    NONE,
    PUBLISHED,
    START_S,
    STREAM,
    Story,
    codes,
    model_of,
    name,
    named,
    said,
    tell,
)

ORDER, PART, SCREW, BOX = name("order"), name("part"), name("screw"), name("box")


@pytest.fixture
def story() -> Story:
    """A part of an order with a gate."""
    story = Story()
    story.commission(PART, ORDER, story.begin(ORDER))
    return story


@pytest.mark.parametrize(("since", "status"), [(0, CertificateStatus.FALLEN), (1, CertificateStatus.VALID)])
def test_a_certificate_of_the_second_since_which_its_model_was_defective_falls(
    story: Story, since: int, status: CertificateStatus
) -> None:
    story.certify(PART, ORDER)
    story.models[MODEL] = replace(
        model_of(ModelState.WITHDRAWN, AUDITOR, withdrawn_at=story.now + 1), defective_since=story.now + since
    )
    report = tell(story, PART)
    [verdict] = [one for one in report.statements if one.code in ("passed", "no_valid_verdict")]
    assert verdict.values["status"] is status


def test_no_verdict_ever_stood_on_a_model_that_nobody_had_approved() -> None:
    withdrawn = model_of(ModelState.WITHDRAWN, 0, withdrawn_at=START_S + 10)
    assert not did_stand(withdrawn, START_S, START_S)
    approved = replace(withdrawn, approver=AUDITOR)
    assert did_stand(approved, START_S, START_S)
    assert not did_stand(approved, START_S + 11, START_S)
    assert did_stand(replace(approved, defective_since=START_S + 1), START_S + 11, START_S)


def test_another_gate_is_said_only_of_a_part_that_its_inspector_did_not_certify_by_its_model(story: Story) -> None:
    story.certify(PART, ORDER)
    assert not said(tell(story, PART), "other_gate")
    story.certify(PART, ORDER, model=PUBLISHED, leaf_index=2, inference_digest=b"\2" * 32)
    assert named(tell(story, PART), "other_gate", "lot")[0].subject == PART


def test_a_quarantine_and_what_a_rework_built_in_are_said(story: Story) -> None:
    story.receive(SCREW, 10)
    assert not {"quarantined_part", "fitted"} & set(codes(tell(story, PART, SCREW)))
    story.rework(PART, SCREW, assignment=3)
    story.on_lot("LotQuarantined", PART)
    report = tell(story, PART, SCREW)
    [part] = said(report, "quarantined_part")
    [fitted] = said(report, "fitted")
    assert (part.subject, fitted.subject) == (PART, PART)
    assert [one.subject for one in fitted.values["inputs"]] == [SCREW]  # type: ignore[attr-defined]  # things


def test_what_every_bundle_proves_and_how_much_it_has_is_said() -> None:
    report = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    bundle = vector_content().bundle
    assert {"complete", "signers", "status"} <= set(codes(report))
    assert named(report, "counts", "recorded") == [len(bundle.records)]
    assert named(report, "counts", "histories") == [len(bundle.histories)]
    withheld = sum(len(one.disclosure.paths) - len(one.disclosure.shown) for one in bundle.claims)
    assert named(report, "fields_withheld", "fields") == ([withheld] if withheld else [])
    [at] = [one for one in json.loads(json.dumps(report.to_json())) if one["code"] == "as_of"]
    assert at["values"]["block_hash"] == f"0x{named(report, 'as_of', 'block_hash')[0].hex()}"


def entries(story: Story) -> Mapping[str, int]:
    return {type(one.event).__name__: one.sequence for one in story.entries}


def test_operations_are_told_apart_by_what_is_shown_of_their_entry(story: Story) -> None:
    story.finish(ORDER, 3)
    record = entries(story)["AssignmentFinished"]

    def found(*evidence: ShownEvidence) -> dict[str, object]:
        report: Report = tell(story, PART, evidence=evidence)
        wanted = ("measured_operations", "hashed_operations", "opened_operations")
        return {code: one.values["finished"] for code in wanted for one in said(report, code)}

    shown = EvidenceEntryShown(LeafKind.EVENT, NONE, {})
    assert found(ShownEvidence(record, (NONE,), (), shown)) == {"measured_operations": (record,)}
    assert found(ShownEvidence(record, (NONE,), (), None)) == {"hashed_operations": (record,)}
    assert found(ShownEvidence(record, (), (), shown)) == {"opened_operations": (record,)}


def test_a_finish_names_the_start_of_its_own_assignment_alone(story: Story) -> None:
    story.finish(ORDER, 3)
    record, by_number = entries(story)["AssignmentFinished"], {one.sequence: one for one in story.entries}
    for assignment, found in ((3, [3]), (4, [])):
        finish = RegisterEntry(Reading(START_S, 1000, Moment.FINISH, assignment), start=1)
        shown = EvidenceEntryShown(LeafKind.EVENT, NONE, build_register_data(finish))
        assert list(named_starts([ShownEvidence(record, (), (), shown)], by_number)) == found


def test_the_place_of_a_shown_entry_of_an_operation_is_proved_wherever_a_proof_is_given() -> None:
    content = vector_content()
    finished = {one.sequence for one in content.bundle.records if one.kind == "AssignmentFinished"}
    [first, *_] = [one for one in content.bundle.evidence if one.record in finished and one.shown and one.inclusion]
    wrong = replace(first, inclusion=(*first.inclusion[:-1], b"\1" * 32))
    content.change(evidence=tuple(wrong if one is first else one for one in content.bundle.evidence))
    data, trust = publish_bytes(content)
    with pytest.raises(VerificationError) as refused:
        verify_bundle(data, trust, now_s=content.time)
    assert refused.value.step is Step.EVIDENCE


def test_evidence_of_an_operation_has_no_proof_that_its_stream_only_grew() -> None:
    """It would be bytes that prove nothing, and the same bundle could have many texts."""
    content = vector_content()
    finished = {one.sequence for one in content.bundle.records if one.kind == "AssignmentFinished"}
    first = next(one for one in content.bundle.evidence if one.record in finished)
    wrong = replace(first, consistency=(b"\1" * 32,))
    content.change(evidence=tuple(wrong if one is first else one for one in content.bundle.evidence))
    data, trust = publish_bytes(content)
    with pytest.raises(VerificationError, match="must not have a consistency proof") as refused:
        verify_bundle(data, trust, now_s=content.time)
    assert refused.value.step is Step.EVIDENCE


def test_of_a_certificate_by_procedure_no_window_is_asked(story: Story) -> None:
    shown = EvidenceEntryShown(LeafKind.WINDOW, NONE, {"lot": "0x00"})
    for model, missing in ((MODEL, 1), (0, 0)):
        record = story.certify(PART, ORDER, model=model, leaf_index=model)
        report = tell(story, PART, evidence=(ShownEvidence(record, (NONE,), (), shown),))
        assert len(said(report, "no_window")) == missing


def test_what_needs_attention_is_a_list_and_what_is_said_of_parts_is_not() -> None:
    report = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    lines = describe(report)
    for section, indent in ((Section.HEAD, ""), (Section.PART, "  "), (Section.ATTENTION, "  - ")):
        told = [one for one in report.within(section) if one.code != "part"]
        assert told
        assert {f"{indent}{one}" for one in told} <= set(lines)


def test_a_lot_changes_hands_with_the_box_that_it_is_in_and_not_before(story: Story) -> None:
    story.receive(BOX, 1, by=CARRIER)
    story.offer(BOX, to=MAKER, by=CARRIER)
    story.take(BOX, by=MAKER)
    story.receive(SCREW, 10)
    story.pack(BOX, SCREW)
    story.offer(BOX)
    taken = [len(story.entries) + 1]
    story.take(BOX)
    story.record("LotsUnpacked", CARRIER, BOX, SCREW)
    story.offer(SCREW, to=BUYER, by=CARRIER)
    taken.append(len(story.entries) + 1)
    story.take(SCREW, by=BUYER)
    report = tell(story, SCREW, BOX, PART)
    assert [one.records[0] for one in said(report, "handed_over") if one.subject == SCREW] == taken


def test_a_lot_that_is_still_in_its_box_changes_hands_with_it(story: Story) -> None:
    story.receive(BOX, 1)
    story.receive(SCREW, 10)
    story.pack(BOX, SCREW)
    story.offer(BOX)
    story.take(BOX)
    report = tell(story, SCREW, BOX, PART)
    assert [one.records[0] for one in said(report, "handed_over") if one.subject == SCREW] == [len(story.entries)]


def test_what_the_whole_ledger_knows_of_a_measurement_takes_the_place_of_what_its_lots_tell() -> None:
    of_two = say("one_measurement", None, (1, 2), measured=(1, 2), stream=NONE, index=3)
    of_another = say("one_measurement", None, (4, 5), measured=(4, 5), stream=NONE, index=4)
    known = {(NONE, 3): Measured(NONE, 3, (1, 2, 9), 0)}
    told = list(_with_measured([of_two, of_another], known))
    assert [one.records for one in told] == [(4, 5), (1, 2, 9)]
    assert [one.values["stream"] for one in told] == [NONE, NONE]


@pytest.mark.parametrize(("first", "tells"), [(4, 0), (6, 1)])
def test_a_certificate_on_a_window_that_has_the_entry_of_the_lots_operation_is_on_it(
    story: Story, first: int, tells: int
) -> None:
    story.finish(ORDER, 3, leaf=5)
    certificate = story.certify(PART, ORDER, stream=STREAM, leaf_index=9)
    entry = EvidenceEntryShown(LeafKind.WINDOW, NONE, {"first": first, "last": 8})
    report = tell(story, PART, evidence=(ShownEvidence(certificate, (NONE,), (), entry),))
    assert len(said(report, "other_measurement")) == tells


def test_an_inference_of_a_certificate_by_procedure_is_none(story: Story) -> None:
    record = story.certify(PART, ORDER, model=0)
    shown = next(iter(vector_content().bundle.inferences))
    bundle = replace(story.bundle(PART), inferences=(replace(shown, record=record),))
    with pytest.raises(InferencesRefused, match="no such certificate by inference"):
        verify_inferences(bundle, story.replay(PART))


def test_a_document_that_its_record_does_not_have_is_refused(story: Story) -> None:
    """Behind the last, or one that the record leaves out."""
    claims = build_claims({"name": "crank"})
    story.on_lot("CustodyOffered", PART, to=CARRIER, claims_root=claims.root)
    offered = len(story.entries)
    begun = entries(story)["LotCommissioned"]
    by_number = {one.sequence: one for one in story.entries}
    for record, root, refused in ((offered, 0, False), (offered, 1, True), (begun, 0, True), (99, 0, True)):
        bundle = replace(story.bundle(PART), claims=(ShownClaims(record, root, claims.disclose([("name",)])),))
        if not refused:
            verify_claims(bundle, by_number)
            continue
        with pytest.raises(ClaimsRefused, match="has no") as caught:
            verify_claims(bundle, by_number)
        assert caught.value.sequence == record
