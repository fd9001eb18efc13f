"""Whether rows and legs can be carried out: one function for each group of rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from millmark.ledger.canonical import to_hex
from millmark.ledger.plans.breaches import PlanBreach
from millmark.ledger.plans.call import Call, Objective
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import CauseKind, Cost, Key, Leg, Plan, Row
from millmark.ledger.plans.problem import Problem, Route, carbon_cost, spent_on
from millmark.ledger.plans.rules import PlanRule, refuse

_TAKES_OFFERS = (CauseKind.MACHINE_DOWN, CauseKind.DRIFT, CauseKind.DECLINED)
"""Causes that take offers away: those of one machine, or of one row."""


def verify_rows(call: Call, plan: Plan, offers: Mapping[bytes, Offer]) -> None:
    """Rules order, offer, machine, window, slots and sequence."""
    _verify_keys(call, plan)
    releases = {job.order: job.release for job in call.jobs}
    fixed, holders = frozenset(plan.fixed), {row.key: row.owner for row in plan.reworked}
    if unknown := fixed - {row.key for row in plan.rows}:
        refuse(PlanRule.BEFORE, PlanBreach.FIXED_ROWLESS.write(), min(unknown))
    before: Row | None = None
    for row in plan.rows:
        offer = offers.get(row.offer)
        if offer is None:
            refuse(PlanRule.OFFER, PlanBreach.OFFER_NOT_LISTED.write(offer=to_hex(row.offer)), row.key)
        _verify_offer(row, offer)
        if row.end > call.slots:
            refuse(PlanRule.SLOTS, PlanBreach.ENDS_AFTER_CALL.write(slot=row.end, slots=call.slots), row.key)
        if row.start < (first := releases[row.order]):
            refuse(PlanRule.SLOTS, PlanBreach.BEFORE_RELEASE.write(slot=row.start, first=first), row.key)
        if row.start < plan.now and row.key not in fixed:
            refuse(PlanRule.SLOTS, PlanBreach.BEFORE_PLAN.write(slot=row.start, first=plan.now), row.key)
        if (holder := holders.get(row.key, row.owner)) != row.owner:
            refuse(PlanRule.MACHINE, PlanBreach.REWORKED_ELSEWHERE.write(owner=row.owner, holder=holder), row.key)
        if before is not None and before.order == row.order and before.end > row.start:
            refuse(PlanRule.SEQUENCE, PlanBreach.OUT_OF_SEQUENCE.write(slot=row.start, end=before.end), row.key)
        before = row


def _verify_keys(call: Call, plan: Plan) -> None:
    wanted = [(job.order, item.operation) for job in call.jobs for item in job.operations]
    given = [row.key for row in plan.rows]
    if given == wanted:
        return
    if unknown := sorted(set(given) - set(wanted)):
        refuse(PlanRule.ORDER, PlanBreach.ROW_NOT_CALLED.write(), unknown[0])
    refuse(PlanRule.ORDER, PlanBreach.ROWLESS.write(), sorted(set(wanted) - set(given))[0])


def _verify_offer(row: Row, offer: Offer) -> None:
    if (offer.order, offer.operation) != row.key:
        refuse(PlanRule.OFFER, PlanBreach.OFFER_OF_OTHER_WORK.write(), row.key)
    if offer.machine != row.machine:
        breach = PlanBreach.MACHINE_NOT_OFFERED.write(machine=row.machine, offered=offer.machine)
        refuse(PlanRule.MACHINE, breach, row.key)
    if offer.owner != row.owner:
        breach = PlanBreach.OWNER_NOT_OFFERED.write(owner=row.owner, offered=offer.owner)
        refuse(PlanRule.MACHINE, breach, row.key)
    price = offer.price_at(row.start)
    if price is None:
        refuse(PlanRule.WINDOW, PlanBreach.SLOT_NOT_OFFERED.write(slot=row.start), row.key)
    if row.end != row.start + offer.duration:
        breach = PlanBreach.LENGTH_NOT_OFFERED.write(slots=row.end - row.start, offered=offer.duration)
        refuse(PlanRule.WINDOW, breach, row.key)
    for name, stated, offered in (
        ("price", row.price, price),
        ("Wh", row.wh, offer.wh),
        ("mg CO2e", row.co2e_mg, offer.co2e_mg),
    ):
        if stated != offered:
            breach = PlanBreach.FIGURE_NOT_OFFERED.write(field=name, stated=stated, offered=offered)
            refuse(PlanRule.WINDOW, breach, row.key)


def verify_legs(problem: Problem, plan: Plan) -> None:
    """Rule transport. Rows must hold already."""
    legs = {leg.key: leg for leg in plan.legs}
    rows = iter(plan.rows)
    for route in problem.routes:
        own = [next(rows) for _ in route.choices]
        for row, following in pairwise(own):
            _verify_leg(problem, row, following.owner, following.start, legs.pop(row.key, None))
        last = own[-1]
        _verify_leg(problem, last, route.destination, None, legs.pop(last.key, None))
    if legs:
        refuse(PlanRule.TRANSPORT, PlanBreach.LEG_TO_NOWHERE.write(), min(legs))


def _verify_leg(problem: Problem, row: Row, destination: int | None, deadline: int | None, leg: Leg | None) -> None:
    if destination is None or destination == row.owner:
        if leg is not None:
            refuse(PlanRule.TRANSPORT, PlanBreach.LEG_UNNEEDED.write(), row.key)
        return
    way = problem.way(row.owner, destination)
    ends = {"origin": row.owner, "destination": destination}
    if way is None:
        refuse(PlanRule.TRANSPORT, PlanBreach.NO_WAY.write(**ends), row.key)
    if leg is None:
        refuse(PlanRule.TRANSPORT, PlanBreach.LEG_MISSING.write(**ends), row.key)
    if (leg.origin, leg.destination, leg.carrier, leg.cost) != (row.owner, destination, way.carrier, way.cost):
        refuse(PlanRule.TRANSPORT, PlanBreach.LEG_OTHERWISE.write(), row.key)
    if leg.end - leg.start != way.slots:
        breach = PlanBreach.LEG_LENGTH.write(slots=leg.end - leg.start, wanted=way.slots)
        refuse(PlanRule.TRANSPORT, breach, row.key)
    if leg.start < row.end:
        refuse(PlanRule.TRANSPORT, PlanBreach.LEG_EARLY.write(slot=leg.start, end=row.end), row.key)
    if deadline is not None and leg.end > deadline:
        refuse(PlanRule.TRANSPORT, PlanBreach.LEG_LATE.write(slot=leg.end, start=deadline), row.key)


def verify_machines(plan: Plan, offers: Mapping[bytes, Offer]) -> None:
    """Rules overlap and setup. Rows must hold already."""
    for rows in rows_by_machine(plan.rows).values():
        for row, following in pairwise(rows):
            if following.start < row.end:
                breach = PlanBreach.ROWS_OVERLAP.write(machine=row.machine, end=row.end)
                refuse(PlanRule.OVERLAP, breach, following.key)
            offer = offers[following.offer]
            if offer.family != offers[row.offer].family and following.start - row.end < offer.setup:
                breach = PlanBreach.SETUP_SHORT.write(slots=following.start - row.end, setup=offer.setup)
                refuse(PlanRule.SETUP, breach, following.key)


def rows_by_machine(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Rows of each machine, by start."""
    result: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        result[row.machine].append(row)
    for group in result.values():
        group.sort(key=_start_of)
    return result


def sum_cost(
    problem: Problem, objective: Objective, rows: Sequence[Row], legs: Sequence[Leg], reworked: Sequence[Row] = ()
) -> Cost:
    """Return what rows and legs cost, and what was reworked. Raises PlanError when a sum is beyond 2^53 - 1."""
    ends = {row.order: row.end for row in rows}  # rows ascend by operation: the last one's end stays
    last = {row.order: row.operation for row in rows}
    for leg in legs:
        if leg.after == last[leg.order]:
            ends[leg.order] = leg.end
    return Cost(
        price=sum(row.price for row in rows),
        transport=sum(leg.cost for leg in legs),
        tardiness=sum(lateness_cost(route, ends[route.order]) for route in problem.routes),
        carbon=sum(carbon_cost(row.co2e_mg, objective.carbon_price) for row in rows),
        spent=spent_on(reworked, objective.carbon_price),
    )


def lateness_cost(route: Route, end: int) -> int:
    """Cost of an order that is where it belongs in slot `end`."""
    return route.weight * max(0, end - route.due)


def verify_alone(plan: Plan) -> None:
    """Rule before, where the plan before is not at hand. What is reworked decides which offers count for its operation,
    and nothing else says that there was such a row: so it is refused."""
    if plan.reworked:
        refuse(PlanRule.BEFORE, PlanBreach.REWORKED_UNSHOWN.write(), plan.reworked[0].key)


def verify_before(plan: Plan, before: Plan, counted: Mapping[bytes, Offer]) -> None:
    """Rule before: `before` is the plan that it names. Rows must hold already; `counted` are the offers that count,
    those set aside among them."""
    if before.digest != plan.before:
        refuse(PlanRule.BEFORE, PlanBreach.BEFORE_NOT_NAMED.write())
    if before.call != plan.call:
        refuse(PlanRule.BEFORE, PlanBreach.BEFORE_OF_OTHER_CALL.write())
    rows = {row.key: row for row in before.rows}
    own = {row.key: row for row in plan.rows}
    for key in plan.fixed:
        if rows.get(key) != own[key]:
            refuse(PlanRule.BEFORE, PlanBreach.FIXED_OTHERWISE.write(), key)
    if not frozenset(plan.dropped) <= frozenset(before.offers) | frozenset(before.dropped):
        refuse(PlanRule.BEFORE, PlanBreach.DROPS_UNKNOWN.write())
    _verify_dropped(plan, before, counted)
    _verify_reworked(plan, before)
    known = frozenset(before.legs)
    for leg in plan.legs:
        if leg.start < plan.now and leg not in known:
            breach = PlanBreach.LEG_NOT_BEFORE.write(slot=leg.start, first=plan.now)
            refuse(PlanRule.BEFORE, breach, leg.key)


def _verify_dropped(plan: Plan, before: Plan, counted: Mapping[bytes, Offer]) -> None:
    """What is newly set aside is no more than a cause of that kind can take away."""
    dropped = sorted(plan.newly_dropped(before))
    if not dropped or plan.cause is None:
        return
    first, kind = counted[dropped[0]], plan.cause.kind
    if kind not in _TAKES_OFFERS:
        refuse(PlanRule.BEFORE, PlanBreach.CAUSE_TAKES_NONE.write(kind=kind.value), _key_of(first))
    for other in (counted[name] for name in dropped[1:]):
        if other.machine != first.machine:
            breach = PlanBreach.CAUSE_TAKES_ONE.write(machine=first.machine, other=other.machine, kind=kind.value)
            refuse(PlanRule.BEFORE, breach, _key_of(other))
        if kind is CauseKind.DECLINED and _key_of(other) != _key_of(first):
            refuse(PlanRule.BEFORE, PlanBreach.CAUSE_TAKES_OTHER.write(), _key_of(other))


def _verify_reworked(plan: Plan, before: Plan) -> None:
    """What was reworked by the plan before is so by this one; a failing certificate adds rows of the plan before, of as
    many operations as it has parts of."""
    added = list(plan.reworked)
    for row in before.reworked:
        if row not in added:
            refuse(PlanRule.BEFORE, PlanBreach.REWORK_FORGOTTEN.write(), row.key)
        added.remove(row)
    for place, row in enumerate(added):
        if row in added[:place]:
            refuse(PlanRule.BEFORE, PlanBreach.REWORKED_TWICE.write(), row.key)
        if plan.cause is not None and plan.cause.kind is not CauseKind.CERTIFICATE:
            refuse(PlanRule.BEFORE, PlanBreach.CAUSE_REWORKS_NONE.write(kind=plan.cause.kind.value), row.key)
        if row not in before.rows:
            refuse(PlanRule.BEFORE, PlanBreach.REWORKED_OTHERWISE.write(), row.key)
        if row.key in plan.fixed:
            refuse(PlanRule.BEFORE, PlanBreach.REWORKED_FIXED.write(), row.key)


def _key_of(offer: Offer) -> Key:
    return offer.order, offer.operation


def _start_of(row: Row) -> tuple[int, int]:
    return row.start, row.end


def fixed_rows(plan: Plan) -> dict[Key, Row]:
    """The rows that stay."""
    fixed = frozenset(plan.fixed)
    return {row.key: row for row in plan.rows if row.key in fixed}
