"""`millmark plan check` and `millmark plan make`: plans in files, without a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.canonical import parse_hex32
from ledger.plans.report import check_lines, check_to_json, read_plan_file, tell_check
from services.commands.plan.group import PLAN
from services.files import write_whole
from services.options import AsJson
from services.output import print_json, print_lines

__all__: list[str] = []

_NO_TIE = "0x" + "00" * 32


@PLAN.app.command("check", epilog="Example: millmark plan check week48.plan.json")
def check(
    file: Annotated[
        Path, typer.Argument(help="Plan file: call, objective, machines, offers and plan.", dir_okay=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Check a plan file offline, by integer additions and without a solver: whether the plan can be carried out, costs
    what it says, and is as near to the best possible as it says. Exit code 0: it holds; 1: refused, naming rule and
    row; 2: unusable input."""
    raise typer.Exit(tell_check(file, as_json=as_json))


@PLAN.app.command("make", epilog="Example: millmark plan make week48.json -o week48.plan.json --cpu-seconds 30")
def make(
    file: Annotated[
        Path, typer.Argument(help="Plan file without a plan, or with one to be made anew.", dir_okay=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Plan file to write; an existing one is replaced.")],
    cpu_seconds: Annotated[
        float, typer.Option(min=0.1, max=36_000, help="CPU time to use, of all threads together.")
    ] = 30.0,
    tie: Annotated[
        str,
        typer.Option(help="Hash of the first block at or after the time when the call closed; zeros in a rehearsal."),
    ] = _NO_TIE,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The same seed searches in the same order.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make a plan from the offers of a plan file, with the proof of how good it is.

    CP-SAT takes part where the extra `planning` is installed. Exit code 1: no plan is possible, or none was found.
    """
    from services.planning.schedule import make_plan  # noqa: PLC0415 - help must not wait for it

    made = make_plan(read_plan_file(file), tie=parse_hex32(tie), cpu_s=cpu_seconds, seed=seed)
    write_whole(output, made.file.to_bytes())
    if as_json:
        steps = {"steps": list(made.steps), "cpu_s": round(made.cpu_s, 2)}
        print_json({**check_to_json(made.file, made.check), **steps})
        return
    ties = ["ties: by a hash of zeros, for no block hash was given"] if tie == _NO_TIE else []
    print_lines(
        *made.steps,
        *ties,
        *check_lines(made.file, made.check),
        f"{made.cpu_s:.1f} CPU seconds; written to {output}",
        f"next: millmark plan check {output}",
    )
