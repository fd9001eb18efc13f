"""Another reading of PLANS.md, as plain as possible and slow: what `millmark.ledger.plans.check` is judged by on small
plans.

It shares no code with the check beyond the documents' classes: rules are spelt out slot by slot, and cheapest paths are
found by trying all of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, pairwise, product

from millmark.ledger.plans.call import Call, Objective
from millmark.ledger.plans.file import PlanFile
from millmark.ledger.plans.offer import Offer, OpenedOffer
from millmark.ledger.plans.plan import Plan, Row

__all__ = [
    "Path",
    "brute_bound",
    "brute_optimum",
    "counting",
    "is_feasible",
    "is_true",
    "most_that_stay",
    "paths",
    "tied",
]

Path = tuple[tuple[Offer, int], ...]


def is_true(file: PlanFile) -> bool:
    """Whether everything that the file's plan claims is so."""
    plan, call, objective = file.plan, file.call, file.objective
    if plan is None or plan.call != call.digest or objective.commitment != call.objective:
        return False
    offers = {key: offer for key, offer in counting(file).items() if key not in plan.dropped}
    if list(plan.offers) != sorted(offers) or any(row.offer not in offers for row in plan.rows):
        return False
    wanted = [(job.order, item.operation) for job in call.jobs for item in job.operations]
    if [row.key for row in plan.rows] != wanted or not set(plan.fixed) <= set(wanted):
        return False
    if not all(_matches(row, offers[row.offer]) for row in plan.rows):
        return False
    if not _reworks_hold(plan, file.before):
        return False
    holders = {row.key: row.owner for row in plan.reworked}
    offers = {
        key: one for key, one in offers.items() if holders.get((one.order, one.operation), one.owner) == one.owner
    }
    if any(row.offer not in offers for row in plan.rows):
        return False
    path = {row.key: (offers[row.offer], row.start) for row in plan.rows}
    if not is_feasible(call, objective, path, plan.now, frozenset(plan.fixed)) or not _legs_hold(file, plan):
        return False
    costs = _costs(file, plan)
    stated = plan.cost
    if costs != (stated.price, stated.transport, stated.tardiness, stated.carbon):
        return False
    spent = sum(row.price + _carbon(file, row) for row in plan.reworked)
    if (stated.spent, stated.total) != (spent, sum(costs) + spent):
        return False
    if file.before is not None and not _follows(file, plan, file.before):
        return False
    prices = {(machine, slot): price for machine, pairs in plan.bound.prices for slot, price in pairs}
    known = {offer.machine for key, offer in counting(file).items() if key not in plan.dropped}
    if any(slot >= call.slots or machine not in known for machine, slot in prices):
        return False
    fixed = {row.key: row for row in plan.rows if row.key in plan.fixed}
    bound = brute_bound(file, offers, prices, plan.now, fixed)
    return bound is not None and plan.bound.value == bound + spent and not any(tied(file, plan, offers))


def _reworks_hold(plan: Plan, before: Plan | None) -> bool:
    """Whether what is said to have been done in vain was a row of the plan before, by a certificate, and goes on."""
    if [row.key for row in plan.reworked] != sorted(row.key for row in plan.reworked):
        return False
    if before is None:
        return not plan.reworked
    old, new = Counter(before.reworked), Counter(plan.reworked)
    added = new - old
    return (
        not old - new
        and all(row in before.rows and count == 1 and row.key not in plan.fixed for row, count in added.items())
        and (not added or (plan.cause is not None and plan.cause.kind == "certificate"))
    )


def _carbon(file: PlanFile, row: Row) -> int:
    return row.co2e_mg * file.objective.carbon_price // 1_000_000


def counting(file: PlanFile) -> dict[bytes, Offer]:
    """Offers that count, by the rules of PLANS.md."""
    call, result = file.call, dict[bytes, Offer]()
    timely = [item for item in file.offers if item.anchored is None or _is_timely(call, item)]
    streams = {item.id: item.anchored.stream for item in timely if item.anchored is not None}
    withdrawn = {
        item.entry.offer
        for item in timely
        if not isinstance(item.entry, Offer) and item.entry.call == call.digest
        if item.entry.offer not in streams or (item.anchored and item.anchored.stream == streams[item.entry.offer])
    }
    needs = {(job.order, item.operation): item.need for job in call.jobs for item in job.operations}
    machines = {item.machine: item for item in file.machines}
    for item in timely:
        offer = item.entry
        if not isinstance(offer, Offer) or item.id in withdrawn or offer.call != call.digest:
            continue
        machine, need = machines.get(offer.machine), needs.get((offer.order, offer.operation))
        if machine is None or need is None or machine.owner != offer.owner or offer.until < call.closes:
            continue
        limits = [dict(kind.limits) for kind in machine.capability if kind.kind == need.kind]
        if any(all(name in own and own[name].allows(value) for name, value in need.values) for own in limits):
            result[item.id] = offer
    slots = [(offer.order, offer.operation, offer.machine) for offer in result.values()]
    # Worlds of the tests have no doubled offer whose order in the stream is known: none of such counts.
    return {key: o for key, o in result.items() if slots.count((o.order, o.operation, o.machine)) == 1}


def _is_timely(call: Call, item: OpenedOffer) -> bool:
    place = item.anchored
    assert place is not None
    node, index, last = item.id, place.leaf_index, place.size - 1
    for other in place.proof:  # RFC 9162 section 2.1.3.2
        if last == 0:
            return False
        if index % 2 or index == last:
            node = hashlib.sha256(b"\1" + other + node).digest()
            while not index % 2 and index:
                index, last = index // 2, last // 2
        else:
            node = hashlib.sha256(b"\1" + node + other).digest()
        index, last = index // 2, last // 2
    return last == 0 and node == place.root and place.time < call.closes


def _matches(row: Row, offer: Offer) -> bool:
    prices = [price for low, high, price in offer.windows if low <= row.start <= high]
    return prices == [row.price] and (
        row.order,
        row.operation,
        row.machine,
        row.owner,
        row.end,
        row.wh,
        row.co2e_mg,
    ) == (
        *(offer.order, offer.operation, offer.machine, offer.owner, row.start + offer.duration),
        *(offer.wh, offer.co2e_mg),
    )


def is_feasible(
    call: Call,
    objective: Objective,
    path: dict[tuple[bytes, int], tuple[Offer, int]],
    now: int,
    fixed: frozenset[tuple[bytes, int]] = frozenset(),
) -> bool:
    """Whether these starts can be carried out together."""
    ways = {(way.origin, way.destination): way for way in objective.transport}
    goals = dict(objective.destination)
    for job in call.jobs:
        ready, place = job.release, None
        for item in job.operations:
            offer, start = path[job.order, item.operation]
            if place not in (None, offer.owner):
                if (place, offer.owner) not in ways:
                    return False
                ready += ways[place, offer.owner].slots
            if start < ready or start + offer.duration > call.slots:
                return False
            if start < now and (job.order, item.operation) not in fixed:
                return False
            ready, place = start + offer.duration, offer.owner
        goal = goals.get(job.order, place)
        if goal != place and (place, goal) not in ways:
            return False
    return all(_machine_is_free(group) for group in _by_machine(list(path.values())))


def _by_machine(steps: list[tuple[Offer, int]]) -> Iterator[list[tuple[Offer, int]]]:
    for machine in {offer.machine for offer, _ in steps}:
        yield sorted(((o, s) for o, s in steps if o.machine == machine), key=lambda step: step[1])


def _machine_is_free(steps: list[tuple[Offer, int]]) -> bool:
    used: set[int] = set()
    before: Offer | None = None
    for offer, start in steps:
        setup = offer.setup if before is not None and before.family != offer.family else 0
        slots = set(range(start - setup, start + offer.duration))
        if slots & used:
            return False
        used |= set(range(start, start + offer.duration))
        before = offer
    return True


def _needed_legs(file: PlanFile, plan: Plan) -> Iterator[tuple[Row, int, int | None]]:
    goals = dict(file.objective.destination)
    for row, following in zip(plan.rows, (*plan.rows[1:], None), strict=True):
        if following is not None and following.order == row.order:
            if following.owner != row.owner:
                yield row, following.owner, following.start
        elif goals.get(row.order, row.owner) != row.owner:
            yield row, goals[row.order], None


def _legs_hold(file: PlanFile, plan: Plan) -> bool:
    ways = {(way.origin, way.destination): way for way in file.objective.transport}
    needed = list(_needed_legs(file, plan))
    if len(needed) != len(plan.legs):
        return False
    for (row, goal, deadline), leg in zip(needed, plan.legs, strict=True):
        way = ways.get((row.owner, goal))
        if way is None or leg.key != row.key or (leg.origin, leg.destination) != (row.owner, goal):
            return False
        if (leg.carrier, leg.cost, leg.end) != (way.carrier, way.cost, leg.start + way.slots):
            return False
        if leg.start < row.end or (deadline is not None and leg.end > deadline):
            return False
    return True


def _costs(file: PlanFile, plan: Plan) -> tuple[int, int, int, int]:
    weights = dict(file.objective.tardiness)
    late = 0
    for job in file.call.jobs:
        row = [item for item in plan.rows if item.order == job.order][-1]
        ends = [row.end, *(leg.end for leg in plan.legs if leg.key == row.key)]
        late += weights.get(job.order, 0) * max(0, ends[-1] - job.due)
    carbon = sum(_carbon(file, row) for row in plan.rows)
    return sum(row.price for row in plan.rows), sum(leg.cost for leg in plan.legs), late, carbon


def _follows(file: PlanFile, plan: Plan, before: Plan) -> bool:
    rows = {row.key: row for row in before.rows}
    own = {row.key: row for row in plan.rows}
    known = {*before.offers, *before.dropped}
    offers = {item.id: item.entry for item in file.offers if isinstance(item.entry, Offer)}
    gone = {offers[key].machine for key in plan.dropped if key not in before.dropped}
    if gone and not (plan.cause and plan.cause.kind in ("machine-down", "drift", "declined") and len(gone) == 1):
        return False
    refused = {(offers[key].order, offers[key].operation) for key in plan.dropped if key not in before.dropped}
    if plan.cause and plan.cause.kind == "declined" and len(refused) > 1:
        return False
    return (
        (plan.before, plan.call) == (before.digest, before.call)
        and all(rows.get(key) == own[key] for key in plan.fixed)
        and set(plan.dropped) <= known
        and all(leg.start >= plan.now or leg in before.legs for leg in plan.legs)
    )


def paths(
    file: PlanFile, offers: dict[bytes, Offer], order: bytes, now: int, fixed: dict[tuple[bytes, int], Row]
) -> Iterator[tuple[Path, int]]:
    """All paths of one order by itself, with what they cost."""
    job = next(job for job in file.call.jobs if job.order == order)
    steps = []
    for item in job.operations:
        row = fixed.get((order, item.operation))
        steps.append(
            [
                (offer, start, price)
                for key, offer in offers.items()
                if (offer.order, offer.operation) == (order, item.operation) and (row is None or row.offer == key)
                for low, high, price in offer.windows
                for start in range(low, high + 1)
                if start + offer.duration <= file.call.slots and (start >= now if row is None else start == row.start)
            ]
        )
    ways = {(way.origin, way.destination): way for way in file.objective.transport}
    goal = dict(file.objective.destination).get(order)
    weight = dict(file.objective.tardiness).get(order, 0)
    for combination in product(*steps):
        ready, cost, place = job.release, 0, None
        for offer, start, price in (*combination, (None, None, 0)):
            goes_to = goal if offer is None else offer.owner
            if place is not None and goes_to not in (None, place):
                way = ways.get((place, goes_to))
                if way is None:
                    break
                ready, cost = ready + way.slots, cost + way.cost
            if offer is None or start is None:
                late = weight * max(0, ready - job.due)
                yield tuple((step[0], step[1]) for step in combination), cost + late
                break
            if start < ready:
                break
            cost += price + offer.co2e_mg * file.objective.carbon_price // 1_000_000
            ready, place = start + offer.duration, offer.owner


def brute_bound(
    file: PlanFile,
    offers: dict[bytes, Offer],
    prices: dict[tuple[int, int], int],
    now: int,
    fixed: dict[tuple[bytes, int], Row],
) -> int | None:
    """The bound by trying all paths of each order."""
    value = -sum(prices.values())
    for job in file.call.jobs:
        costs = [
            cost
            + sum(
                prices.get((offer.machine, slot), 0)
                for offer, start in path
                for slot in range(start, start + offer.duration)
            )
            for path, cost in paths(file, offers, job.order, now, fixed)
        ]
        if not costs:
            return None
        value += min(costs)
    return value


def brute_optimum(file: PlanFile) -> int | None:
    """Cost of the best plan for two orders, by trying all pairs of paths."""
    offers = counting(file)
    options = [
        sorted(((cost, path) for path, cost in paths(file, offers, job.order, 0, {})), key=lambda item: item[0])
        for job in file.call.jobs
    ]
    best: int | None = None
    first, second = options
    for cost, path in first:
        for other, following in second:
            if best is not None and cost + other >= best:
                break  # what follows is dearer still
            if all(_machine_is_free(group) for group in _by_machine([*path, *following])):
                best = cost + other
    return best


def most_that_stay(file: PlanFile, before: Plan, lost: bytes) -> int:
    """How many rows of `before` can stay without the offer `lost`, by trying all sets of them and all other starts."""
    offers = {key: offer for key, offer in counting(file).items() if key != lost}
    steps = {
        row.key: [
            (offer, start)
            for offer in offers.values()
            if (offer.order, offer.operation) == row.key
            for low, high, _ in offer.windows
            for start in range(low, high + 1)
        ]
        for row in before.rows
    }
    able = [row for row in before.rows if row.offer != lost]
    for count in range(len(able), -1, -1):
        for staying in combinations(able, count):
            path = {row.key: (offers[row.offer], row.start) for row in staying}
            free = [key for key in steps if key not in path]
            for chosen in product(*(steps[key] for key in free)):
                if is_feasible(file.call, file.objective, {**path, **dict(zip(free, chosen, strict=True))}, 0):
                    return count
    raise AssertionError("there is no plan")


def tied(file: PlanFile, plan: Plan, offers: dict[bytes, Offer]) -> Iterator[tuple[tuple[bytes, int], bytes]]:
    """Rows that could take an equal offer that the tie hash puts first, and these offers."""
    path = {row.key: (offers[row.offer], row.start) for row in plan.rows}
    total = _total(file, path)
    for row in plan.rows:
        if row.key in plan.fixed:
            continue
        for key, offer in offers.items():
            if (offer.order, offer.operation) != row.key or key == row.offer:
                continue
            if not any(low <= row.start <= high for low, high, _ in offer.windows):
                continue
            other = {**path, row.key: (offer, row.start)}
            if not is_feasible(file.call, file.objective, other, plan.now, frozenset(plan.fixed)):
                continue
            if offer.owner != row.owner and not _can_still_leave(file, plan, row, offer.owner):
                continue
            rank = hashlib.sha256(plan.tie + key).digest()
            if _total(file, other) == total and rank < hashlib.sha256(plan.tie + row.offer).digest():
                yield row.key, key


def _can_still_leave(file: PlanFile, plan: Plan, row: Row, owner: int) -> bool:
    """Whether an order that is somewhere else can leave for `owner` no earlier than the plan's first slot."""
    before = next((one for one in plan.rows if one.key == (row.order, row.operation - 1)), None)
    if before is None or before.owner == owner:
        return True
    ways = {(way.origin, way.destination): way.slots for way in file.objective.transport}
    return max(before.end, plan.now) + ways[before.owner, owner] <= row.start


def _total(file: PlanFile, path: dict[tuple[bytes, int], tuple[Offer, int]]) -> int:
    """Cost with every leg as early as it can be."""
    ways = {(way.origin, way.destination): way for way in file.objective.transport}
    goals, weights = dict(file.objective.destination), dict(file.objective.tardiness)
    cost = 0
    for job in file.call.jobs:
        steps = [path[job.order, item.operation] for item in job.operations]
        end = steps[-1][1] + steps[-1][0].duration
        owners = [offer.owner for offer, _ in steps]
        owners.append(goals.get(job.order, owners[-1]))
        for origin, goal in pairwise(owners):
            cost += 0 if origin == goal else ways[origin, goal].cost
        if owners[-1] != owners[-2]:
            end += ways[owners[-2], owners[-1]].slots
        cost += weights.get(job.order, 0) * max(0, end - job.due)
        for offer, start in steps:
            cost += next(price for low, high, price in offer.windows if low <= start <= high)
            cost += offer.co2e_mg * file.objective.carbon_price // 1_000_000
    return cost
