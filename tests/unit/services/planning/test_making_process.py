"""What goes to the process that makes a plan, and what comes back, is the same as here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from millmark.ledger.errors import PlanError, UnplannableError
from millmark.ledger.plans.plan import Cause, CauseKind
from millmark.services.planning import making_process
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.making_process import Task, make_apart
from millmark.services.planning.schedule import Made, Replan, make_plan
from tests.support.plan_instances import generate_plan_file
from tests.support.plan_world import TIE, made_file


@pytest.fixture(scope="module")
def made() -> Made:
    return make_plan(generate_plan_file(4, 1), tie=TIE, cpu_s=0.0, with_solver=False)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(generate_plan_file(4, 1), TIE, cpu_s=0.1)


def test_what_goes_to_the_other_process_is_the_task() -> None:
    file = made_file(1)
    assert file.plan is not None
    keys = frozenset(row.key for row in file.plan.rows)
    cause = Cause(CauseKind.MACHINE_DOWN, "the spindle «stopped»", stream=b"\3" * 32, leaf=4)
    for replan in (None, Replan(cause, 3, keys, frozenset(), frozenset({b"\4" * 32}), keys)):
        task = Task(file, TIE, replan, 1.5, 7)
        assert making_process._read(making_process._encode(task)) == task


def test_what_comes_back_is_checked_and_a_refusal_is_one(
    task: Task, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(code: int, data: bytes) -> Callable[..., subprocess.CompletedProcess[bytes]]:
        return lambda *_, **__: subprocess.CompletedProcess([], code, data)

    monkeypatch.setattr(subprocess, "run", answer(0, making_process._answer(made)))
    assert make_apart(task).check == made.check
    for unplannable, kind in ((True, UnplannableError), (False, PlanError)):
        refused = {"refused": "no plan", "hint": "call for more slots", "unplannable": unplannable}
        monkeypatch.setattr(subprocess, "run", answer(0, json.dumps(refused).encode()))
        with pytest.raises(kind, match="call for more slots"):
            make_apart(task)
    monkeypatch.setattr(subprocess, "run", answer(-9, b""))
    with pytest.raises(PlanningError, match="has failed"):
        make_apart(task)

    def stop(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("x", 1)

    monkeypatch.setattr(subprocess, "run", stop)
    with pytest.raises(PlanningError, match="no plan was made within 121 s"):
        make_apart(task)
