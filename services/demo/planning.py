"""Planning in the demo: the coordinator calls for offers, the makers offer from their calendars, and the plan is made,
checked, recorded, and agreed row by row.

Every company acts on its own database alone. What it has to know of another one was handed over, where each has a
gateway; or is in the database that all share.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError, SubmitError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.ids import SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.check import PlanCheck, per_cent
from millmark.ledger.plans.file import PlanFile
from millmark.ledger.plans.plan import Cause, CauseKind, Key, Plan, Row
from millmark.ledger.products import Step
from millmark.ledger.records import (
    AcceptAssignment,
    Anchor,
    CancelAssignment,
    OpenStream,
    OrderState,
    ProposeAssignment,
)
from millmark.ledger.store import Book, Connection, Registry, Rows
from millmark.ledger.store.rows import OrderRow, StreamRow
from millmark.services.demo.consortium import NOTHING, Company, Consortium, Queued, hash_of
from millmark.services.demo.given import OBJECTIVE, pass_time, write_calendar
from millmark.services.demo.plant import PREFIX, Machine
from millmark.services.demo.production import Job, Line
from millmark.services.planning.calendar import Grid, ObjectiveFile, build_objective, parse_calendar
from millmark.services.planning.calls import build_job
from millmark.services.planning.making import find_tie as find_first
from millmark.services.planning.making import times_of
from millmark.services.planning.offers import OwnMachine, build_offers
from millmark.services.planning.reading import plan_file
from millmark.services.planning.repository import PlanningRepository, What
from millmark.services.planning.schedule import Made, make_plan
from millmark.services.planning.schedule.replan import Replan
from millmark.services.planning.stream_entries import OwnStream, Sealed, seal_call, seal_offers, seal_plan

SLOT_S = 900
_DAY_S = 86_400
_DAYS, _FEW_ORDERS, _ORDERS_A_DAY = 6, 24, 8
"""How many days are planned for few orders; and for how many more orders each further day is."""
_OPEN_S = 120
"""How long offers count, by the chain's clock, where that can be set forward."""
_OPEN_STEPS, _LEAST_OPEN_S, _OPEN_IN_LIFE_S = 5, 5, 60
"""The same where the time has to pass: in one process as many times as long as a step took that waits for a block,
since call and offers are two, and not less than so many seconds; and from gateway to gateway."""
_WAIT_S, _PAUSE_S = 300.0, 0.02
CPU_S = 2.0


@dataclass(slots=True)
class Planning:
    """The plan of a demo run, and what came before it."""

    line: Line
    stream: bytes
    """The coordinator's stream, with call and plans."""
    offers: dict[int, bytes]
    """The streams with the offers of each machine, by its number."""
    calendars: Mapping[str, str]
    """Text by company; those of the others are invented."""
    open_s: int
    """For how long offers are taken."""
    call: Call = field(init=False)
    offered: list[Queued] = field(default_factory=list)
    """The anchors of the offers for the call."""
    plans: list[Plan] = field(default_factory=list)
    """The latest one last."""
    checks: list[PlanCheck] = field(default_factory=list)
    roots: dict[Key, bytes] = field(default_factory=dict)
    """Claims roots to which coordinator and owner both committed."""

    @property
    def plan(self) -> Plan:
        return self.plans[-1]

    def own(self, company: Company, stream: bytes) -> OwnStream:
        with company.store.reading() as connection:
            row = Rows(connection).get(StreamRow, stream)
        return OwnStream(stream, company.number, 0 if row is None else row.size)

    def anchor(self, company: Company, stream: bytes, sealed: Sealed) -> None:
        self.line.consortium.queue(company, [Anchor(stream, sealed.size, sealed.root)], after_others=False)


def call_for_offers(line: Line, calendars: Mapping[str, str]) -> Planning:
    """Has the coordinator call for all orders, and the makers offer what their calendars allow.

    `calendars`: text by company; those of the others are invented. Raises InputError if one lacks a machine.
    """
    began = time.monotonic()
    stream, offers = _open_streams(line)
    planning = Planning(line, stream, offers, calendars, _open_s(line.consortium, time.monotonic() - began))
    until(line, line.consortium.coordinator, lambda connection: _know_orders(line, connection))
    _call(planning)
    return planning


def _call(planning: Planning) -> None:
    line, consortium = planning.line, planning.line.consortium
    _seal_call(line, planning)
    batches = []
    for maker in consortium.makers:
        until(line, maker, lambda known: PlanningRepository(known).call(planning.call.digest) is not None)
        batches.append((maker, _offer(line, planning, maker, planning.calendars.get(_slug(maker)))))
    planning.offered = [consortium.queue(maker, anchors, after_others=False) for maker, anchors in batches]
    consortium.await_mined()


def until(line: Line, company: Company, holds: Callable[[Connection], bool]) -> None:
    """Returns when something holds in a company's database, to which its gateway adds what is recorded or handed over.

    Raises SubmitError if it takes too long.
    """
    deadline = time.monotonic() + _WAIT_S
    line.consortium.await_mined()
    while True:
        if line.consortium.one_store:
            Follower(line.consortium.chain, company.store).follow()
        with company.store.reading() as connection:
            if holds(connection):
                return
        if time.monotonic() > deadline:
            raise SubmitError(f"{company.name} did not get what it needs for planning", hint="see its gateway.log")
        line.consortium.send()
        time.sleep(_PAUSE_S)


def _know_orders(line: Line, connection: Connection) -> bool:
    """Whether all orders are accepted, and their documents here."""
    found = Rows(connection).among(OrderRow, "subject", {job.order.subject for job in line.jobs})
    accepted = [row for row in found if row.state == OrderState.ACCEPTED]
    return len(accepted) == len(line.jobs) and all(Book(connection).document(row.claims_root) for row in accepted)


def _open_streams(line: Line) -> tuple[bytes, dict[int, bytes]]:
    """The coordinator's stream, and those of the machines with their offers."""
    consortium = line.consortium
    wanted: list[tuple[Company, str, int]] = [(consortium.coordinator, "PLANS", 0)]
    machines = line.plant.machines[:-1]  # the last one is the inspector's
    wanted += [(machine.owner, f"{machine.name}-OFFERS", machine.number) for machine in machines]
    names = [
        consortium.name(SubjectKind.STREAM, owner, f"https://id.gs1.org/8004/{PREFIX}{name}")
        for owner, name, _ in wanted
    ]
    for (owner, _, machine), identity in zip(wanted, names, strict=True):
        consortium.queue(owner, [OpenStream(hash_of(identity), machine, NOTHING)], after_others=False)
    consortium.await_mined()
    offers = {machine: identity.subject for (_, _, machine), identity in zip(wanted, names, strict=True) if machine}
    return names[0].subject, offers


def _seal_call(line: Line, planning: Planning) -> None:
    consortium, coordinator, open_s = line.consortium, line.consortium.coordinator, planning.open_s
    now = consortium.chain.node.header().timestamp
    grid = Grid(-(-(now + open_s) // SLOT_S) * SLOT_S, SLOT_S, _horizon_s(line) // SLOT_S)
    asked = [maker.number for maker in consortium.makers]
    with coordinator.store.transaction() as connection:
        rows, book = Rows(connection), Book(connection)
        ledger = Registry(connection).identity()
        wanted = [build_job(rows, book, job.order.subject, coordinator.number, grid) for job in line.jobs]
        jobs = tuple(sorted((one.job for one in wanted), key=lambda job: job.order))
        file = ObjectiveFile.model_validate({"unit": line.plant.product.currency, **OBJECTIVE})
        buyers = {one.job.order: one.buyer for one in wanted}
        objective = build_objective(file, jobs, asked, SLOT_S, int, bytes.fromhex, buyers)
        assert ledger is not None  # noqa: S101  # its contracts are deployed
        planning.call = Call(
            ledger.chain_id,
            ledger.ledger,
            coordinator.number,
            secrets.token_bytes(32),
            grid.origin,
            grid.slot,
            grid.slots,
            now + open_s,
            file.unit,
            (consortium.auditor.number,),
            objective.commitment,
            jobs,
        )
        sealed = seal_call(connection, planning.own(coordinator, planning.stream), planning.call, objective, asked)
    planning.anchor(coordinator, planning.stream, sealed)


def _open_s(consortium: Consortium, step_s: float) -> int:
    """For how long offers are taken: briefly where that time really has to pass. `step_s`: what a step took."""
    if not consortium.chain.profile.timed_blocks:
        return _OPEN_S
    return max(_LEAST_OPEN_S, round(_OPEN_STEPS * step_s)) if consortium.one_store else _OPEN_IN_LIFE_S


def _slug(company: Company) -> str:
    return company.name.lower().replace(" ", "-")


def _offer(line: Line, planning: Planning, maker: Company, text: str | None) -> list[Anchor]:
    """Writes a maker's offers, machine by machine; returns the anchors to be recorded."""
    machines = [one for one in line.plant.machines if one.owner is maker]
    names = [one.name for one in machines]
    calendar = parse_calendar(
        (text or write_calendar(line.plant.product, names, tariff=len(line.jobs) <= _FEW_ORDERS)).encode()
    )
    plans = {str(one.machine): one for one in calendar.machines}
    anchors = []
    for machine in machines:
        if machine.name not in plans:
            raise InputError(f"the calendar of {maker.name} has no {machine.name}", hint="add an entry for the machine")
        own = OwnMachine(machine.number, plans[machine.name], machine.capability)
        made = build_offers(planning.call, calendar, [own], maker.number, planning.call.closes + _horizon_s(line))
        stream = planning.offers[machine.number]
        with maker.store.transaction() as connection:
            sealed = seal_offers(connection, OwnStream(stream, maker.number, 0), made.offers)
        anchors.append(Anchor(stream, sealed.size, sealed.root))
    return anchors


def choose_offers(planning: Planning) -> None:
    """Lets the coordinator wait for the offers and the closing time, make the plan, and record it."""
    while not _closes_in_time(planning):
        planning.open_s *= 4  # the network was too slow: what came after the closing time does not count
        _call(planning)
    file = read_file(planning, None)
    record_plan(planning, make_plan(file, tie=find_tie(planning), cpu_s=CPU_S))
    agree(planning, planning.plan.rows)


def _closes_in_time(planning: Planning) -> bool:
    """Returns once the call is closed, in final blocks; whether all offers came before."""
    line, consortium = planning.line, planning.line.consortium

    def arrived(connection: Connection) -> bool:
        return _all_arrived(planning, PlanningRepository(connection))

    until(line, consortium.coordinator, arrived)
    pass_time(consortium.chain, planning.call.closes)
    consortium.settle()
    until(line, consortium.coordinator, arrived)  # again: other blocks may have taken the place of those read before
    return consortium.latest_time(planning.offered) < planning.call.closes


def _horizon_s(line: Line) -> int:
    return (_DAYS + max(len(line.jobs) - _FEW_ORDERS, 0) // _ORDERS_A_DAY) * _DAY_S


def _all_arrived(planning: Planning, known: PlanningRepository) -> bool:
    """Whether something of every machine is there: what is in one stream arrives together."""
    return {leaf.stream for leaf in known.leaves(planning.call.digest, What.OFFER)} >= set(planning.offers.values())


def agree(planning: Planning, rows: Sequence[Row], cancelled: Sequence[Key] = (), reason: bytes = NOTHING) -> None:
    """Proposes and accepts rows of the plan in force: both sides commit to the same text."""
    line, consortium = planning.line, planning.line.consortium
    ended = [CancelAssignment(*key, line.assignments.pop(key), reason) for key in cancelled]
    if ended:
        consortium.queue(consortium.coordinator, ended, after_others=False)
    for row in rows:
        planning.roots[row.key] = consortium.document(consortium.coordinator, planning.plan.row_document(row.key))
    proposals = [ProposeAssignment(*row.key, row.machine, planning.roots[row.key]) for row in rows]
    made = consortium.record(consortium.coordinator, proposals)
    found = dict(zip([row.key for row in rows], made, strict=True))
    line.assignments |= found
    line.rows |= {row.key: row for row in rows}
    for maker in consortium.makers:
        own = [row for row in rows if row.owner == maker.number]
        accepted = [AcceptAssignment(*row.key, found[row.key], planning.roots[row.key]) for row in own]
        if accepted:
            consortium.queue(maker, accepted, after_others=False)


def find_tie(planning: Planning) -> bytes:
    """The hash of the first final block at or after the time when the call closed."""
    return find_first(times_of(planning.line.consortium.chain), planning.call.closes)


def read_file(planning: Planning, before: Plan | None) -> PlanFile:
    """What the coordinator plans by: the call, its objective, and all offers that reached it."""
    with planning.line.consortium.coordinator.store.reading() as connection:
        parts = Rows(connection), Book(connection), PlanningRepository(connection)
        return plan_file(*parts, planning.call, None, before)


def record_plan(planning: Planning, made: Made) -> None:
    """Writes a plan to the coordinator's stream, and anchors it."""
    plan, coordinator = made.check.plan, planning.line.consortium.coordinator
    with coordinator.store.transaction() as connection:
        own = planning.own(coordinator, planning.stream)
        sealed = seal_plan(connection, own, planning.call, plan, coordinator.signer)
    planning.anchor(coordinator, planning.stream, sealed)
    planning.plans.append(plan)
    planning.checks.append(made.check)


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
