"""What is done to a network, and healed again: each is a context manager that yields the companies it concerns;
and the processes of the companies, watched."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.chain import HttpTransport, RpcError
from millmark.ledger.errors import ChainError, MillmarkError
from tests.faults.network.company import CompanyPlan
from tests.faults.network.judge import CompanyAccount
from tests.faults.network.linked import COMPANIES, LinkedNetwork
from tests.faults.network.links import Gate, raise_head

_RESETS_EVERY = 4
"""One cut in this many also breaks the connections: node programs then wait, geth for 35 s, before they call again."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A network with companies at work. Company `number` asks node `number + 1`; node 0 is the judge's."""

    linked: LinkedNetwork
    gates: list[Gate]
    chance: random.Random
    other_url: str = ""
    """A node of another network, of the same chain id, with the same contracts at the same addresses."""
    restart_database: Callable[[], AbstractContextManager[None]] | None = None
    """Kills PostgreSQL, under the last company, and starts it again."""

    def pick(self, count: int = 1) -> list[int]:
        """Numbers of companies, by chance."""
        return sorted(self.chance.sample(range(COMPANIES), min(count, len(self.linked.network.nodes) - 1)))

    @property
    def stoppers(self) -> int:
        """How many validators must be gone for the chain to stand still."""
        network = self.linked.network
        return network.program.kind.consensus.may_stop(len(network.nodes)) + 1


Fault = Callable[[Rig], AbstractContextManager[list[int]]]


def node_of(company: int, nodes: int) -> int:
    """The node that a company asks: with four validators, the last two companies share one."""
    return min(company + 1, nodes - 1)


def _nodes(rig: Rig, companies: list[int]) -> list[int]:
    return sorted({node_of(company, len(rig.linked.network.nodes)) for company in companies})


def _asking(rig: Rig, nodes: list[int]) -> list[int]:
    """The companies that ask these nodes."""
    count = len(rig.linked.network.nodes)
    return [company for company in range(COMPANIES) if node_of(company, count) in nodes]


@contextmanager
def kill(rig: Rig) -> Iterator[list[int]]:
    """A validator, which is a company's own node, is killed and started again."""
    [number] = _nodes(rig, rig.pick())
    rig.linked.network.nodes[number].kill()
    yield _asking(rig, [number])
    rig.linked.network.nodes[number].restart()


@contextmanager
def pause(rig: Rig) -> Iterator[list[int]]:
    """A validator, which is a company's own node, is stopped: it takes connections, and answers nothing."""
    [number] = _nodes(rig, rig.pick())
    rig.linked.network.nodes[number].pause()
    yield _asking(rig, [number])
    rig.linked.network.nodes[number].resume()


@contextmanager
def erase(rig: Rig) -> Iterator[list[int]]:
    """A company's own node is killed, and started with an empty data folder."""
    [number] = _nodes(rig, rig.pick())
    rig.linked.network.nodes[number].kill()
    yield _asking(rig, [number])
    rig.linked.network.nodes[number].restart(erased=True)


def _most(rig: Rig) -> list[int]:
    return sorted(rig.chance.sample(range(1, len(rig.linked.network.nodes)), rig.stoppers))


@contextmanager
def halt(rig: Rig) -> Iterator[list[int]]:
    """As many validators are killed as the chain cannot do without."""
    nodes = [rig.linked.network.nodes[number] for number in _most(rig)]
    for node in nodes:
        node.kill()
    yield list(range(COMPANIES))
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()


@contextmanager
def freeze(rig: Rig) -> Iterator[list[int]]:
    """As many validators are stopped as the chain cannot do without."""
    nodes = [rig.linked.network.nodes[number] for number in _most(rig)]
    for node in nodes:
        node.pause()
    yield list(range(COMPANIES))
    for node in nodes:
        node.resume()


@contextmanager
def _cut(rig: Rig, nodes: list[int]) -> Iterator[None]:
    rig.linked.links.cut(nodes, resets=rig.chance.randrange(_RESETS_EVERY) == 0)
    yield
    rig.linked.links.heal()


@contextmanager
def cut_one(rig: Rig) -> Iterator[list[int]]:
    """A company's own node is cut off from all others, and falls behind: 4|1, or 3|1."""
    nodes = _nodes(rig, rig.pick())
    with _cut(rig, nodes):
        yield _asking(rig, nodes)


@contextmanager
def cut_half(rig: Rig) -> Iterator[list[int]]:
    """The network is cut in two: 3|2, of which the smaller side makes a fork of its own; or 2|2, which halts."""
    nodes = sorted(rig.chance.sample(range(1, len(rig.linked.network.nodes)), 2))
    halted = len(rig.linked.network.nodes) - 2 < rig.linked.network.program.kind.consensus.quorum(
        len(rig.linked.network.nodes)
    )
    with _cut(rig, nodes):
        yield list(range(COMPANIES)) if halted else _asking(rig, nodes)


@contextmanager
def two_back_ends(rig: Rig) -> Iterator[list[int]]:
    """Behind a company's address are two nodes in turn, one of which is cut off and falls behind."""
    [company] = rig.pick()
    nodes, gate = _nodes(rig, [company]), rig.gates[company]
    own = gate.upstreams
    gate.upstreams = (*own, rig.linked.network.nodes[0].url)
    with _cut(rig, nodes):
        yield _asking(rig, nodes)
    gate.upstreams = own


@contextmanager
def lie(rig: Rig) -> Iterator[list[int]]:
    """A company's node says that its chain is much longer, so that what is not final seems to be."""
    [company] = rig.pick()
    rig.gates[company].lie = raise_head
    yield [company]
    rig.gates[company].lie = None


@contextmanager
def swap(rig: Rig) -> Iterator[list[int]]:
    """A company's address leads to another network, which its settings cannot tell from the right one."""
    [company] = rig.pick()
    own = rig.gates[company].upstreams
    rig.gates[company].upstreams = (rig.other_url,)
    yield [company]
    rig.gates[company].upstreams = own


@contextmanager
def database(rig: Rig) -> Iterator[list[int]]:
    """PostgreSQL, which holds the last company's outbox and index, is killed and started again."""
    assert rig.restart_database is not None  # the run starts what its faults need
    with rig.restart_database():
        yield [COMPANIES - 1]


FAULTS: Mapping[str, Fault] = {
    "kill": kill,
    "pause": pause,
    "halt": halt,
    "freeze": freeze,
    "cut-one": cut_one,
    "cut-half": cut_half,
    "erase": erase,
    "two-back-ends": two_back_ends,
    "lie": lie,
    "swap": swap,
    "database": database,
}
NEEDS_OTHER, NEEDS_POSTGRESQL = "swap", "database"


_POLL_S = 0.2
_TIMEOUT_S = 1.0
_READY_S = 300.0
_DRAIN_S = 180.0


def wait_until(holds: Callable[[], bool], most_s: float) -> bool:
    """Returns whether it came true in time."""
    deadline = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S / 2)
    return True


class Heads:
    """The latest block of each node, and when each was first seen there."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._seen: list[list[tuple[float, int]]] = [[] for _ in urls]
        self.stop = threading.Event()

    def watch(self, number: int) -> None:
        node = HttpTransport(self._urls[number], _TIMEOUT_S)
        while not self.stop.wait(_POLL_S):
            with contextlib.suppress(ChainError, RpcError):
                head, seen = int(node.request("eth_blockNumber", []), 16), self._seen[number]
                if not seen or seen[-1][1] != head:
                    seen.append((time.monotonic(), head))

    def highest(self) -> int:
        """The highest block that any node showed."""
        return max((seen[-1][1] for seen in self._seen if seen), default=0)

    def shown_at(self, number: int, above: int, since: float) -> float | None:
        """When node `number` first showed a block above block `above`, at `since` or later; None if it has not."""
        return next((at for at, head in reversed_until(self._seen[number], since) if head > above), None)


def reversed_until(seen: Sequence[tuple[float, int]], since: float) -> list[tuple[float, int]]:
    """What was seen since a time, in order. Only the end of the list is read."""
    place = len(seen)
    while place and seen[place - 1][0] >= since:
        place -= 1
    return list(seen[place:])


@contextmanager
def watched_heads(urls: Sequence[str]) -> Iterator[Heads]:
    """Asks each node for its head several times a second until exit."""
    heads = Heads(urls)
    threads = [threading.Thread(target=heads.watch, args=(number,), daemon=True) for number in range(len(urls))]
    for thread in threads:
        thread.start()
    try:
        yield heads
    finally:
        heads.stop.set()
        for thread in threads:
            thread.join()


@dataclass(slots=True)
class RunningCompany:
    """The process of a company, and what it said so far."""

    plan: CompanyPlan
    process: subprocess.Popen[bytes]
    report: Path
    acknowledged: list[int] = field(default_factory=list)
    finals: list[tuple[float, int]] = field(default_factory=list)
    """When how many records became final."""
    undone: int = 0
    troubles: list[str] = field(default_factory=list)
    returned: int = 0
    """Transactions whose records were queued again."""
    reorganised: int = 0
    drained: bool = False
    _read: int = 0

    def listen(self) -> None:
        """Reads what was said since the last time."""
        with self.report.open("rb") as file:
            file.seek(self._read)
            said = file.read()
        whole = said[: said.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._hear(line)

    def _hear(self, line: str) -> None:
        text, _, at = line.rpartition(" ")
        word, _, rest = text.partition(" ")
        if word == "ack":
            self.acknowledged.append(int(rest))
        elif word == "final":
            self.finals.append((float(at), int(rest)))
        elif word == "undone":
            self.undone += int(rest)
        elif word == "returned":
            self.returned += 1
        elif word == "reorganised":
            self.reorganised += 1
        elif word == "trouble":
            self.troubles.append(rest)
        elif text == "drained":
            self.drained = True

    def final_since(self, at: float) -> float | None:
        """When the first record after that time became final; None if none has yet."""
        self.listen()
        return next((when for when, _ in reversed_until(self.finals, at)), None)

    def account(self) -> CompanyAccount:
        return CompanyAccount(self.plan.site(), self.plan.number, self.acknowledged, self.plan.database)

    def finish(self) -> None:
        """Tells the process to take in no more records and to end; `await_drained` waits until it has."""
        self.process.terminate()

    def await_drained(self) -> bool:
        """Whether everything became final and indexed, and the process ended. It is killed if that takes too long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_DRAIN_S)
        self.process.kill()
        self.process.wait()
        self.listen()
        return self.drained


@contextmanager
def running_companies(folder: Path, plans: Sequence[CompanyPlan]) -> Iterator[list[RunningCompany]]:
    """Runs the companies' processes. Raises MillmarkError if one does not start."""
    with ExitStack() as stack:
        companies = [_start(stack, folder, plan) for plan in plans]
        for company in companies:
            if not wait_until(lambda report=company.report: "ready" in report.read_text(), _READY_S):  # type: ignore[misc]
                raise MillmarkError("a company's process did not start", hint=f"see {company.report}")
        yield companies


def _start(stack: ExitStack, folder: Path, plan: CompanyPlan) -> RunningCompany:
    report = folder / f"company-{plan.number}.txt"
    path = plan.write(folder / f"company-{plan.number}.json")
    command = [sys.executable, "-m", "tests.faults.network.company", str(path)]
    errors = stack.enter_context(report.with_suffix(".errors.txt").open("wb"))
    with report.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return RunningCompany(plan, process, report)
