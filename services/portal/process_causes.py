"""What happened at a company's machines and what it led to, up to that they were mended: for the page of production
state, each step with the entry of the machine's stream that says it, and the record that anchors that entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ledger.store import Book, Rows
from ledger.store.rows import AnchorRow
from services.planning.feedback.repository import FeedbackRepository
from services.planning.feedback.rules import LADDER, WHOLE, Step
from services.planning.feedback.showing import CauseFound, StepShown, show_cause

__all__ = ["CauseView", "Standing", "StepView", "read_causes"]

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


def read_causes(connection: Connection, machines: Sequence[int]) -> dict[int, Standing]:
    """By machine; without those at which nothing happened."""
    kept, found = FeedbackRepository(connection), {}
    for machine in machines:
        rows = kept.latest_of(machine, _CAUSES)
        if rows:
            condition = kept.condition(machine)
            causes = tuple(_view(connection, show_cause(kept, row.id)) for row in rows)
            percent = condition.efficiency_per_mille * 100 // WHOLE
            found[machine] = Standing(condition.rung, len(LADDER), percent, causes)
    return found


def _view(connection: Connection, one: CauseFound) -> CauseView:
    return CauseView(one, tuple(_step(connection, step) for step in one.steps))


def _step(connection: Connection, step: StepShown) -> StepView:
    if step.stream is None or step.leaf is None:
        return StepView(step, step.step, None)
    anchors = Rows(connection).find(AnchorRow, stream=step.stream)
    record = min((one.sequence for one in anchors if one.size > step.leaf), default=None)
    return StepView(step, _name(connection, step.step, step.stream, step.leaf), record)


def _name(connection: Connection, step: str, stream: bytes, leaf: int) -> str:
    kept = Book(connection).evidence_entry(stream, leaf) if step == Step.LIFT else None
    said = kept.entry if kept is not None and isinstance(kept.entry, dict) else {}
    return next((f"lift.{name}" for name in _LIFTS if name in said), step)
