"""`millmark faults`: inject faults and count violations of the ledger's guarantees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millmark.services.lab.faults.runs import NETWORK_RUNS, RUNS, FaultReport, run_faults
from millmark.services.options import AsJson
from millmark.services.output import print_json, print_lines

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("faults", epilog="Example: millmark faults rpc --count 500 --seed 7 --json")(run_named)


def run_named(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=f"One of {', '.join((*RUNS, *NETWORK_RUNS))}.")],
    count: Annotated[int, typer.Option(min=1, help="Minimum number of faults; for soak, seconds.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed injects the same faults.")] = 1,
    keep: Annotated[
        Path | None,
        typer.Option(help="File with the parts of an earlier network run, which count, and to which this one adds."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Inject faults into a new ledger on a real chain, and count records that were lost, duplicated or invented.

    Exit code 1 if there are any.
    """
    report = run_faults(name, count, seed, keep)
    if as_json:
        print_json(context, report.to_json())
    else:
        print_lines(*_as_text(report))
    if not report.passed:
        raise typer.Exit(1)


def _as_text(report: FaultReport) -> list[str]:
    found = report.outcome.check
    injected = sum(report.outcome.injected.values())
    return [
        f"{report.name}: {injected} faults, seed {report.seed}, on {report.outcome.engine}, {report.seconds:.1f} s",
        f"{found.events} events: {found.acknowledged} acknowledged, {found.failed} failed, {found.unknown} unknown",
        f"{found.lost} lost, {found.duplicate} duplicate, {found.phantom} phantom, {found.misordered} out of order",
        f"index equals replay: {found.replay_equal}; equals contracts: {found.heads_equal}",
        *report.outcome.table,
        *report.outcome.broken,
        "passed" if report.passed else "FAILED",
    ]
