"""`node`: the demonstration's own node, killed at random times and at each system call that makes something durable.

The kernel kills it (strace's `inject=...:signal=SIGKILL`), inside the call, so nothing of the node knows that it dies.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ledger.chain import Chain, Node, find_profile
from ledger.index import Follower
from services.lab.faults.chains import ChainProcess, running_chain
from services.lab.faults.factory import Factory, Machine, find_strace, found_factory, is_killed, running_node
from services.lab.faults.outcome import Outcome
from services.lab.faults.reading import judge_factory
from services.store import open_store

__all__ = ["SYSTEM_CALLS", "inject", "run_node_kills"]

SYSTEM_CALLS = {
    "frame written": ("pwrite64", "streams/bench/log"),
    "frame synchronised": ("fdatasync", "streams/bench/log"),
    "outbox and book written": ("pwrite64", "millmark.sqlite-wal"),
    "outbox and book synchronised": ("fdatasync", "millmark.sqlite-wal"),
    "draft synchronised": ("fsync", "drafts"),
}
"""By what the call does: its name, and the file or folder that it does it to, below the data folder."""
_RANDOM_EVERY = 4
_LATEST_KILL_S = 1.5
_LATEST_CALL = 2
"""A life anchors, and so certifies, a few times."""
_WINDOWS_A_LIFE = 3
_MOST_LIVES = 2
"""For each kill: a life may end before it gets to its call."""


@dataclass(slots=True)
class _Lives:
    kills: Counter[str] = field(default_factory=Counter)
    ready_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)
    """Both of lives that nothing looks into."""


def run_node_kills(folder: Path, count: int, seed: int) -> Outcome:
    """`count` lives of the node that end by SIGKILL while the bench measures, and a clean one."""
    chance, lives = random.Random(seed), _Lives()  # noqa: S311 - a replay needs a seed, not secrecy
    with running_chain(folder) as process:
        factory = found_factory(folder, process, count * _MOST_LIVES * _WINDOWS_A_LIFE)
        planned = factory.events()
        machine = Machine([])
        with open_store(f"sqlite:///{folder / 'index.sqlite'}") as index:
            chain = connect(factory, process)
            for number in range(count * _MOST_LIVES):
                if lives.kills.total() >= count:
                    break
                machine.events = planned[: len(planned) * (number + 1) // (count * _MOST_LIVES)]
                _live(factory, machine, lives, _death(number, chance))
                Follower(chain, index).follow()
            finish(factory, machine)
            verdict = judge_factory(factory, chain, index, folder, machine)
    broken = () if lives.kills.total() >= count else (f"only {lives.kills.total()} lives ended by SIGKILL",)
    return Outcome(process.engine, lives.kills, verdict, _figures(lives), broken)


@dataclass(frozen=True, slots=True)
class _Death:
    """At which call, and which of its kind; no call means a time."""

    call: str
    when: int
    at_s: float


def _death(number: int, chance: random.Random) -> _Death:
    calls = list(SYSTEM_CALLS)
    when, at_s = chance.randint(1, _LATEST_CALL), chance.random() * _LATEST_KILL_S
    turn = number - number // _RANDOM_EVERY
    return _Death("" if number % _RANDOM_EVERY == _RANDOM_EVERY - 1 else calls[turn % len(calls)], when, at_s)


def _live(factory: Factory, machine: Machine, lives: _Lives, death: _Death) -> None:
    """The machine sends all that it has, and the node dies on the way, or lives on and is stopped."""
    wrapper: Sequence[str] = ()
    if death.call:
        name, path = SYSTEM_CALLS[death.call]
        wrapper = inject(factory, name, [path], f"signal=SIGKILL:when={death.when}")
    with running_node(factory, *wrapper) as node:
        if node is not None:
            if not death.call:
                lives.ready_s.append(node.ready_s)
                lives.processor_s.append(node.processor_s)
                threading.Timer(death.at_s, node.kill).start()
            while not machine.is_done and machine.send(node):
                pass
            if not death.call:
                node.process.wait()
            elif node.process.poll() is None:
                node.settle_or_die()
            code = node.process.poll()
    if node is None or is_killed(code):
        lives.kills[death.call or "at random"] += 1


def inject(factory: Factory, call: str, paths: Sequence[str], what: str, report: Path | None = None) -> list[str]:
    """A command that runs another one, to whose system calls on files below the data folder happens `what` (strace(1),
    -e inject). The other one is not strace's child."""
    places = [part for path in paths for part in ("-P", str(factory.data / path))]
    options = ["-D", "-f", "-qq", "-o", str(report or "/dev/null")]
    return [find_strace(), *options, *places, "-e", f"trace={call}", "-e", f"inject={call}:{what}"]


def connect(factory: Factory, process: ChainProcess) -> Chain:
    """Past the node."""
    return Chain(Node(process.transport), find_profile(process.engine), factory.deployment)


def finish(factory: Factory, machine: Machine) -> None:
    """A clean life: the machine sends what is left, and all of it gets onto the ledger."""
    with running_node(factory) as node:
        if node is not None:
            while not machine.is_done and machine.send(node):
                pass
            node.settle()


def _figures(lives: _Lives) -> dict[str, float]:
    if not lives.ready_s:
        return {}
    ready_s, processor_s = sorted(lives.ready_s), sorted(lives.processor_s)
    return {
        "ready_p50_s": round(ready_s[len(ready_s) // 2], 2),
        "ready_max_s": round(ready_s[-1], 2),
        "ready_processor_p50_s": round(processor_s[len(processor_s) // 2], 2),
        "ready_processor_max_s": round(processor_s[-1], 2),
    }
