"""What it costs that owners keep their calendars: plans on a few windows for each operation, beside plans on all.

Both plans are made by the same scheduler in the same CPU time. The calendars are drawn from a seed: three companies,
each with one machine of each of three kinds, at work in one or two shifts, with energy that is cheaper at night. Each
company makes its offers as `millmark plan offer` does; on the other side each start is offered at its own price.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import exp, fsum, log

from ledger.canonical import sha256
from ledger.errors import UnplannableError
from ledger.plans.call import Call, Job, Objective, Operation, Transport
from ledger.plans.capability import Capability, Need
from ledger.plans.file import Machine, PlanFile
from ledger.plans.offer import Offer, OpenedOffer
from services.planning.calendar import Calendar, parse_calendar
from services.planning.offers import OwnMachine, build_offers, count_disclosed
from services.planning.schedule import make_plan

__all__ = ["Capacity", "compare_capacities", "geometric_mean"]

_COMPANIES, _KINDS = (1, 2, 3), ("grinding", "milling", "turning")
_ORIGIN, _SLOT_S = 1_800_000_000, 1800
_EVERY_DAY = '["mon", "tue", "wed", "thu", "fri", "sat", "sun"]'


@dataclass(frozen=True, slots=True)
class Capacity:
    """One instance."""

    orders: int
    seed: int
    private: int | None
    """Cost of the plan on the offered windows; None where none was found on them."""
    known: int
    """Cost of the plan on all windows."""
    shown: int
    """Slots that the offers let others know as free."""
    free: int
    """Slots that all windows would."""
    windows: float
    """Windows of an offer, on average."""

    @property
    def ratio(self) -> float | None:
        return None if self.private is None else self.private / self.known


def compare_capacities(sizes: Iterable[int], seeds: Iterable[int], cpu_s: float, windows: int) -> Iterator[Capacity]:
    """Makes two plans for each number of orders and each seed, with at most `windows` windows an operation and with
    all of them. Raises UnplannableError where no plan is found on all windows."""
    listed = list(seeds)
    for orders in sizes:
        for seed in listed:
            draw = random.Random(f"millmark capacities {orders} {seed}")  # noqa: S311 - instances, not secrets
            call, objective, calendars = _draw(draw, orders)
            few, every = (_offers(call, calendars, windows, whole=whole) for whole in (False, True))
            known = _find_cost(call, objective, every, cpu_s)
            try:
                private = _find_cost(call, objective, few, cpu_s)
            except UnplannableError:  # a result of its own: too few windows are a price of privacy as well
                private = None
            count = sum(len(one.windows) for one in few) / len(few)
            yield Capacity(orders, seed, private, known, count_disclosed(few), count_disclosed(every), count)


def _find_cost(call: Call, objective: Objective, offers: list[Offer], cpu_s: float) -> int:
    made = make_plan(_file(call, objective, offers), tie=bytes(32), cpu_s=cpu_s, with_solver=False)
    return made.check.plan.cost.total


def geometric_mean(values: Iterable[float]) -> float:
    listed = [log(value) for value in values]
    return exp(fsum(listed) / len(listed))


def _draw(draw: random.Random, orders: int) -> tuple[Call, Objective, list[Calendar]]:
    slots = 240 + 4 * orders
    jobs = []
    for order in sorted(draw.randbytes(32) for _ in range(orders)):
        release = draw.randint(0, orders)
        operations = tuple(Operation(number, Need(kind)) for number, kind in enumerate(draw.sample(_KINDS, 3)))
        jobs.append(Job(order, sha256(order), release, release + draw.randint(30, 90), operations))
    objective = Objective(
        salt=draw.randbytes(32),
        tardiness=tuple((job.order, draw.randint(10, 60)) for job in jobs),
        transport=tuple(Transport(one, two, 2, 60, 0) for one in _COMPANIES for two in _COMPANIES if one != two),
        destination=(),
        carbon_price=10,
    )
    when = _ORIGIN, _SLOT_S, slots, _ORIGIN - 3600
    call = Call(1, bytes(20), 9, draw.randbytes(32), *when, "EUR/100", (), objective.commitment, tuple(jobs))
    return call, objective, [_draw_calendar(draw, company) for company in _COMPANIES]


def _draw_calendar(draw: random.Random, company: int) -> Calendar:
    text = (
        'time_zone = "Europe/Berlin"\nunit = "EUR/100"\n[energy]\nprice_per_kwh = 30\nco2e_mg_per_wh = 400\n'
        '[[energy.tariff]]\nstarts = "21:00"\nends = "06:00"\nprice_per_kwh = 14\n'
    )
    for place, kind in enumerate(_KINDS):
        hours = draw.choice((("06:00", "14:00"), ("06:00", "22:00"), ("07:00", "19:00"), ("00:00", "00:00")))
        text += (
            f"[[machine]]\nmachine = {_number(company, place)}\nrate_per_hour = {draw.randint(60, 140)}\n"
            f"power_w = {draw.randint(1, 3) * 1000}\nminutes = {{ {kind} = {draw.randint(2, 8) * 30} }}\n"
            f'shifts = [ {{ days = {_EVERY_DAY}, starts = "{hours[0]}", ends = "{hours[1]}" }} ]\n'
        )
    return parse_calendar(text.encode())


def _number(company: int, place: int) -> int:
    return 10 * company + place


def _offers(call: Call, calendars: list[Calendar], windows: int, *, whole: bool) -> list[Offer]:
    found = []
    for company, calendar in zip(_COMPANIES, calendars, strict=True):
        machines = [
            OwnMachine(_number(company, place), calendar.machines[place], (Capability(kind),))
            for place, kind in enumerate(_KINDS)
        ]
        limited = calendar.with_windows(windows)
        found += build_offers(call, limited, machines, company, call.closes + 86_400, whole=whole).offers
    return found


def _file(call: Call, objective: Objective, offers: list[Offer]) -> PlanFile:
    machines = tuple(
        Machine(_number(company, place), company, (Capability(kind),))
        for company in _COMPANIES
        for place, kind in enumerate(_KINDS)
    )
    opened = tuple(OpenedOffer(offer, sha256(str(place).encode())) for place, offer in enumerate(offers))
    return PlanFile(call, objective, machines, opened)
