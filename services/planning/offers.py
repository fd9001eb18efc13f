"""An owner's side of a call: makes offers from its calendar, for what is not offered already, and takes them back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from millmark.ledger import canonical, errors
from millmark.ledger.plans.call import Call, Capability, Job, Operation, why_not_capable
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.store.rows import MachineRow
from millmark.services.planning import calls, consent
from millmark.services.planning.calendar import Calendar, Grid, MachineDay, MachinePlan
from millmark.services.planning.errors import CalendarError, CallRefusedError, PlanningError, PlanningGround
from millmark.services.planning.feedback.repository import FeedbackRepository
from millmark.services.planning.reading import PlanningTables, find_capability, need_call
from millmark.services.planning.repository import LeafRow, What


@dataclass(frozen=True, slots=True)
class OwnMachine:
    """A machine of the owner, with what index and book say about it."""

    number: int
    plan: MachinePlan
    capability: tuple[Capability, ...]
    busy: tuple[tuple[int, int], ...] = ()
    """Slots of the call that are taken by work it has accepted: from, and up to."""
    efficiency_per_mille: int = 1000
    """How fast it is expected to be, of what the calendar says; 0 if feedback has withdrawn it."""

    def minutes(self, kind: str) -> int | None:
        """How long it takes for a kind of operation; None if it is not offered for that."""
        minutes = self.plan.minutes.get(kind)
        if minutes is None or not self.efficiency_per_mille:
            return None
        return -(-minutes * 1000 // self.efficiency_per_mille)


@dataclass(slots=True)
class Made:
    """What came of a call."""

    offers: list[Offer] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    """Why there is no offer for an operation or a machine: a line for each."""


# How an owner weighs windows against each other, in per cent of the price: for hours that were offered once over, for
# each slot before the operation's share of the order's time, and for each slot after the latest start in time.
_PRESSURE, _EARLY, _LATE = 70, 3, 7


def grid_of(call: Call) -> Grid:
    return Grid(call.origin, call.slot, call.slots)


def build_offers(call: Call, calendar: Calendar, machines: Sequence[OwnMachine], owner: int, until: int) -> Made:
    """The offers for all operations that the machines can do. `until`: seconds since 1970."""
    made, grid = Made(), grid_of(call)
    days = {machine.number: calendar.on(machine.plan, grid) for machine in machines}
    loads = {machine.number: [0] * grid.slots for machine in machines}
    for job in call.jobs:
        for place, operation in enumerate(job.operations):
            reasons = []
            for machine in machines:
                reason = why_not_capable(machine.capability, operation.need)
                load = loads[machine.number]
                offer = None
                if not reason:
                    offer = _offer(call, job, place, machine, days[machine.number], load, owner, until)
                if offer is not None:
                    made.offers.append(offer)
                else:
                    why = reason or _why_no_time(machine, operation)
                    reasons.append(PlanningGround.MACHINE_UNFIT.write(machine=machine.number, why=why))
            if len(reasons) == len(machines):
                named = {"operation": operation.operation + 1, "order": f"{canonical.to_hex(job.order)[:18]}..."}
                why = "; ".join(reasons) or PlanningGround.NO_MACHINE.write()
                made.passed.append(PlanningGround.NO_OFFER.write(**named, reasons=why))
    return made


def count_disclosed(offers: Iterable[Offer]) -> int:
    """How many slots of the owner's machines the offers let others know as free."""
    shown: dict[int, set[int]] = {}
    for offer in offers:
        slots = shown.setdefault(offer.machine, set())
        for first, last, _ in offer.windows:
            slots.update(range(first, last + offer.duration))
    return sum(map(len, shown.values()))


def _offer(
    call: Call,
    job: Job,
    place: int,
    machine: OwnMachine,
    day: MachineDay,
    load: list[int],
    owner: int,
    until: int,
) -> Offer | None:
    """None if the machine has no time for it within the call. `load` is how much it has been offered so far."""
    operation, plan, grid = job.operations[place], machine.plan, day.grid
    minutes = machine.minutes(operation.need.kind)
    if minutes is None:
        return None
    duration, setup = grid.slots_of(minutes), grid.slots_of(plan.setup_minutes)
    # What the machine was set up for before and is set up for after other work is not known: it may take both.
    busy = [(begin - setup, end + setup) for begin, end in machine.busy]
    starts = [start for start in day.starts(duration, busy) if start >= job.release + place]
    # Of several operations the later ones are done later: windows are sought from the operation's share of the time.
    target = job.release + max(0, job.due - job.release) * place // len(job.operations)
    file, runs = day.calendar.file, _runs((start, start, day.price(start, duration)) for start in starts)
    cut = _cut(_merged(runs, duration), file.most_starts)
    windows = choose_windows(cut, (target, job.due - duration), file.windows, duration, load)
    if not windows:
        return None
    wh, values = day.wh(duration), dict(operation.need.values)
    return Offer(
        call=call.digest,
        owner=owner,
        machine=machine.number,
        order=job.order,
        operation=operation.operation,
        duration=duration,
        setup=setup,
        family=", ".join([operation.need.kind, *(str(values[name]) for name in plan.family if name in values)]),
        windows=tuple(windows),
        wh=wh,
        co2e_mg=wh * file.energy.co2e_mg_per_wh,
        until=until,
    )


def _runs(starts: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The runs of starts at one price: first, last, price."""
    runs: list[tuple[int, int, int]] = []
    for first, last, price in starts:
        if runs and runs[-1][1] == first - 1 and runs[-1][2] == price:
            runs[-1] = runs[-1][0], last, price
        else:
            runs.append((first, last, price))
    return runs


def _merged(runs: Iterable[tuple[int, int, int]], duration: int) -> list[tuple[int, int, int]]:
    """Where a tariff changes during the work, every start has a price of its own: these starts go to the neighbouring
    run that is dearer, at its price, so that few windows offer much."""
    found: list[tuple[int, int, int]] = []
    for run in runs:
        before = found[-1] if found and found[-1][1] == run[0] - 1 else None
        falls = before is not None and _length(run) < duration and run[2] <= before[2]
        if before is not None and (falls or _length(before) < duration):
            found[-1] = before[0], run[1], max(before[2], run[2])
        else:
            found.append(run)
    return found


def _cut(runs: Iterable[tuple[int, int, int]], most: int | None) -> Iterator[tuple[int, int, int]]:
    """Windows with at most so many starts."""
    for first, last, price in runs:
        step = most or last - first + 1
        for at in range(first, last + 1, step):
            yield at, min(at + step - 1, last), price


def _length(run: tuple[int, int, int]) -> int:
    return run[1] - run[0] + 1


def choose_windows(
    windows: Iterable[tuple[int, int, int]], span: tuple[int, int], most: int, duration: int, load: list[int]
) -> list[tuple[int, int, int]]:
    """At most `most` windows (first start, last start, price) for an operation of `duration` slots. Those that are
    cheap, start within `span`, and were not offered for much else; the last one lies after all others, so that
    something is left where the others are taken. `load` has the expected occupation of the machine's slots, in
    thousandths, and is increased: whoever offers the same hours for everything offers too little."""
    target, latest = span

    def score(window: tuple[int, int, int]) -> int:
        first, last, price = window
        offered = load[first : last + duration]
        pressure = sum(offered) // len(offered)
        late, early = max(0, first - latest), max(0, target - last)
        return price * (100_000 + _PRESSURE * pressure + 1000 * (_LATE * late + _EARLY * early))

    ranked = sorted(windows, key=lambda window: (score(window), window))
    chosen = ranked[: max(most - 1, 1)]
    rest = [window for window in ranked if window not in chosen]
    end = max([latest, *(window[1] for window in chosen)])
    chosen += ([window for window in rest if window[0] > end] or rest)[: most - len(chosen)][:1]
    for first, last, _ in chosen:
        share = 1000 * duration // ((last - first + duration) * len(chosen))
        for slot in range(first, min(last + duration, len(load))):
            load[slot] += share
    return sorted(chosen)


def _why_no_time(machine: OwnMachine, operation: Operation) -> str:
    if not machine.efficiency_per_mille:
        return PlanningGround.MACHINE_WITHDRAWN.write()
    if operation.need.kind not in machine.plan.minutes:
        return PlanningGround.NO_MINUTES.write(need=operation.need.kind)
    return PlanningGround.BUSY.write()


def why_not_lawful(call: Call, offer: Offer, owners: Mapping[int, int]) -> str:
    """Why an offer can never count, whenever it was made; empty if it can."""
    if offer.call != call.digest:
        return "it is for another call"
    if owners.get(offer.machine) != offer.owner:
        return f"machine {offer.machine} is not one of participant {offer.owner}"
    wanted = {(job.order, one.operation) for job in call.jobs for one in job.operations}
    if (offer.order, offer.operation) not in wanted:
        return f"the call does not ask for operation {offer.operation + 1} of this order"
    if offer.windows[-1][1] + offer.duration > call.slots:
        return "a window ends after the call's last slot"
    return ""


def need_open_call(tables: PlanningTables, digest: bytes, unit: str, now_s: int) -> Call:
    """The call, while it is open and on the orders' present terms. `unit`: that of the calendar's prices. Raises
    CallRefusedError and CalendarError."""
    call = need_call(tables.rows, digest)
    if call.closes <= now_s:
        closed = datetime.fromtimestamp(call.closes, UTC)
        raise CallRefusedError(PlanningGround.CALL_CLOSED.write(time=f"{closed:%Y-%m-%d %H:%M} UTC"))
    if unit != call.unit:
        raise CalendarError(
            PlanningGround.OTHER_UNIT.write(unit=unit, wanted=call.unit),
            hint="give all amounts of calendar.toml in the call's unit",
        )
    calls.verify_revisions(tables.rows, tables.book, call)
    return call


def find_own_machines(
    tables: PlanningTables,
    call: Call,
    calendar: Calendar,
    me: int,
    find_machine: Callable[[str], int],
    wanted: Collection[int] | None = None,
) -> list[OwnMachine]:
    """The company's machines in its calendar, or those of them that are wanted. Raises PlanningError for one that
    is not the company's, and InputError if there are none."""
    found = []
    for plan in calendar.machines:
        number = find_machine(str(plan.machine))
        if wanted is not None and number not in wanted:
            continue
        row = tables.rows.get(MachineRow, number)
        if row is None or row.owner != me or row.retired_at:
            is_own = row is not None and row.owner == me
            why = PlanningGround.MACHINE_RETIRED if is_own else PlanningGround.MACHINE_NOT_OWN
            raise PlanningError(why.write(machine=plan.machine), hint="correct calendar.toml")
        capability = find_capability(tables.book, row.claims_root)
        busy = consent.find_busy(tables.rows, tables.book, call, number, me)
        efficiency = FeedbackRepository(tables.connection).condition(number).efficiency_per_mille
        found.append(OwnMachine(number, plan, capability, tuple(busy), efficiency))
    if not found:
        raise errors.InputError(PlanningGround.NO_MACHINES.write(), hint="see calendar.toml")
    return found


def build_new_offers(
    tables: PlanningTables, call: Call, calendar: Calendar, machines: list[OwnMachine], me: int, until: int
) -> Made:
    """The offers for all that the machines can do and that is not offered already. `until`: Unix seconds."""
    made = build_offers(call, calendar, machines, me, until)
    known = _offered(tables, call, me)
    new = [one for one in made.offers if (one.order, one.operation, one.machine) not in known]
    if len(new) < len(made.offers):
        made.passed.append(PlanningGround.OFFERED.write(count=len(made.offers) - len(new)))
    return Made(new, made.passed)


def find_withdrawals(
    tables: PlanningTables, rows: Iterable[LeafRow], me: int, now_s: int
) -> dict[int, list[OfferWithdrawal]]:
    """The withdrawals of own offers, by machine. Raises PlanningError for an offer of another company, and once its
    call has closed."""
    closed = {one.digest for one in tables.planning.calls() if one.closes <= now_s}
    found: dict[int, list[OfferWithdrawal]] = {}
    for row in rows:
        if row.owner != me:
            raise PlanningError(PlanningGround.OFFER_NOT_OWN.write(offer=canonical.to_hex(row.leaf)))
        if row.call in closed:
            raise PlanningError(PlanningGround.OFFER_STANDS.write(), hint="decline the row it leads to")
        found.setdefault(Offer.parse(row.value).machine, []).append(OfferWithdrawal(row.call, row.leaf))
    return dict(sorted(found.items()))


def own_leaves(tables: PlanningTables, call: Call, what: str, me: int) -> list[LeafRow]:
    """The company's own entries for a call."""
    return [row for row in tables.planning.leaves(call.digest, what) if row.owner == me]


def _offered(tables: PlanningTables, call: Call, me: int) -> set[tuple[bytes, int, int]]:
    """Order, operation and machine of the company's offers that were not withdrawn."""
    gone = {OfferWithdrawal.parse(row.value).offer for row in own_leaves(tables, call, What.WITHDRAWAL, me)}
    offers: list[Offer] = [
        Offer.parse(row.value) for row in own_leaves(tables, call, What.OFFER, me) if row.leaf not in gone
    ]
    return {(one.order, one.operation, one.machine) for one in offers}
