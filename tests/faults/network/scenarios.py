"""What is done to a network, and healed again: each is a context manager that yields the companies it concerns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.faults.network.gates import Gate, raise_head
from tests.faults.network.linked import COMPANIES, LinkedNetwork

__all__ = ["FAULTS", "NEEDS_OTHER", "NEEDS_POSTGRESQL", "Fault", "Rig"]

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
