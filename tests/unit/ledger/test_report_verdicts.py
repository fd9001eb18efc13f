"""Which verdict is named first, which refuses a part, and what is said where a name or measurement is shown or not."""

from __future__ import annotations

import pytest

from millmark.ledger.records import CertificateStatus, Gate, TransformationKind, Verdict
from millmark.ledger.verify._status import foremost, verify_status
from millmark.ledger.verify.report import StatusRefused
from millmark.ledger.verify.statements import Model, Party, Section, Thing, Unit, words_of
from tests.support.story import (
    INSPECTOR,
    MODEL,
    NONE,
    ORDER,
    OTHER,
    STREAM,
    A,
    B,
    Story,
    in_production,
    name,
    named,
    said,
    tell,
    verified_of,
)


@pytest.mark.parametrize("failed_first", [True, False])
def test_of_several_verdicts_the_fail_is_named_first(failed_first: bool) -> None:
    story = Story()
    story.place(ORDER, 1, Gate(INSPECTOR, MODEL), Gate(OTHER, MODEL))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(A, ORDER, assignment)
    verdicts = (2, 1) if failed_first else (1, 2)
    issued = [
        story.certify(A, ORDER, by=by, verdict=verdict)
        for by, verdict in zip((INSPECTOR, OTHER), verdicts, strict=True)
    ]
    verified = verified_of(story, A)
    found = foremost(verified, verified.state.lots[A])
    assert found is not None
    assert found.sequence == issued[verdicts.index(2)]


def test_a_part_whose_latest_verdict_is_a_fail_is_refused_although_nobody_quarantined_it() -> None:
    story = Story()
    story.receive(A)
    story.certify(A)
    failed = story.certify(A, verdict=2, inference_digest=bytes([2]) * 32)
    with pytest.raises(StatusRefused, match="the part's latest verdict is a fail") as refused:
        verify_status(verified_of(story, A))
    assert (refused.value.subject, refused.value.sequence) == (A, failed)
    story.certify(A, inference_digest=bytes([3]) * 32)
    verify_status(verified_of(story, A))


def test_parts_without_a_name_are_told() -> None:
    story = Story()
    for lot in (A, B):
        story.receive(lot)
    assert named(tell(story, A, B, names={A: "bolt"}), "nameless", "nameless") == [(Thing(B, None),)]
    assert not said(tell(story, A, B, names={A: "bolt", B: "nut"}), "nameless")


@pytest.mark.parametrize(("leaf", "tells"), [(4, 1), (5, 0), (6, 1)])
def test_a_certificate_on_the_entry_of_the_lots_operation_is_on_it(leaf: int, tells: int) -> None:
    story = Story()
    assignment = in_production(story)
    story.commission(A, ORDER, assignment)
    story.finish(ORDER, assignment, leaf=5)
    story.certify(A, ORDER, stream=STREAM, leaf_index=leaf)
    assert len(said(tell(story, A), "other_measurement")) == tells


def test_a_note_of_an_unknown_kind_is_told_by_its_number() -> None:
    words = words_of("en")
    assert words.note_kind(99) == "kind 99"
    assert "kind" not in words.note_kind(1)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_part_that_nobody_judged_has_no_verdict(ordered: bool) -> None:
    """Or none at the gate of its order."""
    story = Story()
    if ordered:
        story.commission(A, ORDER, in_production(story))
    else:
        story.receive(A)
    codes = ("no_gate_verdict", "no_verdict")
    assert [one.code for one in tell(story, A).statements if one.code in codes] == [codes[not ordered]]
    story.certify(A, ORDER if ordered else NONE)
    assert [one.code for one in tell(story, A).statements if one.code in codes] == []


def test_a_rework_is_told_of_what_was_reworked_and_not_of_what_went_into_it() -> None:
    story = Story()
    for lot in (A, B):
        story.receive(lot)
    reworked = story.rework(A, B)
    [told] = said(tell(story, A, B), "event_reworked")
    assert (told.subject, told.records) == (A, (reworked,))


def test_of_a_component_of_a_rework_nothing_is_told_as_of_the_part() -> None:
    """It was built in, and not reworked: its own verdicts are not those of the part."""
    story = Story()
    for lot in (A, B):
        story.receive(lot)
        story.certify(lot, inference_digest=lot)
    story.rework(A, B)
    report = tell(story, A)
    told = [(one.code, one.subject) for one in report.within(Section.PART) if one.code.startswith("event_")]
    assert told == [("event_passed", A), ("event_reworked", A)]
    told = [(one.code, one.subject) for one in report.within(Section.ORIGIN) if one.code.startswith("event_")]
    assert told == [("event_passed", B)]


def test_what_became_of_a_part_is_told_oldest_first_with_what_it_was_before_a_merge() -> None:
    story = Story()
    story.receive(A)
    story.certify(A, verdict=2)
    story.rework(A)
    story.receive(B)
    [part] = story.transform(TransformationKind.MERGE, dict(sorted({A: 10, B: 10}.items())), {"part": 20})
    story.certify(part, verdict=2, inference_digest=bytes([2]) * 32)
    story.on_lot("LotQuarantined", part)
    story.on_lot("LotReleased", part)
    story.certify(part, inference_digest=bytes([3]) * 32)
    told = [one for one in tell(story, part).statements if one.code.startswith("event_")]
    assert [(one.code, one.subject) for one in told] == [
        ("event_failed", A), ("event_reworked", A), ("event_failed", part), ("event_quarantined", part),
        ("event_released", part), ("event_passed", part),
    ]  # fmt: skip
    assert [one.records[0] for one in told] == [2, 3, *range(6, 10)]


def test_what_one_record_did_to_several_lots_is_told_in_the_order_of_their_subjects() -> None:
    """Not in that of a set of them, which is another one in each run."""
    story = Story()
    lots = sorted(name(f"lot {number}") for number in range(6))
    for lot in lots:
        story.receive(lot)
    story.certify_by_procedure(*lots)
    [part] = story.transform(TransformationKind.MERGE, dict.fromkeys(lots, 10), {"all": 60})
    assert [one.subject for one in said(tell(story, part), "event_passed")] == lots


def test_a_part_is_told_with_its_unit_and_the_gates_of_its_order() -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    for lot, unit in ((B, b"BX\0"), (name("other"), b"X\0\0")):
        story.receive(lot, unit=unit)
    report = tell(story, A, B, name("other"))
    assert named(report, "stands", "unit") == [Unit("H87"), Unit("BX"), Unit("X")]
    [gate] = said(report, "gate")
    assert (gate.subject, gate.values["inspector"], gate.values["model"]) == (
        A,
        Party(INSPECTOR, "Umbra"),
        Model(MODEL),
    )


def test_lots_of_one_assignment_are_told_and_one_alone_is_not() -> None:
    story = Story()
    assignment = in_production(story)
    story.commission(A, ORDER, assignment)
    assert not said(tell(story, A), "same_assignment")
    story.commission(B, ORDER, assignment)
    story.certify(B, ORDER)
    report = tell(story, A, B)
    told = {one.subject: (one.values["verdict"], one.values["status"]) for one in said(report, "same_assignment")}
    assert told == {A: (Verdict.NONE, CertificateStatus.NONE), B: (Verdict.PASS, CertificateStatus.VALID)}
