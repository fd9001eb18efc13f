"""What a new plan takes over from the one before: rows that stay, slot prices, and paths to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import PlanError, UnplannableError
from millmark.ledger.plans.call import Call, Objective
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Cause, Key, Leg, Plan, Row
from millmark.ledger.plans.problem import Problem, build_problem, tabulate
from millmark.services.planning.errors import PlanningGround
from millmark.services.planning.schedule.search import TAKEN, Budget, Path, Paths, Timeline, trace_path

_TRIES = 32
"""Choices of rows to let go of one order, for each number of them."""


@dataclass(frozen=True, slots=True)
class Replan:
    """Why and from when on a plan is replaced, and what of it people rely on."""

    cause: Cause
    now: int
    """Slot from which operations may start anew."""
    started: frozenset[Key] = frozenset()
    """Rows whose operation has begun: they stay."""
    accepted: frozenset[Key] = frozenset()
    """Rows that owners have accepted: they stay unless that is impossible."""
    dropped: frozenset[bytes] = frozenset()
    """Leaf hashes of offers that the cause took away."""
    rework: frozenset[Key] = frozenset()
    """Rows that were carried out, and whose parts failed: their operations are done again."""

    def reworked(self, before: Plan) -> tuple[Row, ...]:
        """The reworked rows of the new plan. Raises PlanError for one that the plan before lacks."""
        rows = [row for row in before.rows if row.key in self.rework]
        if len(rows) != len(self.rework) or self.rework & (self.started | self.accepted):
            raise PlanError("what is to be reworked is not a row of the plan before, or stays")
        return tuple(sorted((*before.reworked, *rows), key=_key_of))


def keep_started(offers: Mapping[bytes, Offer], before: Plan, replan: Replan) -> dict[Key, Row]:
    """Return the rows that have begun. Raises PlanError for one that the plan before lacks, or whose offer is gone."""
    rows = {row.key: row for row in before.rows}
    if unknown := (replan.started | replan.accepted) - rows.keys():
        order, operation = min(unknown)
        raise PlanError(f"the plan before has no row for operation {operation + 1} of order {to_hex(order)}")
    started = {key: rows[key] for key in replan.started if rows[key].offer in offers}
    if len(started) < len(replan.started):
        order, operation = min(replan.started - started.keys())
        raise PlanError(PlanningGround.OFFER_DROPPED.write(operation=operation + 1, order=to_hex(order)))
    return started


def find_staying(offers: Mapping[bytes, Offer], before: Plan, replan: Replan) -> dict[Key, Row]:
    """Return the accepted rows that could stay as far as their own offer and time go."""
    return {
        row.key: row
        for row in before.rows
        if row.key in replan.accepted - replan.started and row.offer in offers and row.start >= replan.now
    }


def keep_rows(
    call: Call, objective: Objective, offers: Mapping[bytes, Offer], before: Plan, replan: Replan, budget: Budget
) -> dict[Key, Row]:
    """Return the rows that stay: those started, and of those accepted as many as each order allows by itself. Raises
    PlanError for a row that the plan before lacks, UnplannableError when what has started cannot be finished."""
    started = keep_started(offers, before, replan)
    held = {**started, **find_staying(offers, before, replan)}
    reworked = replan.reworked(before)
    keeper = _Keeper(call, objective, offers, before.legs, replan.now, budget, held, started, reworked)
    for job in call.jobs:
        keys = [(job.order, item.operation) for item in job.operations]
        if all(key in held for key in keys) or not any(key in held for key in keys):
            continue  # as it was, or free: only what is torn apart can have become impossible
        keeper.release(job.order)
    return keeper.held


@dataclass(slots=True)
class _Keeper:
    """Lets go of accepted rows until every order has a path around the rest."""

    call: Call
    objective: Objective
    offers: Mapping[bytes, Offer]
    legs: tuple[Leg, ...]
    """Legs of the plan before."""
    now: int
    budget: Budget
    held: dict[Key, Row]
    """Rows that stay."""
    started: Mapping[Key, Row]
    reworked: tuple[Row, ...]

    def release(self, order: bytes) -> None:
        """Take as few accepted rows of one order out of `held` as it needs to have a path around the rest; where that
        is not enough, rows of other orders in its way as well."""
        own = [key for key in sorted(self.held) if key[0] == order]
        free = [key for key in reversed(own) if key not in self.started]  # later ones first: what precedes them stays
        while not self._take_out(free, order):
            blocking = self._blocking(order)
            if blocking is None:
                raise UnplannableError(
                    PlanningGround.UNFINISHABLE.write(order=to_hex(order)),
                    hint="call for its open operations again",
                )
            del self.held[blocking]

    def _take_out(self, free: Sequence[Key], order: bytes) -> bool:
        """Take as few of an order's own accepted rows out as give it a path; False, and nothing taken out, if none
        does."""
        for count in range(len(free) + 1):
            for taken in islice(combinations(free, count), _TRIES):
                if self._has_path({key: row for key, row in self.held.items() if key not in taken}, order):
                    for key in taken:
                        del self.held[key]
                    return True
        return False

    def _blocking(self, order: bytes) -> Key | None:
        """An accepted row of another order, on a machine that is offered for what this order still needs: the last one
        to start, so that what comes soon stays."""
        open_machines = {
            offer.machine
            for offer in self.offers.values()
            if offer.order == order and (order, offer.operation) not in self.started
        }
        rows = [
            row
            for key, row in self.held.items()
            if key[0] != order and key not in self.started and row.machine in open_machines
        ]
        return max(rows, key=lambda row: (row.start, row.key)).key if rows else None

    def _has_path(self, held: Mapping[Key, Row], order: bytes) -> bool:
        problem = build_problem(
            *(self.call, self.objective, self.offers.items()),
            now=self.now,
            fixed=held,
            legs=self.legs,
            reworked=self.reworked,
        )
        [route] = [route for route in problem.routes if route.order == order]
        table = tabulate(problem, route, Timeline(problem, {row.offer for row in held.values()}))
        self.budget.charge(table)
        return table.value < TAKEN


def start_prices(before: Plan | None, slots: int) -> dict[int, list[int]]:
    """Slot prices of the plan before: at once a valid bound for the new one."""
    prices = {}
    for machine, pairs in () if before is None else before.bound.prices:
        prices[machine] = [0] * slots
        for slot, price in pairs:
            if slot < slots:
                prices[machine][slot] = price
    return prices


def start_paths(problem: Problem, before: Plan, held: frozenset[bytes]) -> Paths | bytes:
    """Leave each order where the plan before has it if that is possible still, and put the others into what is free.
    Returns the order that does not fit instead, if there is one."""
    rows: dict[bytes, list[Row]] = {}
    for row in before.rows:
        rows.setdefault(row.order, []).append(row)
    timeline = Timeline(problem, held)
    moved = []
    for number, route in enumerate(problem.routes):
        path = _same_path(problem, number, rows.get(route.order, []))
        if path is None:
            moved.append(number)
        else:
            timeline.place(number, path)
    for number in moved:
        table = tabulate(problem, problem.routes[number], timeline)
        path = None if table.value >= TAKEN else timeline.settle(trace_path(problem, table))
        if path is None:
            return problem.routes[number].order
        timeline.place(number, path)
    if not timeline.is_sound():
        return problem.routes[moved[0] if moved else 0].order
    return [path for path in timeline.paths if path is not None]


def _key_of(row: Row) -> Key:
    return row.key


def _same_path(problem: Problem, number: int, rows: Sequence[Row]) -> Path | None:
    path = []
    for row, choices in zip(rows, problem.routes[number].choices, strict=False):
        same = [choice for choice in choices if choice.offer == row.offer and choice.cost_at(row.start) is not None]
        if not same:
            return None
        path.append((same[0], row.start))
    return tuple(path) if len(path) == len(problem.routes[number].choices) else None
