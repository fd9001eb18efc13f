"""Plans in the making: one at a time, whichever of the company's gateways was asked. What was made and is not recorded
yet is kept in the store, where each of them finds it, also after a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.errors import MillmarkError, StoreError
from millmark.ledger.plans.check import gap_per_mille
from millmark.ledger.plans.plan import Plan, parse_plan
from millmark.ledger.store import Store
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.making_process import Task, make_apart
from millmark.services.planning.repository import AttemptRow, PlanningRepository
from millmark.services.planning.schedule import Made

_MOST_TRIED = 6
"""Attempts of one call that are kept."""
_MOST_CALLS = 4
"""Whose attempts are kept: a plan is some hundred kB."""
_LEASE_S, _RENEW_S = 30, 5
"""How long a plan counts as in the making after its maker was last heard of, and how often that says so."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A plan that somebody wanted made."""

    number: int
    """From 1, of its call."""
    cpu_s: int
    seed: int
    entry: Mapping[str, Json] | None
    """What is written into the stream about its cause, when it is recorded."""
    plan: Plan | None = None
    moved: int | None = None
    """Rows of the plan before that have another offer or start; None if it replaces none."""
    steps: tuple[str, ...] = ()
    """How it came about, a line each."""
    problem: str = ""
    """Why there is none: one line. Empty while it is being made, too."""

    @property
    def is_over(self) -> bool:
        return self.plan is not None or bool(self.problem)

    @property
    def gap_per_mille(self) -> int:
        """The gap of the plan that was made; 0 if none was."""
        plan = self.plan
        return 0 if plan is None else gap_per_mille(plan.cost.total, plan.bound.value, spent=plan.cost.spent)


class PlanMaker:
    """Makes one plan at a time, and keeps the last attempts of each call until a plan for it is recorded."""

    def __init__(
        self, store: Store, make: Callable[[Task], Made] | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._make, self._clock = store, make or make_apart, clock

    @property
    def is_busy(self) -> bool:
        with self._store.reading() as connection:
            return bool(PlanningRepository(connection).making(self._now_ms()))

    def attempts(self, call: bytes) -> tuple[Attempt, ...]:
        """The attempts for a call, the first one first."""
        now_ms = self._now_ms()
        with self._store.reading() as connection:
            return tuple(_read(row, now_ms) for row in PlanningRepository(connection).attempts(call))

    def start(self, call: bytes, task: Task, entry: Mapping[str, Json] | None = None) -> Attempt:
        """Begins to make a plan. Raises PlanningError while another one is being made."""
        now_ms = self._now_ms()
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            if kept.making(now_ms):
                raise PlanningError(PlanningGround.MAKING.write(), hint="wait until it is done")
            known = kept.attempts(call)
            number = known[-1].number + 1 if known else 1
            text = "" if entry is None else canonical_json(dict(entry)).decode()
            lease = now_ms + _LEASE_S * 1000
            row = AttemptRow(call, number, now_ms, int(task.cpu_s), task.seed, lease, text, "", -1, "[]", "")
            kept.put_attempt(row)
            kept.forget_attempts(call, number - _MOST_TRIED)
            for other in kept.attempted_calls()[_MOST_CALLS:]:
                kept.forget_attempts(other)
        Thread(target=self._run, args=(row, task), name="millmark-plan", daemon=True).start()
        return _read(row, now_ms)

    def forget(self, call: bytes) -> None:
        """Forgets the attempts for a call, once one of them is recorded."""
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            if not any(row.call == call for row in kept.making(self._now_ms())):
                kept.forget_attempts(call)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _run(self, row: AttemptRow, task: Task) -> None:
        over = Event()
        Thread(target=self._renew, args=(row, over), name="millmark-plan-lease", daemon=True).start()
        row.problem = PlanningGround.NOT_MADE.write()
        try:
            made = self._make(task)
            plan = made.check.plan
            row.plan, row.problem = canonical_json(plan.to_json()).decode(), ""
            row.moved = -1 if made.check.moved is None else made.check.moved
            row.steps = json.dumps(made.steps)
        except MillmarkError as error:
            row.problem = str(error)
        finally:  # whatever happened: the next one can be made
            over.set()
            row.until_ms = 0
            self._keep(row)

    def _renew(self, row: AttemptRow, over: Event) -> None:
        """Says that the plan is in the making until it is over, so that one whose process is gone is known as that."""
        while not over.wait(_RENEW_S):
            try:
                self._extend(row.call, row.number)
            except StoreError:  # busy for a moment; if it stays so, the lease ends, which the page says
                continue

    def _extend(self, call: bytes, number: int) -> None:
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            known = kept.attempt(call, number)
            if known is not None and known.until_ms:
                known.until_ms = self._now_ms() + _LEASE_S * 1000
                kept.put_attempt(known)

    def _keep(self, row: AttemptRow) -> None:
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            if kept.attempt(row.call, row.number) is not None:  # others may have taken its place
                kept.put_attempt(row)


def _read(row: AttemptRow, now_ms: int) -> Attempt:
    is_gone = 0 < row.until_ms < now_ms
    return Attempt(
        number=row.number,
        cpu_s=row.cpu_s,
        seed=row.seed,
        entry=json.loads(row.entry) if row.entry else None,
        plan=parse_plan(json.loads(row.plan)) if row.plan else None,
        moved=None if row.moved < 0 else row.moved,
        steps=tuple(json.loads(row.steps)),
        problem=PlanningGround.MAKER_STOPPED.write() if is_gone else row.problem if not row.until_ms else "",
    )
