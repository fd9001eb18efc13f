"""Which verdict is named first, which refuses a part, and what is said where a name or measurement is shown or not."""

from __future__ import annotations

import pytest

from ledger.records import Gate
from ledger.verify._status import foremost, verify_status
from ledger.verify.refusals import StatusRefused
from ledger.verify.values import Thing
from ledger.verify.wording import words_of
from tests.support.broken import ORDER, A, B, in_production
from tests.support.story import INSPECTOR, MODEL, OTHER, STREAM, Story
from tests.support.told import named, said, tell, verified_of


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
