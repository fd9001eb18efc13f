"""`millmark machines`, `streams` and `models`: what makes, what measures, and what judges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millmark.services.commands.acts.act import Done, Group, Listing
from millmark.services.commands.acts.options import Claims, InState, NewName, OfCompany, Reason
from millmark.services.commands.acts.words import name_of, party, read_claims, reason_of, short, state, state_word, when

if TYPE_CHECKING:
    from millmark.services.commands.acts.names import At

MACHINES = Group("machines", "Register machines, retire them, and see how much work they have.")
STREAMS = Group("streams", "Open evidence streams, of machines or for plans and logs, and list them.")
MODELS = Group("models", "See which quality models there are; `millmark quality` makes and publishes them.")
_MAX_BYTES = 64 * 1024
Machine = Annotated[str, typer.Argument(metavar="MACHINE", help="The machine: number, identifier or its last part.")]


def register(app: typer.Typer) -> None:
    for group in (MACHINES, STREAMS, MODELS):
        app.add_typer(group.app, name=group.name)


@MACHINES.act("register", "millmark machines register urn:example:LATHE-2 --capability lathe.json")
def register_machine(
    at: At,
    identifier: NewName,
    capability: Annotated[
        Path | None,
        typer.Option(help="JSON file with what it can do: kinds of operation and limits.", dir_okay=False),
    ] = None,
    claims: Claims = None,
) -> Done:
    """Register a machine of your company, with what it can do: plans choose among the machines that are capable."""
    document = read_claims(claims) if capability is None else {**(read_claims(claims) or {}), **_capability(capability)}
    done = at.gateway.register_machine(identifier=identifier, claims=document)
    name = short(identifier)
    then = f"millmark streams open {identifier}-log --machine {name}"
    return Done(done, f"machine {{sequence}} is {name}", then)


def _capability(path: Path) -> dict[str, Any]:
    """The member of a machine's claims. Raises PlanError for a file that is not a list of kinds with limits."""
    from millmark.ledger.canonical import parse_json  # noqa: PLC0415 - help reads no file
    from millmark.ledger.plans.call import parse_capability  # noqa: PLC0415 - as above
    from millmark.services.files import read_bounded  # noqa: PLC0415 - as above

    found = parse_capability(parse_json(read_bounded(path, _MAX_BYTES), max_bytes=_MAX_BYTES, max_depth=8))
    return {"capability": [one.to_json() for one in found]}


@MACHINES.act("retire", "millmark machines retire LATHE-2 --reason 'sold'")
def retire(at: At, machine: Machine, reason: Reason) -> Done:
    """Retire a machine: it can be assigned no more."""
    return Done(
        at.gateway.retire_machine(at.machine(machine), reason=reason_of(reason)), f"machine {machine} is retired"
    )


@MACHINES.list("list", "millmark machines list --owner Forge", of="machines")
def list_machines(at: At, owner: OfCompany = None) -> Listing:
    """List machines that are not retired: your own, and those that work for your orders."""
    columns = {
        "machine": lambda one: one["machine"],
        "name": name_of,
        "of": lambda one: party(one["owner"]),
        "waiting": lambda one: one["waiting"],
        "working": lambda one: one["working"],
        "retired": lambda one: when(one["retired_at"]),
    }
    found = at.gateway.iterate_machines(owner=at.maybe_participant(owner))
    return Listing("machines", found, columns, lambda one: one["retired_at"] is None)


@STREAMS.act("open", "millmark streams open urn:example:LATHE-2-log --machine LATHE-2")
def open_stream(
    at: At,
    identifier: NewName,
    machine: Annotated[str | None, typer.Option(help="Its machine; none for plans and logs without one.")] = None,
    claims: Claims = None,
) -> Done:
    """Open an evidence stream of a machine, or of a coordinator or auditor for plans and logs without one."""
    number = at.machine(machine) if machine else 0
    done = at.gateway.open_stream(identifier=identifier, machine=number, claims=read_claims(claims))
    then = f"once something is measured: millmark streams add {short(identifier)} --event ID --value NAME=VALUE"
    return Done(done, f"stream {short(identifier)} is open: {{subject}}", [then] if machine else [])


@STREAMS.act("add", "millmark streams add LATHE-2-log --event press-2026-118 --value diameter_um=40012")
def add(
    at: At,
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream: identifier, its last part, or subject.")],
    event: Annotated[str, typer.Option(help="Id of the event, which no other one in the stream has.")],
    value: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What was measured: a whole number, or text.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="JSON file with what was measured.", dir_okay=False)] = None,
) -> Done:
    """Add a measured event to a stream that no node captures, and anchor it. The event stays in the private book."""
    from millmark.services.commands.acts.measured import build_event, keep_event  # noqa: PLC0415 - help needs no database

    found = at.gateway.get_stream(at.stream(stream))
    measured = build_event(event, value or (), read_claims(data))
    size, root = keep_event(at.home, bytes.fromhex(found["subject"][2:]), found["size"], measured)
    done = at.gateway.anchor(found["subject"], size=size, root=f"0x{root.hex()}")
    then = [
        f"as work that is done: millmark assignments finish NUMBER --event {event}",
        f"as an inspector: millmark certificates issue LOT... --stream {short(stream)} --event {event} "
        "--verdict pass --procedure FILE --until DAY",
    ]
    return Done(done, f"event {event} is entry {size} of stream {short(stream)}", then)


@STREAMS.list("list", "millmark streams list --machine LATHE-2", of="streams", whole=True)
def list_streams(
    at: At,
    machine: Annotated[str | None, typer.Option(help="Only those of this machine.")] = None,
    owner: OfCompany = None,
) -> Listing:
    """List evidence streams."""
    columns = {
        "stream": name_of,
        "machine": lambda one: name_of(one["machine"]) if one["machine"] else "-",
        "of": lambda one: party(one["owner"]),
        "entries": lambda one: one["size"],
        "opened": lambda one: when(one["opened_at"]),
        "subject": lambda one: one["subject"],
    }
    found = at.gateway.iterate_streams(
        machine=at.machine(machine) if machine else None, owner=at.maybe_participant(owner)
    )
    return Listing("streams", found, columns)


@MODELS.list("list", "millmark models list --inspector Lab", of="models")
def list_models(at: At, inspector: OfCompany = None, state_: InState = None) -> Listing:
    """List quality models that are neither retired nor withdrawn."""
    columns = {
        "model": lambda one: one["model"],
        "state": state,
        "inspector": lambda one: party(one["inspector"]),
        "approved by": lambda one: party(one["approver"]),
        "digest": lambda one: one["digest"][:18] + "...",
    }
    found = at.gateway.iterate_models(inspector=at.maybe_participant(inspector), state=state_word(state_))
    return Listing(
        "models", found, columns, lambda one: state_ is not None or one["state"] in ("registered", "approved")
    )
