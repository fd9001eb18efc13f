"""Notes: who may make one on what, as the verifier judges it (finding N1)."""

from __future__ import annotations

import pytest

from millmark.ledger.records import NoteKind
from tests.support.story import (
    BOX,
    BUYER,
    CARRIER,
    COORDINATOR,
    INSPECTOR,
    MAKER,
    NONE,
    ORDER,
    OTHER,
    A,
    B,
    Broken,
    Episode,
    Story,
    check_broken,
    hidden,
    in_production,
)

OWNER = 0
broken = Broken()


def _delivered(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.offer(A)
    story.take(A)


def note(story: Story, by: int, *subjects: bytes, kind: int = 1, about: int = 0) -> None:
    story.record("NoteRecorded", by, *subjects, kind_=kind, about=about, claims_root=NONE)


def test_n1_maker_custodian_and_parties_make_notes() -> None:
    story = Story()
    _delivered(story)
    for by in (MAKER, CARRIER, BUYER, COORDINATOR, INSPECTOR, OWNER):
        note(story, by, A)
    for by in (BUYER, COORDINATOR, INSPECTOR, OWNER):
        note(story, by, ORDER)
    note(story, BUYER, *sorted((A, ORDER)))
    state = story.replay(A)
    assert state.lots[A].custodian == CARRIER, "no state changes"


def test_n1_of_what_has_no_history_here_nothing_is_asked() -> None:
    story = Story()
    story.receive(A)
    note(story, MAKER, *sorted((A, hidden())))
    story.replay(A)


def test_who_made_a_record_corrects_it_and_who_did_not_says_something_about_it() -> None:
    story = Story()
    story.receive(A)
    made = story.entries[-1].sequence
    note(story, OWNER, A, kind=NoteKind.CORRECTION, about=made)
    assert story.replay(A).corrected == {}, "not its own"
    note(story, MAKER, A, kind=NoteKind.OBSERVATION, about=made)
    assert story.replay(A).corrected == {}, "no correction"
    for _ in range(2):
        note(story, MAKER, A, kind=NoteKind.CORRECTION, about=made)
    assert story.replay(A).corrected == {made: story.entries[-1].sequence}, "the latest"


def test_a_correction_counts_in_the_history_of_the_record() -> None:
    story = Story()
    story.receive(B)
    elsewhere = story.entries[-1].sequence
    story.receive(A)
    note(story, MAKER, A, kind=NoteKind.CORRECTION, about=elsewhere)
    assert story.replay(A, B).corrected == {}


def test_the_issuer_of_a_certificate_makes_notes_without_a_gate() -> None:
    story = Story()
    _delivered(story)
    story.certify(A, ORDER, by=OTHER)
    note(story, OTHER, A, kind=NoteKind.CORRECTION, about=story.entries[-1].sequence)
    state = story.replay(A)
    assert state.corrected.keys() == state.certificates.keys()


@broken("a note about record 7 before that was made")
def about_a_later_record(story: Story) -> None:
    story.receive(A)
    note(story, MAKER, A, about=7)


@broken("a correction of no record")
def a_correction_of_nothing(story: Story) -> None:
    story.receive(A)
    note(story, MAKER, A, kind=NoteKind.CORRECTION)


@broken("a note by a participant without a part in it")
def by_a_stranger(story: Story) -> bytes:
    _delivered(story)
    note(story, OTHER, A)
    return A


@broken("a note by a participant without a part in it")
def by_the_maker_on_its_order(story: Story) -> bytes:
    _delivered(story)
    note(story, MAKER, ORDER)
    return A


@broken("a note by a participant without a part in it")
def by_who_holds_it_packed(story: Story) -> None:
    story.receive(A)
    story.receive(BOX, by=CARRIER)
    story.offer(A)
    story.take(A)
    story.pack(BOX, A, by=CARRIER)
    note(story, CARRIER, A)


@broken("a note without a kind")
def without_a_kind(story: Story) -> None:
    story.receive(A)
    note(story, MAKER, A, kind=0)


@broken("not strictly ascending")
def in_another_order(story: Story) -> None:
    story.receive(A)
    story.receive(B)
    note(story, MAKER, B, A)


@broken("what does not exist yet")
def before_the_lot_exists(story: Story) -> None:
    note(story, MAKER, A)
    story.receive(A)


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(cause: str, told: Episode) -> None:
    check_broken(cause, told)
