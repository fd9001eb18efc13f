"""What is told of a part before all else: which recall notices stand, and which doubts it waits for."""

from __future__ import annotations

import pytest

from millmark.ledger.records import NoteKind
from millmark.ledger.verify.report import STOPPING, WAITING, Worth, find_first, find_recalls, find_waits, find_worth
from tests.support.story import BUYER, INSPECTOR, MAKER, Story, name, tell

ORDER, PART, OTHER_LOT = name("order"), name("part"), name("other")
CALLED, RESOLVED = NoteKind.RECALL_NOTICE, NoteKind.RESOLUTION


def note(story: Story, kind: NoteKind, *lots: bytes, by: int = MAKER) -> int:
    return story.record("NoteRecorded", by, *lots, kind_=int(kind))


def standing(story: Story) -> list[object]:
    """The records of the notices that stand."""
    return [one.values["record"] for one in find_recalls(tell(story, PART, OTHER_LOT).statements)]


@pytest.fixture
def story() -> Story:
    story = Story()
    assignment = story.begin(ORDER)
    story.commission(PART, ORDER, assignment)
    story.commission(OTHER_LOT, ORDER, assignment)
    return story


def test_a_notice_stands_until_its_author_has_resolved_it_for_all_that_it_names(story: Story) -> None:
    assert standing(story) == []
    notice = note(story, CALLED, PART, OTHER_LOT)
    assert standing(story) == [notice]
    note(story, RESOLVED, PART)
    assert standing(story) == [notice], "the other lot is still called back"
    note(story, RESOLVED, OTHER_LOT)
    assert standing(story) == []


def test_a_notice_is_not_resolved_by_others_by_other_notes_or_beforehand(story: Story) -> None:
    note(story, RESOLVED, PART)
    notice = note(story, CALLED, PART)
    note(story, RESOLVED, PART, by=BUYER)
    note(story, NoteKind.OBSERVATION, PART)
    assert standing(story) == [notice]
    again = note(story, CALLED, PART, by=BUYER)
    note(story, RESOLVED, PART)
    assert standing(story) == [again]


def test_a_pass_that_its_inspector_took_back_is_told_in_place_of_the_pass_and_stops_the_part(story: Story) -> None:
    passed = story.certify(PART, ORDER)
    story.record("NoteRecorded", BUYER, PART, kind_=int(NoteKind.CORRECTION), about=passed)
    assert next(one.code for one in find_first(tell(story, PART, OTHER_LOT).statements)) == "passed", "not the buyer's"
    story.record("NoteRecorded", INSPECTOR, PART, kind_=int(NoteKind.CORRECTION), about=passed)
    found = find_first(tell(story, PART, OTHER_LOT).statements)
    assert [one.code for one in found] == ["taken_back", "no_gate_verdict"]
    assert find_worth(found) is Worth.BAD
    story.certify(PART, ORDER)
    found = find_first(tell(story, PART, OTHER_LOT).statements)
    assert [one.code for one in found] == ["passed", "no_gate_verdict"], "another pass decides"


def test_a_quarantine_is_told_first_and_stops_the_part(story: Story) -> None:
    story.certify(PART, ORDER)
    assert [one.code for one in find_first(tell(story, PART, OTHER_LOT).statements)] == ["passed", "no_gate_verdict"]
    story.on_lot("LotQuarantined", PART)
    codes = [one.code for one in find_first(tell(story, PART, OTHER_LOT).statements)]
    assert codes == ["quarantined_part", "passed", "no_gate_verdict"]
    assert STOPPING.intersection(codes) == {"quarantined_part"}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("passed", set()),
        ("failed", {"failed", "quarantined_part"}),
        ("refuted", {"no_valid_verdict", "quarantined_part"}),
        ("revoked", {"no_valid_verdict"}),
        ("called back", {"recall_notice"}),
        ("demanded", {"demanded"}),
    ],
)
def test_what_is_told_first_says_to_stop_to_wait_or_neither(story: Story, what: str, told: set[str]) -> None:
    certificate = story.certify(PART, ORDER, verdict=2 if what == "failed" else 1)
    if what == "refuted":
        story.settle("CertificateRefuted", PART, certificate)
    elif what == "revoked":
        story.record("CertificateRevoked", INSPECTOR, PART, certificate=certificate)
    elif what == "called back":
        note(story, CALLED, PART)
    elif what == "demanded":
        story.demand(PART, certificate)
    codes = {one.code for one in find_first(tell(story, PART, OTHER_LOT).statements)}
    assert codes & (STOPPING | WAITING) == told
    assert codes & WAITING == ({"demanded"} if what == "demanded" else set())


def test_a_doubt_counts_only_about_a_certificate_by_which_the_part_passes(story: Story) -> None:
    first = story.certify(PART, ORDER)
    story.demand(PART, first)
    [wait] = find_waits(tell(story, PART, OTHER_LOT).statements)
    assert (wait.code, wait.values["certificate"]) == ("demanded", first)
    story.certify(PART, ORDER, leaf_index=9, inference_digest=b"\2" * 32)
    assert find_waits(tell(story, PART, OTHER_LOT).statements) == ()
