"""`millmark plan call`, `list`: what a coordinator wants done."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated

import typer

from ledger.errors import InputError
from ledger.plans.call import Call, Objective
from ledger.store import Registry
from services.commands.acts.act import Done, Listing
from services.commands.acts.names import At
from services.commands.acts.words import party
from services.commands.plan.desk import Desk, Shelf, moment_text, open_desk, parse_moment, short_hash
from services.commands.plan.group import PLAN, Stream
from services.planning.calendar import Grid
from services.planning.calls import build_job
from services.planning.errors import CallRefusedError
from services.planning.objectives import build_objective, read_objective_file
from services.planning.sealing import seal_call

__all__: list[str] = []

_DAY_S = 86_400


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
    with open_desk(at) as desk:
        own, until = desk.stream(stream, None), parse_moment(closes, "--closes", desk.now_s())
        grid = Grid(-(-until // (slot * 60)) * slot * 60, slot * 60, -(-days * _DAY_S // (slot * 60)))
        with desk.writing() as shelf:
            made, objective = _build(desk, shelf, grid, until, subjects, asked, readers)
            sealed = seal_call(shelf.connection, own, made, objective, asked)
        count = sum(len(job.operations) for job in made.jobs)
        said = (
            f"call {short_hash(made.digest)} for {count} operations of {len(made.jobs)} orders goes to {len(asked)} "
            f"companies; offers count until {moment_text(until)} UTC"
        )
        then = [f"the machines' owners: millmark plan offer {short_hash(made.digest)}", "millmark plan make"]
        return Done(desk.anchor(own, sealed), said, then)


@PLAN.list("list", "millmark plan list", whole=True)
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


def _build(
    desk: Desk,
    shelf: Shelf,
    grid: Grid,
    closes: int,
    subjects: Sequence[bytes],
    asked: Sequence[int],
    readers: Sequence[int],
) -> tuple[Call, Objective]:
    ledger = Registry(shelf.connection).identity()
    if ledger is None or closes <= desk.now_s():
        raise CallRefusedError("the call would close in the past", hint="give a later time with --closes")
    if len(set(subjects)) != len(subjects):
        raise CallRefusedError("an order is named twice", hint="name each once")
    wanted = [build_job(shelf.rows, shelf.book, one, desk.me, grid) for one in sorted(subjects)]
    file, buyers = read_objective_file(desk.at.home), {one.job.order: one.buyer for one in wanted}
    jobs = tuple(one.job for one in wanted)
    find_order = lambda name: bytes.fromhex(desk.at.order(name)[2:])  # noqa: E731 - short, and used once
    objective = build_objective(file, jobs, asked, grid.slot, desk.at.participant, find_order, buyers)
    made = Call(
        chain_id=ledger.chain_id,
        ledger=ledger.ledger,
        coordinator=desk.me,
        salt=secrets.token_bytes(32),
        origin=grid.origin,
        slot=grid.slot,
        slots=grid.slots,
        closes=closes,
        unit=file.unit,
        readers=tuple(readers),
        objective=objective.commitment,
        jobs=jobs,
    )
    return made, objective
