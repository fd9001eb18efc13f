"""Rule ties: no one chooses between equal offers; a hash does that nobody knew when the offers were made."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from millmark.ledger.canonical import sha256, to_hex
from millmark.ledger.plans.breaches import PlanBreach
from millmark.ledger.plans.feasible import lateness_cost, rows_by_machine
from millmark.ledger.plans.plan import Key, Plan, Row
from millmark.ledger.plans.problem import Choice, Problem, Route
from millmark.ledger.plans.rules import PlanRule, refuse


def tie_rank(tie: bytes, offer: bytes) -> bytes:
    """The rank of an offer. Among offers that make no difference to the cost, the one of the smallest rank is taken."""
    return sha256(tie + offer)


def verify_ties(problem: Problem, plan: Plan) -> None:
    """Raises PlanRefusedError when an equal offer that the hash prefers would do as well."""
    for row, choice in find_tied(problem, plan.rows, plan.tie, frozenset(plan.fixed), plan.now):
        refuse(PlanRule.TIES, PlanBreach.OTHER_COMES_FIRST.write(offer=to_hex(choice.offer)), row.key)


def find_tied(
    problem: Problem, rows: Sequence[Row], tie: bytes, fixed: frozenset[Key], now: int = 0
) -> Iterator[tuple[Row, Choice]]:
    """Rows that an equal offer with a smaller rank could take at the same start, with all else as it is: a leg to
    somewhere else than before starts in slot `now` or later."""
    machines = rows_by_machine(rows)
    chosen = {choice.offer: choice for route in problem.routes for choices in route.choices for choice in choices}
    pending = iter(rows)
    for route in problem.routes:
        own = [next(pending) for _ in route.choices]
        around = pairwise(pairwise([None, *own, None]))
        for ((before, row), (_, after)), choices in zip(around, route.choices, strict=True):
            if row is None or row.key in fixed:
                continue
            cost = _local_cost(problem, route, before, after, row, chosen[row.offer], now)
            rank = tie_rank(tie, row.offer)
            for choice in choices:
                if (
                    choice.offer != row.offer
                    and _local_cost(problem, route, before, after, row, choice, now) == cost
                    and tie_rank(tie, choice.offer) < rank
                    and _fits(machines.get(choice.machine, []), chosen, row, choice)
                    and _can_leave(machines[row.machine], chosen, row)
                ):
                    yield row, choice


def _local_cost(
    problem: Problem, route: Route, before: Row | None, after: Row | None, row: Row, choice: Choice, now: int
) -> int | None:
    """Whatever of the cost depends on this row's offer; None when it cannot take its place."""
    start = row.start
    cost = choice.cost_at(start)
    if cost is None:
        return None
    if before is not None:
        way = problem.way(before.owner, choice.owner)
        departs = before.end if choice.owner in (before.owner, row.owner) else max(before.end, now)
        if way is None or departs + way.slots > start:
            return None
        cost += way.cost
    way = problem.way(choice.owner, route.destination if after is None else after.owner)
    if way is None:
        return None
    arrival = start + choice.duration + way.slots
    if after is None:
        return cost + way.cost + lateness_cost(route, arrival)
    return cost + way.cost if arrival <= after.start else None


def _can_leave(rows: Sequence[Row], chosen: Mapping[bytes, Choice], row: Row) -> bool:
    """Whether there is time for setup between the rows around `row` on its machine, which come together without it."""
    place = rows.index(row)
    if place == 0 or place + 1 == len(rows):
        return True
    before, after = rows[place - 1], rows[place + 1]
    following = chosen[after.offer]
    return following.family == chosen[before.offer].family or before.end + following.setup <= after.start


def _fits(rows: Sequence[Row], chosen: Mapping[bytes, Choice], row: Row, choice: Choice) -> bool:
    """Whether the machine of `choice`, whose rows are given by start, is free for it where `row` is."""
    others = [other for other in rows if other.key != row.key]
    place = bisect_left([other.start for other in others], row.start)
    end = row.start + choice.duration
    if place:
        other = others[place - 1]
        setup = choice.setup if chosen[other.offer].family != choice.family else 0
        if other.end + setup > row.start:
            return False
    if place < len(others):
        other = others[place]
        setup = chosen[other.offer].setup if chosen[other.offer].family != choice.family else 0
        return end + setup <= other.start
    return True
