"""What the replay refuses of any record: its time, its key; and that a refusal names what is wrong."""

from __future__ import annotations

import pytest

from millmark.ledger.records import TransformationKind
from millmark.ledger.verify.report import ReplayRefused
from tests.support.story import DAY_S, MAKER, ORDER, OTHER, START_S, A, B, C, Story, hidden, in_production, key_of


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


def test_a_note_is_signed_by_who_makes_it() -> None:
    story = Story()
    story.receive(A)
    story.record("NoteRecorded", MAKER, A, kind_=1)
    story.replay()
    story.entries[-1] = story.entries[-1]._replace(key=key_of(OTHER))
    with pytest.raises(ReplayRefused, match="the key is of participant 7"):
        story.replay()


def test_a_record_is_kept_in_each_history_that_is_shown() -> None:
    """Also behind one that is not: so it can be corrected there."""
    story, unseen = Story(), next(hidden(number) for number in range(9) if hidden(number) < B)
    story.receive(B)
    noted = story.record("NoteRecorded", MAKER, unseen, B, kind_=1)
    corrected = story.record("NoteRecorded", MAKER, B, kind_=6, about=noted)
    assert story.replay(B).corrected == {noted: corrected}


@pytest.mark.parametrize("sealed", [A, ORDER])
def test_no_record_of_a_part_or_an_order_is_withheld(sealed: bytes) -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    story.withhold(sealed)
    with pytest.raises(ReplayRefused, match="a record that must be shown is withheld") as refused:
        story.replay(A)
    assert refused.value.subject == sealed


def test_each_part_is_a_lot_of_the_bundle() -> None:
    story = Story()
    story.receive(A)
    with pytest.raises(ReplayRefused, match="the history of that lot is missing") as refused:
        story.replay(A, B)
    assert refused.value.subject == B


def test_lots_that_were_packed_in_one_another_require_one_another() -> None:
    story = Story()
    for lot in (A, B):
        story.receive(lot)
    for box, lot in ((A, B), (B, A)):
        story.pack(box, lot)
        story.record("LotsUnpacked", MAKER, box, lot)
    assert story.replay(A).lots[A].parents == {B}


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
