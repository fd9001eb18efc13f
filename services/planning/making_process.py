"""Makes plans in a process of their own, one at a time: a gateway's threads stay free, and a plan that takes too long
can be stopped.

The process is given the plan file and the reason on its input, and writes the plan and its steps; it has neither
database nor key. What it wrote is checked here like any plan.

    python -m services.planning.making_process < task > made
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock, Thread

from ledger.canonical import Json, parse_hex32, to_hex
from ledger.errors import MillmarkError, PlanError, UnplannableError
from ledger.plans.check import PlanCheck, check_plan
from ledger.plans.file import PlanFile, parse_plan_file
from ledger.plans.plan import Key, parse_cause
from services.planning.errors import PlanningError
from services.planning.schedule import Made, Replan, make_plan

__all__ = ["Attempt", "PlanMaker", "Task", "make_apart"]

MOST_CPU_S = 120.0
_MOST_TRIED = 6
"""Attempts of one call that are remembered."""
_MOST_CALLS = 4
"""Whose attempts are remembered: a plan with its offers is some megabytes."""
_SPARE_S = 120.0
"""Beside ten times the CPU seconds: other processes may want the processor, too."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a plan is to be made from."""

    file: PlanFile
    tie: bytes
    """32 bytes."""
    replan: Replan | None = None
    cpu_s: float = 2.0
    seed: int = 1

    @property
    def most_s(self) -> float:
        """After which wall time the process is stopped."""
        return 10 * self.cpu_s + _SPARE_S


@dataclass(frozen=True, slots=True)
class Attempt:
    """A plan that somebody wanted made."""

    number: int
    """From 1, of its call."""
    task: Task
    entry: object = None
    """What whoever asked for it wants to have again with it."""
    made: Made | None = None
    problem: str = ""
    """Why there is none: one line. Empty while it is being made, too."""

    @property
    def is_over(self) -> bool:
        return self.made is not None or bool(self.problem)


class PlanMaker:
    """Makes one plan at a time, and remembers the last attempts of each call until the gateway stops."""

    def __init__(self, make: Callable[[Task], Made] | None = None) -> None:
        self._make, self._lock = make or make_apart, Lock()
        self._attempts: dict[bytes, list[Attempt]] = {}
        self._busy: bytes | None = None

    @property
    def is_busy(self) -> bool:
        return self._busy is not None

    def attempts(self, call: bytes) -> tuple[Attempt, ...]:
        """The attempts for a call, the first one first."""
        with self._lock:
            return tuple(self._attempts.get(call, ()))

    def start(self, call: bytes, task: Task, entry: object = None) -> Attempt:
        """Begins to make a plan. Raises PlanningError while another one is being made."""
        with self._lock:
            if self._busy is not None:
                raise PlanningError("another plan is being made", hint="wait until it is done")
            self._busy = call
            listed = self._attempts.setdefault(call, [])
            attempt = Attempt(listed[-1].number + 1 if listed else 1, task, entry)
            listed.append(attempt)
            del listed[:-_MOST_TRIED]
            while len(self._attempts) > _MOST_CALLS:
                del self._attempts[next(iter(self._attempts))]
        Thread(target=self._run, args=(call, attempt), name="millmark-plan", daemon=True).start()
        return attempt

    def forget(self, call: bytes) -> None:
        """Forgets the attempts for a call, once one of them is recorded."""
        with self._lock:
            if self._busy != call:
                self._attempts.pop(call, None)

    def _run(self, call: bytes, attempt: Attempt) -> None:
        over = replace(attempt, problem="the plan could not be made; the gateway's log says why")
        try:
            over = replace(attempt, made=self._make(attempt.task))
        except MillmarkError as error:
            over = replace(attempt, problem=str(error))
        finally:  # whatever happened: the next one can be made
            with self._lock:
                listed = self._attempts.get(call, [])
                listed[:] = [over if one.number == attempt.number else one for one in listed]
                self._busy = None


def make_apart(task: Task) -> Made:
    """Makes a plan in another process. Raises UnplannableError and PlanError as `make_plan` does, and PlanningError if
    the process is stopped or fails."""
    command = [sys.executable, "-m", "services.planning.making_process"]
    try:
        done = subprocess.run(command, input=_encode(task), stdout=subprocess.PIPE, timeout=task.most_s, check=False)
    except subprocess.TimeoutExpired:
        raise PlanningError(
            f"no plan was made within {task.most_s:.0f} s", hint="call fewer orders, or allow less CPU time"
        ) from None
    if done.returncode != 0:
        raise PlanningError("the process that makes the plan has failed", hint="see the gateway's log")
    return _decode(done.stdout)


def _encode(task: Task) -> bytes:
    replan = None if task.replan is None else _replan_to_json(task.replan)
    value = {"tie": to_hex(task.tie), "replan": replan, "cpu_s": task.cpu_s, "seed": task.seed}
    return json.dumps({**value, "file": b64encode(task.file.to_bytes()).decode()}).encode()


def _decode(data: bytes) -> Made:
    found = json.loads(data)
    if "refused" in found:
        refused = UnplannableError if found["unplannable"] else PlanError
        raise refused(found["refused"], hint=found["hint"])
    file = parse_plan_file(b64decode(found["file"]))
    check: PlanCheck = check_plan(file)
    return Made(file, check, tuple(found["steps"]), found["cpu_s"])


def _answer(made: Made) -> bytes:
    file = b64encode(made.file.to_bytes()).decode()
    return json.dumps({"file": file, "steps": list(made.steps), "cpu_s": made.cpu_s}).encode()


def _replan_to_json(replan: Replan) -> dict[str, Json]:
    keys: Callable[[frozenset[Key]], list[Json]] = lambda found: [[to_hex(one), at] for one, at in sorted(found)]  # noqa: E731 - short
    return {
        "cause": replan.cause.to_json(),
        "now": replan.now,
        "started": keys(replan.started),
        "accepted": keys(replan.accepted),
        "dropped": [to_hex(one) for one in sorted(replan.dropped)],
        "rework": keys(replan.rework),
    }


def _read(data: bytes) -> Task:
    """What this program wrote itself."""
    found = json.loads(data)
    replan, why = None, found["replan"]
    if why is not None:
        started, accepted, rework = (
            frozenset((parse_hex32(order), at) for order, at in why[name]) for name in ("started", "accepted", "rework")
        )
        dropped = frozenset(map(parse_hex32, why["dropped"]))
        replan = Replan(parse_cause(why["cause"]), why["now"], started, accepted, dropped, rework)
    return Task(
        parse_plan_file(b64decode(found["file"])), parse_hex32(found["tie"]), replan, found["cpu_s"], found["seed"]
    )


def _main() -> None:
    os.nice(10)  # the gateway answers first
    task = _read(sys.stdin.buffer.read())
    try:
        made = make_plan(task.file, tie=task.tie, replan=task.replan, cpu_s=task.cpu_s, seed=task.seed)
    except MillmarkError as error:
        unplannable = isinstance(error, UnplannableError)
        json.dump({"refused": error.cause, "hint": error.hint, "unplannable": unplannable}, sys.stdout)
        return
    sys.stdout.buffer.write(_answer(made))


if __name__ == "__main__":
    _main()
