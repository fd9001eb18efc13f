"""The table as JSON, as Markdown, and on the terminal."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.table.rows import Bound, Figure, Goal, Row
from tests.bench.table.sides import Outcome

HEADS = ("row", "what", "Millmark", "peer", "times", "least to most", "reach", "")
_MISSED, _REACHED = "**missed**", "reached"


def build_lines(outcomes: Sequence[Outcome], staying: Mapping[str, str] | None = None) -> list[tuple[str, ...]]:
    """The table's lines, one for each goal; a row that failed or was left out has one that says so. `staying`: the date
    of the earlier figures that the repository keeps, by the row's name."""
    dates = staying or {}
    return [
        (*line[:-1], f"{line[-1]}; the figures of {dates[outcome.row.name]} stay".removeprefix("; "))
        if outcome.row.name in dates
        else line
        for outcome in outcomes
        for line in _lines(outcome)
    ]


def _lines(outcome: Outcome) -> list[tuple[str, ...]]:
    row = outcome.row
    if outcome.failure:
        return [(row.name, row.title, "", "", "", "", "", f"**failed**: {outcome.failure}")]
    if "" in outcome.left_out:
        return [(row.name, row.title, "", "", "", "", "", f"left out: {outcome.left_out['']}")]
    return [_line(outcome, goal) for goal in row.goals]


def _line(outcome: Outcome, goal: Goal) -> tuple[str, ...]:
    name, figure = outcome.row.name, outcome.figures.get(goal.figure)
    if figure is None:
        why = outcome.left_out.get(goal.figure, "not measured")
        return (name, goal.what, "", "", "", "", _reach(goal, ""), f"left out: {why}")
    reached = goal.is_reached(figure)
    verdict = "" if reached is None else (_REACHED if reached else _MISSED)
    times = _slower(figure) if goal.bound is Bound.SLOWER else _number(figure.times)
    spread = _spread(figure, goal)
    own, peer = (f"{_number(cost)} {figure.unit}" if cost is not None else "" for cost in (figure.own, figure.peer))
    return (
        name,
        goal.what,
        own,
        peer,
        times,
        spread,
        _reach(goal, figure.unit),
        verdict,
    )


def _spread(figure: Figure, goal: Goal) -> str:
    if figure.low is None or figure.high is None:
        return ""
    low, high = (1 / figure.high, 1 / figure.low) if goal.bound is Bound.SLOWER else (figure.low, figure.high)
    return f"{_number(low)} to {_number(high)}"


def _slower(figure: Figure) -> str:
    return "" if not figure.times else f"{_number(1 / figure.times)} slower"


def _reach(goal: Goal, unit: str) -> str:
    if goal.bound is Bound.SHOWN:
        return ""
    if goal.bound in (Bound.OWN, Bound.LEAST):
        return f"{'at most' if goal.bound is Bound.OWN else 'at least'} {_number(goal.reach)} {unit}".strip()
    return f"{_number(goal.reach)}" if goal.bound is Bound.TIMES else f"at most {_number(goal.reach)} slower"


def _number(value: float | None) -> str:
    """Three significant digits, whole numbers from 100 on."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def describe_machine() -> str:
    """Processors, their model, system and Python, in a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()
    return f"{os.cpu_count()} processors ({model}), {platform.system()}, Python {platform.python_version()}"


def build_json(outcomes: Sequence[Outcome], load: float) -> list[dict[str, Any]]:
    """A row each: everything that was measured, with reaches, and where and when."""
    measured = {
        "machine": describe_machine(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load_before": round(load, 1),
    }
    return [{**_row_json(outcome), **measured} for outcome in outcomes]


def _row_json(outcome: Outcome) -> dict[str, Any]:
    row, goals = outcome.row, []
    for goal in row.goals:
        figure = outcome.figures.get(goal.figure)
        if figure is not None:
            goals.append({
                "figure": goal.figure, "what": goal.what, "own": figure.own, "peer": figure.peer, "unit": figure.unit,
                "times": figure.times, "low": figure.low, "high": figure.high, "bound": goal.bound.value,
                "reach": None if goal.bound is Bound.SHOWN else goal.reach, "reached": goal.is_reached(figure),
            })  # fmt: skip
    return {
        "name": row.name, "title": row.title, "peer": row.peer, "failure": outcome.failure,
        "left_out": outcome.left_out, "notes": list(outcome.notes), "wall_s": round(outcome.wall_s, 1), "goals": goals,
        "lines": [list(line) for line in _lines(outcome)],
    }  # fmt: skip


def join_rows(
    declared: Sequence[Row], kept: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]
) -> tuple[list[Any], dict[str, str]]:
    """The rows of an earlier run and of this one, in the order of `declared`; of a row that is in both this one's,
    unless it lacks a figure that the earlier one has. Also the date of each that stays for this reason, by name."""
    found = {row["name"]: row for row in kept}
    goals = {row.name: {goal.figure for goal in row.goals} for row in declared}
    staying = dict[str, str]()
    for row in new:
        name = row["name"]
        if name in found and (_figures(found[name]) & goals[name]) - _figures(row):
            staying[name] = found[name]["date"]
        else:
            found[name] = row
    return [found[name] for name in goals if name in found], staying


def _figures(row: dict[str, Any]) -> set[str]:
    return {goal["figure"] for goal in row["goals"]}


def build_markdown(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """The page that the repository keeps. `names`: of all rows; those that were never measured are named."""
    parts = [
        "# Beside its peers",
        "",
        "Written by `scripts/bench --write`. Costs are CPU seconds of the process that works, unless a line says",
        "otherwise; *times* is the peer's cost divided by Millmark's, so above 1 Millmark is cheaper. The sides are",
        "asked in turns, the first round is dropped, the figures are medians; the least and the most are of single",
        "rounds. What each row compares is in [table/rows.py](table/rows.py), how in the modules that it names; the",
        "same figures are in [TABLE.json](TABLE.json); what bounds the rows that miss is in [LIMITS.md](LIMITS.md).",
        "",
        f"| {' | '.join(HEADS)} |",
        f"|{'---|' * len(HEADS)}",
        *(f"| {' | '.join(_cell(cell) for cell in line)} |" for row in rows for line in row["lines"]),
        "",
        *_measured(rows),
    ]
    if missing := [name for name in names if name not in {row["name"] for row in rows}]:
        parts.append(f"- not measured yet: {', '.join(missing)}")
    notes = [f"- {row['name']}: {note}" for row in rows for note in row["notes"]]
    return "\n".join([*parts, *(["", *notes] if notes else []), ""])


def _measured(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where and when: in a line if all rows are of one run."""
    runs: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault((row["date"], row["machine"], row["load_before"]), []).append(row)
    return [
        f"- {date}, {machine}, load {load} before: "
        + ("all rows" if len(runs) == 1 else ", ".join(row["name"] for row in found))
        + f", in {sum(row['wall_s'] for row in found) / 60:.1f} minutes"
        for (date, machine, load), found in runs.items()
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
