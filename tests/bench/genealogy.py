"""Genealogy queries on a large plant, timed beside the same queries through SQLAlchemy's ORM.

Every result is compared with the peer's. Times are for one process and a database file in the page cache; disks and
other machines are not measured.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ledger.errors import InputError
from ledger.provenance import Limits, recall
from ledger.store import Lineage, Store
from services.store import open_store
from tests.bench.orm_peer import Peer
from tests.bench.plant_store import Plant, draw_plant, write_plant

__all__ = ["Timing", "measure_genealogy"]

_QUESTIONS = 40
"""Number of finished lots whose ancestors are queried."""
_EVERYTHING = Limits(depth=256, lots=1_000_000)
_Ask: TypeAlias = "Callable[[bytes], set[bytes]]"
"""A query: from a lot to its ancestors or descendants."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one kind of query, in milliseconds."""

    question: str
    asked: int
    lots: int
    """Number of lots in the median result."""
    median_ms: float
    slowest_ms: float
    cpu_ms: float
    """Median CPU time, which other load on the machine does not affect."""
    peer_ms: dict[str, float]
    """Median times of the peer, which finds the same lots, by its method."""

    def to_json(self) -> dict[str, object]:
        return {
            "asked": self.asked,
            "lots": self.lots,
            "median_ms": self.median_ms,
            "slowest_ms": self.slowest_ms,
            "median_cpu_ms": self.cpu_ms,
            **{f"peer_{way}_median_ms": took for way, took in self.peer_ms.items()},
            **{f"times_faster_than_{way}": round(took / self.median_ms, 1) for way, took in self.peer_ms.items()},
        }


def measure_genealogy(lots: int, seed: int) -> list[Timing]:
    """Generates a plant in a database of its own and times the queries. Raises InputError for fewer than 40 lots."""
    if lots < _QUESTIONS:
        raise InputError(f"{lots} lots are too few", hint=f"give at least {_QUESTIONS}")
    plant = draw_plant(lots, seed)
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'plant.db'}"
        with open_store(url) as store:
            write_plant(store, plant)
            peer = Peer(url)
            try:
                return _ask(store, peer, plant, random.Random(seed))  # noqa: S311  # a sample, not a secret
            finally:
                peer.close()


def _ask(store: Store, peer: Peer, plant: Plant, dice: random.Random) -> list[Timing]:
    finished = dice.sample(plant.finished, min(_QUESTIONS, plant.width))

    def ancestors(subject: bytes) -> set[bytes]:
        with store.reading() as connection:
            return _beyond(Lineage(connection).upstream([subject], _EVERYTHING.depth, _EVERYTHING.lots))

    def descendants(subject: bytes) -> set[bytes]:
        with store.reading() as connection:
            return _beyond(Lineage(connection).downstream([subject], _EVERYTHING.depth, _EVERYTHING.lots))

    def recalled(subject: bytes) -> set[bytes]:
        return {lot.subject for lot in recall(store, lot=subject, limits=_EVERYTHING).lots} - {subject}

    up = {"objects": partial(peer.walk_objects, up=True), "query": partial(peer.query_objects, up=True)}
    down = {"objects": partial(peer.walk_objects, up=False), "query": partial(peer.query_objects, up=False)}
    return [
        _time("ancestors of a finished lot", ancestors, up, map(plant.subject, finished)),
        _time("descendants of a coil", descendants, down, map(plant.subject, plant.coils)),
        _time("recall of a coil", recalled, {}, map(plant.subject, plant.coils)),
    ]


def _beyond(found: list[tuple[bytes, int]]) -> set[bytes]:
    return {lot for lot, depth in found if depth}


def _time(question: str, ask: _Ask, peers: Mapping[str, _Ask], subjects: Iterable[bytes]) -> Timing:
    """Runs each query by all methods in turn, so that other load on the machine affects all of them alike."""
    own: list[float] = []
    cpu: list[float] = []
    theirs: dict[str, list[float]] = {way: [] for way in peers}
    sizes = []
    for subject in subjects:
        # Ours first: if a page has to come from disk, that counts against us.
        start_cpu = time.process_time()
        answer, took = _clock(ask, subject)
        cpu.append((time.process_time() - start_cpu) * 1_000)
        own.append(took)
        sizes.append(len(answer))
        for way, ask_peer in peers.items():
            other, took = _clock(ask_peer, subject)
            theirs[way].append(took)
            if other != answer:
                raise AssertionError(f"{question}: {len(answer)} lots here, {len(other)} by the peer's {way}")
    return Timing(
        question=question,
        asked=len(sizes),
        lots=int(statistics.median(sizes)),
        median_ms=_median(own),
        slowest_ms=round(max(own), 2),
        cpu_ms=_median(cpu),
        peer_ms={way: _median(times) for way, times in theirs.items()},
    )


def _clock(ask: _Ask, subject: bytes) -> tuple[set[bytes], float]:
    start = time.perf_counter()
    answer = ask(subject)
    return answer, (time.perf_counter() - start) * 1_000


def _median(times: list[float]) -> float:
    return round(statistics.median(times), 2)
