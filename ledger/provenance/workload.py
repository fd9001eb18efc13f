"""When a machine was at work, its latest assignments first."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.ids import SubjectKind
from ledger.provenance.reader import open_reader
from ledger.store import Store
from ledger.store.rows import AssignmentRow

__all__ = ["MOST_WORK", "Workload", "workload"]

MOST_WORK = 1_000
"""Assignments that are looked at."""


@dataclass(frozen=True, slots=True)
class Workload:
    spans: tuple[tuple[int, int | None], ...]
    """When each assignment was started and ended, in seconds since 1970; None while it is under way."""
    cut: bool
    """Whether there are earlier assignments, which were not looked at."""


def workload(store: Store, machine: int, viewer: int | None) -> Workload:
    """Of the assignments whose orders there are for the viewer, those that were started."""
    with open_reader(store, viewer) as reader:
        rows = reader.rows.latest(AssignmentRow, "sequence", MOST_WORK + 1, machine=machine)
        latest, orders = rows[:MOST_WORK], {row.order for row in rows}
        seen = orders if reader.view is None else reader.view.among(SubjectKind.ORDER, orders)
    spans = [(row.started_at, row.ended_at or None) for row in latest if row.order in seen and row.started_at]
    return Workload(tuple(spans), cut=len(rows) > MOST_WORK)
