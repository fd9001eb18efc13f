"""`millmark bench loop`."""

from __future__ import annotations

from typing import Annotated

import typer

from millmark.services.options import AsJson
from millmark.services.output import print_json, print_lines, print_table

__all__ = ["run_loop"]

_NAMES = {"cost": "cost", "rejects": "rejected parts", "late_slots": "slots late"}


def run_loop(
    context: typer.Context,
    weeks: Annotated[int, typer.Option(min=1, max=10_000, help="Weeks to simulate.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="First seed: the fate of the machines.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many seeds.")] = 1,
    orders: Annotated[int, typer.Option(min=1, max=100, help="Orders a week, of three operations each.")] = 16,
    cpu_seconds: Annotated[float, typer.Option(min=0.05, max=60, help="Counted work of a plan, about seconds.")] = 0.3,
    as_json: AsJson = False,
) -> None:
    """Simulate a plant whose machines drift, with feedback and without: cost, rejects and lateness over the weeks.

    Both sides have the same orders, drift, failures and parts, and plans by local search. Fails unless each sum is
    lower with feedback, and no ten weeks in a row are more than 5 % worse.
    """
    from millmark.services.lab.bench.loop import compare_loops  # noqa: PLC0415 - numpy is optional

    found = []
    for one in compare_loops(weeks, range(seed, seed + seeds), orders, cpu_seconds):
        found.append(one)
        if as_json:
            continue
        rows = [
            [name, side["without"], side["with"], f"{side['ratio']:.3f}", f"{side['worst_window']:.3f}"]
            for name, side in ((_NAMES[key], value) for key, value in one.figures().items())
        ]
        columns = ["", "without feedback", "with", "ratio", "worst ten weeks"]
        print_table(f"seed {one.seed}, {weeks} weeks, {one.cpu_s:.0f} CPU seconds", columns, rows)
        print_lines(", ".join(f"{step}: {count}" for step, count in sorted(one.with_feedback.steps.items())))
    if as_json:
        print_json(context, {"seeds": [one.to_json() for one in found]})
    if not all(one.holds() for one in found):
        raise typer.Exit(1)
