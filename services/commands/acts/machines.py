"""`millmark machines`, `streams` and `models`: what makes, what measures, and what judges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.commands.acts.act import Done, Group, Listing
from services.commands.acts.options import Claims, InState, NewName, OfCompany, Reason
from services.commands.acts.words import name_of, party, read_claims, reason_of, short, state, state_word, when

if TYPE_CHECKING:
    from services.commands.acts.names import At

__all__ = ["register"]

MACHINES = Group("machines", "Register machines, retire them, and see how much work they have.")
STREAMS = Group("streams", "Open evidence streams, of machines or for plans and logs, and list them.")
MODELS = Group("models", "See which quality models there are; `millmark quality` makes and publishes them.")
Machine = Annotated[str, typer.Argument(metavar="MACHINE", help="The machine: number, identifier or its last part.")]


def register(app: typer.Typer) -> None:
    for group in (MACHINES, STREAMS, MODELS):
        app.add_typer(group.app, name=group.name)


@MACHINES.act("register", "millmark machines register urn:example:LATHE-2")
def register_machine(at: At, identifier: NewName, claims: Claims = None) -> Done:
    """Register a machine of your company."""
    done = at.gateway.register_machine(identifier=identifier, claims=read_claims(claims))
    name = short(identifier)
    then = f"millmark streams open {identifier}:log --machine {name}"
    return Done(done, f"machine {{sequence}} is {name}", then)


@MACHINES.act("retire", "millmark machines retire LATHE-2 --reason 'sold'")
def retire(at: At, machine: Machine, reason: Reason) -> Done:
    """Retire a machine: it can be assigned no more."""
    return Done(
        at.gateway.retire_machine(at.machine(machine), reason=reason_of(reason)), f"machine {machine} is retired"
    )


@MACHINES.list("list", "millmark machines list --owner Forge")
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


@STREAMS.act("open", "millmark streams open urn:example:LATHE-2:log --machine LATHE-2")
def open_stream(
    at: At,
    identifier: NewName,
    machine: Annotated[str | None, typer.Option(help="Its machine; none for plans and logs without one.")] = None,
    claims: Claims = None,
) -> Done:
    """Open an evidence stream of a machine, or of a coordinator or auditor for plans and logs without one."""
    number = at.machine(machine) if machine else 0
    done = at.gateway.open_stream(identifier=identifier, machine=number, claims=read_claims(claims))
    return Done(done, "stream {subject} is open")


@STREAMS.list("list", "millmark streams list --machine LATHE-2", whole=True)
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


@MODELS.list("list", "millmark models list --inspector Lab")
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
