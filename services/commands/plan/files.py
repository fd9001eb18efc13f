"""`millmark plan check` and `millmark plan make`: plans in files, without a gateway, and plans for calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import parse_hex32
from millmark.ledger.errors import InputError
from millmark.ledger.plans.check import check_lines, check_to_json, read_plan_file, tell_check
from millmark.services.commands.acts.act import NoWait
from millmark.services.commands.plan.group import PLAN, Repeatable, Stream
from millmark.services.commands.plan.making import make_for_call
from millmark.services.files import write_private_whole
from millmark.services.output import AsJson, print_json, print_lines

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
    what it says, and how much cheaper others could be. Exit code 0: it holds; 1: refused, naming rule and
    row; 2: unusable input."""
    raise typer.Exit(tell_check(file, as_json=as_json))


@PLAN.app.command("make", epilog="Example: millmark plan make week48.json -o week48.plan.json --cpu-seconds 30")
def make(
    context: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[CALL|FILE]", help="A call, by default the latest; or with --output a plan file with its offers."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Plan file to write; an existing one is replaced. Without a gateway."),
    ] = None,
    cpu_seconds: Annotated[
        float, typer.Option(min=0.1, max=36_000, help="CPU time to use, of all threads together.")
    ] = 30.0,
    tie: Annotated[
        str,
        typer.Option(
            help="With a file: hash of the first block at or after the time when the call closed; zeros in a rehearsal."
        ),
    ] = _NO_TIE,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The same seed searches in the same order.")] = 1,
    repeatable: Repeatable = False,
    stream: Stream = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Make a plan, with the proof of how good it is: from the offers for a call that has closed, and recorded by its
    coordinator; or from those of a plan file, into another.

    Equal offers are decided by the hash of the first block since the call closed. CP-SAT takes part where the extra
    `planning` is installed. Exit code 1: no plan is possible, or none was found.
    """
    if output is None:
        make_for_call(
            context,
            what,
            cpu_seconds=cpu_seconds,
            stream=stream,
            seed=seed,
            repeatable=repeatable,
            no_wait=no_wait,
            as_json=as_json,
        )
        return
    if what is None:
        raise InputError("no plan file is named", hint="give one, or a call without --output")
    _make_from_file(context, Path(what), output, tie, cpu_seconds, seed, repeatable=repeatable, as_json=as_json)


def _make_from_file(
    context: typer.Context,
    path: Path,
    output: Path,
    tie: str,
    cpu_s: float,
    seed: int,
    *,
    repeatable: bool,
    as_json: bool,
) -> None:
    from millmark.services.planning.schedule import make_plan  # noqa: PLC0415 - help must not wait for it

    made = make_plan(read_plan_file(path), tie=parse_hex32(tie), cpu_s=cpu_s, seed=seed, repeatable=repeatable)
    write_private_whole(output, made.file.to_bytes())
    if as_json:
        steps = {"steps": list(made.steps), "cpu_s": round(made.cpu_s, 2)}
        print_json(context, {**check_to_json(made.file, made.check), **steps})
        return
    ties = ["ties: by a hash of zeros, for no block hash was given"] if tie == _NO_TIE else []
    print_lines(
        *made.steps,
        *ties,
        *check_lines(made.file, made.check),
        f"{made.cpu_s:.1f} CPU seconds; written to {output}",
        f"next: millmark plan check {output}",
    )
