"""`millmark plan offer`, `withdraw`, `offers`: an owner's answers to a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.services.commands.acts.act import Done, Listing
from millmark.services.commands.acts.names import At
from millmark.services.commands.acts.words import party
from millmark.services.commands.plan.desk import Desk, choose, open_desk, parse_moment, short_hash
from millmark.services.commands.plan.group import PLAN, CallName
from millmark.services.output import warn
from millmark.services.planning.calendar import read_calendar
from millmark.services.planning.offers import (
    build_new_offers,
    count_disclosed,
    find_own_machines,
    find_withdrawals,
    grid_of,
    need_open_call,
)
from millmark.services.planning.papers import seal_offers
from millmark.services.planning.repository import What

__all__: list[str] = []


@PLAN.act("offer", "millmark plan offer 0x3c4d5e --until 2d")
def offer(
    at: At,
    call: CallName = None,
    until: Annotated[
        str, typer.Option(help="Until when the offers are valid: a time in UTC, or from now on 8h or 2d.")
    ] = "7d",
    machine: Annotated[
        list[str] | None, typer.Option(help="Offer this machine alone; by default all of the calendar.")
    ] = None,
    windows: Annotated[
        int | None, typer.Option(min=1, max=50, help="Most windows for an operation; by default as in the calendar.")
    ] = None,
) -> Iterator[Done]:
    """Offer machines for the operations of a call, from calendar.toml in the home.

    The calendar stays here. Only the offered windows and their prices go to the coordinator and to the readers that
    the call names.
    """

    calendar = read_calendar(at.home)
    if windows is not None:
        calendar = calendar.with_windows(windows)
    with open_desk(at) as desk:
        digest, valid = desk.call(call).digest, parse_moment(until, "--until", desk.now_s())
        named = None if machine is None else {at.machine(one) for one in machine}
        with desk.reading() as shelf:
            wanted = need_open_call(shelf, digest, calendar.file.unit, desk.now_s())
            machines = find_own_machines(shelf, wanted, calendar, desk.me, at.machine, named)
            made = build_new_offers(shelf, wanted, calendar, machines, desk.me, valid)
        for line in (*calendar.clock_changes(grid_of(wanted)), *made.passed):
            warn(f"millmark: {line}")
        new = made.offers
        if not new:
            streams = [desk.stream(None, one.number) for one in machines]
            lost = [one for own in streams if (one := desk.anchor_rest(own)) is not None]
            if not lost:
                raise InputError("there is nothing new to offer for this call", hint="see `millmark plan offers`")
            yield from lost
        for number in sorted({one.machine for one in new}):
            yield _record(desk, number, [one for one in new if one.machine == number])


@PLAN.act("withdraw", "millmark plan withdraw 0x3c4d5e 0x4d5e6f")
def withdraw(
    at: At,
    offers: Annotated[list[str], typer.Argument(metavar="OFFER...", help="As `millmark plan offers` shows them.")],
) -> Iterator[Done]:
    """Take own offers back, before their call closes."""

    with open_desk(at) as desk:
        with desk.reading() as shelf:
            rows = [row for one in shelf.planning.calls() for row in shelf.planning.leaves(one.digest, What.OFFER)]
            chosen = [choose("offer", name, rows, lambda row: row.leaf) for name in offers]
            by_machine = find_withdrawals(shelf, chosen, desk.me, desk.now_s())
        for number, entries in by_machine.items():
            yield _record(desk, number, entries)


@PLAN.list("offers", "millmark plan offers 0x3c4d5e", of="offers", whole=True)
def list_offers(at: At, call: CallName = None) -> Listing:
    """List the offers for a call that are known here, whether each counts, and whether its receipt is here."""

    with open_desk(at) as desk:
        digest = "0x" + desk.call(call).digest.hex()
    columns = {
        "offer": lambda one: short_hash(bytes.fromhex(one["offer"][2:])),
        "of": lambda one: party(one["owner"]),
        "machine": lambda one: one["machine"],
        "order": lambda one: one["order"][:12],
        "operation": lambda one: one["operation"] + 1,
        "windows": lambda one: len(one["windows"]),
        "from": lambda one: min(window["price"] for window in one["windows"]),
        "receipt": lambda one: "signed" if one["received_at"] else "-",
        "counts": lambda one: "yes" if one["counts"] else one["reason"],
    }
    return Listing("offers", at.gateway.iterate_offers(call=digest), columns)


def _record(desk: Desk, machine: int, entries: Sequence[Offer] | Sequence[OfferWithdrawal]) -> Done:

    own = desk.stream(None, machine)
    with desk.writing() as shelf:
        sealed = seal_offers(shelf.connection, own, entries)
    done = desk.anchor(own, sealed)
    offers = [one for one in entries if isinstance(one, Offer)]
    if not offers:
        return Done(done, f"offers of machine {machine} that are withdrawn: {len(entries)}")
    windows, shown = sum(len(one.windows) for one in offers), count_disclosed(offers)
    said = f"machine {machine}: {len(offers)} offers with {windows} windows are made, which show {shown} free slots"
    return Done(done, said, "the coordinator, once the call has closed: millmark plan make")
