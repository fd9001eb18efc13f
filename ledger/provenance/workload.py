"""The times at which a machine was working, from its latest assignments."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.reader import open_reader
from millmark.ledger.store import Store
from millmark.ledger.store.rows import AssignmentRow

__all__ = ["MAX_WORK", "Workload", "workload"]

MAX_WORK = 1_000
"""Maximum number of assignments that are read."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The spans of time in which a machine worked on assignments, the latest first."""

    spans: tuple[tuple[int, int | None], ...]
    """Start and end of each assignment, in seconds since 1970; the end is None while it is under way."""
    cut: bool
    """Whether earlier assignments exist, which were not read."""


def workload(store: Store, machine: int, viewer: int | None) -> Workload:
    """The workload of a machine, from the started assignments whose orders exist for the viewer."""
    with open_reader(store, viewer) as reader:
        rows = reader.rows.latest(AssignmentRow, "sequence", MAX_WORK + 1, machine=machine)
        latest, orders = rows[:MAX_WORK], {row.order for row in rows}
        seen = orders if reader.visibility is None else reader.visibility.among(SubjectKind.ORDER, orders)
    spans = [(row.started_at, row.ended_at or None) for row in latest if row.order in seen and row.started_at]
    return Workload(tuple(spans), cut=len(rows) > MAX_WORK)
