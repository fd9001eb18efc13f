"""Plans in the making: one at a time, kept within bounds for every process of the company; and whatever goes wrong, the
next one can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from millmark.ledger.canonical import Json
from millmark.ledger.errors import UnplannableError
from millmark.ledger.store import Store
from millmark.services.planning import making
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.making import Attempt, PlanMaker
from millmark.services.planning.making_process import Task
from millmark.services.planning.schedule import Made, make_plan
from tests.support.patience import wait_until
from tests.support.plan_instances import generate_plan_file
from tests.support.plan_world import TIE
from tests.support.stores import new_store

CALL, OTHER = b"\1" * 32, b"\2" * 32
WHY: dict[str, Json] = {"cause": "late", "at": 7}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        yield store


@pytest.fixture(scope="module")
def made() -> Made:
    return make_plan(generate_plan_file(4, 1), tie=TIE, cpu_s=0.0, with_solver=False)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(generate_plan_file(4, 1), TIE, cpu_s=1)


def over(maker: PlanMaker, call: bytes = CALL) -> tuple[Attempt, ...]:
    wait_until(lambda: not maker.is_busy)
    return maker.attempts(call)


def test_one_plan_is_made_at_a_time_and_every_process_sees_it_coming(store: Store, task: Task, made: Made) -> None:
    may_end = Event()

    def wait(_: Task) -> Made:
        may_end.wait()
        return made

    maker, another = PlanMaker(store, wait), PlanMaker(store)
    maker.start(CALL, task, WHY)
    for one in (maker, another):
        for call in (CALL, OTHER):
            with pytest.raises(PlanningError, match="another plan is being made"):
                one.start(call, task)
        one.forget(CALL)
        assert [item.is_over for item in one.attempts(CALL)] == [False], "what is being made is not forgotten"
    may_end.set()
    for one in (maker, another, PlanMaker(store)):  # the last one as after a restart
        [attempt] = over(one)
        assert (attempt.number, attempt.entry, attempt.problem) == (1, WHY, "")
        assert (attempt.plan, attempt.steps, attempt.moved) == (made.check.plan, made.steps, None)
        assert attempt.gap_per_mille == made.check.gap_per_mille
    another.forget(CALL)
    assert maker.attempts(CALL) == ()


def test_what_a_gateway_left_behind_holds_nobody_up(store: Store, task: Task, made: Made) -> None:
    now = [1000.0]
    hangs = Event()

    def hang(_: Task) -> Made:
        hangs.wait()
        raise UnplannableError("too late")

    PlanMaker(store, hang, lambda: now[0]).start(CALL, task)
    other = PlanMaker(store, lambda _: made, lambda: now[0])
    now[0] += making._LEASE_S
    assert other.is_busy
    now[0] += 1
    [gone] = other.attempts(CALL)
    assert (other.is_busy, gone.problem) == (False, "the gateway that made it was stopped; make it again")
    other.start(CALL, task)
    assert [one.plan is None for one in over(other)] == [True, False]
    hangs.set()
    wait_until(lambda: "too late" in other.attempts(CALL)[0].problem)


def test_a_long_plan_stays_in_the_making(store: Store, task: Task, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes it says so again and again."""
    now, may_end = [1000.0], Event()
    monkeypatch.setattr(making, "_RENEW_S", 0.01)

    def wait(_: Task) -> Made:
        may_end.wait()
        return made

    maker = PlanMaker(store, wait, lambda: now[0])
    maker.start(CALL, task)
    for _ in range(3):
        now[0] += making._LEASE_S + 1
        wait_until(lambda: maker.is_busy)
    may_end.set()
    assert over(maker)[0].plan == made.check.plan


def test_a_failure_is_said_and_the_next_plan_can_be_made(store: Store, task: Task, made: Made) -> None:
    answers: list[Callable[[], Made]] = [_unplannable, lambda: made]
    maker = PlanMaker(store, lambda _: answers.pop(0)())
    maker.start(CALL, task)
    assert "no offer that counts" in over(maker)[0].problem
    maker.start(CALL, task)
    assert [one.number for one in over(maker)] == [1, 2]
    assert maker.attempts(CALL)[1].plan == made.check.plan


def _unplannable() -> Made:
    raise UnplannableError("operation 1 has no offer that counts", hint="ask for offers")


def test_attempts_are_kept_within_bounds(store: Store, task: Task, made: Made) -> None:
    maker = PlanMaker(store, lambda _: made)
    for call in range(6):
        for _ in range(8 if call > 3 else 1):
            maker.start(bytes([call]) * 32, task)
            wait_until(lambda: not maker.is_busy)
    assert [len(maker.attempts(bytes([call]) * 32)) for call in range(6)] == [0, 0, 1, 1, 6, 6]
    assert maker.attempts(bytes([5]) * 32)[-1].number == 8, "numbers are not used twice"
