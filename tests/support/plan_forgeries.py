"""Forged plans and proofs: files changed so that they claim something false, with all else made to fit the lie.

    python -m tests.support.plan_forgeries --count 100000 --seed 1

What the check accepts is judged by `tests.support.plan_truth`, which reads the rules anew: a change may happen to leave
the claims true. Files that the reader refuses for their form are not counted.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from millmark.ledger.errors import PlanError, PlanRefusedError
from millmark.ledger.plans.check import check_plan
from millmark.ledger.plans.feasible import fixed_rows, sum_cost
from millmark.ledger.plans.file import PlanFile, parse_plan_file
from millmark.ledger.plans.form import MAX_AMOUNT
from millmark.ledger.plans.offer import Offer, OpenedOffer
from millmark.ledger.plans.plan import Bound, CauseKind, Cost, Leg, Plan, Row
from millmark.ledger.plans.problem import build_problem, build_slot_prices, derive_bound
from tests.support.plan_truth import is_true
from tests.support.plan_world import CLOSES, made_file, replanned_file

__all__ = ["FORGERIES", "REPLAN_FORGERIES", "forge"]

WORLDS = 40
Draw = random.Random


def _pick(draw: Draw, options: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return draw.choice(options)


def _plan(file: PlanFile) -> Plan:
    assert file.plan is not None
    return file.plan


def _with(file: PlanFile, **changes: object) -> PlanFile:
    return replace(file, plan=replace(_plan(file), **changes))  # type: ignore[arg-type]


def _fit(file: PlanFile) -> PlanFile:
    """Make sums, offers, bound and the plan's call fit whatever else was changed."""
    plan = replace(_plan(file), call=file.call.digest)
    offers = {item.id: item.entry for item in file.offers if isinstance(item.entry, Offer) and item.id in plan.offers}
    problem = build_problem(
        file.call, file.objective, offers.items(), now=plan.now, fixed=fixed_rows(plan), reworked=plan.reworked
    )
    cost = sum_cost(problem, file.objective, plan.rows, plan.legs, plan.reworked)
    value = derive_bound(problem, build_slot_prices(problem, plan.bound))
    bound = replace(plan.bound, value=plan.bound.value if value is None else value)
    return replace(file, plan=replace(plan, cost=cost, bound=bound))


def _change_row(file: PlanFile, place: int, **changes: object) -> PlanFile:
    rows = list(_plan(file).rows)
    rows[place] = replace(rows[place], **changes)  # type: ignore[arg-type]
    return _with(file, rows=tuple(rows))


def _any_row(file: PlanFile, draw: Draw) -> tuple[int, Row]:
    return draw.choice(list(enumerate(_plan(file).rows)))


def _shift_row(file: PlanFile, draw: Draw) -> PlanFile:
    """A slot or a few earlier or later, at the price of that time, with the legs moved along."""
    place, row = _any_row(file, draw)
    by = draw.choice((-3, -2, -1, 1, 2, 3))
    price = _offers(file)[row.offer].price_at(row.start + by)
    moved = _change_row(
        file, place, start=row.start + by, end=row.end + by, price=row.price if price is None else price
    )
    legs = [
        replace(leg, start=leg.start + by, end=leg.end + by) if leg.key == row.key else leg for leg in _plan(file).legs
    ]
    return _fit(_with(moved, legs=tuple(legs)))


def _swap_offer(file: PlanFile, draw: Draw) -> PlanFile:
    """Another offer, whatever it is for, with everything of the row as it says."""
    place, row = _any_row(file, draw)
    identifier, offer = draw.choice(sorted(_offers(file).items()))
    price = offer.price_at(row.start)
    return _fit(
        _change_row(
            file,
            place,
            offer=identifier,
            machine=offer.machine,
            owner=offer.owner,
            end=row.start + offer.duration,
            price=row.price if price is None else price,
            wh=offer.wh,
            co2e_mg=offer.co2e_mg,
        )
    )


def _lower_number(file: PlanFile, draw: Draw) -> PlanFile:
    place, row = _any_row(file, draw)
    name = draw.choice(("price", "wh", "co2e_mg", "machine", "owner"))
    value = getattr(row, name)
    changed = max(1 if name in ("machine", "owner") else 0, value + draw.choice((-1, 1, -value // 2)))
    return _fit(_change_row(file, place, **{name: changed}))


def _shorten_row(file: PlanFile, draw: Draw) -> PlanFile:
    place, row = _any_row(file, draw)
    return _fit(_change_row(file, place, end=row.end + draw.choice((-1, 1))))


def _leave_out_row(file: PlanFile, draw: Draw) -> PlanFile:
    rows = list(_plan(file).rows)
    del rows[draw.randrange(len(rows))]
    return _with(file, rows=tuple(rows))


def _change_leg(file: PlanFile, draw: Draw) -> PlanFile:
    """A leg shorter, cheaper, earlier, for another carrier, to somewhere else, or gone."""
    legs = list(_plan(file).legs)
    if not legs:
        return file
    place = draw.randrange(len(legs))
    leg: Leg = legs[place]
    name = draw.choice(("gone", "start", "end", "cost", "carrier", "destination", "origin"))
    if name == "gone":
        del legs[place]
    else:
        legs[place] = replace(leg, **{name: max(0, getattr(leg, name) + draw.choice((-1, 1)))})
    changed = _with(file, legs=tuple(legs))
    return _fit(changed)


def _change_cost(file: PlanFile, draw: Draw) -> PlanFile:
    parts = [_plan(file).cost.price, _plan(file).cost.transport, _plan(file).cost.tardiness, _plan(file).cost.carbon]
    place = draw.randrange(4)
    parts[place] = max(0, parts[place] + draw.choice((-50, -2, -1, 1, 2)))
    if draw.random() < 0.3:
        parts[(place + 1) % 4] += 1
    return _with(file, cost=Cost(*parts))


def _change_bound(file: PlanFile, draw: Draw) -> PlanFile:
    bound = _plan(file).bound
    return _with(file, bound=replace(bound, value=bound.value + draw.choice((-1, 1, 2, 5, 100))))


def _change_prices(file: PlanFile, draw: Draw) -> PlanFile:
    """Other slot prices under the same bound, or some for slots and machines that are not there."""
    plan = _plan(file)
    prices = {machine: dict(pairs) for machine, pairs in plan.bound.prices}
    machine = draw.choice((1, 2, 3, 3, 9))
    slot = draw.choice((*range(file.call.slots), file.call.slots, file.call.slots + 5))
    row = prices.setdefault(machine, {})
    row[slot] = max(0, row.get(slot, 0) + draw.choice((-5, -1, 1, 3, 2**39)))
    sparse = [(key, tuple(sorted((s, p) for s, p in pairs.items() if p))) for key, pairs in sorted(prices.items())]
    return _with(file, bound=Bound(plan.bound.value, tuple((key, pairs) for key, pairs in sparse if pairs)))


def _leave_out_offer(file: PlanFile, draw: Draw) -> PlanFile:
    """An offer that no row needs is left out of the list, and the bound is derived from the others."""
    plan = _plan(file)
    used = {row.offer for row in plan.rows}
    spare = [item for item in plan.offers if item not in used]
    if not spare:
        return file
    gone = draw.choice(spare)
    return _fit(_with(file, offers=tuple(item for item in plan.offers if item != gone)))


def _change_offer(file: PlanFile, draw: Draw) -> PlanFile:
    """An offer's terms are changed, or it is late, and the plan takes the changed one for what it was."""
    plan = _plan(file)
    place = draw.choice([n for n, item in enumerate(file.offers) if item.id in plan.offers])
    old = file.offers[place]
    assert isinstance(old.entry, Offer)
    changes = _pick(
        draw,
        (
            {"until": CLOSES - 1},
            {"owner": old.entry.owner + 1},
            {"machine": old.entry.machine % 3 + 1},
            {"call": bytes(32)},
            {"operation": 7},
            {"order": bytes(32)},
            {"duration": old.entry.duration + 1},
            {"windows": tuple((low, high, price + 1) for low, high, price in old.entry.windows)},
        ),
    )
    new = OpenedOffer(replace(old.entry, **changes), old.salt, old.anchored)
    if old.anchored is None and draw.random() < 0.3:
        new = old
    offers = list(file.offers)
    if draw.random() < 0.8:
        offers[place] = new
    else:
        offers.append(new)
    listed = tuple(sorted({*plan.offers} - {old.id} | {new.id}))
    rows = tuple(replace(row, offer=new.id) if row.offer == old.id else row for row in plan.rows)
    return _fit(replace(file, offers=tuple(offers), plan=replace(plan, offers=listed, rows=rows)))


def _move_anchor(file: PlanFile, draw: Draw) -> PlanFile:
    """An offer was anchored too late, or is not in the tree."""
    places = [n for n, item in enumerate(file.offers) if item.anchored is not None and item.id in _plan(file).offers]
    if not places:
        return file
    place = draw.choice(places)
    old = file.offers[place]
    assert old.anchored is not None
    changes = _pick(draw, ({"time": CLOSES}, {"root": bytes(32)}, {"proof": ()}, {"size": 77}))
    offers = list(file.offers)
    offers[place] = OpenedOffer(old.entry, old.salt, replace(old.anchored, **changes))
    return replace(file, offers=tuple(offers))


def _change_call(file: PlanFile, draw: Draw) -> PlanFile:
    """Later due slots, an earlier release, another revision: but the offers are for the call as it was."""
    jobs = list(file.call.jobs)
    place = draw.randrange(len(jobs))
    changes = _pick(draw, ({"due": jobs[place].due + 1}, {"release": 0}, {"revision": bytes(32)}))
    jobs[place] = replace(jobs[place], **changes)
    changed = replace(file, call=replace(file.call, jobs=tuple(jobs)))
    return _fit(changed) if draw.random() < 0.5 else changed


def _change_objective(file: PlanFile, draw: Draw) -> PlanFile:
    changes = _pick(
        draw,
        (
            {"tardiness": ()},
            {"carbon_price": file.objective.carbon_price + 1},
            {"destination": ()},
            {"transport": tuple(replace(way, slots=0) for way in file.objective.transport)},
        ),
    )
    return _fit(replace(file, objective=replace(file.objective, **changes)))


def _change_machine(file: PlanFile, draw: Draw) -> PlanFile:
    machines = list(file.machines)
    place = draw.randrange(len(machines))
    if draw.random() < 0.5:
        machines[place] = replace(machines[place], capability=())
    else:
        machines[place] = replace(machines[place], owner=machines[place].owner + 1)
    return replace(file, machines=tuple(machines))


def _before(file: PlanFile) -> Plan:
    assert file.before is not None
    return file.before


def _hide_move(file: PlanFile, draw: Draw) -> PlanFile:
    """A row that moved is said to have stayed: the plan may then start it in the past, and proves a smaller gap."""
    plan = _plan(file)
    free = [row.key for row in plan.rows if row.key not in plan.fixed]
    return _fit(_with(file, fixed=tuple(sorted({*plan.fixed, draw.choice(free)})))) if free else file


def _let_go(file: PlanFile, draw: Draw) -> PlanFile:
    """A row that stayed is said to have been free, and the bound is derived for that."""
    fixed = list(_plan(file).fixed)
    if not fixed:
        return file
    fixed.remove(draw.choice(fixed))
    return _fit(_with(file, fixed=tuple(fixed)))


def _retime_fixed(file: PlanFile, draw: Draw) -> PlanFile:
    """A fixed row, with its leg, at another time, priced as that is."""
    plan = _plan(file)
    places = [place for place, row in enumerate(plan.rows) if row.key in plan.fixed]
    if not places:
        return file
    place = draw.choice(places)
    row, by = plan.rows[place], draw.choice((-2, -1, 1, 2))
    price = _offers(file)[row.offer].price_at(row.start + by)
    moved = _change_row(
        file, place, start=row.start + by, end=row.end + by, price=row.price if price is None else price
    )
    legs = [replace(leg, start=leg.start + by, end=leg.end + by) if leg.key == row.key else leg for leg in plan.legs]
    return _fit(_with(moved, legs=tuple(legs)))


def _change_cause(file: PlanFile, draw: Draw) -> PlanFile:
    """Another kind of cause for the same offers set aside."""
    cause = _plan(file).cause
    assert cause is not None
    return _with(file, cause=replace(cause, kind=draw.choice(tuple(CauseKind))))


def _blame_another(file: PlanFile, draw: Draw) -> PlanFile:
    """Offers of another machine are set aside by the cause, in place of those that were or with them."""
    plan = _plan(file)
    used = {row.offer for row in plan.rows}
    spare = [key for key in plan.offers if key not in used]
    if not spare:
        return file
    more = set(draw.sample(spare, draw.randint(1, len(spare))))
    gone = more if draw.random() < 0.5 else more | {*plan.dropped}
    listed = {*plan.offers, *plan.dropped} - gone
    return _fit(_with(file, dropped=tuple(sorted(gone)), offers=tuple(sorted(listed))))


def _change_before(file: PlanFile, draw: Draw) -> PlanFile:
    """The plan before is another one: for the digest that is named, or with the digest named anew."""
    before = _before(file)
    place = draw.randrange(len(before.rows))
    row = before.rows[place]
    row = replace(row, start=row.start + 1, end=row.end + 1) if draw.random() < 0.5 else replace(row, wh=row.wh + 1)
    rows = (*before.rows[:place], row, *before.rows[place + 1 :])
    changes: dict[str, object] = _pick(draw, ({"rows": rows}, {"legs": ()}, {"call": bytes(32)}, {"offers": ()}))
    other = replace(before, **changes)  # type: ignore[arg-type]
    forged = replace(file, before=other)
    return _with(forged, before=other.digest) if draw.random() < 0.6 else forged


def _change_now(file: PlanFile, draw: Draw) -> PlanFile:
    """The plan is said to begin earlier, so that more is possible, or later, so that its gap is smaller."""
    plan = _plan(file)
    return _fit(_with(file, now=max(0, plan.now + draw.choice((-3, -1, 1, 2, 5)))))


def _leave_early(file: PlanFile, draw: Draw) -> PlanFile:
    """A leg sets out before the plan begins."""
    plan = _plan(file)
    places = [place for place, leg in enumerate(plan.legs) if leg.start >= plan.now - 1]
    if not places:
        return file
    place = draw.choice(places)
    leg = plan.legs[place]
    by = leg.start - draw.randrange(plan.now) if plan.now else 1
    early = replace(leg, start=max(0, leg.start - by), end=max(0, leg.end - by))
    return _fit(_with(file, legs=(*plan.legs[:place], early, *plan.legs[place + 1 :])))


def _hide_rework(file: PlanFile, draw: Draw) -> PlanFile:
    """What was done in vain is left out, or what is done again stands for two."""
    plan = _plan(file)
    if not plan.reworked:
        return file
    gone = draw.choice(plan.reworked)
    less = tuple(row for row in plan.reworked if row is not gone)
    more = tuple(sorted((*plan.reworked, gone), key=lambda row: row.key))
    return _fit(_with(file, reworked=draw.choice((less, less, more))))


def _invent_rework(file: PlanFile, draw: Draw) -> PlanFile:
    """A row of the plan before is said to have failed, or one that never was."""
    plan, before = _plan(file), _before(file)
    row = draw.choice((*before.rows, *plan.rows))
    if draw.random() < 0.5:
        row = replace(row, price=row.price + draw.choice((-1, 1)) if row.price else 1)
    added = tuple(sorted((*plan.reworked, row), key=lambda row: row.key))
    return _fit(_with(file, reworked=added))


def _change_reworked(file: PlanFile, draw: Draw) -> PlanFile:
    """What was done in vain was cheaper, by another owner, or at another time."""
    rows = list(_plan(file).reworked)
    if not rows:
        return file
    place = draw.randrange(len(rows))
    row = rows[place]
    changes: dict[str, object] = _pick(
        draw,
        (
            {"price": max(0, row.price - 1)},
            {"co2e_mg": row.co2e_mg // 2},
            {"owner": 23 - row.owner},
            {"start": row.start + 1, "end": row.end + 1},
            {"operation": 3 - row.operation},
        ),
    )
    rows[place] = replace(row, **changes)  # type: ignore[arg-type]
    return _fit(_with(file, reworked=tuple(sorted(rows, key=lambda row: row.key))))


def _dear_rework(file: PlanFile, draw: Draw) -> PlanFile:
    """A costly row is said to have failed, so that the gap is small beside it, or one of a company that never had the
    part, so that the offers of the others do not count; and the plan before is mostly kept back."""
    plan = _plan(file)
    row = draw.choice(plan.rows)
    cause = replace(plan.cause, kind=CauseKind.CERTIFICATE) if plan.cause else None
    dear = replace(row, price=draw.choice((row.price, MAX_AMOUNT)), owner=draw.choice((row.owner, 23 - row.owner)))
    added = tuple(sorted((*plan.reworked, dear), key=lambda row: row.key))
    fixed = tuple(key for key in plan.fixed if key != row.key)
    forged = _fit(_with(file, cause=cause, fixed=fixed, reworked=added))
    return replace(forged, before=None) if draw.random() < 0.8 else forged


REPLAN_FORGERIES: tuple[Callable[[PlanFile, Draw], PlanFile], ...] = (
    _hide_move,
    _let_go,
    _retime_fixed,
    _change_cause,
    _blame_another,
    _change_before,
    _change_now,
    _leave_early,
    _hide_rework,
    _invent_rework,
    _change_reworked,
    _dear_rework,
)
"""What only a plan that replaces another can be forged in."""


FORGERIES: tuple[Callable[[PlanFile, Draw], PlanFile], ...] = (
    _shift_row,
    _swap_offer,
    _lower_number,
    _shorten_row,
    _leave_out_row,
    _change_leg,
    _change_cost,
    _change_bound,
    _change_prices,
    _leave_out_offer,
    _change_offer,
    _move_anchor,
    _change_call,
    _change_objective,
    _change_machine,
)


def _offers(file: PlanFile) -> dict[bytes, Offer]:
    listed = frozenset(_plan(file).offers)
    return {item.id: item.entry for item in file.offers if isinstance(item.entry, Offer) and item.id in listed}


def forge(count: int, seed: int, worlds: int = WORLDS) -> tuple[Counter[str], list[str]]:
    """Forge until `count` files with a false claim were refused or accepted.

    Returns how often each rule refused one, and what was accepted wrongly.
    """
    draw = random.Random(seed)  # noqa: S311 - reproducible
    refused: Counter[str] = Counter()
    accepted: list[str] = []
    while refused.total() + len(accepted) < count:
        made = replanned_file if draw.random() < 0.5 else made_file
        file = made(draw.randrange(worlds), anchored=draw.random() < 0.5)
        forgery = draw.choice(FORGERIES if file.before is None else REPLAN_FORGERIES + FORGERIES)
        try:
            forged = parse_plan_file(forgery(file, draw).to_bytes())
            check_plan(forged)
        except PlanError:
            continue  # not a plan file any more
        except PlanRefusedError as error:
            refused[error.rule] += 1
            continue
        if not is_true(forged):
            accepted.append(forgery.__name__)
    return refused, accepted


def main() -> int:
    parser = argparse.ArgumentParser(description="Forge plans and proofs; none may be accepted.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    refused, accepted = forge(given.count, given.seed)
    print(json.dumps({"forged": given.count, "refused": dict(refused), "accepted": len(accepted)}))  # noqa: T201
    return 1 if accepted else 0


if __name__ == "__main__":
    sys.exit(main())
