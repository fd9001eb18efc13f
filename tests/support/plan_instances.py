"""Instances for `scripts/bench planning`: calls with offers of three companies, drawn from a seed.

Each company has one machine of each of three kinds, so that every operation is offered by all three. Machines differ in
rate, speed and power. Energy has a tariff that changes every eight slots and repeats daily; an offer has one window for
each tariff period. Goods travel between companies for two slots. Orders have a release, a due slot and a weight.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from millmark.ledger.canonical import sha256
from millmark.ledger.plans.call import Call, Capability, Job, Need, Objective, Operation, Transport
from millmark.ledger.plans.file import Machine, PlanFile
from millmark.ledger.plans.offer import Offer, OpenedOffer

__all__ = [
    "CLOSES",
    "SLOT_S",
    "TRANSPORT_COST",
    "TRANSPORT_SLOTS",
    "Tool",
    "draw_tools",
    "generate_plan_file",
    "tariff_at",
]

COMPANIES = (1, 2, 3)
KINDS = ("grinding", "milling", "turning")
CLOSES = 1_800_000_000
SLOT_S = 1800
DAY_SLOTS = 48
PERIOD_SLOTS = 8
TARIFF = (6, 8, 20, 16, 24, 12)
"""Prices in a day's six periods, in the call's unit for each kWh."""
TRANSPORT_SLOTS, TRANSPORT_COST = 2, 60


@dataclass(frozen=True, slots=True)
class Tool:
    """A machine as its owner knows it."""

    machine: Machine
    kind: str
    rate: int
    """Price of one slot without energy."""
    pace: int
    """Per cent of the nominal duration."""
    kwh: int
    """Energy of one slot."""


def generate_plan_file(
    orders: int,
    seed: int | str,
    *,
    setup: int = 0,
    tools: Sequence[Tool] | None = None,
    efficiency_per_mille: Mapping[int, int] = MappingProxyType({}),
    free_from: Mapping[int, int] = MappingProxyType({}),
) -> PlanFile:
    """Draw a call for `orders` orders of three operations, with objective and offers; the file has no plan.

    With `setup`, operations belong to one of three families, and a change of family takes that many slots. `tools`: by
    default drawn as well. `efficiency_per_mille`, by machine: those that are derated take longer, and at 0 they are not
    offered. `free_from`, by machine: the first slot that is offered.
    """
    draw = random.Random(f"millmark planning {orders} {seed}")  # noqa: S311 - instances, not secrets
    tools = list(draw_tools(draw)) if tools is None else tools
    slots = 96 + 2 * orders
    jobs, nominal = [], {}
    for order in sorted(draw.randbytes(32) for _ in range(orders)):
        kinds = draw.sample(KINDS, len(KINDS))
        durations = [draw.randint(2, 8) for _ in kinds]
        release = draw.randint(0, orders)
        due = release + (sum(durations) + 2 * TRANSPORT_SLOTS) * draw.randint(110, 260) // 100
        operations = tuple(Operation(number, Need(kind)) for number, kind in enumerate(kinds))
        jobs.append(Job(order, sha256(order), release, due, operations))
        nominal[order] = durations
    objective = _draw_objective(draw, jobs)
    call = Call(
        chain_id=1,
        ledger=bytes(20),
        coordinator=9,
        salt=draw.randbytes(32),
        origin=CLOSES + 3600,
        slot=SLOT_S,
        slots=slots,
        closes=CLOSES,
        unit="EUR/100",
        readers=(),
        objective=objective.commitment,
        jobs=tuple(jobs),
    )
    offers = tuple(_draw_offers(draw, call, tools, nominal, setup, efficiency_per_mille, free_from))
    return PlanFile(call, objective, tuple(tool.machine for tool in tools), offers)


def _draw_objective(draw: random.Random, jobs: Sequence[Job]) -> Objective:
    return Objective(
        salt=draw.randbytes(32),
        tardiness=tuple((job.order, draw.randint(10, 60)) for job in jobs),
        transport=tuple(
            Transport(origin, destination, TRANSPORT_SLOTS, TRANSPORT_COST, 0)
            for origin in COMPANIES
            for destination in COMPANIES
            if origin != destination
        ),
        destination=(),
        carbon_price=10,
    )


def draw_tools(draw: random.Random) -> Iterator[Tool]:
    numbers = iter(range(1, 100))
    for company in COMPANIES:
        for kind in KINDS:
            machine = Machine(next(numbers), company, (Capability(kind),))
            yield Tool(machine, kind, draw.randint(30, 70), draw.randint(80, 130), draw.randint(1, 3))


def _draw_offers(
    draw: random.Random,
    call: Call,
    tools: Sequence[Tool],
    nominal: dict[bytes, list[int]],
    setup: int,
    efficiency_per_mille: Mapping[int, int],
    free_from: Mapping[int, int],
) -> Iterator[OpenedOffer]:
    digest = call.digest
    for job in call.jobs:
        family = draw.choice("ABC") if setup else ""
        for operation, duration in zip(job.operations, nominal[job.order], strict=True):
            for tool in tools:
                efficiency = efficiency_per_mille.get(tool.machine.machine, 1000)
                if tool.kind != operation.need.kind or not efficiency:
                    continue
                length = _slots(duration * tool.pace, efficiency)
                wh = length * tool.kwh * 1000
                offer = Offer(
                    call=digest,
                    owner=tool.machine.owner,
                    machine=tool.machine.machine,
                    order=job.order,
                    operation=operation.operation,
                    duration=length,
                    setup=setup,
                    family=family,
                    windows=_windows(tool, length, call.slots, free_from.get(tool.machine.machine, 0)),
                    wh=wh,
                    co2e_mg=wh * 400,
                    until=call.closes + 86_400,
                )
                yield OpenedOffer(offer, draw.randbytes(32))


def _slots(hundredths: int, efficiency_per_mille: int) -> int:
    """What an operation of so many hundredths of a slot takes on a derated machine. The time is derated and then
    counted in whole slots, as owners derate minutes: of whole slots, each short operation would lose a whole one."""
    derated = -(-hundredths * 1000 // efficiency_per_mille)
    return max(1, (derated + 50) // 100)


def _windows(tool: Tool, length: int, slots: int, free: int) -> tuple[tuple[int, int, int], ...]:
    """One for each tariff period; its price is that of the operation when it starts in the first slot."""
    last = slots - length
    return tuple(
        (max(first, free), end, length * tool.rate + tool.kwh * tariff_at(first, length))
        for first in range(0, last + 1, PERIOD_SLOTS)
        if (end := min(first + PERIOD_SLOTS - 1, last)) >= free
    )


def tariff_at(start: int, length: int) -> int:
    return sum(TARIFF[slot % DAY_SLOTS // PERIOD_SLOTS] for slot in range(start, start + length))
