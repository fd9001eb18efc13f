"""What is said of operations and certificates without evidence; "va" is of ledger/verify/FINDINGS.md."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from millmark.ledger.bundle import EvidenceEntryShown, ShownClaims, ShownEvidence
from millmark.ledger.claims import build_claims
from millmark.ledger.evidence import LeafKind
from millmark.ledger.records import TransformationKind
from millmark.ledger.slots import StreamSlots
from millmark.ledger.verify import Section, verify_bundle
from millmark.ledger.verify.verifier import build_report
from tests.support.bundle_content import publish_bytes
from tests.support.bundle_vector import vector_content
from tests.support.story import (
    BENCH_STREAM,
    MAKER,
    NONE,
    PRESS,
    STREAM,
    Story,
    Table,
    name,
    named,
    said,
    subjects,
    tell,
    verified_of,
)

ORDER, BAR = name("order"), name("bar")


def test_va_operations_without_evidence_are_named() -> None:
    """An invented leaf hash finishes an operation; the evidence of another one does not speak for it."""
    content = vector_content()
    finished = {one.sequence for one in content.bundle.records if one.kind == "AssignmentFinished"}
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert set(said(report, "measured_operations")[0].records) == finished
    kept: tuple[ShownEvidence, ...] = tuple(one for one in content.bundle.evidence if one.record not in finished)
    content.change(evidence=kept)
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert set(said(report, "operations")[0].records) == finished
    assert not said(report, "measured_operations")
    certified = {one.sequence for one in content.bundle.records if one.kind == "CertificateIssued"}
    assert set(said(report, "measured_certificates")[0].records) == certified


def test_va_a_certificate_without_evidence_is_named_although_others_have_some() -> None:
    content = vector_content()
    first, *others = (one for one in content.bundle.evidence)
    content.change(evidence=tuple(others))
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert said(report, "measured")[0].records == (first.record,)
    assert first.record not in said(report, "measured_certificates")[0].records


def test_of_an_entry_that_is_not_shown_nothing_is_said_about_its_lot() -> None:
    story, lot = Story(), name("lot")
    story.receive(lot)
    certificate = story.certify(lot)
    hashed = ShownEvidence(certificate, (), (), None)
    assert not said(tell(story, lot, evidence=(hashed,)), "no_window")
    other = ShownEvidence(certificate, (), (), EvidenceEntryShown(LeafKind.WINDOW, NONE, {"lot": "0x00"}))
    assert subjects(tell(story, lot, evidence=(other,)), "no_window") == [lot]


def test_documents_are_told_with_what_they_are_about_and_how_many_fields_are_withheld() -> None:
    """A transformation has one about all that it made, and one about each."""
    story, claims = Story(), build_claims({"alloy": "A2", "heat": 7, "mass": 12})
    story.receive(BAR)
    made = story.transform(TransformationKind.SPLIT, {BAR: 10}, {"one": 4, "two": 6})
    record = len(story.entries)
    some, everything = [("heat",)], [("alloy",), ("heat",), ("mass",)]
    assert not said(tell(story, *made), "document")
    for paths, withheld in ((some, [4]), (everything, [])):
        shown = [ShownClaims(record, 0, claims.disclose(everything))]
        shown += [ShownClaims(record, root, claims.disclose(paths)) for root in (1, 2)]
        report = tell(story, *made, claims=tuple(shown))
        about = [tuple(thing.subject for thing in one) for one in named(report, "document", "about")]
        assert about == [tuple(made), (made[0],), (made[1],)]
        assert subjects(report, "document") == [made[0], made[0], made[1]]
        assert named(report, "document", "root") == [0, 1, 2]
        assert named(report, "fields_withheld", "fields") == withheld


def test_that_fields_are_those_of_documents_is_said_where_some_are_shown() -> None:
    story, claims = Story(), build_claims({"alloy": "A2"})
    story.receive(BAR)
    shown = ShownClaims(1, 0, claims.disclose([("alloy",)]))
    hidden = replace(shown, root=1, disclosure=replace(shown.disclosure, shown=()))
    for given, tells in (((), 0), ((hidden,), 0), ((shown,), 1), ((shown, hidden), 1)):
        assert len(said(tell(story, BAR, claims=given), "fields")) == tells


@pytest.mark.parametrize(("size", "opened"), [(1, False), (2, True), (100, True)])
def test_the_only_entry_of_a_stream_needs_no_proof_of_its_place(size: int, opened: bool) -> None:
    story, lot = Story(), name("lot")
    story.place(ORDER)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.step("AssignmentStarted", ORDER, assignment, stream=STREAM, stream_size=0)
    story.commission(lot, ORDER, assignment)
    story.finish(ORDER, assignment, leaf=0)
    record = len(story.entries)
    entry = EvidenceEntryShown(LeafKind.EVENT, NONE, {})
    verified = verified_of(story, lot, evidence=(ShownEvidence(record, (), (), entry),))
    streams = cast("Table[bytes, StreamSlots]", verified.state.proved.streams)
    streams.entries[STREAM] = StreamSlots(1, PRESS, MAKER, size, NONE)
    report = build_report(verified)
    codes = ("measured_operations", "opened_operations")
    assert [one.code for one in report.statements if one.code in codes] == [codes[opened]]


def test_evidence_is_told_by_what_it_is_of_and_how_much_of_it_is_shown() -> None:
    story, lot = Story(), name("lot")
    story.commission(lot, ORDER, story.begin(ORDER))
    story.finish(ORDER, 3, leaf=5)
    finished = len(story.entries)
    certificates = [story.certify(lot, ORDER, leaf_index=at, inference_digest=bytes([at]) * 32) for at in (7, 8)]
    entry = EvidenceEntryShown(LeafKind.EVENT, NONE, {"a": 1})
    evidence = (
        ShownEvidence(finished, (NONE,), (), entry),
        ShownEvidence(certificates[0], (NONE,), (), entry),
        ShownEvidence(certificates[1], (NONE,), (), None),
    )
    report = tell(story, lot, evidence=evidence)
    assert named(report, "measured_operations", "finished") == [(finished,)]
    assert named(report, "measured_certificates", "certificates") == [(certificates[0],)]
    assert named(report, "hashed_certificates", "certificates") == [(certificates[1],)]
    assert named(report, "entries", "measured") == [(certificates[1],)]
    told = [(one.records, one.values["index"], one.values["stream"]) for one in said(report, "entry")]
    assert told == [((finished,), 5, STREAM), ((certificates[0],), 7, BENCH_STREAM)]
    assert [one.code for one in report.within(Section.PROVED)][:3] == ["complete", "signers", "status"]
