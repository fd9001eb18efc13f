"""`millmark plan causes`: what happened at machines, what it led to, and what people say to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millmark.services.commands.acts.act import Group, Listing
from millmark.services.commands.acts.names import At
from millmark.services.commands.plan.desk import choose
from millmark.services.commands.plan.group import PLAN
from millmark.services.output import AsJson, print_json, print_lines

if TYPE_CHECKING:
    from millmark.services.client import Client
    from millmark.services.client.shapes import CauseFound

__all__: list[str] = []

CAUSES = Group("causes", "Follow what happened at machines and what it led to, and override it with a reason.")
PLAN.app.add_typer(CAUSES.app, name=CAUSES.name)
CauseName = Annotated[str, typer.Argument(metavar="CAUSE", help="Its name, or the beginning of it.")]
MachineName = Annotated[str, typer.Argument(metavar="MACHINE", help="A machine of the company: number or name.")]
Reason = Annotated[str, typer.Option(help="Why, in a line. It is kept, and recorded in the machine's stream.")]


@CAUSES.list("list", "millmark plan causes list", of="causes")
def list_causes(at: At) -> Listing:
    """List causes, the latest first: those that count, and with --all those that do not."""
    found = sorted(at.gateway.iterate_causes(), key=lambda one: one["at"], reverse=True)
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
    from millmark.services.client import open_gateway  # noqa: PLC0415 - help needs no client

    with open_gateway(context.obj) as gateway:
        _print(context, _find(gateway, cause), as_json)


@CAUSES.app.command("dismiss", epilog="Example: millmark plan causes dismiss 0x4d4d --reason 'the sensor was cleaned'")
def dismiss_cause(context: typer.Context, cause: CauseName, reason: Reason, as_json: AsJson = False) -> None:
    """Say that a cause does not count. The step that it led to is taken back, unless another one followed."""
    from millmark.services.client import open_gateway  # noqa: PLC0415 - as above

    with open_gateway(context.obj) as gateway:
        _print(context, gateway.dismiss_cause(_find(gateway, cause)["cause"], reason=reason), as_json)


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
    from millmark.services.client import open_gateway  # noqa: PLC0415 - as above

    with open_gateway(context.obj) as gateway:
        number = At(gateway, context.obj).machine(machine)
        _print(context, gateway.report_cause(machine=number, kind=kind, text=text), as_json)


@CAUSES.app.command("mended", epilog="Example: millmark plan causes mended LATHE-2 --reason 'the spindle was replaced'")
def mend_machine(
    context: typer.Context,
    machine: MachineName,
    reason: Reason,
    overhauled: Annotated[
        bool, typer.Option("--overhauled", help="It is as good as new: nothing is held against it, on any rung.")
    ] = False,
) -> None:
    """Have a machine offered again that feedback took out of plans. Its verdicts decide about the rest."""
    from millmark.services.client import open_gateway  # noqa: PLC0415 - as above

    with open_gateway(context.obj) as gateway:
        number = At(gateway, context.obj).machine(machine)
        gateway.mend_machine(number, reason=reason, overhauled=overhauled)
        speed = "at its whole speed" if overhauled else "as slowly as before it was withdrawn"
        print_lines(f"machine {number} is offered again, {speed}")


def _find(gateway: Client, name: str) -> CauseFound:
    if len(name) == 66:  # 0x and 64 digits
        return gateway.get_cause(name)
    return choose("cause", name, list(gateway.iterate_causes()), lambda one: bytes.fromhex(one["cause"][2:]))


def _print(context: typer.Context, found: CauseFound, as_json: bool) -> None:
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
