"""Makes a plan in a process of its own: a gateway's threads stay free, and a plan that takes too long can be stopped.

The process is given the plan file and the reason on its input, and writes the plan and its steps; it has neither
database nor key. What it wrote is checked here like any plan.

    python -m millmark.services.planning.making_process < task > made
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass

from millmark.ledger.canonical import Json, parse_hex32, to_hex
from millmark.ledger.errors import MillmarkError, PlanError, UnplannableError
from millmark.ledger.plans.check import PlanCheck, check_plan
from millmark.ledger.plans.file import PlanFile, parse_plan_file
from millmark.ledger.plans.plan import Cause, Key
from millmark.services.planning.errors import PlanningError, PlanningGround
from millmark.services.planning.schedule import Made, Replan, make_plan

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


def make_apart(task: Task) -> Made:
    """Makes a plan in another process. Raises UnplannableError and PlanError as `make_plan` does, and PlanningError if
    the process is stopped or fails."""
    command = [sys.executable, "-m", "millmark.services.planning.making_process"]
    try:
        done = subprocess.run(command, input=_encode(task), stdout=subprocess.PIPE, timeout=task.most_s, check=False)
    except subprocess.TimeoutExpired:
        raise PlanningError(
            PlanningGround.MAKER_SLOW.write(seconds=round(task.most_s)),
            hint="call fewer orders, or allow less CPU time",
        ) from None
    if done.returncode != 0:
        raise PlanningError(PlanningGround.MAKER_FAILED.write(), hint="see the gateway's log")
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
        replan = Replan(Cause.parse(why["cause"]), why["now"], started, accepted, dropped, rework)
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
