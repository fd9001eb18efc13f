"""An owner's side of a call: its machines, what it has offered already, and what can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import Offer, OfferWithdrawal, parse_offer, parse_offer_withdrawal
from millmark.ledger.store.rows import MachineRow
from millmark.services.planning.books import find_capability
from millmark.services.planning.calendar import Calendar
from millmark.services.planning.calls import verify_revisions
from millmark.services.planning.consent import find_busy
from millmark.services.planning.errors import CalendarError, CallRefusedError, OfferRefusedError
from millmark.services.planning.feedback.repository import FeedbackRepository
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.offers import Made, OwnMachine, build_offers
from millmark.services.planning.reading import need_call
from millmark.services.planning.repository import LeafRow, What
from millmark.services.planning.shelf import Shelf


def need_open_call(shelf: Shelf, digest: bytes, unit: str, now_s: int) -> Call:
    """The call, while it is open and on the orders' present terms. `unit`: that of the calendar's prices. Raises
    CallRefusedError and CalendarError."""
    call = need_call(shelf.rows, digest)
    if call.closes <= now_s:
        closed = datetime.fromtimestamp(call.closes, UTC)
        raise CallRefusedError(PlanningGround.CALL_CLOSED.write(time=f"{closed:%Y-%m-%d %H:%M} UTC"))
    if unit != call.unit:
        raise CalendarError(
            PlanningGround.OTHER_UNIT.write(unit=unit, wanted=call.unit),
            hint="give all amounts of calendar.toml in the call's unit",
        )
    verify_revisions(shelf.rows, shelf.book, call)
    return call


def find_own_machines(
    shelf: Shelf,
    call: Call,
    calendar: Calendar,
    me: int,
    find_machine: Callable[[str], int],
    wanted: Collection[int] | None = None,
) -> list[OwnMachine]:
    """The company's machines in its calendar, or those of them that are wanted. Raises OfferRefusedError for one that
    is not the company's, and InputError if there are none."""
    found = []
    for plan in calendar.machines:
        number = find_machine(str(plan.machine))
        if wanted is not None and number not in wanted:
            continue
        row = shelf.rows.get(MachineRow, number)
        if row is None or row.owner != me or row.retired_at:
            is_own = row is not None and row.owner == me
            why = PlanningGround.MACHINE_RETIRED if is_own else PlanningGround.MACHINE_NOT_OWN
            raise OfferRefusedError(why.write(machine=plan.machine), hint="correct calendar.toml")
        capability = find_capability(shelf.book, row.claims_root)
        busy = find_busy(shelf.rows, shelf.book, call, number, me)
        efficiency = FeedbackRepository(shelf.connection).condition(number).efficiency_per_mille
        found.append(OwnMachine(number, plan, capability, tuple(busy), efficiency))
    if not found:
        raise InputError(PlanningGround.NO_MACHINES.write(), hint="see calendar.toml")
    return found


def build_new_offers(
    shelf: Shelf, call: Call, calendar: Calendar, machines: list[OwnMachine], me: int, until: int
) -> Made:
    """The offers for all that the machines can do and that is not offered already. `until`: Unix seconds."""
    made = build_offers(call, calendar, machines, me, until)
    known = _offered(shelf, call, me)
    new = [one for one in made.offers if (one.order, one.operation, one.machine) not in known]
    if len(new) < len(made.offers):
        made.passed.append(PlanningGround.OFFERED.write(count=len(made.offers) - len(new)))
    return Made(new, made.passed)


def find_withdrawals(shelf: Shelf, rows: Iterable[LeafRow], me: int, now_s: int) -> dict[int, list[OfferWithdrawal]]:
    """The withdrawals of own offers, by machine. Raises OfferRefusedError for an offer of another company, and once its
    call has closed."""
    closed = {one.digest for one in shelf.planning.calls() if one.closes <= now_s}
    found: dict[int, list[OfferWithdrawal]] = {}
    for row in rows:
        if row.owner != me:
            raise OfferRefusedError(PlanningGround.OFFER_NOT_OWN.write(offer=to_hex(row.leaf)))
        if row.call in closed:
            raise OfferRefusedError(PlanningGround.OFFER_STANDS.write(), hint="decline the row it leads to")
        found.setdefault(parse_offer(row.value).machine, []).append(OfferWithdrawal(row.call, row.leaf))
    return dict(sorted(found.items()))


def own_leaves(shelf: Shelf, call: Call, what: str, me: int) -> list[LeafRow]:
    """The company's own entries for a call."""
    return [row for row in shelf.planning.leaves(call.digest, what) if row.owner == me]


def _offered(shelf: Shelf, call: Call, me: int) -> set[tuple[bytes, int, int]]:
    """Order, operation and machine of the company's offers that were not withdrawn."""
    gone = {parse_offer_withdrawal(row.value).offer for row in own_leaves(shelf, call, What.WITHDRAWAL, me)}
    offers: list[Offer] = [
        parse_offer(row.value) for row in own_leaves(shelf, call, What.OFFER, me) if row.leaf not in gone
    ]
    return {(one.order, one.operation, one.machine) for one in offers}
