"""`node`: the demo's node, killed at random times and inside each system call that makes something durable.

The kernel kills it during the call (strace's `inject=...:signal=SIGKILL`), so the node cannot react in any way.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.chain import Chain, Node, find_profile
from millmark.ledger.index import Follower
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess, running_chain
from tests.faults.factory import Factory, Machine, find_strace, found_factory, is_killed, running_node
from tests.faults.factory_check import check_factory
from tests.faults.ledger_check import Outcome

__all__ = ["SYSTEM_CALLS", "inject", "run_node_kills"]

SYSTEM_CALLS = {
    "frame written": ("pwrite64", "streams/bench/log"),
    "frame synchronised": ("fdatasync", "streams/bench/log"),
    "outbox and book written": ("pwrite64", "millmark.sqlite-wal"),
    "outbox and book synchronised": ("fdatasync", "millmark.sqlite-wal"),
    "draft synchronised": ("fsync", "drafts"),
}
"""System call, and the file or folder below the data folder that it acts on, by the call's effect."""
_RANDOM_EVERY = 4
_LATEST_KILL_S = 1.5
_LATEST_CALL = 2
"""The kill comes at the first or second call of its kind: a node anchors and certifies only a few times."""
_WINDOWS_A_RUN = 3
_MAX_RUNS = 2
"""Runs of the node per wanted kill: a run may end before it reaches its call."""


@dataclass(slots=True)
class _Runs:
    kills: Counter[str] = field(default_factory=Counter)
    ready_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)
    """CPU time until ready; like `ready_s`, only of runs without strace."""


def run_node_kills(folder: Path, count: int, seed: int) -> Outcome:
    """Runs the node until `count` runs ended by SIGKILL while the bench was measuring, then once more undisturbed."""
    chance, runs = random.Random(seed), _Runs()  # noqa: S311 - a replay needs a seed, not secrecy
    with running_chain(folder) as process:
        factory = found_factory(folder, process, count * _MAX_RUNS * _WINDOWS_A_RUN)
        planned = factory.events()
        machine = Machine([])
        with open_store(f"sqlite:///{folder / 'index.sqlite'}") as index:
            chain = connect(factory, process)
            for number in range(count * _MAX_RUNS):
                if runs.kills.total() >= count:
                    break
                machine.events = planned[: len(planned) * (number + 1) // (count * _MAX_RUNS)]
                _run_once(factory, machine, runs, _plan_kill(number, chance))
                Follower(chain, index).follow()
            finish(factory, machine)
            check = check_factory(factory, chain, index, folder, machine)
    broken = () if runs.kills.total() >= count else (f"only {runs.kills.total()} runs ended by SIGKILL",)
    return Outcome(process.engine, runs.kills, check, _figures(runs), broken)


@dataclass(frozen=True, slots=True)
class _Kill:
    """When to kill: at the `when`-th system call of a kind; if `call` is empty, `at_s` seconds after the start."""

    call: str
    when: int
    at_s: float


def _plan_kill(number: int, chance: random.Random) -> _Kill:
    calls = list(SYSTEM_CALLS)
    when, at_s = chance.randint(1, _LATEST_CALL), chance.random() * _LATEST_KILL_S
    turn = number - number // _RANDOM_EVERY
    return _Kill("" if number % _RANDOM_EVERY == _RANDOM_EVERY - 1 else calls[turn % len(calls)], when, at_s)


def _run_once(factory: Factory, machine: Machine, runs: _Runs, kill: _Kill) -> None:
    """Runs the node once while the machine sends all its events. The node is killed on the way, or stopped at the end
    if it did not reach its call."""
    wrapper: Sequence[str] = ()
    if kill.call:
        name, path = SYSTEM_CALLS[kill.call]
        wrapper = inject(factory, name, [path], f"signal=SIGKILL:when={kill.when}")
    with running_node(factory, *wrapper) as node:
        if node is not None:
            if not kill.call:
                runs.ready_s.append(node.ready_s)
                runs.processor_s.append(node.processor_s)
                threading.Timer(kill.at_s, node.kill).start()
            while not machine.is_done and machine.send(node):
                pass
            if not kill.call:
                node.process.wait()
            elif node.process.poll() is None:
                node.settle_or_die()
            code = node.process.poll()
    # A node that was killed while starting never answered, and counts as killed.
    if node is None or is_killed(code):
        runs.kills[kill.call or "at random"] += 1


def inject(factory: Factory, call: str, paths: Sequence[str], what: str, report: Path | None = None) -> list[str]:
    """A command prefix that runs a program under strace, which applies `what` (strace(1), -e inject) to system calls on
    the given files below the data folder. The program is not a child of strace."""
    # -D makes strace a grandchild, so that the process id and its signals are the program's own.
    places = [part for path in paths for part in ("-P", str(factory.data / path))]
    options = ["-D", "-f", "-qq", "-o", str(report or "/dev/null")]
    return [find_strace(), *options, *places, "-e", f"trace={call}", "-e", f"inject={call}:{what}"]


def connect(factory: Factory, process: ChainProcess) -> Chain:
    """A direct connection to the chain, bypassing the node."""
    return Chain(Node(process.transport), find_profile(process.engine), factory.deployment)


def finish(factory: Factory, machine: Machine) -> None:
    """Runs the node undisturbed until the machine has sent its remaining events and all are on the ledger."""
    with running_node(factory) as node:
        if node is not None:
            while not machine.is_done and machine.send(node):
                pass
            node.settle()


def _figures(runs: _Runs) -> dict[str, float]:
    if not runs.ready_s:
        return {}
    ready_s, processor_s = sorted(runs.ready_s), sorted(runs.processor_s)
    return {
        "ready_p50_s": round(ready_s[len(ready_s) // 2], 2),
        "ready_max_s": round(ready_s[-1], 2),
        "ready_processor_p50_s": round(processor_s[len(processor_s) // 2], 2),
        "ready_processor_max_s": round(processor_s[-1], 2),
    }
