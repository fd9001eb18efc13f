"""Makes a plan, with the proof of its bound, within a number of CPU seconds; whatever was found by then is a plan that
`check_plan` accepts."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import PlanError, UnplannableError
from millmark.ledger.plans import feasible, offer
from millmark.ledger.plans.call import Transport
from millmark.ledger.plans.check import PlanCheck, check_plan, count_offers
from millmark.ledger.plans.file import PlanFile
from millmark.ledger.plans.plan import Bound, Key, Leg, Plan, Row
from millmark.ledger.plans.problem import Choice, Problem, SlotPrices, build_problem, derive_bound
from millmark.services.planning.errors import MakingStep, PlanningGround
from millmark.services.planning.schedule import search
from millmark.services.planning.schedule.replan import (
    Replan,
    find_staying,
    keep_rows,
    keep_started,
    start_paths,
    start_prices,
)

if TYPE_CHECKING:
    from millmark.services.planning.schedule.solver import Staying


ITERATIONS = 400
SOLVER_CPU_S = 5.0
"""Budget from which on it is worth loading CP-SAT."""
_SEARCH_PART = 0.96
"""Share of the CPU time; the rest is for writing the plan down and checking it."""
_PRICE_SHARE = 0.1
"""Share of the CPU time for prices that guide; the best plan is not known yet, and need not be."""
_PROOF_SHARE = 0.1
"""Share of the CPU time for prices that prove, once the best plan is known."""
_MOVES_SHARE = 0.6
"""Largest share of the CPU time, where a plan replaces another, for as few rows as possible to move."""
_SHUFFLES = 200
"""Orders of list scheduling that are tried until one fits."""


@dataclass(frozen=True, slots=True)
class Made:
    """A plan, and how it came about."""

    file: PlanFile
    """What was given, with the plan."""
    check: PlanCheck
    """What `check_plan` found about it."""
    steps: tuple[str, ...]
    """What was done, one line each."""
    cpu_s: float


def has_solver() -> bool:
    """Whether the extra `planning` is installed."""
    return importlib.util.find_spec("ortools") is not None


def make_plan(
    file: PlanFile,
    *,
    tie: bytes,
    replan: Replan | None = None,
    cpu_s: float = 30.0,
    seed: int = 1,
    with_solver: bool | None = None,
    repeatable: bool = False,
) -> Made:
    """Make a plan for the call of `file`; with `replan`, one that replaces the plan `before` of the file.

    `tie` is the hash of the first block at or after the time when the call closed, 32 bytes. `with_solver` is by
    default whether the extra `planning` is installed. CPU seconds buy more or less from run to run, so plans differ.
    When `repeatable`, work is counted instead, as the seconds that it takes about: the same file, seed and seconds lead
    to the same bytes, with the same versions of Millmark and OR-Tools on the same kind of processor. Raises
    UnplannableError when no plan is possible or none was found, PlanError when what is given does not go together.
    """
    spent = search.Budget(cpu_s)
    budget = search.Budget(_SEARCH_PART * cpu_s, search.Work() if repeatable else None)
    if (file.before is None) != (replan is None):
        raise PlanError("a plan before and a reason to replace it are needed together")
    maker = _Maker(file, budget, seed, replan, has_solver() if with_solver is None else with_solver)
    paths = maker.find()
    made = replace(file, plan=maker.write(paths, tie))
    return Made(made, check_plan(made), tuple(maker.steps), spent.spent_s)


class _Maker:
    """One plan in the making."""

    def __init__(
        self, file: PlanFile, budget: search.Budget, seed: int, replan: Replan | None, with_solver: bool
    ) -> None:
        self.steps: list[str] = []
        self._file = file
        self._budget = budget
        self._seed = seed
        self._replan = replan
        self._with_solver = with_solver
        counted = count_offers(file.call, file.machines, file.offers).offers
        self._dropped = () if replan is None else tuple(sorted(replan.dropped & counted.keys()))
        self._offers: Mapping[bytes, offer.Offer] = {key: counted[key] for key in counted if key not in self._dropped}
        self._held: Mapping[Key, Row] = {}
        self._reworked: tuple[Row, ...] = ()
        if replan is not None and file.before is not None:
            self._reworked = replan.reworked(file.before)
            self._held = keep_started(self._offers, file.before, replan)
        self._problem = self._build()
        self._proof = self._build_proof()
        self._best: search.Paths | None = None
        self._best_cost = 0
        self._prices: Mapping[int, Sequence[int]] = {}

    def _build(self) -> Problem:
        """What is to be planned: with what was under way when the plan before was replaced."""
        problem = build_problem(
            self._file.call,
            self._file.objective,
            self._offers.items(),
            now=self._now,
            fixed=self._held,
            legs=self._legs_before,
            reworked=self._reworked,
        )
        for route in problem.routes:
            for place, choices in enumerate(route.choices):
                if not any(choice.windows for choice in choices):
                    lacking = PlanningGround.NO_OFFER_IN_TIME if choices else PlanningGround.NO_OFFER_COUNTS
                    raise UnplannableError(
                        lacking.write(operation=route.first + place + 1, order=to_hex(route.order)),
                        hint="ask owners for offers, or call for more slots",
                    )
        return problem

    def _build_proof(self) -> Problem:
        """What the bound is about: the file alone does not show which legs were under way."""
        call, objective, offers = self._file.call, self._file.objective, self._offers.items()
        return build_problem(call, objective, offers, now=self._now, fixed=self._held, reworked=self._reworked)

    @property
    def _now(self) -> int:
        return 0 if self._replan is None else self._replan.now

    @property
    def _legs_before(self) -> Collection[Leg]:
        return () if self._file.before is None else self._file.before.legs

    @property
    def _held_offers(self) -> frozenset[bytes]:
        return frozenset(row.offer for row in self._held.values())

    def find(self) -> search.Paths:
        """Return the paths of the best plan found."""
        self._open()
        share, offers = 0.0, len(self._offers)
        if self._with_solver and self._budget.cpu_s >= SOLVER_CPU_S * _SEARCH_PART:
            # CP-SAT finishes small calls, and is of no use on large ones.
            share = 0.4 if offers <= 100 else 0.15 if offers <= 300 else 0.0
        self._price(_PRICE_SHARE * self._budget.cpu_s)
        spare = _PROOF_SHARE * self._budget.cpu_s
        self._search((self._budget.left_s - spare) * (1 - share))
        if share:
            self._solve(self._budget.left_s - spare)
        elif self._with_solver:
            self.steps.append(MakingStep.SOLVER_UNUSED.write())
        else:
            self.steps.append(MakingStep.SOLVER_MISSING.write())
        if self._best is None:
            raise UnplannableError(
                PlanningGround.NOT_FOUND.write(),
                hint="allow more CPU time, call for more slots, or ask the owners for more windows",
            )
        self._price(self._budget.left_s)
        return self._best

    def _open(self) -> None:
        """A first plan, so that there is one whatever comes."""
        before = self._file.before
        if before is not None and self._replan is not None:
            self._keep(before, self._replan)
            self._start_from(before, self._replan)
        self._prices = start_prices(before, self._problem.slots)
        for order in self._orders():
            if self._best is not None or self._budget.left_s < 0:
                return
            self._offer(search.list_schedule(self._problem, order, self._held_offers, budget=self._budget))

    def _keep(self, before: Plan, replan: Replan) -> None:
        """Hold as many of the accepted rows as possible: CP-SAT finds the most there can be, mostly; the rules of
        `keep_rows` many."""
        staying = self._find_staying(before, replan) if self._with_solver else None
        held = {} if staying is None else {**self._held, **staying.rows}
        if staying is None or staying.moved > staying.least:
            call, objective = self._file.call, self._file.objective
            kept = keep_rows(call, objective, self._offers, before, replan, self._budget)
            held = max(held, kept, key=len)
        self._held = held
        self._problem, self._proof = self._build(), self._build_proof()
        # CP-SAT's paths are a plan for its own rows: with others held in their place, they may collide.
        if staying is not None and held.items() >= staying.rows.items():
            self._offer([search.own_path(self._problem, number, path) for number, path in enumerate(staying.paths)])

    def _find_staying(self, before: Plan, replan: Replan) -> Staying | None:
        from millmark.services.planning.schedule.solver import stay_most  # noqa: PLC0415 - OR-Tools is optional

        accepted = find_staying(self._offers, before, replan)
        cpu_s = _MOVES_SHARE * self._budget.cpu_s
        found = stay_most(self._problem, accepted, self._budget, cpu_s, self._seed)
        if found is not None:
            step = MakingStep.MOVES_FEWEST if found.least == found.moved else MakingStep.MOVES
            self.steps.append(step.write(able=len(accepted), moved=found.moved, least=found.least))
        return found

    def _start_from(self, before: Plan, replan: Replan) -> None:
        """Begin with the plan before. Where the accepted rows leave an order no room, those of that order are let go,
        and in the end all of them."""
        for _ in range(len(self._problem.routes)):
            found = start_paths(self._problem, before, self._held_offers)
            if not isinstance(found, bytes):
                self._offer(found)
                return
            if self._best is not None:
                return
            free = [key for key in self._held if key[0] == found and key not in replan.started]
            gone = free or [key for key in self._held if key not in replan.started]
            if not gone:
                return
            self._held = {key: row for key, row in self._held.items() if key not in gone}
            self._problem, self._proof = self._build(), self._build_proof()

    def _orders(self) -> Iterator[list[int]]:
        routes = self._problem.routes
        numbers = list(range(len(routes)))
        yield sorted(numbers, key=lambda number: routes[number].due)
        yield sorted(numbers, key=lambda number: routes[number].release)
        yield sorted(numbers, key=lambda number: -routes[number].least_slots[0])
        draw = random.Random(self._seed)  # noqa: S311 - a search, not a secret
        for _ in range(_SHUFFLES):
            draw.shuffle(numbers)
            yield list(numbers)

    def _offer(self, paths: search.Paths | None) -> None:
        """Keep a plan if it is the best one."""
        if paths is not None:
            cost = search.cost_of(self._problem, paths)
            if self._best is None or cost < self._best_cost:
                self._best, self._best_cost = paths, cost

    def _price(self, cpu_s: float) -> None:
        try:
            priced = search.price_slots(
                self._problem,
                self._budget.part(cpu_s),
                start=self._prices,
                best_known=self._list_by_prices,
                iterations=ITERATIONS,
            )
        except ValueError as error:
            raise UnplannableError(str(error), hint="call for more slots, or ask owners for more windows") from None
        self._prices = self._better_prices(priced)
        self.steps.append(MakingStep.PRICES.write(rounds=priced.iterations))

    def _better_prices(self, priced: search.Priced) -> Mapping[int, Sequence[int]]:
        found = derive_bound(self._proof, SlotPrices(self._problem.slots, priced.prices))
        known = derive_bound(self._proof, SlotPrices(self._problem.slots, self._prices))
        return priced.prices if found is not None and (known is None or found > known) else self._prices

    def _list_by_prices(self, paths: Sequence[search.Path]) -> int:
        """List scheduling in the order of priced starts; the cost of the best plan known."""
        numbers = range(len(paths))
        for order in (
            sorted(numbers, key=lambda number: paths[number][0][1]),
            sorted(numbers, key=lambda number: paths[number][-1][1]),
        ):
            self._offer(search.list_schedule(self._problem, order, self._held_offers, budget=self._budget))
        return self._best_cost if self._best is not None else 2 * search.cost_of(self._problem, paths)

    def _search(self, cpu_s: float) -> None:
        if self._best is None:
            return
        tried = search.Search(self._problem, self._best, self._held_offers, self._seed)
        tried.run(self._budget, cpu_s)
        self._offer(tried.best)
        self.steps.append(MakingStep.SEARCH.write(rounds=tried.rounds))

    def _solve(self, cpu_s: float) -> None:
        from millmark.services.planning.schedule.solver import solve  # noqa: PLC0415 - OR-Tools is optional

        known = self._best_cost if self._best is not None else None
        solved = solve(self._problem, self._budget, cpu_s, self._seed, self._best)
        self._offer(solved.paths)
        is_same = known is not None and self._best_cost == known
        found = MakingStep.SOLVER_NOTHING if is_same else MakingStep.SOLVER_BETTER
        self.steps.append((MakingStep.SOLVER_BEST if solved.is_optimal else found).write())

    def write(self, paths: search.Paths, tie: bytes) -> Plan:
        """Write a plan down, with equal offers as the tie hash chooses them."""
        fixed = frozenset(self._held)
        rows = build_rows(self._problem, paths)
        # From the start after each exchange: it can make equals of two offers that were none before.
        while (tied := next(feasible.find_tied(self._proof, rows, tie, fixed, self._now), None)) is not None:
            row, choice = tied
            place = rows.index(row)
            rows[place] = build_row(row.order, row.operation, choice, row.start)
        legs = list(build_legs(self._problem, rows, fixed, self._legs_before, self._now))
        prices = SlotPrices(self._problem.slots, self._prices)
        value = derive_bound(self._proof, prices)
        if value is None:
            raise UnplannableError("an order has no path")
        replan, before = self._replan, self._file.before
        return Plan(
            call=self._file.call.digest,
            offers=tuple(self._offers),
            tie=tie,
            rows=tuple(rows),
            legs=tuple(legs),
            cost=feasible.sum_cost(self._problem, self._file.objective, rows, legs, self._reworked),
            bound=Bound(value, sparse(self._prices)),
            before=None if before is None else before.digest,
            cause=None if replan is None else replan.cause,
            now=self._now,
            dropped=self._dropped,
            fixed=tuple(sorted(fixed)),
            reworked=self._reworked,
        )


# From paths to the rows and legs of a plan


def build_rows(problem: Problem, paths: search.Paths) -> list[Row]:
    """The rows of paths by route, ascending by order and operation."""
    return [
        build_row(route.order, route.first + place, choice, start)
        for route, path in zip(problem.routes, paths, strict=True)
        for place, (choice, start) in enumerate(path)
    ]


def build_row(order: bytes, operation: int, choice: Choice, start: int) -> Row:
    """The row of one operation. Raises ValueError if the offer does not let it start then."""
    cost = choice.cost_at(start)
    if cost is None:
        raise ValueError(f"no window has slot {start}")
    end = start + choice.duration
    price = cost - choice.carbon
    return Row(
        order, operation, choice.offer, choice.machine, choice.owner, start, end, price, choice.wh, choice.co2e_mg
    )


def build_legs(
    problem: Problem, rows: Sequence[Row], fixed: Collection[Key] = (), known: Collection[Leg] = (), now: int = 0
) -> Iterator[Leg]:
    """The legs between rows. Each starts when the row before it ends; after a fixed row in slot `now` or later, unless
    it was under way by then: it is one of the legs `known` of the plan before."""
    under_way = {leg.key: leg for leg in known if leg.start < now and leg.key in fixed}
    pending = iter(rows)
    for route in problem.routes:
        own = [next(pending) for _ in route.choices]
        destinations = [*(row.owner for row in own[1:]), route.destination]
        for row, destination in zip(own, destinations, strict=True):
            way = problem.way(row.owner, destination)
            if destination is None or destination == row.owner or way is None:
                continue
            leg = under_way.get(row.key)
            yield leg if leg is not None and leg.destination == destination else _leg(row, destination, way, now)


def _leg(row: Row, destination: int, way: Transport, now: int) -> Leg:
    start = max(row.end, now)
    return Leg(row.order, row.operation, row.owner, destination, way.carrier, start, start + way.slots, way.cost)


def sparse(prices: Mapping[int, Sequence[int]]) -> tuple[tuple[int, tuple[tuple[int, int], ...]], ...]:
    """Slot prices as a plan writes them: those that are not 0, by machine."""
    pairs = {
        machine: tuple((slot, price) for slot, price in enumerate(row) if price) for machine, row in prices.items()
    }
    return tuple((machine, pairs[machine]) for machine in sorted(pairs) if pairs[machine])
