"""`millmark plan call`, `list`: what a coordinator wants done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.services.commands.acts.act import Done, Listing
from millmark.services.commands.acts.names import At
from millmark.services.commands.acts.words import party
from millmark.services.commands.plan.desk import moment_text, open_desk, parse_moment, short_hash
from millmark.services.commands.plan.group import PLAN, Stream
from millmark.services.planning.calendar import read_objective_file
from millmark.services.planning.calls import Asking, build_call, build_grid
from millmark.services.planning.papers import seal_call

__all__: list[str] = []


@PLAN.act("call", "millmark plan call order-7 order-8 --closes 8h --to Forge --to Mill --reader Audit")
def call(
    at: At,
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
    with open_desk(at) as desk:
        own, until = desk.stream(stream, None), parse_moment(closes, "--closes", desk.now_s())
        asking = Asking(subjects, until, build_grid(until, slot, days), asked, readers)
        find_order: Callable[[str], bytes] = lambda name: bytes.fromhex(at.order(name)[2:])  # noqa: E731 - short
        with desk.writing() as shelf:
            made, objective = build_call(shelf, desk.me, asking, file, desk.now_s(), at.participant, find_order)
            sealed = seal_call(shelf.connection, own, made, objective, asked)
        count = sum(len(job.operations) for job in made.jobs)
        said = (
            f"call {short_hash(made.digest)} for {count} operations of {len(made.jobs)} orders goes to {len(asked)} "
            f"companies; offers count until {moment_text(until)} UTC"
        )
        then = [f"the machines' owners: millmark plan offer {short_hash(made.digest)}", "millmark plan make"]
        return Done(desk.anchor(own, sealed), said, then)


@PLAN.list("list", "millmark plan list", of="calls", whole=True)
def list_calls(at: At) -> Listing:
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
    return Listing("calls", at.gateway.iterate_calls(), columns)


def _companies(at: At, named: Sequence[str] | None) -> list[int]:
    """Those that are named, or all manufacturers that may act."""
    if named:
        return sorted({at.participant(one) for one in named})
    listed = at.gateway.iterate_participants()
    found = [one["participant"] for one in listed if "manufacturer" in one["roles"] and not one["suspended"]]
    if not found:
        raise InputError("there is no manufacturer to be called", hint="name the companies with --to")
    return sorted(found)
