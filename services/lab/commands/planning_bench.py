"""`millmark bench planning`, `capacities` and `replan`: plans against what else makes them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from millmark.ledger.errors import InputError
from millmark.services.lab.commands.bench_options import FirstSeed
from millmark.services.options import AsJson
from millmark.services.output import print_json, print_table

__all__ = ["run_capacities", "run_planning", "run_replan"]


def run_capacities(
    context: typer.Context,
    orders: Annotated[str, typer.Option(help="Numbers of orders, with commas between.")] = "8,24",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many instances of each size.")] = 20,
    windows: Annotated[int, typer.Option(min=1, max=50, help="Windows offered for each operation.")] = 3,
    cpu_seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="CPU seconds on either side.")] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Measure what it costs that owners keep their calendars: plans on a few windows, beside plans on all of them.

    Instances are drawn from seeds 0, 1, 2 and so on. Takes the CPU seconds twice for each.
    """
    from millmark.services.lab.bench.capacities import compare_capacities, geometric_mean  # noqa: PLC0415 - as below

    sizes = _parse_sizes(orders)
    found = list(compare_capacities(sizes, range(seeds), cpu_seconds, windows))
    if as_json:
        print_json(context, {"instances": [asdict(one) for one in found]})
        return
    rows = []
    for size in sizes:
        listed = [one for one in found if one.orders == size]
        shown = sum(one.shown for one in listed) / sum(one.free for one in listed)
        ratios = [one.ratio for one in listed if one.ratio is not None]
        costs = [f"{summary(ratios):.4f}" if ratios else "–" for summary in (geometric_mean, max)]
        rows.append([size, len(listed), len(listed) - len(ratios), *costs, f"{100 * shown:.0f} %"])
    columns = ["orders", "seeds", "no plan", "cost/all windows", "worst", "free slots shown"]
    print_table(
        f"plans on {windows} windows, {cpu_seconds:g} CPU seconds a side, seeds 0 to {seeds - 1}", columns, rows
    )


def run_replan(
    context: typer.Context,
    orders: Annotated[str, typer.Option(help="Numbers of orders, with commas between.")] = "24,60",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many instances of each size.")] = 5,
    first_seed: FirstSeed = 0,
    first_seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="CPU seconds for the plan before.")] = 10.0,
    cpu_seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="CPU seconds for the new one.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Let a machine fail at a quarter of a plan, plan anew, and count the accepted rows that move, beside the fewest
    that can.

    Instances are drawn from seeds, from --first-seed on: a long run can be cut into pieces.
    """
    from millmark.services.lab.bench.replanning import compare_replans  # noqa: PLC0415 - as below

    found = list(
        compare_replans(_parse_sizes(orders), range(first_seed, first_seed + seeds), first_seconds, cpu_seconds)
    )
    if as_json:
        print_json(context, {"instances": [asdict(one) for one in found]})
        return
    columns = [
        "orders",
        "seed",
        "accepted",
        "not started",
        "on the machine",
        "moved",
        "of accepted",
        "fewest possible",
        "gap",
        "CPU s",
    ]
    rows = [
        [
            *(one.orders, one.seed, one.accepted, one.open, one.lost),
            "-" if one.moved is None else one.moved,
            "no plan" if one.moved is None else f"{100 * one.moved / one.accepted:.1f} %",
            "-" if one.least is None else f"{one.least} = {100 * one.least / one.accepted:.1f} %",
            "-" if one.gap_per_mille is None else f"{one.gap_per_mille / 10:.1f} %",
            f"{one.cpu_s:.2f}",
        ]
        for one in found
    ]
    print_table(f"plans after a machine failed, {cpu_seconds:g} CPU seconds", columns, rows)


def run_planning(
    context: typer.Context,
    orders: Annotated[str, typer.Option(help="Numbers of orders, with commas between.")] = "8,24,60",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many instances of each size.")] = 20,
    first_seed: FirstSeed = 0,
    cpu_seconds: Annotated[float, typer.Option(min=1, max=3600, help="CPU seconds on either side.")] = 30.0,
    instances: Annotated[
        Path | None,
        typer.Option(help="Folder of classic job shops, listed in instances.json, instead of drawn orders."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare plans with those of CP-SAT alone at equal CPU seconds, and with list rules; time the check.

    Instances are drawn from seeds, from --first-seed on: a long run can be cut into pieces. Takes the CPU seconds twice
    for each.
    """
    if instances is not None:
        _run_shops(context, instances, cpu_seconds, as_json)
        return
    from millmark.services.lab.bench.planning import compare_plans, summarise  # noqa: PLC0415 - OR-Tools is optional

    sizes = _parse_sizes(orders)
    found = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("instances", total=len(sizes) * seeds)
        for one in compare_plans(sizes, range(first_seed, first_seed + seeds), cpu_seconds):
            found.append(one)
            progress.advance(task)
    summaries = summarise(found)
    if as_json:
        print_json(
            context, {"instances": [asdict(one) for one in found], "summaries": [one.to_json() for one in summaries]}
        )
        return
    columns = ["orders", "seeds", "cost/CP-SAT", "worst", "unsolved by it", "cost/rules", "gap", "check ms", "CPU s"]
    rows = [
        [
            *(one.orders, one.seeds, _ratio(one.ratio), _ratio(one.worst_ratio), one.unsolved),
            *(_ratio(one.rule_ratio), f"{one.gap_per_mille / 10:.1f} %", f"{one.check_ms:.1f}"),
            f"{one.cpu_s:.1f} / {one.solver_cpu_s:.1f}",
        ]
        for one in summaries
    ]
    print_table(f"plans against CP-SAT alone, {cpu_seconds:g} CPU seconds a side", columns, rows)


def _run_shops(context: typer.Context, folder: Path, cpu_seconds: float, as_json: bool) -> None:
    from millmark.services.lab.bench.planning_shops import compare_shops  # noqa: PLC0415 - OR-Tools is optional

    found = list(compare_shops(folder, cpu_seconds, seed=1))
    if as_json:
        shops = [{**asdict(one), "gap": one.gap, "solver_gap": one.solver_gap} for one in found]
        print_json(context, {"instances": shops})
        return
    columns = ["instance", "best known", "makespan", "bound", "CP-SAT alone", "its bound", "CPU s"]
    rows = [
        [
            *(one.name, one.best_known, one.makespan, one.bound, one.solver_makespan or "none", one.solver_bound),
            f"{one.cpu_s:.1f} / {one.solver_cpu_s:.1f}",
        ]
        for one in found
    ]
    means = [
        sum(values) / len(found) * 100 for values in ([one.gap for one in found], [one.solver_gap for one in found])
    ]
    print_table(f"mean gap to the best known: {means[0]:.2f} %, CP-SAT alone {means[1]:.2f} %", columns, rows)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _parse_sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= size <= 1000 for size in sizes):
        raise InputError(f"--orders {text!r} is not a list of numbers from 1 to 1000", hint="write 8,24,60")
    return sizes
