"""The rules of a plan, and whether its rows and legs can be carried out: one function for each group of rules."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NoReturn

from millmark.ledger.canonical import sha256, to_hex
from millmark.ledger.errors import PlanRefusedError
from millmark.ledger.phrases import Phrase
from millmark.ledger.plans.call import Call, Objective
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import CauseKind, Cost, Key, Leg, Plan, Row
from millmark.ledger.plans.problem import Choice, Problem, Route, carbon_cost, spent_on


class PlanRefusal(Phrase):
    """What an error says of a broken rule. `why` stands for a breach."""

    AT_ROW = "rule {rule:s}: {why} (order {order:s}, operation {operation:d})"
    OF_PLAN = "rule {rule:s}: {why}"


class PlanBreach(Phrase):
    """How a plan breaks a rule. Of most, the subject is the row that the refusal names. `why` stands for the ground on
    which an offer does not count."""

    # Call, objective, revision
    FOR_OTHER_CALL = "the plan is for another call"
    OTHER_OBJECTIVE = "the objective is not the one that the call commits to"
    TERMS_CHANGED = "its terms were changed after the call"
    # Offers
    NOT_COUNTING = "offer {offer:s} does not count: {why}"
    NOT_RECEIVED = "not among those received"
    OFFER_LEFT_OUT = "offer {offer:s} was left out"
    # Order, offer, machine
    ROW_NOT_CALLED = "was not called for"
    ROWLESS = "has no row"
    OFFER_NOT_LISTED = "{offer:s} is not among the offers that count"
    OFFER_OF_OTHER_WORK = "its offer is for another operation"
    OFFER_NOT_OWNERS = "its offer is not one of this owner's for that operation"
    MACHINE_NOT_OFFERED = "machine {machine:d} is not the offer's, {offered:d}"
    OWNER_NOT_OFFERED = "owner {owner:d} is not the offer's, {offered:d}"
    REWORKED_ELSEWHERE = "is reworked by {owner:d}, and {holder:d} has the part"
    # Window
    SLOT_NOT_OFFERED = "no window of the offer has slot {slot:d}"
    LENGTH_NOT_OFFERED = "takes {slots:d} slots instead of {offered:d}"
    FIGURE_NOT_OFFERED = "its {field} is {stated:d}, and the offer's {offered:d}"
    OTHERWISE_OFFERED = "is not as it was offered"
    # Slots, sequence
    ENDS_AFTER_CALL = "ends in slot {slot:d}, and the call has {slots:d}"
    BEFORE_RELEASE = "starts in slot {slot:d}, before the order's {first:d}"
    BEFORE_PLAN = "starts in slot {slot:d}, before the plan's first, {first:d}"
    OUT_OF_SEQUENCE = "starts in slot {slot:d}, and the one before ends in {end:d}"
    # Transport
    LEG_TO_NOWHERE = "has a leg after it that leads nowhere"
    LEG_UNNEEDED = "has a leg after it, and stays where it is"
    NO_WAY = "nothing leads from {origin:d} to {destination:d}"
    LEG_MISSING = "lacks a leg from {origin:d} to {destination:d}"
    LEG_OTHERWISE = "the leg after it differs from the objective in its ends, carrier or cost"
    LEG_LENGTH = "the leg takes {slots:d} slots instead of {wanted:d}"
    LEG_EARLY = "the leg starts in slot {slot:d}, before its end in {end:d}"
    LEG_LATE = "the leg arrives in slot {slot:d}, and the next starts in {start:d}"
    # Overlap, setup
    ROWS_OVERLAP = "overlaps the row of machine {machine:d} that ends in slot {end:d}"
    SETUP_SHORT = "leaves {slots:d} slots for a setup of {setup:d}"
    # Sums
    SUM_OF_PARTS = (
        "the cost is {cost:d} (price {price:d}, transport {transport:d}, tardiness {tardiness:d}, carbon {carbon:d}, "
        "spent {spent:d}), and the plan says {stated:d}"
    )
    SUM_BEYOND = "the cost or a part of it is beyond {most:d}"
    # Before
    FIXED_ROWLESS = "is fixed, and has no row"
    FIXED_OTHERWISE = "is fixed, and differs from the plan before"
    REWORKED_UNSHOWN = "is reworked, and the plan before, which has that row, is not in the file"
    BEFORE_NOT_NAMED = "the plan before is not the one that it names"
    BEFORE_OF_OTHER_CALL = "the plan before is for another call"
    DROPS_UNKNOWN = "it drops an offer that the plan before did not have"
    LEG_NOT_BEFORE = "the leg after it starts in slot {slot:d}, before {first:d}, and the plan before has none such"
    CAUSE_TAKES_NONE = "an offer is dropped, and the cause {kind:s} takes none"
    CAUSE_TAKES_ONE = "offers of machines {machine:d} and {other:d} are dropped by one cause {kind:s}"
    CAUSE_TAKES_OTHER = "is not the operation that was declined, and its offer is dropped"
    REWORK_FORGOTTEN = "was reworked by the plan before, and is not by this one"
    REWORKED_TWICE = "is reworked twice, and the plan before has it once"
    CAUSE_REWORKS_NONE = "is reworked, and the cause {kind:s} asks for none"
    REWORKED_OTHERWISE = "is reworked, and the plan before has it otherwise"
    REWORKED_FIXED = "is reworked, and stays fixed"
    # Ties, bound
    OTHER_TIE = "the tie hash is not that of the first block since the call closed, {block:s}"
    OTHER_COMES_FIRST = "the equal offer {offer:s} comes first"
    PRICED_WITHOUT_OFFER = "machine {machine:d} has slot prices and no offer"
    PRICED_BEYOND_CALL = "slot {slot:d} of machine {machine:d} has a price, and the call has no such slot"
    OTHER_BOUND = "the slot prices prove {proved:d}, and the plan says {stated:d}"
    UNSOLD_BEYOND_GAP = "unused slots with prices add up to {unsold:d}, more than the gap of {gap:d}"


class PlanRule(enum.StrEnum):
    """What a plan must hold to."""

    CALL = "call"
    """The plan is for this call."""
    OBJECTIVE = "objective"
    """The objective is the one that the call commits to."""
    REVISION = "revision"
    """The orders' terms are those in force."""
    OFFERS = "offers"
    """The plan lists all offers that count, and no others."""
    ORDER = "order"
    """There is one row for each operation of the call, and no other."""
    OFFER = "offer"
    """A row's offer is among the plan's offers, and is for that operation."""
    MACHINE = "machine"
    """Machine and owner of a row are the offer's."""
    WINDOW = "window"
    """A row starts in a window of its offer, for as long and at the price, Wh and CO2e that the offer says."""
    SLOTS = "slots"
    """Rows lie within the slots of the call, none before its order's release or the plan's first slot."""
    SEQUENCE = "sequence"
    """An operation starts after the one before has ended."""
    TRANSPORT = "transport"
    """Legs lead from owner to owner and to the destination, as the objective allows, in the time between the rows."""
    OVERLAP = "overlap"
    """A machine does one thing at a time."""
    SETUP = "setup"
    """There is time for setup between operations of different families."""
    SUMS = "sums"
    """The cost is the sum of its parts by rows, legs, lateness and carbon price."""
    BEFORE = "before"
    """Fixed rows are those of the plan before; what was dropped counted in it."""
    TIES = "ties"
    """The tie hash chooses among equal offers."""
    BOUND = "bound"
    """The bound is the value that follows from the slot prices."""


def refuse(rule: PlanRule, breach: str, key: Key | None = None) -> NoReturn:
    """Raises PlanRefusedError for the row that `key` names. `breach`: one of PlanBreach, written."""
    if key is None:
        raise PlanRefusedError(rule, PlanRefusal.OF_PLAN.write(rule=rule.value, why=breach))
    order, operation = key
    cause = PlanRefusal.AT_ROW.write(rule=rule.value, why=breach, order=to_hex(order), operation=operation + 1)
    raise PlanRefusedError(rule, cause, order=order, operation=operation)


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
        group.sort(key=lambda row: (row.start, row.end))
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


def fixed_rows(plan: Plan) -> dict[Key, Row]:
    """The rows that stay."""
    fixed = frozenset(plan.fixed)
    return {row.key: row for row in plan.rows if row.key in fixed}


# Rule ties: no one chooses between equal offers; a hash does that nobody knew when the offers were made.


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
