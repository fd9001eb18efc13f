"""What happened at a company's machines and what it led to, up to that they were mended: for the page of production
state, each step with the entry of the machine's stream that says it, and the record that anchors that entry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import AnchorRow
from millmark.services.planning.feedback.repository import FeedbackRepository, State
from millmark.services.planning.feedback.rules import LADDER, WHOLE, Step
from millmark.services.planning.feedback.showing import CauseFound, StepShown, show_cause

__all__ = ["CauseView", "Standing", "StepView", "read_causes", "read_judged"]

_CAUSES = 5
"""Causes of a machine that are shown, the latest."""
_LIFTS = ("mended", "overhauled", "dismissed", "good")
"""What the entry of a step that was taken back says of why."""


@dataclass(frozen=True, slots=True)
class StepView:
    one: StepShown
    name: str
    """Its step; of one that was taken back, why: it was mended, overhauled, dismissed or good again, if its entry says
    so."""
    record: int | None
    """The record that anchors its entry; None as long as none does."""

    @property
    def detail(self) -> str:
        """What is told of it; of another plan that is due, the call is named, which says nothing to people."""
        return "" if (self.one.step, self.one.state) == (Step.REPLAN, State.DUE) else self.one.detail


@dataclass(frozen=True, slots=True)
class CauseView:
    one: CauseFound
    steps: tuple[StepView, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a machine stands, and what led to it."""

    rung: int
    rungs: int
    percent: int
    """How fast offers expect it to be, in percent of what its calendar says; 0 if it is not offered."""
    causes: tuple[CauseView, ...]
    """The latest first."""


def read_judged(store: Store, machines: Collection[int]) -> set[int]:
    """Those of the machines at which something happened: good verdicts alone are nothing that is shown."""
    with store.reading() as connection:
        return FeedbackRepository(connection).caused_at(machines)


def read_causes(store: Store, machines: Sequence[int]) -> dict[int, Standing]:
    """By machine; without those at which nothing happened."""
    with store.reading() as connection:
        kept, rows, book = FeedbackRepository(connection), Rows(connection), Book(connection)
        found = {machine: _standing(kept, rows, book, machine) for machine in machines}
    return {machine: one for machine, one in found.items() if one.causes}


def _standing(kept: FeedbackRepository, rows: Rows, book: Book, machine: int) -> Standing:
    condition = kept.condition(machine)
    shown = (show_cause(kept, row.id) for row in kept.latest_of(machine, _CAUSES))
    causes = tuple(CauseView(one, tuple(_step(rows, book, step) for step in one.steps)) for one in shown)
    return Standing(condition.rung, len(LADDER), condition.efficiency_per_mille * 100 // WHOLE, causes)


def _step(rows: Rows, book: Book, step: StepShown) -> StepView:
    if step.stream is None or step.leaf is None:
        return StepView(step, step.step, None)
    anchor = rows.first_after(AnchorRow, "size", step.leaf, stream=step.stream)
    name = _name(book, step.step, step.stream, step.leaf)
    return StepView(step, name, None if anchor is None else anchor.sequence)


def _name(book: Book, step: str, stream: bytes, leaf: int) -> str:
    kept = book.evidence_entry(stream, leaf) if step == Step.LIFT else None
    said = kept.entry if kept is not None and isinstance(kept.entry, dict) else {}
    return next((f"lift.{name}" for name in _LIFTS if name in said), step)
