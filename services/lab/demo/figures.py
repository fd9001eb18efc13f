"""What the demo says about its plan: cost, proof, replan, energy; and the same orders dispatched without a plan."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import Json
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.plan import Plan
from millmark.ledger.plans.problem import Problem, build_problem
from millmark.ledger.plans.report import per_cent
from millmark.ledger.products import money
from millmark.services.lab.demo.planning import Planning, read_file
from millmark.services.planning.schedule.search import Paths, cost_of, list_schedule

__all__ = ["Planned", "describe_plan", "sum_up"]

_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Schedule:
    """Figures of one way to make all orders."""

    cost: int
    wh: int
    late_slots: int
    """Slots by which all orders together are late."""

    def to_json(self) -> dict[str, Json]:
        return {"cost": self.cost, "wh": self.wh, "late_slots": self.late_slots}


@dataclass(frozen=True, slots=True)
class Planned:
    """The figures of the plan."""

    unit: str
    slot_s: int
    offers: int
    operations: int
    machines: int
    owners: int
    first: Schedule
    first_gap_per_mille: int
    last: Schedule
    """The plan in force in the end."""
    last_gap_per_mille: int
    moved: int
    """Rows that moved from the first to the last."""
    dispatched: Schedule | None
    """By naive dispatch on the same offers; None if that fits no order somewhere."""
    parts: int
    metered_wh: int
    """Energy of all parts, by the meters, without idle time."""
    location_mg: int
    market_mg: int
    """CO2e of the same energy."""

    def to_json(self) -> dict[str, Json]:
        return {
            "unit": self.unit,
            "offers": self.offers,
            "operations": self.operations,
            "machines": self.machines,
            "first": self.first.to_json() | {"gap_per_mille": self.first_gap_per_mille},
            "last": self.last.to_json() | {"gap_per_mille": self.last_gap_per_mille, "moved": self.moved},
            "dispatched": None if self.dispatched is None else self.dispatched.to_json(),
            "metered_wh": self.metered_wh,
            "co2e_mg": {"location": self.location_mg, "market": self.market_mg},
        }


def sum_up(planning: Planning) -> Planned:
    """The figures of what was planned and metered."""
    call, first, last = planning.call, planning.plans[0], planning.plan
    line = planning.line
    before = {row.key: row for row in first.rows}
    own = line.footprints.own
    return Planned(
        unit=call.unit,
        slot_s=call.slot,
        offers=len(first.offers),
        operations=len(first.rows),
        machines=len({row.machine for row in first.rows}),
        owners=len({row.owner for row in first.rows}),
        first=_figures(call, first),
        first_gap_per_mille=planning.checks[0].gap_per_mille,
        last=_figures(call, last),
        last_gap_per_mille=planning.checks[-1].gap_per_mille,
        moved=sum(before[row.key] != row for row in last.rows),
        dispatched=_dispatch(planning),
        parts=len(line.jobs),
        metered_wh=own.wh,
        location_mg=own.location_mg,
        market_mg=own.market_mg,
    )


def _figures(call: Call, plan: Plan) -> Schedule:
    due, ends = {job.order: job.due for job in call.jobs}, {row.order: row.end for row in plan.rows}
    late = sum(max(end - due[order], 0) for order, end in ends.items())
    return Schedule(plan.cost.total, sum(row.wh for row in plan.rows), late)


def _dispatch(planning: Planning) -> Schedule | None:
    """The same orders on the same offers, one after the other as they were placed, each as cheaply as it then can."""
    file = read_file(planning, None)
    problem = build_problem(file.call, file.objective, planning.checks[0].counted.offers.items())
    placed = {job.order.subject: job.index for job in planning.line.jobs}
    numbers = sorted(range(len(problem.routes)), key=lambda number: placed[problem.routes[number].order])
    paths = list_schedule(problem, numbers)
    return None if paths is None else _figures_of(problem, paths)


def _figures_of(problem: Problem, paths: Paths) -> Schedule:
    late = 0
    for route, path in zip(problem.routes, paths, strict=True):
        choice, start = path[-1]
        late += max(start + choice.duration - route.due, 0)
    return Schedule(cost_of(problem, paths), sum(choice.wh for path in paths for choice, _ in path), late)


def describe_plan(found: Planned) -> list[str]:
    """Lines for people."""
    lines = [
        f"plan of {found.operations} operations over {found.machines} machines of {found.owners} companies, from "
        f"{found.offers} offers: {money(found.first.cost, found.unit)}; no plan on them is more than "
        f"{per_cent(found.first_gap_per_mille)} cheaper, checked",
    ]
    if found.moved:
        lines.append(
            f"after a machine failed: {found.moved} of {found.operations} operations moved, "
            f"{money(found.last.cost, found.unit)}; no plan for what was open is more than "
            f"{per_cent(found.last_gap_per_mille)} cheaper"
        )
    if found.dispatched is not None:
        lines.append(
            f"dispatched one after the other without a plan, the same orders on the same offers: "
            f"{_beside(found.dispatched, found.first, found)}"
        )
    lines.append(
        f"energy by the meters: {found.metered_wh / 1000:.1f} kWh, {found.metered_wh / found.parts / 1000:.2f} a part; "
        f"CO2e of it {found.location_mg / 1e6:.2f} kg by the grid, {found.market_mg / 1e6:.2f} kg by contract"
    )
    return lines


def _beside(other: Schedule, plan: Schedule, found: Planned) -> str:
    """A schedule beside the plan's."""
    dearer = (other.cost - plan.cost) * 1000 // max(plan.cost, 1)
    hours = [one.late_slots * found.slot_s / _HOUR_S for one in (other, plan)]
    return (
        f"{money(other.cost, found.unit)} ({dearer / 10:+.1f} %), {other.wh / 1000:.1f} kWh planned where the plan has "
        f"{plan.wh / 1000:.1f}, {hours[0]:.1f} h late where the plan is {hours[1]:.1f}"
    )
