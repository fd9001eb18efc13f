"""`millmark plan offer`, `withdraw`, `offers`: an owner's answers to a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from ledger.errors import InputError
from ledger.plans.call import Call
from ledger.plans.offer import Offer, OfferWithdrawal, parse_offer, parse_offer_withdrawal
from ledger.store.rows import MachineRow
from services.commands.acts.act import Done, Listing
from services.commands.acts.names import At
from services.commands.acts.words import party
from services.commands.plan.desk import Desk, Shelf, choose, moment_text, open_desk, parse_moment, short_hash
from services.commands.plan.group import PLAN, CallName
from services.output import warn
from services.planning.books import find_capability
from services.planning.calendar import Calendar, read_calendar
from services.planning.calls import verify_revisions
from services.planning.consent import find_busy
from services.planning.errors import CalendarError, CallRefusedError, OfferRefusedError
from services.planning.offers import OwnMachine, build_offers, count_disclosed, grid_of
from services.planning.repository import LeafRow, What
from services.planning.sealing import seal_offers

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
        wanted = _open_call(desk, call, calendar)
        machines = _machines(desk, wanted, calendar, machine)
        for line in calendar.clock_changes(grid_of(wanted)):
            warn(f"millmark: {line}")
        made = build_offers(wanted, calendar, machines, desk.me, parse_moment(until, "--until", desk.now_s()))
        known = _known(desk, wanted)
        new = [one for one in made.offers if (one.order, one.operation, one.machine) not in known]
        if len(new) < len(made.offers):
            made.passed.append(f"{len(made.offers) - len(new)} are offered already: withdraw them first to change them")
        for line in made.passed:
            warn(f"millmark: {line}")
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
            closed = {one.digest for one in shelf.planning.calls() if one.closes <= desk.now_s()}
        by_machine: dict[int, list[OfferWithdrawal]] = {}
        for row in chosen:
            if row.owner != desk.me:
                raise OfferRefusedError(f"offer 0x{row.leaf.hex()} is not one of this company")
            if row.call in closed:
                raise OfferRefusedError("the call has closed: the offer stands", hint="decline the row it leads to")
            by_machine.setdefault(parse_offer(row.value).machine, []).append(OfferWithdrawal(row.call, row.leaf))
        for number, entries in sorted(by_machine.items()):
            yield _record(desk, number, entries)


@PLAN.list("offers", "millmark plan offers 0x3c4d5e", whole=True)
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


def _open_call(desk: Desk, name: str | None, calendar: Calendar) -> Call:
    """The call, while it is open and on the orders' present terms. Raises CallRefusedError."""

    call = desk.call(name)
    if call.closes <= desk.now_s():
        raise CallRefusedError(f"the call closed at {moment_text(call.closes)} UTC: an offer would be late")
    if calendar.file.unit != call.unit:
        raise CalendarError(
            f"the calendar's prices are in {calendar.file.unit}, and the call is in {call.unit}",
            hint="give all amounts of calendar.toml in the call's unit",
        )
    with desk.reading() as shelf:
        verify_revisions(shelf.rows, shelf.book, call)
    return call


def _machines(desk: Desk, call: Call, calendar: Calendar, named: Sequence[str] | None) -> list[OwnMachine]:
    """The company's machines in the calendar. Raises OfferRefusedError for one that is not the company's."""

    wanted = None if named is None else {desk.at.machine(one) for one in named}
    found = []
    for plan in calendar.machines:
        number = desk.at.machine(str(plan.machine))
        if wanted is not None and number not in wanted:
            continue
        with desk.reading() as shelf:
            row = shelf.rows.get(MachineRow, number)
            if row is None or row.owner != desk.me or row.retired_at:
                why = "is retired" if row is not None and row.owner == desk.me else "is not one of this company"
                raise OfferRefusedError(f"machine {plan.machine} of the calendar {why}", hint="correct calendar.toml")
            capability = find_capability(shelf.book, row.claims_root)
            busy = find_busy(shelf.rows, shelf.book, call, number, desk.me)
        found.append(OwnMachine(number, plan, capability, tuple(busy)))
    if not found:
        raise InputError("the calendar has none of these machines", hint="see calendar.toml")
    return found


def _known(desk: Desk, call: Call) -> set[tuple[bytes, int, int]]:
    """Order, operation and machine of the company's offers that were not withdrawn."""

    with desk.reading() as shelf:
        gone = {parse_offer_withdrawal(row.value).offer for row in _own(desk, shelf, call, What.WITHDRAWAL)}
        offers = [parse_offer(row.value) for row in _own(desk, shelf, call, What.OFFER) if row.leaf not in gone]
    return {(one.order, one.operation, one.machine) for one in offers}


def _own(desk: Desk, shelf: Shelf, call: Call, what: str) -> list[LeafRow]:
    return [row for row in shelf.planning.leaves(call.digest, what) if row.owner == desk.me]


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
