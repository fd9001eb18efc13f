"""`kill`: the node dies, at random times and at every named step, and starts again."""

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

from ledger.store import Store
from ledger.store.outbox import OutboxState
from services.lab.faults.agent import build_plan
from services.lab.faults.chains import ChainProcess, running_chain
from services.lab.faults.mischief import VICTIM
from services.lab.faults.outcome import Outcome
from services.lab.faults.verdict import Verdict, judge
from services.lab.faults.workload import Event, Site, found_site
from services.store import open_store

__all__ = ["STEPS", "run_kill"]

STEPS = {
    "enqueue": "",
    "take_lease": "",
    "together": "",
    "allocate": "",
    "store_signed": "",
    "send": "",
    "mark_sent": "hold blocks",
    "mark_mined": "",
    "mark_final": "",
    "index": "",
    "fail_record": "refuse",
    "requeue": "overtake",
    "fill": "skip nonce",
    "mark_reorganised": "reorganise",
    "replace_signed": "give up",
    "mark_replaced": "give up",
}
"""Each step at which the node dies, and what has to happen to it to get there."""
_RANDOM_EVERY = 5
"""One kill of so many is at a random time."""
_LATEST_KILL_S = 1.0
_EVENTS_A_LIFE = 6
_DEPTH = 2
_LIFE_S = 90.0
_MACHINES = 4
_DISORDERLY = ("overtake", "give up")
_READY_S = 5.0


@dataclass(slots=True)
class _Lives:
    """What the sender of the events knows, and how the lives ended."""

    acknowledged: set[str] = field(default_factory=set)
    kills: Counter[str] = field(default_factory=Counter)
    ready_s: list[float] = field(default_factory=list)
    ready_processor_s: list[float] = field(default_factory=list)
    survived: list[str] = field(default_factory=list)


def run_kill(folder: Path, count: int, seed: int) -> Outcome:
    """`count` lives that end by SIGKILL, and clean ones after them. The lives in which nonces are lost to others come
    last, and their events have no order to keep: nobody can promise one."""
    deaths, lives = _deaths(count, seed), _Lives()
    with running_chain(folder, need_anvil=True) as process:
        founded = found_site(folder, process.transport, process.profile, seed)
        site = dataclasses.replace(founded, profile=dataclasses.replace(process.profile, finality_depth=_DEPTH))
        start = _Start(folder, process, site, seed)
        orderly = [death for death in deaths if STEPS.get(death.step, "") not in _DISORDERLY]
        events = _run_lives(start, lives, orderly, [])
        events += _run_lives(start, lives, [death for death in deaths if death not in orderly], events)
        process.transport.request("anvil_mine", [hex(_DEPTH + 1)])
        with open_store(f"sqlite:///{folder / 'node.sqlite'}") as store:
            victims, failed = _victims(store)
            chain = site.connect(process.transport)
            verdict = judge(site, chain, store, folder, [*events, *victims], lives.acknowledged, failed)
    return _outcome(process, lives, verdict)


@dataclass(frozen=True, slots=True)
class _Death:
    """After which step, how often it is reached, and when, if at no step. `number` tells deaths apart."""

    number: int
    step: str
    after: bool
    countdown: int
    at_s: float


@dataclass(frozen=True, slots=True)
class _Start:
    """What every life begins with."""

    folder: Path
    process: ChainProcess
    site: Site
    seed: int

    def plan(self, death: _Death, events: list[Event]) -> Path:
        """The life's plan, in a file."""
        plan = build_plan(
            self.folder,
            self.process,
            self.site,
            self.seed,
            events,
            mischief=STEPS.get(death.step, ""),
            point=death.step,
            after=death.after,
            countdown=death.countdown,
            doomed=death is not _CLEAN and not death.step,
        )
        return plan.write(self.folder / "plan.json")


_CLEAN = _Death(-1, "", False, 0, 0.0)


def _deaths(count: int, seed: int) -> list[_Death]:
    """Steps in turn, before and after, early and late; every so often a random time instead."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    turns = [(step, after) for step in STEPS for after in (False, True)]
    deaths = []
    for number in range(count):
        at_s, countdown = chance.random() * _LATEST_KILL_S, chance.randint(1, 2)
        step, after = turns[(number - number // _RANDOM_EVERY) % len(turns)]
        if number % _RANDOM_EVERY == _RANDOM_EVERY - 1:
            step = ""
        once = bool(STEPS.get(step)) or step == "take_lease"
        deaths.append(_Death(number, step, after, 1 if once else countdown, at_s))
    return deaths


def _run_lives(start: _Start, lives: _Lives, deaths: list[_Death], before: list[Event]) -> list[Event]:
    """One life for each death, and a clean one; gives their events."""
    kept_in_order = not before
    events: list[Event] = []
    for number in range(len(deaths) * _EVENTS_A_LIFE):
        place = len(before) + number
        machine, count = (place % _MACHINES, place // _MACHINES) if kept_in_order else (_MACHINES + place, 0)
        events.append(Event(f"event-{place}", machine, count))
    for number, death in enumerate(deaths):
        sent = events[: (number + 1) * _EVENTS_A_LIFE]
        _live(start.plan(death, [event for event in sent if event.key not in lives.acknowledged]), death, lives)
    _live(start.plan(_CLEAN, [event for event in events if event.key not in lives.acknowledged]), _CLEAN, lives)
    return events


def _live(plan: Path, death: _Death, lives: _Lives) -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "services.lab.faults.agent", str(plan)]
    with (
        (plan.parent / "agent.txt").open("a") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        timer = threading.Timer(_LIFE_S, process.kill)
        timer.start()
        for line in process.stdout or ():
            word, _, key = line.strip().partition(" ")
            if word == "ack":
                lives.acknowledged.add(key)
            elif word == "ready":
                lives.ready_s.append(time.monotonic() - started)
                lives.ready_processor_s.append(float(key))
                if death is not _CLEAN and not death.step:
                    threading.Timer(death.at_s, process.kill).start()
        code = process.wait()
        timer.cancel()
    if code == -signal.SIGKILL and time.monotonic() - started < _LIFE_S:
        lives.kills[f"{'after' if death.after else 'before'} {death.step}" if death.step else "at random"] += 1
    elif death is not _CLEAN or code != 0:
        lives.survived.append(f"life {death.number} ended with {code}, not at {death.step or 'random'}")


def _victims(store: Store) -> tuple[list[Event], set[str]]:
    """Events that the operator gave up, and those of them that he was told are cancelled."""
    with store.reading() as connection:
        found = connection.exec_driver_sql("SELECT idempotency_key, state FROM outbox_records").all()
    victims = [(str(key), str(state)) for key, state in found if key.startswith(VICTIM)]
    return [Event(key, -1, 0) for key, _ in victims], {key for key, state in victims if state == OutboxState.CANCELLED}


def _outcome(process: ChainProcess, lives: _Lives, verdict: Verdict) -> Outcome:
    ready_s, processor_s = sorted(lives.ready_s), sorted(lives.ready_processor_s)
    p99 = _p99(ready_s)
    broken = list(lives.survived)
    if p99 > _READY_S:
        broken.append(f"ready again after {p99:.1f} s at p99, not within {_READY_S:.0f} s")
    figures = {
        "ready_p50_s": round(ready_s[len(ready_s) // 2], 2),
        "ready_p99_s": round(p99, 2),
        "ready_processor_p50_s": round(processor_s[len(processor_s) // 2], 2),
        "ready_processor_p99_s": round(_p99(processor_s), 2),
    }
    return Outcome(process.engine, lives.kills, verdict, figures, tuple(broken))


def _p99(values: Sequence[float]) -> float:
    """Of sorted ones."""
    return values[min(len(values) * 99 // 100, len(values) - 1)]
