"""When a configured product can be done at the earliest, before anybody is asked for offers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millmark.services.planning.calendar import Calendar, Grid, MachineDay

_SLOT_S = 900
_DAYS = 120
"""How far ahead is looked."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """The end of the last operation, if work begins now and waits for nothing but shifts."""

    at: int | None
    """Unix seconds; None if the calendar has no time for it within 120 days."""
    unknown: tuple[str, ...] | None
    """Kinds of operations that no machine of the calendar does, reckoned by the clock; None without a calendar."""


def find_earliest(calendar: Calendar | None, operations: Iterable[tuple[str, int]], now_s: int) -> Earliest:
    """Find when the last of some operations could end that follow each other, each a kind and indicative minutes.

    With a calendar, its shifts and minutes count instead. What the machines do already is not looked at.
    """
    grid = Grid(-(-now_s // _SLOT_S) * _SLOT_S, _SLOT_S, _DAYS * 86_400 // _SLOT_S)
    days = [] if calendar is None else [calendar.on(machine, grid) for machine in calendar.machines]
    ready, unknown = grid.origin, dict[str, None]()
    for kind, minutes in operations:
        able = [day for day in days if kind in day.plan.minutes]
        if not able:
            unknown[kind] = None
            ready += minutes * 60
            continue
        ends = [end for day in able if (end := _end_on(day, kind, ready)) is not None]
        if not ends:
            return Earliest(None, tuple(unknown))
        ready = min(ends)
    return Earliest(ready, None if calendar is None else tuple(unknown))


def _end_on(day: MachineDay, kind: str, ready: int) -> int | None:
    """When the machine has done it, if it starts at `ready` or later; None if it has no time."""
    duration, grid = day.grid.slots_of(day.plan.minutes[kind]), day.grid
    first = -(-(ready - grid.origin) // grid.slot)
    start = next((start for start in day.starts(duration) if start >= first), None)
    return None if start is None else grid.origin + (start + duration) * grid.slot
