"""Plans in the making: one at a time, remembered within bounds, and whatever goes wrong, the next one can be made. What
goes to the other process and comes back is the same as here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from threading import Event

import pytest

from ledger.errors import PlanError, UnplannableError
from ledger.plans.plan import Cause, CauseKind
from services.lab.bench.planning_instances import generate_plan_file
from services.planning import making_process
from services.planning.errors import PlanningError
from services.planning.making_process import Attempt, PlanMaker, Task, make_apart
from services.planning.schedule import Made, Replan, make_plan
from tests.support.patience import wait_until
from tests.support.plan_world import TIE, made_file

CALL, OTHER = b"\1" * 32, b"\2" * 32


@pytest.fixture(scope="module")
def made() -> Made:
    return make_plan(generate_plan_file(4, 1), tie=TIE, cpu_s=0.0, with_solver=False)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(generate_plan_file(4, 1), TIE, cpu_s=0.1)


def over(maker: PlanMaker, call: bytes = CALL) -> tuple[Attempt, ...]:
    wait_until(lambda: not maker.is_busy)
    return maker.attempts(call)


def test_one_plan_is_made_at_a_time_and_the_page_sees_it_coming(task: Task, made: Made) -> None:
    may_end = Event()

    def wait(_: Task) -> Made:
        may_end.wait()
        return made

    maker = PlanMaker(wait)
    maker.start(CALL, task, "why")
    for call in (CALL, OTHER):
        with pytest.raises(PlanningError, match="another plan is being made"):
            maker.start(call, task)
    maker.forget(CALL)
    assert [one.is_over for one in maker.attempts(CALL)] == [False], "what is being made is not forgotten"
    may_end.set()
    [attempt] = over(maker)
    assert (attempt.number, attempt.made, attempt.entry, attempt.problem) == (1, made, "why", "")
    maker.forget(CALL)
    assert maker.attempts(CALL) == ()


def test_a_failure_is_said_and_the_next_plan_can_be_made(task: Task, made: Made) -> None:
    answers: list[Callable[[], Made]] = [_unplannable, lambda: made]
    maker = PlanMaker(lambda _: answers.pop(0)())
    maker.start(CALL, task)
    assert "no offer that counts" in over(maker)[0].problem
    maker.start(CALL, task)
    assert [one.number for one in over(maker)] == [1, 2]
    assert maker.attempts(CALL)[1].made is made


def _unplannable() -> Made:
    raise UnplannableError("operation 1 has no offer that counts", hint="ask for offers")


def test_attempts_are_remembered_within_bounds(task: Task, made: Made) -> None:
    maker = PlanMaker(lambda _: made)
    for call in range(6):
        for _ in range(8):
            maker.start(bytes([call]) * 32, task)
            wait_until(lambda: not maker.is_busy)
    assert [len(maker.attempts(bytes([call]) * 32)) for call in range(6)] == [0, 0, 6, 6, 6, 6]
    assert maker.attempts(bytes([5]) * 32)[-1].number == 8, "numbers are not used twice"


def test_what_goes_to_the_other_process_is_the_task() -> None:
    file = made_file(1)
    assert file.plan is not None
    keys = frozenset(row.key for row in file.plan.rows)
    cause = Cause(CauseKind.MACHINE_DOWN, "the spindle «stopped»", stream=b"\3" * 32, leaf=4)
    for replan in (None, Replan(cause, 3, keys, frozenset(), frozenset({b"\4" * 32}))):
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
