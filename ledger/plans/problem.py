"""The combinatorial problem that a call, an objective and the offers that count amount to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from millmark.ledger.plans.call import Call, Job, Objective, Transport
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Key, Leg, Row

_PRICE = itemgetter(2)
_GRAM_SCALE = 1_000_000
"""A carbon price is for that many mg."""
_AT_HOME = Transport(1, 2, 0, 0, 0)
"""Stands for the way from a participant to itself: no slots, no cost. Its ends are never read."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One offer for an operation, reduced to the starts that are possible."""

    offer: bytes
    """Leaf hash."""
    machine: int
    owner: int
    duration: int
    setup: int
    family: str
    windows: tuple[tuple[int, int, int], ...]
    """First start, last start, price; ascending and disjoint, within the slots."""
    carbon: int
    """Cost of its greenhouse gases, which comes on top of every price."""
    wh: int
    co2e_mg: int

    def cost_at(self, start: int) -> int | None:
        """Price and carbon cost at a start; None when it is not possible."""
        for first, last, price in self.windows:
            if first <= start <= last:
                return price + self.carbon
        return None


@dataclass(frozen=True, slots=True)
class Route:
    """An order's operations with what is offered for each."""

    order: bytes
    first: int
    """Number of the first operation."""
    release: int
    due: int
    weight: int
    """Cost of each slot late."""
    destination: int | None
    choices: tuple[tuple[Choice, ...], ...]
    """By operation, ascending by offer."""
    least_cost: tuple[int, ...]
    """By operation, what this and all later ones cost at least."""
    least_slots: tuple[int, ...]
    """By operation, what all later ones take at least."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be planned."""

    slots: int
    routes: tuple[Route, ...]
    """Ascending by order."""
    transport: Mapping[tuple[int, int], Transport]
    spent: int
    """Price and carbon cost of what is reworked: part of what every plan costs."""

    def way(self, origin: int, destination: int | None) -> Transport | None:
        """How an order gets from one participant to another; None when it cannot."""
        if destination is None or origin == destination:
            return _AT_HOME
        return self.transport.get((origin, destination))


def build_problem(
    call: Call,
    objective: Objective,
    offers: Iterable[tuple[bytes, Offer]],
    *,
    now: int = 0,
    fixed: Mapping[Key, Row] | None = None,
    legs: Collection[Leg] | None = None,
    reworked: Collection[Row] = (),
) -> Problem:
    """Build the problem from the offers that count, given with their leaf hashes.

    Rows of `fixed` stay where they are; other operations start from slot `now` on. With `legs`, those of the plan
    before, what follows a fixed row elsewhere starts when a leg from slot `now` on can be there, or one of these that
    was under way by then. Without, that leg may have begun at any time after the row: the bound of a plan is about all
    of these, because a file alone does not show what was under way. What is `reworked` stays with its owner, who
    has the part.
    """
    by_key: dict[Key, list[Choice]] = defaultdict(list)
    held = fixed or {}
    transport = {(item.origin, item.destination): item for item in objective.transport}
    under_way = None if legs is None else {leg.key: leg for leg in legs if leg.start < now}
    keepers = {row.key: row.owner for row in reworked}
    for identifier, offer in offers:
        key = (offer.order, offer.operation)
        row = held.get(key)
        if keepers.get(key, offer.owner) != offer.owner:
            continue
        if row is None or row.offer == identifier:
            low, high = (now, call.slots - offer.duration) if row is None else (row.start, row.start)
            if row is None and under_way is not None:
                low = _first_start(offer, held.get((offer.order, offer.operation - 1)), now, transport, under_way)
            by_key[key].append(_build_choice(identifier, offer, objective.carbon_price, low, high))
    weights, destinations = dict(objective.tardiness), dict(objective.destination)
    routes = tuple(
        _build_route(job, by_key, weights.get(job.order, 0), destinations.get(job.order)) for job in call.jobs
    )
    return Problem(call.slots, routes, transport, spent_on(reworked, objective.carbon_price))


def _build_route(job: Job, by_key: Mapping[Key, list[Choice]], weight: int, destination: int | None) -> Route:
    choices = [tuple(sorted(by_key[job.order, item.operation], key=_offer_of)) for item in job.operations]
    least_cost, least_slots = _least(choices)
    return Route(
        order=job.order,
        first=job.operations[0].operation,
        release=job.release,
        due=job.due,
        weight=weight,
        destination=destination,
        choices=tuple(choices),
        least_cost=least_cost,
        least_slots=least_slots,
    )


def _first_start(
    offer: Offer,
    before: Row | None,
    now: int,
    transport: Mapping[tuple[int, int], Transport],
    under_way: Mapping[Key, Leg],
) -> int:
    """First slot in which an operation may start whose order is where the fixed row `before` left it."""
    if before is None or before.owner == offer.owner:
        return now
    leg = under_way.get(before.key)
    if leg is not None and leg.destination == offer.owner:
        return max(now, leg.end)
    way = transport.get((before.owner, offer.owner))
    return now if way is None else now + way.slots  # without a way, no path takes this offer in any case


def carbon_cost(co2e_mg: int, carbon_price: int) -> int:
    """Cost of the greenhouse gases of one operation, rounded down."""
    return co2e_mg * carbon_price // _GRAM_SCALE


def spent_on(reworked: Collection[Row], carbon_price: int) -> int:
    """Price and carbon cost of what is reworked."""
    return sum(row.price + carbon_cost(row.co2e_mg, carbon_price) for row in reworked)


def _build_choice(identifier: bytes, offer: Offer, carbon_price: int, low: int, high: int) -> Choice:
    carbon = carbon_cost(offer.co2e_mg, carbon_price)
    return Choice(
        offer=identifier,
        machine=offer.machine,
        owner=offer.owner,
        duration=offer.duration,
        setup=offer.setup,
        family=offer.family,
        windows=_clip(offer.windows, low, high),
        carbon=carbon,
        wh=offer.wh,
        co2e_mg=offer.co2e_mg,
    )


def _least(operations: Sequence[Sequence[Choice]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """`least_cost` and `least_slots` of a route."""
    costs, slots = [0], [0]
    for choices in reversed(operations):
        least = [min(map(_PRICE, choice.windows)) + choice.carbon for choice in choices if choice.windows]
        costs.append(costs[-1] + min(least, default=0))
        slots.append(slots[-1] + min((choice.duration for choice in choices), default=0))
    return tuple(costs[:0:-1]), tuple(slots[-2::-1])


def _clip(windows: tuple[tuple[int, int, int], ...], low: int, high: int) -> tuple[tuple[int, int, int], ...]:
    if windows[0][0] >= low and windows[-1][1] <= high:
        return windows  # nearly always: copying would take a tenth of the time of a check
    return tuple(
        (max(first, low), min(last, high), price) for first, last, price in windows if first <= high and last >= low
    )


def _offer_of(choice: Choice) -> bytes:
    return choice.offer
