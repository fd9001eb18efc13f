"""Very small calls in which much nearly ties: prices, ways, families and setup have two or three values each."""

from __future__ import annotations

import functools
import random
from dataclasses import replace

from millmark.ledger.canonical import sha256
from millmark.ledger.plans.call import Job, Need, Operation, Transport
from millmark.ledger.plans.file import PlanFile
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Row
from tests.support.plan_truth import is_feasible
from tests.support.plan_world import draw_file

__all__ = ["Offers", "draw_rows", "draw_shop"]

Offers = dict[bytes, Offer]
"""By leaf hash."""
_NEED = Need("turning")
_OWNER_OF = {1: 11, 2: 11, 3: 12, 4: 13}
_NOWHERE = 14


def draw_shop(draw: random.Random, *, orders: int, slots: int) -> tuple[PlanFile, Offers]:
    """A call with up to three operations an order, and offers for them; the file itself has no offers."""
    base, names = _base(), sorted(sha256(bytes([number])) for number in range(orders))
    owners = sorted(set(_OWNER_OF.values()))
    objective = replace(
        base.objective,
        tardiness=tuple((name, draw.randint(0, 2)) for name in names if draw.random() < 0.8),
        transport=tuple(
            Transport(origin, goal, draw.randint(0, 2), draw.randint(0, 1), 0)
            for origin in owners
            for goal in owners
            if origin != goal and draw.random() < 0.85
        ),
        destination=tuple((name, draw.choice((*owners, _NOWHERE))) for name in names if draw.random() < 0.4),
        carbon_price=draw.choice((0, 1)),
    )
    jobs = tuple(
        Job(
            *(name, name, draw.randint(0, 2), draw.randint(-1, slots)),
            tuple(Operation(number, _NEED) for number in range(draw.randint(1, 3))),
        )
        for name in names
    )
    call = replace(base.call, jobs=jobs, slots=slots)
    keys = [(job.order, item.operation) for job in jobs for item in job.operations]
    offers = [_draw_offer(draw, key, machine, slots) for key in keys for machine in _OWNER_OF if draw.random() < 0.8]
    return replace(base, call=call, objective=objective, offers=()), {draw.randbytes(32): offer for offer in offers}


@functools.cache
def _base() -> PlanFile:
    return draw_file(0)


def _draw_offer(draw: random.Random, key: tuple[bytes, int], machine: int, slots: int) -> Offer:
    """It may be for starts so late that it would end after the call."""
    order, operation = key
    middle = draw.randint(1, slots - 2)
    first, second = draw.randint(1, 2), draw.randint(1, 2)
    return Offer(
        *(bytes(32), _OWNER_OF[machine], machine, order, operation),
        duration=draw.randint(1, 3),
        setup=draw.randint(0, 2),
        family=draw.choice("AB"),
        windows=((draw.randint(0, 1), middle, first), (middle + draw.randint(1, 2), slots, second)),
        wh=0,
        co2e_mg=draw.choice((0, 1_000_000)),
        until=0,
    )


def draw_rows(draw: random.Random, file: PlanFile, offers: Offers) -> list[Row] | None:
    """Rows that can be carried out together; None when a few draws found none."""
    return next((rows for _ in range(8) if (rows := _try_rows(draw, file, offers))), None)


def _try_rows(draw: random.Random, file: PlanFile, offers: Offers) -> list[Row] | None:
    """On each machine, one after the other as they are drawn."""
    ways = {(way.origin, way.destination): way.slots for way in file.objective.transport}
    rows: list[Row] = []
    for job in draw.sample(file.call.jobs, len(file.call.jobs)):
        ready, before = job.release, None
        for item in job.operations:
            names = [name for name, one in offers.items() if (one.order, one.operation) == (job.order, item.operation)]
            if not names:
                return None
            offer = offers[name := draw.choice(names)]
            ready += 0 if before is None else ways.get((before.owner, offer.owner), 0)
            start = max([ready, *(_first_after(row, offers[row.offer], offer) for row in rows)])
            start += draw.choice((0, 0, 0, 1, 2))
            if offer.price_at(start) is None:
                return None
            before = _row(name, offer, start)
            rows.append(before)
            ready = before.end
    rows.sort(key=lambda row: row.key)
    path = {row.key: (offers[row.offer], row.start) for row in rows}
    return rows if is_feasible(file.call, file.objective, path, 0) else None


def _first_after(row: Row, of: Offer, offer: Offer) -> int:
    if of.machine != offer.machine:
        return 0
    return row.end + (offer.setup if of.family != offer.family else 0)


def _row(name: bytes, offer: Offer, start: int) -> Row:
    price = offer.price_at(start)
    assert price is not None
    return Row(
        *(offer.order, offer.operation, name, offer.machine, offer.owner, start, start + offer.duration, price),
        *(offer.wh, offer.co2e_mg),
    )
