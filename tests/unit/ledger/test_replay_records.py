"""What the replay refuses of any record: its time, its key; and that a refusal names what is wrong."""

from __future__ import annotations

import pytest

from ledger.records import TransformationKind
from ledger.verify.refusals import ReplayRefused
from tests.support.broken import A, B, C
from tests.support.story import DAY_S, MAKER, START_S, Story


@pytest.mark.parametrize(("place", "moved_s"), [(1, -2), (-1, 10 * DAY_S)])
def test_a_record_is_not_older_than_the_one_before_nor_newer_than_the_proof_block(place: int, moved_s: int) -> None:
    story = Story()
    for lot in (A, B, C):
        story.receive(lot)
    story.replay()
    story.entries[place] = story.entries[place]._replace(time=story.entries[place].time + moved_s)
    with pytest.raises(ReplayRefused, match="it is older than the record before it, or newer than the proof block"):
        story.replay()


def test_a_key_signs_nothing_before_it_was_added() -> None:
    story = Story()
    story.receive(A)
    story.entries[0] = story.entries[0]._replace(time=START_S)
    story.replay()
    story.entries[0] = story.entries[0]._replace(time=START_S - 1)
    with pytest.raises(ReplayRefused, match="the key was added later"):
        story.replay()


def test_a_refusal_names_the_record_and_the_lot_that_is_wrong() -> None:
    story = Story()
    story.receive(A)
    story.offer(A, to=MAKER)
    with pytest.raises(ReplayRefused, match="its own custodian") as refused:
        story.replay()
    assert (refused.value.subject, refused.value.sequence) == (A, 2)
    story = Story()
    story.receive(A)
    made = story.transform(TransformationKind.SPLIT, {A: 2}, {"x": 2, "y": 0})
    with pytest.raises(ReplayRefused, match="an output without quantity") as refused:
        story.replay()
    assert (refused.value.subject, refused.value.sequence) == (made[1], 2)
