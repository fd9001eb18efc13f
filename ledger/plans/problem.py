"""The combinatorial problem that a call, an objective and offers amount to, and the lower bound of its cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add, itemgetter, sub
from typing import Protocol

from millmark.ledger.errors import PlanError
from millmark.ledger.plans.call import Call, Job, Objective, Transport
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Bound, Key, Leg, Row

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
    choices = [tuple(sorted(by_key[job.order, item.operation], key=lambda one: one.offer)) for item in job.operations]
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


# The lower bound that follows from slot prices.
#
# Let every slot of every machine cost something extra, whatever the prices are, and let each order take its cheapest
# path by itself, as if it were alone. In any plan, each order takes some path, and no slot is used twice. So the paths'
# costs with extras, less the sum of all slot prices, are at most what the plan costs: a bound for all plans on these
# offers, and valid for any prices that are not negative (Lagrangean relaxation; Kutanoglu and Wu, IIE Transactions 31,
# 1999).
#
# The cheapest path is found by dynamic programming over operation, offer and start. It ignores setup, which makes the
# bound lower and leaves it valid. Integers alone.

NO_PATH = 1 << 96
"""Cost of what is not possible: above every sum of 256 operations with the largest prices."""

MAX_STARTS = 20_000_000
"""Starts of all offers together, and slots of machines with prices, up to which a bound is derived: seconds, and less
than a GB."""

Stage = list[tuple[Choice, int, list[int]]]
"""For each choice of an operation: the choice, its first start, and by start from there the cost of the cheapest path
that ends with this operation, slot prices included."""


class Occupation(Protocol):
    """What it costs to occupy slots of machines."""

    def occupied(self, choice: Choice) -> Sequence[int] | None:
        """The cost of an operation's slots for each start; None when they cost nothing."""


class SlotPrices:
    """Slot prices by machine, and their sums over the slots that an operation occupies."""

    def __init__(self, slots: int, prices: Mapping[int, Sequence[int]]) -> None:
        """`prices` has for each machine one price for each slot; machines left out have none."""
        self._slots = slots
        self._sums = {machine: list(accumulate(row, initial=0)) for machine, row in prices.items()}
        self._occupied: dict[tuple[int, int], list[int] | None] = {}
        self.total = sum(sums[-1] for sums in self._sums.values())
        """Sum of all slot prices."""

    def occupied(self, choice: Choice) -> list[int] | None:
        """The cost of an operation's slots for each start; None when the machine has no prices."""
        key = choice.machine, choice.duration
        if key not in self._occupied:
            sums = self._sums.get(choice.machine)
            self._occupied[key] = None if sums is None else list(map(sub, sums[choice.duration :], sums))
        return self._occupied[key]


@dataclass(frozen=True, slots=True)
class PathTable:
    """The cheapest paths of one order."""

    value: int
    """Cost of the cheapest path with slot prices; `NO_PATH` or more when there is none."""
    stages: list[Stage]
    """By operation."""
    late: list[list[int]]
    """By choice of the last operation, and by start: cost of the path as in the last stage, and of what follows."""


def verify_size(problem: Problem, bound: Bound) -> None:
    """Raises PlanError for a problem that would take whoever checks it more memory or time than is reasonable: a few MB
    of offers can have more starts than any memory holds."""
    starts = sum(
        last - first + 1
        for route in problem.routes
        for choices in route.choices
        for choice in choices
        for first, last, _ in choice.windows
    )
    for what, count in (("starts of offers", starts), ("slots with prices", len(bound.prices) * problem.slots)):
        if count > MAX_STARTS:
            raise PlanError(f"{count} {what} are too many to check, more than {MAX_STARTS}", hint="use longer slots")


def build_slot_prices(problem: Problem, bound: Bound) -> SlotPrices:
    """Expand the prices of a bound; those of slots beyond the call's are left out by whoever checked them before."""
    prices = {}
    for machine, pairs in bound.prices:
        row = [0] * problem.slots
        for slot, price in pairs:
            row[slot] = price
        prices[machine] = row
    return SlotPrices(problem.slots, prices)


def derive_bound(problem: Problem, prices: SlotPrices, known: Sequence[int | None] | None = None) -> int | None:
    """Return the bound that follows from `prices`; None when an order has no path at all.

    `known` may have, by order, what some path of it costs with slot prices: dearer ones are then not looked at, which
    saves half of the time and changes nothing.
    """
    value = problem.spent - prices.total
    for place, route in enumerate(problem.routes):
        best = tabulate(problem, route, prices, None if known is None else known[place]).value
        if best >= NO_PATH:
            return None
        value += best
    return value


def tabulate(problem: Problem, route: Route, prices: Occupation, limit: int | None = None) -> PathTable:
    """Find the cheapest paths of one order by dynamic programming, forwards. With `limit`, paths that cost more may be
    missing; the value is right when it is at most `limit`."""
    earliest = route.release
    ready: Mapping[int, list[int]] | None = None
    stages: list[Stage] = []
    latest = _latest_end(problem, route, 0, 0, limit)
    for number, choices in enumerate(route.choices):
        stage = [item for choice in choices if (item := _cost_by_start(choice, prices, earliest, latest, ready))]
        stages.append(stage)
        if not stage:
            return PathTable(NO_PATH, stages, [])
        if number + 1 < len(route.choices):
            if limit is not None:
                reached = min(min(costs) for _, _, costs in stage)
                latest = _latest_end(problem, route, number + 1, reached, limit)
            earliest = min(first + choice.duration for choice, first, _ in stage)
            following = route.choices[number + 1]
            # Where nobody offers what follows, that is 0, and so before any operation has ended.
            last = latest - min((choice.duration for choice in following), default=latest)
            if last < earliest:
                return PathTable(NO_PATH, stages, [])
            owners = {choice.owner for choice in following}
            ready = _cost_by_arrival(problem, stage, owners, range(earliest, last + 1))
    late = [_with_end(problem, route, *item) for item in stages[-1]]
    return PathTable(min(map(min, late)), stages, late)


def path_cost(problem: Problem, route: Route, path: Sequence[tuple[Choice, int]], prices: Occupation) -> int:
    """Cost of one path of an order, given by choice and start for each operation, with slot prices."""
    cost = 0
    for place, (choice, start) in enumerate(path):
        price = choice.cost_at(start)
        destination = path[place + 1][0].owner if place + 1 < len(path) else route.destination
        way = problem.way(choice.owner, destination)
        if price is None or way is None:
            return NO_PATH
        occupied = prices.occupied(choice)
        cost += price + way.cost + (0 if occupied is None else occupied[start])
        if place + 1 == len(path):
            cost += route.weight * max(0, start + choice.duration + way.slots - route.due)
    return cost


def _latest_end(problem: Problem, route: Route, number: int, reached: int, limit: int | None) -> int:
    """Slot by which an operation must end on any path of at most `limit`, when those before cost `reached`."""
    if limit is None or not route.weight:
        return problem.slots
    slots_late = (limit - reached - route.least_cost[number]) // route.weight
    return min(problem.slots, route.due + slots_late - route.least_slots[number]) if slots_late >= 0 else 0


def _cost_by_start(
    choice: Choice, prices: Occupation, earliest: int, latest: int, ready: Mapping[int, list[int]] | None
) -> tuple[Choice, int, list[int]] | None:
    """The choice, its first possible start, and for each start from there the cost of the cheapest path that ends with
    it. None if it cannot start in time.

    The choice starts in slot `earliest` or later and ends by slot `latest`. `ready` has, by owner, the cost of being
    there by slot `earliest`, the next one, and so on.
    """
    windows = choice.windows
    last = latest - choice.duration
    if not windows or windows[-1][1] < earliest or windows[0][0] > last:
        return None
    first = at = max(windows[0][0], earliest)
    costs: list[int] = []
    for low, high, price in windows:
        if high < at:
            continue
        if low > last:
            break
        if low > at:
            costs += [NO_PATH] * (low - at)
            at = low
        end = (high if high < last else last) + 1
        costs += [price + choice.carbon] * (end - at)
        at = end
    if not costs:
        return None
    occupied = prices.occupied(choice)
    if occupied is not None:
        costs = list(map(add, costs, occupied[first:at]))
    if ready is not None:
        costs = list(map(add, costs, ready[choice.owner][first - earliest : at - earliest]))
    return choice, first, costs


def _cost_by_arrival(problem: Problem, stage: Stage, owners: set[int], slots: range) -> dict[int, list[int]]:
    """By owner, the cost of being ready there by each of these slots."""
    length = len(slots)
    settled = []
    for choice, first, costs in stage:
        best = NO_PATH  # by end instead of start: the cheapest so far
        falling = [best := cost if cost < best else best for cost in costs]
        settled.append((choice.owner, first + choice.duration - slots.start, falling))
    ready = {}
    for owner in owners:
        merged = None
        for origin, delay, falling in settled:
            way = problem.way(origin, owner)
            if way is None or (wait := delay + way.slots) >= length:
                continue
            shown = falling[: length - wait]
            arrival = [NO_PATH] * wait
            arrival += [cost + way.cost for cost in shown] if way.cost else shown
            arrival += arrival[-1:] * (length - len(arrival))
            # Comparing in a comprehension takes a third of the time of map(min, ...).
            merged = arrival if merged is None else [x if x < y else y for x, y in zip(merged, arrival, strict=True)]
        ready[owner] = [NO_PATH] * length if merged is None else merged
    return ready


def _with_end(problem: Problem, route: Route, choice: Choice, first: int, costs: list[int]) -> list[int]:
    """Costs by start as given, with the way to the destination and the lateness there."""
    way = problem.way(choice.owner, route.destination)
    if way is None:
        return [NO_PATH] * len(costs)
    if way.cost:
        costs = [cost + way.cost for cost in costs]
    # How many starts are in time, if there are so many; from then on each slot adds the weight once more.
    in_time = max(route.due - choice.duration - way.slots - first + 1, 0)
    if route.weight:
        late = first + in_time + choice.duration + way.slots - route.due
        lateness = range(late * route.weight, (late + len(costs)) * route.weight, route.weight)
        costs = costs[:in_time] + list(map(add, costs[in_time:], lateness))
    return costs
