"""Small calls with everything in them that plans know: families and setup, carriers, destinations, carbon, lateness;
and very small ones in which much nearly ties."""

from __future__ import annotations

import functools
import random
from dataclasses import replace

from millmark.ledger.canonical import sha256
from millmark.ledger.errors import UnplannableError
from millmark.ledger.merkle import Tree
from millmark.ledger.plans.call import Call, Capability, Job, Need, Objective, Operation, Range, Transport
from millmark.ledger.plans.file import Machine, PlanFile
from millmark.ledger.plans.offer import Anchored, Offer, OfferWithdrawal, OpenedOffer
from millmark.ledger.plans.plan import Cause, CauseKind, Key, Plan, Row
from millmark.services.planning.schedule import Replan, make_plan
from tests.support.plan_truth import is_feasible

__all__ = ["CLOSES", "TIE", "Offers", "anchor", "draw_file", "draw_rows", "draw_shop", "made_file", "replanned_file"]

_TAKING = (CauseKind.MACHINE_DOWN, CauseKind.DRIFT, CauseKind.DECLINED)
CLOSES = 1_800_000_000
TIE = sha256(b"the first block after closing")
_STREAM_OF = {1: sha256(b"stream 1"), 2: sha256(b"stream 2"), 3: sha256(b"stream 3")}
MACHINES = (
    Machine(1, 11, (Capability("turning", (("diameter_mm", Range(10, 400)),)),)),
    Machine(2, 12, (Capability("turning", (("diameter_mm", Range(10, 400)),)), Capability("milling"))),
    Machine(3, 12, (Capability("milling"),)),
)


def draw_file(seed: int, *, orders: int = 3, slots: int = 24, anchored: bool = False) -> PlanFile:
    """A call with offers, without a plan. One offer is withdrawn, one has expired, one is doubled."""
    draw = random.Random(seed)  # noqa: S311 - reproducible
    names = sorted(draw.randbytes(32) for _ in range(orders))
    objective = Objective(
        salt=draw.randbytes(32),
        tardiness=tuple((name, draw.randint(1, 9)) for name in names),
        transport=(Transport(11, 12, 1, 7, 13), Transport(12, 11, 2, 5, 0), Transport(12, 20, 1, 3, 13)),
        destination=((names[0], 20),) if draw.random() < 0.3 else ((names[0], 12),),
        carbon_price=draw.choice((0, 50)),
    )
    needs = (Need("turning", (("diameter_mm", 80),)), Need("milling"))
    jobs = tuple(
        Job(name, sha256(name), draw.randint(0, 2), draw.randint(4, 12), tuple(map(Operation, (1, 2), needs)))
        for name in names
    )
    call = Call(
        *(1, bytes(20), 9, draw.randbytes(32), CLOSES + 600, 900, slots, CLOSES, "EUR/100", (4,)),
        objective.commitment,
        jobs,
    )
    offers = [
        OpenedOffer(_draw_offer(draw, call, job.order, number, machine), draw.randbytes(32))
        for job in jobs
        for number, need in zip((1, 2), needs, strict=True)
        for machine in MACHINES
        if any(kind.kind == need.kind for kind in machine.capability)
    ]
    spare = _draw_offer(draw, call, names[-1], 2, MACHINES[2])
    offers.append(OpenedOffer(replace(spare, machine=2, until=CLOSES - 1), draw.randbytes(32)))
    gone = OpenedOffer(replace(spare, machine=2), draw.randbytes(32))
    offers += [gone, OpenedOffer(OfferWithdrawal(call.digest, gone.id), draw.randbytes(32))]
    return PlanFile(call, objective, MACHINES, anchor(offers) if anchored else tuple(offers))


def anchor(offers: list[OpenedOffer]) -> tuple[OpenedOffer, ...]:
    """The same entries, each with its place in the anchored stream of its machine."""
    machines = {item.id: item.entry.machine for item in offers if isinstance(item.entry, Offer)}
    streams: dict[int, list[OpenedOffer]] = {}
    for item in offers:
        of = item.entry.offer if isinstance(item.entry, OfferWithdrawal) else item.id
        streams.setdefault(machines[of], []).append(item)
    placed = {}
    for machine, items in streams.items():
        tree = Tree(item.id for item in items)
        for index, item in enumerate(items):
            proof = tuple(tree.inclusion_proof(index, tree.size))
            place = Anchored(_STREAM_OF[machine], index, tree.size, tree.root(), proof, 40 + machine, CLOSES - 60)
            placed[item.id] = OpenedOffer(item.entry, item.salt, place)
    return tuple(placed[item.id] for item in offers)


@functools.cache
def made_file(seed: int, *, anchored: bool = False) -> PlanFile:
    """A file with a plan that holds."""
    return make_plan(draw_file(seed, anchored=anchored), tie=TIE, cpu_s=0.15, with_solver=False, repeatable=True).file


@functools.cache
def replanned_file(seed: int, *, anchored: bool = False) -> PlanFile:
    """A file with a plan that holds and replaces another one: some rows have begun, and a machine is down, a row was
    declined, or nothing was taken away."""
    draw = random.Random(f"replan {seed}")  # noqa: S311 - reproducible
    first = made_file(seed, anchored=anchored)
    before = first.plan
    assert before is not None
    now = draw.randint(1, max(row.start for row in before.rows))
    started = frozenset(row.key for row in before.rows if row.start < now)
    accepted = frozenset(row.key for row in before.rows if draw.random() < 0.5)
    kind = draw.choice((*_TAKING, CauseKind.LATE, CauseKind.CALL, CauseKind.CERTIFICATE))
    lost: frozenset[bytes] = frozenset()
    if kind in _TAKING:
        # What every order can do without: the third machine, or a row's offer where there is another.
        resting = {row.offer for row in before.rows if row.key in started}
        offers = {item.id: item.entry for item in first.offers if isinstance(item.entry, Offer)}
        machine = 3 if kind is not CauseKind.DECLINED else 0
        lost = frozenset(key for key in before.offers if offers[key].machine == machine and key not in resting)
        if kind is CauseKind.DECLINED:
            lost = frozenset([row.offer for row in before.rows if row.key not in started][:1])
    failed: frozenset[Key] = frozenset()
    if kind is CauseKind.CERTIFICATE:
        # The last one that was begun of each of one or two orders.
        last = sorted({key[0]: key for key in sorted(started)}.values())
        failed = frozenset(draw.sample(last, min(len(last), draw.randint(1, 2))))
    replan = Replan(Cause(kind, "", record=5), now, started - failed, accepted - failed, lost, failed)
    try:
        found = _replace(first, before, replan)
        return _reworked_on(found, draw) if failed and draw.random() < 0.5 else found
    except UnplannableError:
        return replanned_file(seed + 1000, anchored=anchored)


def _replace(file: PlanFile, before: Plan, replan: Replan) -> PlanFile:
    world = replace(file, plan=None, before=before)
    return make_plan(world, tie=TIE, replan=replan, cpu_s=0.15, with_solver=False, repeatable=True).file


def _reworked_on(file: PlanFile, draw: random.Random) -> PlanFile:
    """A plan with rework is replaced in turn, the rework still to come or begun, and may have failed once more."""
    before = file.plan
    assert before is not None
    now = before.now + draw.randint(0, 4)
    started = frozenset(row.key for row in before.rows if row.start < now)
    last = {key[0]: key for key in sorted(started)}.values()
    again = frozenset(key for key in last if before.reworks(key)) if draw.random() < 0.5 else frozenset()
    kind = CauseKind.CERTIFICATE if again else CauseKind.LATE
    return _replace(file, before, Replan(Cause(kind, "", record=6), now, started - again, rework=again))


def _draw_offer(draw: random.Random, call: Call, order: bytes, operation: int, machine: Machine) -> Offer:
    duration = draw.randint(1, 4)
    middle = draw.randint(3, call.slots // 2 - 1)
    last = call.slots - duration
    return Offer(
        call=call.digest,
        owner=machine.owner,
        machine=machine.machine,
        order=order,
        operation=operation,
        duration=duration,
        setup=draw.choice((0, 1, 2)),
        family=draw.choice("AB"),
        windows=((0, middle, draw.randint(5, 20)), (middle + 2, last, draw.randint(1, 9))),
        wh=duration * 500,
        co2e_mg=duration * 200_000,
        until=CLOSES + 3600,
    )


# Very small calls in which much nearly ties: prices, ways, families and setup have two or three values each

Offers = dict[bytes, Offer]
"""By leaf hash."""
_NEED = Need("turning")
_OWNER_OF = {1: 11, 2: 11, 3: 12, 4: 13}
_NOWHERE = 14


def draw_shop(draw: random.Random, *, orders: int, slots: int) -> tuple[PlanFile, Offers]:
    """A call with up to three operations an order, and offers for them; the file itself has no offers."""
    base, names = draw_file(0), sorted(sha256(bytes([number])) for number in range(orders))
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
    offers = [
        _draw_tying_offer(draw, key, machine, slots) for key in keys for machine in _OWNER_OF if draw.random() < 0.8
    ]
    return replace(base, call=call, objective=objective, offers=()), {draw.randbytes(32): offer for offer in offers}


def _draw_tying_offer(draw: random.Random, key: tuple[bytes, int], machine: int, slots: int) -> Offer:
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
