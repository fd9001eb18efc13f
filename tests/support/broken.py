"""Stories that each break one rule of the replay, or just keep one, built with `Story`; shared by the test files about
these rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from millmark.ledger.verify.report import ReplayRefused
from tests.support.story import MODEL, Story, name

ORDER, SECOND = name("order"), name("second order")
A, B, C, BOX = sorted(name(text) for text in "abcd")
Told: TypeAlias = Callable[[Story], object]


class Broken(list[tuple[str, Told]]):
    """Stories, each with the cause for which it must be refused."""

    def __call__(self, cause: str) -> Callable[[Told], Told]:
        """Registers a story."""

        def register(told: Told) -> Told:
            self.append((cause, told))
            return told

        return register

    def kept(self, told: Told) -> Told:
        """Registers a story that keeps all rules: no record of it is refused."""
        self.append(("", told))
        return told


def check_broken(cause: str, told: Told) -> None:
    """Asserts that the story is refused with that cause; without a cause, that no record of it is. A lot that the story
    returns becomes the bundle's part."""
    story = Story()
    part = told(story)
    parts = (part,) if isinstance(part, bytes) else ()
    if not cause:
        assert refused_record(story, *parts) is None
        return
    with pytest.raises(ReplayRefused) as refused:
        story.replay(*parts)
    assert cause in refused.value.reason


def refused_record(story: Story, *parts: bytes, unproved: tuple[str, int | bytes] | None = None) -> int | None:
    """The record that the replay refuses. None also for what is found after the last record: that a history stops
    short, or is an order's alone."""
    try:
        story.replay(*parts, unproved=unproved)
    except ReplayRefused as refused:
        return refused.sequence
    return None


def in_production(story: Story, operations: int = 1) -> int:
    """Places `ORDER` and starts its first operation; returns the assignment."""
    story.place(ORDER, operations)
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    return assignment


def certified(story: Story, verdict: int = 1, model: int = MODEL) -> int:
    """Produces lot A of an order and certifies it; returns the certificate."""
    story.commission(A, ORDER, in_production(story))
    return story.certify(A, ORDER, verdict, model)
