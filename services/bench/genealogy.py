"""Questions about a large plant's genealogy, timed next to the same questions through SQLAlchemy's ORM.

Every answer is compared with the peer's before its time counts. Times are of one process on a warm file: what disks
and other machines make of them is not measured.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ledger.errors import InputError
from ledger.provenance import Limits, recall
from ledger.store import Lineage, Store, open_store
from services.bench.graph import Plant, draw_plant
from services.bench.orm_peer import Peer
from services.bench.plant_store import write_plant

__all__ = ["Timing", "measure_genealogy"]

_QUESTIONS = 40
"""Finished lots whose ancestors are asked for."""
_EVERYTHING = Limits(depth=256, lots=1_000_000)
_Ask: TypeAlias = "Callable[[bytes], set[bytes]]"
"""From a lot to the lots beyond it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One kind of question: medians over all that were asked, in milliseconds."""

    question: str
    asked: int
    lots: int
    """In the median answer."""
    median_ms: float
    slowest_ms: float
    cpu_ms: float
    """Median of the processor's time: what others do on the machine does not count."""
    objects_ms: float
    """The peer's median, from object to object."""
    query_ms: float
    """The peer's median, by one recursive query that gives objects."""

    def to_json(self) -> dict[str, object]:
        return {
            "asked": self.asked,
            "lots": self.lots,
            "median_ms": self.median_ms,
            "slowest_ms": self.slowest_ms,
            "median_cpu_ms": self.cpu_ms,
            "peer_objects_median_ms": self.objects_ms,
            "peer_query_median_ms": self.query_ms,
            "times_faster_than_objects": round(self.objects_ms / self.median_ms, 1),
            "times_faster_than_query": round(self.query_ms / self.median_ms, 1),
        }


def measure_genealogy(lots: int, seed: int) -> list[Timing]:
    """Draws a plant, writes it into a database of its own, and asks. Raises InputError for fewer than 40 lots."""
    if lots < _QUESTIONS:
        raise InputError(f"{lots} lots are no plant", mend=f"give {_QUESTIONS} or more")
    plant = draw_plant(lots, seed)
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'plant.db'}"
        with open_store(url) as store:
            write_plant(store, plant)
            peer = Peer(url)
            try:
                return _ask(store, peer, plant, random.Random(seed))  # noqa: S311  # a choice, no secret
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

    return [
        _time("ancestors of a finished lot", ancestors, peer, map(plant.subject, finished), up=True),
        _time("descendants of a coil", descendants, peer, map(plant.subject, plant.coils), up=False),
        _time("recall of a coil", recalled, peer, map(plant.subject, plant.coils), up=False),
    ]


def _beyond(found: list[tuple[bytes, int]]) -> set[bytes]:
    return {lot for lot, depth in found if depth}


def _time(question: str, ask: _Ask, peer: Peer, subjects: Iterable[bytes], *, up: bool) -> Timing:
    """Each question to all three in turn, so that whatever else the machine does meets all of them."""
    asks: list[_Ask] = [ask, partial(peer.walk_objects, up=up), partial(peer.query_objects, up=up)]
    times: list[list[float]] = [[], [], []]
    cpu: list[float] = []
    sizes = []
    for subject in subjects:
        answers = []
        for one, took in zip(asks, times, strict=True):
            start, start_cpu = time.perf_counter(), time.process_time()
            answers.append(one(subject))
            took.append((time.perf_counter() - start) * 1_000)
            if one is ask:
                cpu.append((time.process_time() - start_cpu) * 1_000)
        if not answers[0] == answers[1] == answers[2]:
            raise AssertionError(f"{question}: answers of {', '.join(str(len(answer)) for answer in answers)} lots")
        sizes.append(len(answers[0]))
    ours, objects, query, own_cpu = (round(statistics.median(took), 2) for took in (*times, cpu))
    return Timing(
        question=question,
        asked=len(sizes),
        lots=int(statistics.median(sizes)),
        median_ms=ours,
        slowest_ms=round(max(times[0]), 2),
        cpu_ms=own_cpu,
        objects_ms=objects,
        query_ms=query,
    )
