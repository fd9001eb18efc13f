"""The combinatorial problem that a call, an objective and the offers that count amount to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger.plans.call import Call, Objective, Transport
from ledger.plans.offer import Offer
from ledger.plans.plan import Key, Row

__all__ = ["Choice", "Problem", "Route", "build_problem"]

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
    """First start, last start, price and carbon cost together; ascending and disjoint, within the slots."""
    carbon: int
    """Part of those prices that is carbon cost."""
    wh: int
    co2e_mg: int

    def cost_at(self, start: int) -> int | None:
        """Price and carbon cost at a start; None when it is not possible."""
        for first, last, cost in self.windows:
            if first <= start <= last:
                return cost
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


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be planned."""

    slots: int
    routes: tuple[Route, ...]
    """Ascending by order."""
    transport: Mapping[tuple[int, int], Transport]

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
) -> Problem:
    """Build the problem from the offers that count, given with their leaf hashes.

    Rows of `fixed` stay where they are; other operations start from slot `now` on.
    """
    by_key: dict[Key, list[Choice]] = defaultdict(list)
    held = fixed or {}
    for identifier, offer in offers:
        key = (offer.order, offer.operation)
        row = held.get(key)
        if row is None or row.offer == identifier:
            by_key[key].append(_build_choice(identifier, offer, call.slots, objective.carbon_price, now, row))
    weights, destinations = dict(objective.tardiness), dict(objective.destination)
    routes = tuple(
        Route(
            order=job.order,
            first=job.operations[0].operation,
            release=job.release,
            due=job.due,
            weight=weights.get(job.order, 0),
            destination=destinations.get(job.order),
            choices=tuple(tuple(sorted(by_key[job.order, item.operation], key=_offer_of)) for item in job.operations),
        )
        for job in call.jobs
    )
    return Problem(call.slots, routes, {(item.origin, item.destination): item for item in objective.transport})


def carbon_cost(co2e_mg: int, carbon_price: int) -> int:
    """Cost of the greenhouse gases of one operation, rounded down."""
    return co2e_mg * carbon_price // _GRAM_SCALE


def _build_choice(identifier: bytes, offer: Offer, slots: int, carbon_price: int, now: int, row: Row | None) -> Choice:
    carbon = carbon_cost(offer.co2e_mg, carbon_price)
    low, high = (now, slots - offer.duration) if row is None else (row.start, row.start)
    return Choice(
        offer=identifier,
        machine=offer.machine,
        owner=offer.owner,
        duration=offer.duration,
        setup=offer.setup,
        family=offer.family,
        windows=_clip(offer.windows, low, high, carbon),
        carbon=carbon,
        wh=offer.wh,
        co2e_mg=offer.co2e_mg,
    )


def _clip(
    windows: Sequence[tuple[int, int, int]], low: int, high: int, carbon: int
) -> tuple[tuple[int, int, int], ...]:
    return tuple(
        (max(first, low), min(last, high), price + carbon)
        for first, last, price in windows
        if first <= high and last >= low
    )


def _offer_of(choice: Choice) -> bytes:
    return choice.offer
