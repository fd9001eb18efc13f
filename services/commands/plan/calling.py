"""`millmark plan call`, `list` and `causes`: what a coordinator wants done, and what happened at machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from millmark.ledger.errors import InputError
from millmark.services import client
from millmark.services.commands.acts.act import Done, Group, Home, Listing
from millmark.services.commands.acts.words import party
from millmark.services.commands.plan.planner import (
    PLAN,
    Stream,
    choose,
    moment_text,
    open_planner,
    parse_moment,
    short_hash,
)
from millmark.services.output import AsJson, print_json, print_lines
from millmark.services.planning.calendar import read_objective_file
from millmark.services.planning.calls import Asking, build_call, build_grid
from millmark.services.planning.feedback.repository import CauseFound
from millmark.services.planning.showing import CallShown
from millmark.services.planning.stream_entries import seal_call


@PLAN.act("call", "millmark plan call order-7 order-8 --closes 8h --to Forge --to Mill --reader Audit")
def call(
    at: Home,
    orders: Annotated[list[str], typer.Argument(metavar="ORDER...", help="The orders to be planned.")],
    closes: Annotated[str, typer.Option(help="Until when offers count: a time in UTC, or from now on 30m, 8h or 2d.")],
    to: Annotated[
        list[str] | None, typer.Option(help="A company that is called; by default all manufacturers.")
    ] = None,
    reader: Annotated[
        list[str] | None, typer.Option(help="A company that may read all offers, and check the whole plan.")
    ] = None,
    slot: Annotated[int, typer.Option(min=1, max=1440, help="Length of a slot in minutes.")] = 60,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days are planned, from then on.")] = 14,
    stream: Stream = None,
) -> Done:
    """Call for offers for the open operations of orders, as their coordinator.

    The orders' documents say what each operation needs; objective.toml in the home says what lateness, transport and
    carbon cost, and only readers are shown it.
    """
    asked, readers = _companies(at, to), sorted({at.participant(one) for one in reader or ()})
    subjects = [bytes.fromhex(at.order(one)[2:]) for one in orders]
    file = read_objective_file(at.home)
    with open_planner(at) as planner:
        own, until = planner.stream(stream, None), parse_moment(closes, "--closes", planner.now_s())
        asking = Asking(subjects, until, build_grid(until, slot, days), asked, readers)
        find_order: Callable[[str], bytes] = lambda name: bytes.fromhex(at.order(name)[2:])  # noqa: E731 - short
        with planner.writing() as tables:
            made, objective = build_call(tables, planner.me, asking, file, planner.now_s(), at.participant, find_order)
            sealed = seal_call(tables.connection, own, made, objective, asked)
        count = sum(len(job.operations) for job in made.jobs)
        said = (
            f"call {short_hash(made.digest)} for {count} operations of {len(made.jobs)} orders goes to {len(asked)} "
            f"companies; offers count until {moment_text(until)} UTC"
        )
        then = [f"the machines' owners: millmark plan offer {short_hash(made.digest)}", "millmark plan make"]
        return Done(planner.anchor(own, sealed), said, then)


@PLAN.list("list", "millmark plan list", of="calls", whole=True)
def list_calls(at: Home) -> Listing:
    """List the calls that are known here."""
    columns = {
        "call": lambda one: short_hash(bytes.fromhex(one["call"][2:])),
        "coordinator": lambda one: party(one["coordinator"]),
        "closes": lambda one: one["closes_at"][:16].replace("T", " "),
        "orders": lambda one: one["orders"],
        "operations": lambda one: one["operations"],
        "offers": lambda one: one["offers"],
        "plans": lambda one: one["plans"],
    }
    return Listing("calls", at.gateway.pages(CallShown, "/v1/calls"), columns)


def _companies(at: Home, named: Sequence[str] | None) -> list[int]:
    """Those that are named, or all manufacturers that may act."""
    if named:
        return sorted({at.participant(one) for one in named})
    listed = at.gateway.iterate_participants()
    found = [one.participant for one in listed if "manufacturer" in one.roles and not one.suspended]
    if not found:
        raise InputError("there is no manufacturer to be called", hint="name the companies with --to")
    return sorted(found)


CAUSES = Group("causes", "Follow what happened at machines and what it led to, and override it with a reason.")
PLAN.app.add_typer(CAUSES.app, name=CAUSES.name)
_CAUSES, _CAUSE = "/v1/causes", "/v1/causes/{}"
CauseName = Annotated[str, typer.Argument(metavar="CAUSE", help="Its name, or the beginning of it.")]
MachineName = Annotated[str, typer.Argument(metavar="MACHINE", help="A machine of the company: number or name.")]
Reason = Annotated[str, typer.Option(help="Why, in a line. It is kept, and recorded in the machine's stream.")]


@CAUSES.list("list", "millmark plan causes list", of="causes")
def list_causes(at: Home) -> Listing:
    """List causes, the latest first: those that count, and with --all those that do not."""
    found = sorted(at.gateway.pages(CauseFound, _CAUSES), key=lambda one: one.at, reverse=True)
    columns = {
        "cause": lambda one: one["cause"][:12],
        "kind": lambda one: one["kind"],
        "machine": lambda one: one["machine"],
        "known": lambda one: one["at"][:16].replace("T", " "),
        "outcome": lambda one: one["outcome"],
        "steps": lambda one: ", ".join(f"{step['step']} {step['state']}" for step in one["steps"]) or "-",
        "text": lambda one: one["text"],
    }
    return Listing("causes", found, columns, lambda one: one["outcome"] in ("acted", "counted"))


@CAUSES.app.command("show", epilog="Example: millmark plan causes show 0x4d4d")
def show_cause(context: typer.Context, cause: CauseName, as_json: AsJson = False) -> None:
    """Show a cause: its evidence, what it led to, and where the machine stands."""
    with client.open_gateway(context.obj) as gateway:
        _print(context, _find(gateway, cause), as_json)


@CAUSES.app.command("dismiss", epilog="Example: millmark plan causes dismiss 0x4d4d --reason 'the sensor was cleaned'")
def dismiss_cause(context: typer.Context, cause: CauseName, reason: Reason, as_json: AsJson = False) -> None:
    """Say that a cause does not count. The step that it led to is taken back, unless another one followed."""
    with client.open_gateway(context.obj) as gateway:
        _print(
            context,
            gateway.post(CauseFound, f"{_CAUSE}/dismissal", _find(gateway, cause).cause, reason=reason),
            as_json,
        )


@CAUSES.app.command(
    "report", epilog="Example: millmark plan causes report LATHE-2 --kind machine-down --text 'the spindle is worn'"
)
def report_cause(
    context: typer.Context,
    machine: MachineName,
    text: Annotated[str, typer.Option(help="What happened, in a line.")],
    kind: Annotated[str, typer.Option(help="machine-down or drift; records show all others.")] = "machine-down",
    as_json: AsJson = False,
) -> None:
    """Report what happened at a machine of the company: an entry of its stream, and what follows from it."""
    with client.open_gateway(context.obj) as gateway:
        number = Home(gateway, context.obj).machine(machine)
        _print(context, gateway.post(CauseFound, _CAUSES, machine=number, kind=kind, text=text), as_json)


@CAUSES.app.command("mended", epilog="Example: millmark plan causes mended LATHE-2 --reason 'the spindle was replaced'")
def repair_machine(
    context: typer.Context,
    machine: MachineName,
    reason: Reason,
    overhauled: Annotated[
        bool, typer.Option("--overhauled", help="It is as good as new: nothing is held against it, on any rung.")
    ] = False,
) -> None:
    """Have a machine offered again that feedback took out of plans. Its verdicts decide about the rest."""
    with client.open_gateway(context.obj) as gateway:
        number = Home(gateway, context.obj).machine(machine)
        gateway.post(type(None), "/v1/machines/{}/mended", number, reason=reason, overhauled=overhauled)
        speed = "at its whole speed" if overhauled else "as slowly as before it was withdrawn"
        print_lines(f"machine {number} is offered again, {speed}")


def _find(gateway: client.Client, name: str) -> CauseFound:
    if len(name) == 66:  # 0x and 64 digits
        return gateway.get(CauseFound, _CAUSE, name)
    return choose("cause", name, list(gateway.pages(CauseFound, _CAUSES)), lambda one: one.cause)


def _print(context: typer.Context, cause: CauseFound, as_json: bool) -> None:
    found: Mapping[str, Any] = cause.to_json()
    if as_json:
        print_json(context, found)
        return
    shown = f"record {found['record']}"
    if found["stream"] is not None:
        shown = f"entry {found['leaf']} of stream {found['stream'][:18]}..."
    lines = [
        f"cause {found['cause']}",
        f"  {found['kind']} at machine {found['machine']}: {found['text']}",
        f"  shown by {shown}; known since {found['at'][:16].replace('T', ' ')} UTC",
        f"  {found['outcome']}{': ' if found['reason'] else ''}{found['reason']}",
    ]
    for step in found["steps"]:
        entry = f", entry {step['leaf']}" if step["leaf"] is not None else ""
        lines.append(f"  {step['step']}: {step['state']}{entry}; {step['detail'] or 'not begun'}")
    speed = found["efficiency_per_mille"] // 10
    now = f"at {speed} % of its speed" if speed else "not at all"
    lines.append(f"  the machine stands on rung {found['rung']} of 4, and is offered {now}")
    print_lines(*lines)
