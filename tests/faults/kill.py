"""`kill`: the node is killed, at random times and at every named step, and started again."""

from __future__ import annotations

import dataclasses
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.store import Store
from millmark.ledger.store.outbox_records import OutboxState
from millmark.services.store import open_store
from tests.faults.agent import build_plan
from tests.faults.chains import ChainProcess, running_chain
from tests.faults.disturbances import CANCELLED_PREFIX
from tests.faults.ledger_check import LedgerCheck, Outcome, ask_again, check_ledger
from tests.faults.workload import Event, Site, found_site

STEPS = {
    "enqueue": "",
    "take_lease": "",
    "together": "",
    "start": "",
    "store_signed": "skip nonce",
    "send": "",
    "mark_sent": "hold blocks",
    "settle": "",
    "mark_final": "",
    "index": "",
    "fail_record": "refuse",
    "requeue": "overtake",
    "fill": "skip nonce",
    "mark_reorganised": "reorganise",
    "replace_signed": "give up",
    "mark_replaced": "give up",
}
"""The steps at which the node is killed, each with the disturbance that is needed to reach it."""
_RANDOM_EVERY = 5
"""One kill in this many is at a random time."""
_LATEST_KILL_S = 1.0
_EVENTS_A_RUN = 6
_DEPTH = 2
_RUN_S = 90.0
_MACHINES = 4
_DISORDERLY = ("overtake", "give up")
_CALM_RUNS = 3
"""Starts without anything to recover, with which those after a kill are compared."""
_SLOWER = 3.0
"""Largest ratio of the processor time of a start after a kill, at the 99th percentile, to that of a calm start. Of the
processor, since the time by the clock depends on what else the machine does."""


@dataclass(slots=True)
class _Runs:
    """What the sender of the events knows, and how the runs ended."""

    acknowledged: set[str] = field(default_factory=set)
    kills: Counter[str] = field(default_factory=Counter)
    ready_s: list[float] = field(default_factory=list)
    ready_processor_s: list[float] = field(default_factory=list)
    calm_processor_s: list[float] = field(default_factory=list)
    """As above, of starts with nothing to recover."""
    survived: list[str] = field(default_factory=list)


def run_kill(folder: Path, count: int, seed: int) -> Outcome:
    """Kills the node in `count` runs, followed by undisturbed ones.

    Runs in which nonces are lost to other transactions come last. The order of their events is not checked, because it
    cannot be guaranteed.
    """
    kills, runs = _plan_kills(count, seed), _Runs()
    with running_chain(folder, need_anvil=True) as process:
        founded = found_site(folder, process.transport, process.profile, seed)
        site = dataclasses.replace(founded, profile=dataclasses.replace(process.profile, finality_depth=_DEPTH))
        start = _Start(folder, process, site, seed)
        for _ in range(_CALM_RUNS):
            _run_once(start.plan(_NO_KILL, []), _NO_KILL, runs)
        runs.calm_processor_s, runs.ready_processor_s = runs.ready_processor_s, []
        orderly = [kill for kill in kills if STEPS.get(kill.step, "") not in _DISORDERLY]
        events = _run_all(start, runs, orderly, [])
        events += _run_all(start, runs, [kill for kill in kills if kill not in orderly], events)
        process.transport.request("anvil_mine", [hex(_DEPTH + 1)])
        with open_store(f"sqlite:///{folder / 'node.sqlite'}") as store:
            check = _check(folder, process, site, store, events, runs)
    return _outcome(process, runs, check)


def _check(
    folder: Path, process: ChainProcess, site: Site, store: Store, events: Sequence[Event], runs: _Runs
) -> LedgerCheck:
    """Compares ledger and index with the events."""
    victims, failed = _victims(store)
    chain = ask_again(lambda: site.connect(process.transport))
    return check_ledger(site, chain, store, folder, [*events, *victims], runs.acknowledged, failed)


@dataclass(frozen=True, slots=True)
class _Kill:
    """When to kill: before or after a step, the `countdown`-th time; without a step, `at_s` seconds after the start."""

    number: int
    step: str
    after: bool
    countdown: int
    at_s: float


@dataclass(frozen=True, slots=True)
class _Start:
    """What all runs of the node have in common."""

    folder: Path
    process: ChainProcess
    site: Site
    seed: int

    def plan(self, kill: _Kill, events: list[Event]) -> Path:
        """Writes the plan of a run; returns its path."""
        plan = build_plan(
            self.folder,
            self.process,
            self.site,
            self.seed,
            events,
            disturbance=STEPS.get(kill.step, ""),
            point=kill.step,
            after=kill.after,
            countdown=kill.countdown,
            until_killed=kill is not _NO_KILL and not kill.step,
        )
        return plan.write(self.folder / "plan.json")


_NO_KILL = _Kill(-1, "", False, 0, 0.0)


def _plan_kills(count: int, seed: int) -> list[_Kill]:
    """Kills at all steps in turn, before and after them; every fifth one at a random time instead."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    turns = [(step, after) for step in STEPS for after in (False, True)]
    kills = []
    for number in range(count):
        at_s, countdown = chance.random() * _LATEST_KILL_S, chance.randint(1, 2)
        step, after = turns[(number - number // _RANDOM_EVERY) % len(turns)]
        if number % _RANDOM_EVERY == _RANDOM_EVERY - 1:
            step = ""
        once = bool(STEPS.get(step)) or step == "take_lease"
        kills.append(_Kill(number, step, after, 1 if once else countdown, at_s))
    return kills


def _run_all(start: _Start, runs: _Runs, kills: list[_Kill], before: list[Event]) -> list[Event]:
    """Runs the node once for each kill, then undisturbed; returns the events of these runs."""
    kept_in_order = not before
    events: list[Event] = []
    for number in range(len(kills) * _EVENTS_A_RUN):
        place = len(before) + number
        machine, count = (place % _MACHINES, place // _MACHINES) if kept_in_order else (_MACHINES + place, 0)
        events.append(Event(f"event-{place}", machine, count))
    for number, kill in enumerate(kills):
        # Every run gets all events so far that have no answer: a sender repeats an event until it is acknowledged.
        sent = events[: (number + 1) * _EVENTS_A_RUN]
        _run_once(start.plan(kill, [event for event in sent if event.key not in runs.acknowledged]), kill, runs)
    _run_once(start.plan(_NO_KILL, [event for event in events if event.key not in runs.acknowledged]), _NO_KILL, runs)
    return events


def _run_once(plan: Path, kill: _Kill, runs: _Runs) -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.faults.agent", str(plan)]
    with (
        (plan.parent / "agent.txt").open("a") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        timer = threading.Timer(_RUN_S, process.kill)
        timer.start()
        for line in process.stdout or ():
            word, _, key = line.strip().partition(" ")
            if word == "ack":
                runs.acknowledged.add(key)
            elif word == "ready":
                runs.ready_s.append(time.monotonic() - started)
                runs.ready_processor_s.append(float(key))
                if kill is not _NO_KILL and not kill.step:
                    threading.Timer(kill.at_s, process.kill).start()
        code = process.wait()
        timer.cancel()
    # Only a kill of ours counts. A process that hangs is killed by the timer, and reported as not killed at its step.
    if code == -signal.SIGKILL and time.monotonic() - started < _RUN_S:
        runs.kills[f"{'after' if kill.after else 'before'} {kill.step}" if kill.step else "at random"] += 1
    elif kill is not _NO_KILL or code != 0:
        runs.survived.append(f"run {kill.number} ended with {code}, not at {kill.step or 'random'}")


def _victims(store: Store) -> tuple[list[Event], set[str]]:
    """The events that the operator cancelled, and the keys of those whose cancellation was confirmed."""
    # From the table itself, because the outbox lists unfinished records only.
    with store.reading() as connection:
        found = connection.exec_driver_sql("SELECT idempotency_key, state FROM outbox_records").all()
    victims = [(str(key), str(state)) for key, state in found if key.startswith(CANCELLED_PREFIX)]
    return [Event(key, -1, 0) for key, _ in victims], {key for key, state in victims if state == OutboxState.CANCELLED}


def _outcome(process: ChainProcess, runs: _Runs, check: LedgerCheck) -> Outcome:
    ready_s, processor_s = sorted(runs.ready_s), sorted(runs.ready_processor_s)
    calm_s, p99 = max(runs.calm_processor_s), _p99(processor_s)
    broken = list(runs.survived)
    if p99 > _SLOWER * calm_s:
        broken.append(f"ready again after {p99:.1f} s of processor time at p99, and {calm_s:.1f} s without a kill")
    figures = {
        "ready_p50_s": round(ready_s[len(ready_s) // 2], 2),
        "ready_p99_s": round(_p99(ready_s), 2),
        "ready_processor_p50_s": round(processor_s[len(processor_s) // 2], 2),
        "ready_processor_p99_s": round(p99, 2),
        "calm_processor_s": round(calm_s, 2),
    }
    return Outcome(process.engine, runs.kills, check, figures, tuple(broken))


def _p99(values: Sequence[float]) -> float:
    """The 99th percentile of sorted values."""
    return values[min(len(values) * 99 // 100, len(values) - 1)]
