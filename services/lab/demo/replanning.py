"""A machine fails in the demo: its owner records it, and the coordinator makes a plan that moves little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.evidence import LeafKind
from millmark.ledger.plans.plan import Cause, CauseKind, Key
from millmark.ledger.plans.report import per_cent
from millmark.ledger.products import Step
from millmark.services.lab.demo.planning import CPU_S, Planning, agree, find_tie, read_file, record_plan
from millmark.services.lab.demo.plant import Machine
from millmark.services.lab.demo.production import Job
from millmark.services.planning.schedule import make_plan
from millmark.services.planning.schedule.replan import Replan

__all__ = ["Failure"]

_LEAST_JOBS = 4
"""With fewer, everything goes well."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A machine fails when two thirds of the second step are done."""

    planning: Planning

    def after(self, step: Step, jobs: Sequence[Job]) -> int | None:
        return len(jobs) * 2 // 3 if step == self.planning.line.plant.product.route[1] else None

    def happen(self, step: Step) -> None:
        _fail_machine(self.planning, step)


def _fail_machine(planning: Planning, step: Step) -> None:
    """Has a machine fail that has operations of a step yet to do: the one with the fewest.

    Whatever it was to do from then on moves, with the consent of the owners; what is done, under way or agreed
    elsewhere stays wherever that is possible.
    """
    line = planning.line
    keys = {job.key(step) for job in line.jobs if job.number(step) >= 0} - line.done
    rows = [row for row in planning.plan.rows if row.key in keys]
    counts = Counter(row.machine for row in rows)
    if not rows or len(line.jobs) < _LEAST_JOBS:
        return
    number = min(counts, key=lambda one: (counts[one], one))
    machine = next(one for one in line.plant.machines if one.number == number)
    done = frozenset(line.done)
    # The demo works step by step and not by the clock: all that is not done may still be done when it was planned.
    now = min(row.start for row in planning.plan.rows if row.key not in done)
    lost = _offers_of(planning, number, done)
    accepted = frozenset(row.key for row in planning.plan.rows if row.offer not in lost) - done
    cause = _record_failure(planning, machine)
    replan = Replan(cause, now, done, accepted, lost)
    line.consortium.send()  # the plan takes its time
    made = make_plan(read_file(planning, planning.plan), tie=find_tie(planning), replan=replan, cpu_s=CPU_S)
    before = {row.key: row for row in planning.plan.rows}
    record_plan(planning, made)
    moved = [row for row in planning.plan.rows if before[row.key] != row]
    text: dict[str, Json] = {"replan": to_hex(planning.plan.digest), "cause": cause.to_json()}
    reason = line.consortium.document(line.consortium.coordinator, text)
    agree(planning, moved, [row.key for row in moved], reason)
    line.events.append(
        f"{machine.name} of {machine.owner.name} failed during {step.name}: {len(moved)} of {len(before)} operations "
        f"moved, all agreed; no plan for what was open is more than {per_cent(made.check.gap_per_mille)} cheaper"
    )


def _offers_of(planning: Planning, machine: int, done: frozenset[Key]) -> frozenset[bytes]:
    """The offers of a machine for what is not done."""
    offers = planning.checks[-1].counted.offers
    own = {name: offer for name, offer in offers.items() if offer.machine == machine}
    return frozenset(name for name, offer in own.items() if (offer.order, offer.operation) not in done)


def _record_failure(planning: Planning, machine: Machine) -> Cause:
    text = f"{machine.name} is down"
    entry = machine.note("machine down", {"state": "down"}, LeafKind.EVENT)
    planning.line.consortium.queue(machine.owner, [machine.anchor()], after_others=False)
    return Cause(CauseKind.MACHINE_DOWN, text, stream=machine.stream, leaf=entry.index)
