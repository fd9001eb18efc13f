"""The thread of a server, without real time: what it waits on is a list of what happens meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from millmark.ledger.errors import ChainUnreachableError, StoreError
from millmark.services.serving.loop import REST_S, FailureLog, Loop, Pulse, Trouble, withhold_addresses
from tests.support.patience import MAX_S, wait_until

Outcome = float | Exception


class _Waits(threading.Event):
    """Never waits; notes for how long it would have, and whether it was woken."""

    def __init__(self, meanwhile: Sequence[Callable[[], None]] = ()) -> None:
        super().__init__()
        self.asked: list[tuple[float | None, bool]] = []
        self._meanwhile = list(meanwhile)

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append((timeout, self.is_set()))
        if self._meanwhile:
            self._meanwhile.pop(0)()
        return self.is_set()


def _run(outcomes: Sequence[Outcome]) -> tuple[list[float | None], list[Any]]:
    """Takes a step for each outcome; what it waited for, and what it logged."""
    left, waits = list(outcomes), _Waits()

    def step() -> float:
        found = left.pop(0)
        if not left:
            loop.stop()
        if isinstance(found, Exception):
            raise found
        return found

    loop = Loop("millmark-test", step, structlog.get_logger(), failed="testing failed", retry_s=7.0, event=waits)
    with capture_logs() as logs:
        loop.run()
    assert not left
    return [seconds for seconds, _ in waits.asked], logs


def test_waits_as_long_as_each_step_says() -> None:
    assert _run([0.0, 0.5, 3.0]) == ([0.0, 0.5, 3.0], [])


def test_a_step_that_raises_is_taken_again_later_and_told_once() -> None:
    broken = ChainUnreachableError("the chain at http://me:word@node does not answer", hint="try again")
    waited, logs = _run([0.1, broken, broken, broken, 0.2])
    assert waited == [0.1, 7.0, 7.0, 7.0, 0.2]
    [told] = logs
    assert (told["event"], told["log_level"], told["code"]) == ("testing failed", "error", "chain-unreachable")
    assert told["cause"] == "the chain at (address withheld) does not answer; try again"
    assert told["exc_info"] is None


def test_another_failure_is_told_and_so_is_the_same_one_after_a_step_that_went_through() -> None:
    first, second = OSError(28, "No space left on device"), RuntimeError("secret of the house")
    _, logs = _run([first, second, second, first, 0.0, first, 0.0])
    assert [(told["cause"], told["exc_info"]) for told in logs] == [
        ("[Errno 28] No space left on device", first),
        ("RuntimeError", second),
        ("[Errno 28] No space left on device", first),
        ("[Errno 28] No space left on device", first),
    ]


def test_what_wakes_it_during_a_step_is_not_lost() -> None:
    steps: list[int] = []
    waits = _Waits()

    def step() -> float:
        steps.append(len(steps))
        if len(steps) == 1:
            loop.wake()  # work came while the step was under way
        else:
            loop.stop()
        return 60.0

    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=7.0, event=waits)
    loop.run()
    assert (steps, waits.asked[0]) == ([0, 1], (60.0, True))


def test_rests_where_something_wakes_it_and_knows_whether_it_did() -> None:
    told: list[str] = []
    woken: list[bool] = []
    waits = _Waits([lambda: None, lambda: loop.wake(), lambda: loop.stop()])

    def step() -> float:
        woken.append(loop.is_woken)
        waits.clear()
        loop.rest_s = 0.0 if len(woken) == 1 else 9.0
        return loop.idle(3.0)

    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=7.0, event=waits)
    loop.on_wake = lambda: told.append("woken")
    loop.run()
    assert [seconds for seconds, _ in waits.asked] == [3.0, 9.0, 9.0]
    assert woken == [True, False, True], "at first it is as if somebody had woken it"
    assert told == ["woken"] * 2, "stopping it wakes it as well"


def test_what_stirs_it_ends_a_rest_and_no_other_pause() -> None:
    """A pause after a failure is kept, however much is written meanwhile."""
    outcomes: list[Outcome] = [9.0, ValueError(), 2.0, 9.0, 9.0]
    woken: list[bool] = []

    def step() -> float:
        woken.append(loop.is_woken)
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            loop.stir()
            raise found
        if not outcomes:
            loop.stop()
        elif len(outcomes) == 1:
            loop.stir()  # work came after the step had looked for it
        return loop.idle(3.0) if found == loop.rest_s else found

    waits = _Waits([lambda: loop.stir(), lambda: None, lambda: loop.stir()])
    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=7.0, event=waits)
    loop.rest_s = 9.0
    loop.run()
    assert waits.asked[0] == (9.0, False), "it rested, and was stirred"
    assert waits.asked[1] == (7.0, False)
    assert waits.asked[2] == (2.0, False)
    assert waits.asked[3][0] == 0.0
    assert woken == [True, True, True, True, True]


class _Written:
    """A database: what each look at it finds."""

    def __init__(self, *found: bool | StoreError) -> None:
        self._left = list(found)
        self.is_closed = False

    def changes(self) -> _Written:
        return self

    def look(self) -> bool:
        found = self._left.pop(0)
        if isinstance(found, StoreError):
            raise found
        return found

    def close(self) -> None:
        self.is_closed = True


def test_a_pulse_wakes_those_who_rest_when_something_was_written_or_one_of_them_is_in_trouble() -> None:
    broken = StoreError("the database does not answer", hint="start it")
    database: Any = _Written(True, False, True, broken, False, False, False)
    woken: list[str] = []
    resting, seen = (
        Loop(name, lambda: 0.0, structlog.get_logger(), failed="", retry_s=1.0) for name in ("resting", "seen")
    )
    resting.on_wake = lambda: woken.append("resting")
    seen.on_wake = lambda: woken.append("seen")
    pulse = Pulse(database, structlog.get_logger(), [seen])
    pulse.let_rest(REST_S, resting)
    assert (resting.rest_s, seen.rest_s) == (REST_S, 0.0)
    trouble: list[Trouble | None] = [None]
    seen.trouble = lambda: trouble[0]  # type: ignore[method-assign]
    counts = []
    for number in range(7):
        if number == 5:
            trouble[0] = Trouble("seen", "thread-died", "it died", 0.0)
        before = len(woken)
        assert 0 < pulse._round() < REST_S
        counts.append(len(woken) - before)
    assert counts == [1, 0, 1, 1, 0, 1, 0]
    assert set(woken) == {"resting"}, "what is only watched is not woken"
    pulse.stop()
    assert database.is_closed


def test_stops_while_it_waits_without_another_step() -> None:
    steps: list[int] = []

    def step() -> float:
        steps.append(0)
        return 3600.0

    waits = _Waits([lambda: None, lambda: loop.stop()])
    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=7.0, event=waits)
    loop.run()
    assert len(steps) == 2


def test_runs_in_a_thread_of_its_name_stops_and_starts_again() -> None:
    names: list[str] = []
    stepped = threading.Semaphore(0)

    def step() -> float:
        names.append(threading.current_thread().name)
        stepped.release()
        return 3600.0

    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=7.0)
    loop.stop()  # one that was never started
    for _ in range(2):
        loop.start()
        assert stepped.acquire(timeout=MAX_S)
        assert not loop.is_stopping
        loop.stop()
        assert loop.is_stopping
    assert (names, loop.deaths) == (["millmark-test"] * 2, 0)
    assert "millmark-test" not in [thread.name for thread in threading.enumerate()]


def test_a_thread_that_hangs_is_left_behind_and_told() -> None:
    hanging, over = threading.Event(), threading.Event()

    def step() -> float:
        hanging.set()
        assert over.wait(MAX_S)
        return 0.0

    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=7.0, stop_s=0.0)
    loop.start()
    assert hanging.wait(MAX_S)
    with capture_logs() as logs:
        loop.stop()
    assert logs == [{"event": "thread left behind", "log_level": "warning", "thread": "millmark-test", "waited_s": 0.0}]
    over.set()


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_thread_that_dies_is_told_and_goes_on(end: BaseException) -> None:
    outcomes: list[BaseException | None] = [end, end, None]
    troubles: list[Trouble | None] = []

    def step() -> float:
        troubles.append(loop.trouble())
        found = outcomes.pop(0)
        if found is not None:
            raise found
        return 3600.0

    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=0.0)
    with capture_logs() as logs:
        loop.start()
        wait_until(lambda: not outcomes and loop.trouble() is None)
        loop.stop()
    assert loop.deaths == 2
    assert [(told["event"], told["log_level"], told["thread"], told["deaths"]) for told in logs] == [
        ("thread died and goes on", "critical", "millmark-test", number) for number in (1, 2)
    ]
    assert [one and (one.where, one.code) for one in troubles] == [
        None,
        ("millmark-test", "thread-died"),
        ("millmark-test", "thread-died"),
    ]


def test_tells_what_it_cannot_do_until_it_can() -> None:
    outcomes: list[Exception | None] = [ChainUnreachableError("no answer from http://node", hint="start it"), None]
    over = threading.Event()

    def step() -> float:
        found = outcomes.pop(0)
        if found is not None:
            raise found
        assert over.wait(MAX_S)
        return 3600.0

    def code() -> str | None:
        found = loop.trouble()
        return None if found is None else f"{found.where}: {found.code}: {found.cause}; {found.hint}"

    loop = Loop("millmark-test", step, structlog.get_logger(), failed="", retry_s=3600.0, late_s=0.0)
    assert code() is None, "not started"
    loop.start()
    wait_until(
        lambda: code() == "millmark-test: chain-unreachable: no answer from (address withheld) start it; start it"
    )
    loop.wake()
    wait_until(lambda: (code() or "").startswith("millmark-test: thread-stuck: a step has been running for 0 s"))
    over.set()
    wait_until(lambda: code() is None)
    loop.stop()
    assert code() is None, "stopped on purpose"


def test_a_thread_that_has_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the loop ends its thread. Should something outside do so, this is how it shows."""
    loop = Loop("millmark-test", lambda: 0.0, structlog.get_logger(), failed="", retry_s=0.0)
    monkeypatch.setattr(loop, "_live", lambda: None)
    loop.start()
    wait_until(lambda: loop.trouble() is not None)
    found = loop.trouble()
    assert found is not None
    assert found.code == "thread-ended"


class _FullDisk:
    """A logger on it: takes nothing at first."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._left = 2

    def error(self, event: str, **_: object) -> None:
        self._left -= 1
        if self._left >= 0:
            raise OSError(28, "No space left on device")
        self.told.append(event)


def test_a_log_that_fails_stops_no_work_and_is_caught_up() -> None:
    logger: Any = _FullDisk()
    steps: list[int] = []

    def step() -> float:
        steps.append(0)
        if len(steps) == 5:
            loop.stop()
        raise ValueError

    loop = Loop("millmark-test", step, logger, failed="testing failed", retry_s=7.0, event=_Waits())
    loop.run()
    assert (len(steps), logger.told) == (5, ["testing failed"])


def test_a_failure_log_says_whether_there_was_a_failure() -> None:
    failures = FailureLog(structlog.get_logger(), "testing failed")
    with capture_logs() as logs:
        assert not failures.clear()
        assert failures.note(ValueError("of whatever")) == ("unexpected", "ValueError")
        assert failures.note(ValueError("of another")) is None
        assert failures.clear()
        assert failures.note(ValueError("once more")) == ("unexpected", "ValueError")
    assert len(logs) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "the chain at https://user:word@node:8545/key does not answer",
            "the chain at (address withheld) does not answer",
        ),
        ("postgresql+psycopg://me:word@db/index: refused", "(address withheld) refused"),
        ("no address: at all", "no address: at all"),
    ],
)
def test_addresses_are_withheld(text: str, expected: str) -> None:
    assert withhold_addresses(text) == expected
