"""`millmark plan make`, `replan`, `show`, `check`: plans for calls, and in files without a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.check import check_lines, check_to_json, per_cent, read_plan_file, tell_check
from millmark.ledger.plans.plan import CauseKind
from millmark.services.commands.acts.act import Done, Home, Listing, NoWait, run_act
from millmark.services.commands.acts.words import operation, party, short
from millmark.services.commands.plan.planner import (
    PLAN,
    CallName,
    Planner,
    Repeatable,
    Stream,
    moment_text,
    open_planner,
    short_hash,
)
from millmark.services.files import write_private_whole
from millmark.services.output import AsJson, print_json, print_lines, warn
from millmark.services.planning import making
from millmark.services.planning.errors import CallRefusedError, PlanningError
from millmark.services.planning.reading import need_call, plan_file
from millmark.services.planning.schedule import Made, make_plan
from millmark.services.planning.showing import PlanCheckShown, PlanShown
from millmark.services.planning.stream_entries import OwnStream

CpuSeconds = Annotated[float, typer.Option(min=0.1, max=36_000, help="CPU time to use, of all threads together.")]


def _make(at: Home, call: str | None, cpu_s: float, stream: str | None, repeatable: bool) -> Done:
    """Makes a plan from the offers for a call that has closed, as its coordinator, and records it."""
    with open_planner(at) as planner:
        with planner.reading() as tables:
            wanted = making.need_own_call(tables, planner.choose_call(tables, call).digest, planner.me)
        if wanted.closes > planner.now_s():
            raise CallRefusedError(
                f"the call is open until {moment_text(wanted.closes)} UTC", hint="wait until it has closed"
            )
        own = planner.stream(stream, None)
        with planner.reading() as tables:
            has_plan = bool(tables.planning.plans(wanted.digest))
        if has_plan:
            lost = planner.anchor_rest(own)
            if lost is None:
                raise CallRefusedError("there is a plan for this call", hint="replace it: `millmark plan replan`")
            return lost
        tie = making.find_tie(making.times_of(planner.opened.chain()), wanted.closes)
        with planner.reading() as tables:
            file = making.prepare_plan(tables, wanted)
        made = make_plan(file, tie=tie, cpu_s=cpu_s, repeatable=repeatable)
        return _record(planner, own, wanted, made)


@PLAN.act("replan", "millmark plan replan --cause machine-down --machine 17 --text 'the spindle is worn'")
def replan(
    at: Home,
    call: CallName = None,
    cause: Annotated[CauseKind, typer.Option(help="What kind of thing happened.")] = CauseKind.CALL,
    text: Annotated[str, typer.Option(help="What happened, in a line. Whoever gets the plan reads it.")] = "",
    machine: Annotated[str | None, typer.Option(help="The machine that is down, or that drifts.")] = None,
    assignment: Annotated[
        int | None, typer.Option(min=1, help="The assignment that was declined, or that is late.")
    ] = None,
    certificate: Annotated[int | None, typer.Option(min=1, help="The failing certificate.")] = None,
    cpu_seconds: CpuSeconds = 2.0,
    repeatable: Repeatable = False,
) -> Done:
    """Replace the latest plan for a call, with the cause on record. Rows that have begun stay, and accepted ones unless
    that is impossible."""
    with open_planner(at) as planner:
        happened = making.Happened(
            cause, text, None if machine is None else at.machine(machine), assignment, certificate
        )
        making.verify_cause(happened)
        with planner.reading() as tables:
            wanted = making.need_own_call(tables, planner.choose_call(tables, call).digest, planner.me)
            own = tables.stream_of_plans(wanted.digest, planner.me)
            ready = making.prepare_replan(tables, wanted, own, happened, planner.now_s())
        made = make_plan(ready.file, tie=ready.tie, replan=ready.why, cpu_s=cpu_seconds, repeatable=repeatable)
        return _record(planner, own, wanted, made, ready.entry)


@PLAN.list("show", "millmark plan show 0x3c4d5e", of="rows", whole=True)
def show(
    at: Home,
    call: CallName = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the plan file that `millmark plan check` reads.")
    ] = None,
) -> Listing:
    """Show the latest plan for a call: each row, and whether its owner agreed."""
    with open_planner(at) as planner:
        with planner.reading() as tables:
            row = tables.latest_row(planner.choose_call(tables, call).digest)
        if output is not None:
            _write(planner, row.digest, output)
    found = at.gateway.get(PlanShown, _PLAN, row.digest)
    check = at.gateway.get(PlanCheckShown, f"{_PLAN}/check", row.digest)
    columns = {
        "order": lambda one: short(one["identifier"] or one["order"][:12]),
        "operation": lambda one: f"{operation(one)}{', rework' if one['rework'] else ''}",
        "machine": lambda one: f"{one['machine']} of {party(one['owner'])}",
        "from": lambda one: one["starts_at"][5:16].replace("T", " "),
        "until": lambda one: one["ends_at"][5:16].replace("T", " "),
        "assignment": lambda one: one["assignment"] or "-",
        "state": lambda one: one["state"],
    }
    title = f"plan {short_hash(row.digest)}{'' if found.whole else ': the part of this company'}"
    lines = [
        f"it costs {found.total} {found.unit}; no plan on these {found.offers} offers"
        f"{_for_what(found.before)} costs less than {found.bound}, so none is more than "
        f"{per_cent(found.gap_per_mille)} cheaper",
        _checked(check.holds, check.whole, check.rule, check.reason),
    ]
    lines += [f"compared with the ledger: {line}" for line in check.compared]
    lines += [f"not checked: {line}" for line in check.not_checked]
    if found.cause is not None:
        lines.append(f"it replaces {short_hash(found.before or b'')}: {found.cause.kind}, {found.cause.text}")
    if found.reworked:
        lines.append(
            f"{len(found.reworked)} rows were done and their parts failed: the {found.spent} {found.unit} "
            "spent on them are part of both amounts, and left out of the percentage"
        )
    rows = sorted((*found.reworked, *found.rows), key=lambda one: (one.order, one.operation, one.rework))
    return Listing(title, rows, columns, more=lines)


def _checked(holds: bool, whole: bool, rule: str | None, reason: str | None) -> str:
    if not holds:
        return f"REFUSED by the rule {rule}: {reason}"
    part = "own offers are in its list, and own rows are as offered"
    return f"checked here: {'it holds' if whole else part}"


def _for_what(before: object) -> str:
    """What the bound of a plan is about: one that replaces another leaves what has begun or stays as it is."""
    return "" if before is None else " for what was open"


def _record(
    planner: Planner, own: OwnStream, call: Call, made: Made, happened: Mapping[str, Json] | None = None
) -> Done:
    """Writes a plan and what led to it. Raises PlanningError if something else was written in between."""
    plan = made.check.plan
    with planner.writing() as tables:
        sealed = making.seal_made(tables, own, call, plan, planner.opened.unlock_company(), happened)
    for step in made.steps:
        warn(f"millmark: {step}")
    owners = {row.owner for row in plan.rows}
    moved = "" if made.check.moved is None else f"; {made.check.moved} of {len(plan.rows)} rows moved"
    said = (
        f"plan {short_hash(plan.digest)} of {len(plan.rows)} operations over {len({row.machine for row in plan.rows})} "
        f"machines of {len(owners)} companies costs {plan.cost.total} {call.unit}; none{_for_what(plan.before)} is "
        f"more than {per_cent(made.check.gap_per_mille)} cheaper{moved}"
    )
    return Done(planner.anchor(own, sealed), said, f"millmark plan propose {short_hash(call.digest)}")


def _write(planner: Planner, digest: bytes, path: Path) -> None:
    """Writes the plan file: as secret as the offers in it."""
    with planner.reading() as tables:
        plan, before = tables.whole_plan(digest)
        if plan is None:
            raise PlanningError("only a part of the plan is known here", hint="its readers write the whole plan file")
        call = need_call(tables.rows, plan.call)
        data = plan_file(tables.rows, tables.book, tables.planning, call, plan, before).to_bytes()
    write_private_whole(path, data)


_PLAN = "/v1/plans/{}"


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
    cpu_seconds: CpuSeconds = 30.0,
    repeatable: Repeatable = False,
    stream: Stream = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Make a plan, with the proof of how good it is: from the offers for a call that has closed, and recorded by its
    coordinator; or from those of a plan file, into another.

    Equal offers are decided by the hash of the first block since the call closed, those of a file by zeros. CP-SAT
    takes part where the extra `planning` is installed. Exit code 1: no plan is possible, or none was found.
    """
    if output is None:
        act = partial(_make, call=what, cpu_s=cpu_seconds, stream=stream, repeatable=repeatable)
        run_act(context, act, no_wait=no_wait, as_json=as_json)
        return
    if what is None:
        raise InputError("no plan file is named", hint="give one, or a call without --output")
    _make_from_file(context, Path(what), output, cpu_seconds, repeatable=repeatable, as_json=as_json)


def _make_from_file(
    context: typer.Context, path: Path, output: Path, cpu_s: float, *, repeatable: bool, as_json: bool
) -> None:
    made = make_plan(read_plan_file(path), tie=bytes(32), cpu_s=cpu_s, repeatable=repeatable)
    write_private_whole(output, made.file.to_bytes())
    if as_json:
        steps = {"steps": list(made.steps), "cpu_s": round(made.cpu_s, 2)}
        print_json(context, {**check_to_json(made.file, made.check), **steps})
        return
    print_lines(
        *made.steps,
        "ties: by a hash of zeros, since this is a rehearsal",
        *check_lines(made.file, made.check),
        f"{made.cpu_s:.1f} CPU seconds; written to {output}",
        f"next: millmark plan check {output}",
    )
