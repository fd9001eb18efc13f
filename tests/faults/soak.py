"""`soak`: a node under steady load, whose memory and number of open files must not grow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from millmark.services.store import open_store
from tests.faults.chains import running_chain
from tests.faults.factory import Event, Machine, NodeProcess, found_factory, running_node
from tests.faults.factory_check import check_factory
from tests.faults.ledger_check import Outcome
from tests.faults.node_kills import connect

__all__ = ["fit_slope", "judge_growth", "run_soak"]

_RATE = 200
"""Events per second."""
_BATCH = 20
_WINDOW_EVERY_S = 10
"""Seconds between two inspected and certified parts."""
_WARM_UP = 1 / 2
"""Share of the total time during which caches, pools and the allocator's arenas may fill. At this rate, SQLite's page
caches, of 512 KiB a connection, fill for ten to fifteen minutes."""
_SAMPLE_S = 2.0
_MAX_MIB = 1.0
_TEN_MINUTES_S = 600.0
_PAGE_MIB = 4096 / 2**20

Sample = tuple[float, float, int]
"""Seconds since the start, resident memory in MiB, number of open files."""


def run_soak(folder: Path, count: int, seed: int) -> Outcome:
    """Runs for `count` seconds. `seed` only appears in the names of events."""
    with running_chain(folder) as process, open_store(f"sqlite:///{folder / 'index.sqlite'}") as index:
        factory = found_factory(folder, process, count // _WINDOW_EVERY_S + 1)
        machine, chain = Machine([], batch=_BATCH), connect(factory, process)
        windows = [event for event in factory.events() if "lot" in event]
        with running_node(factory) as node:
            samples = [] if node is None else _work(node, machine, windows, count, seed)
        check = check_factory(factory, chain, index, folder, machine)
    figures, broken = judge_growth(samples, count * _WARM_UP)
    return Outcome(process.engine, Counter({"seconds of work": count}), check, figures, broken)


def judge_growth(samples: Sequence[Sample], warm_up_s: float) -> tuple[dict[str, float], tuple[str, ...]]:
    """Figures, and what is broken: memory that grows after the warm-up, or more open files at every time of the last
    quarter than at some time of the quarter before it. Needs samples in both."""
    # Growth while caches fill is expected; a leak goes on growing.
    settled = [sample for sample in samples if sample[0] >= warm_up_s]
    slope = fit_slope([(at_s, memory) for at_s, memory, _ in settled]) * _TEN_MINUTES_S
    # Connections come and go with the requests of one moment. A file that is never closed stays under all of them.
    half = len(settled) // 2
    before, after = (min(files for _, _, files in part) for part in (settled[:half] or settled, settled[half:]))
    figures = {
        "memory_slope_mib_per_10_min": round(slope, 2),
        "memory_first_mib": round(settled[0][1], 1),
        "memory_last_mib": round(settled[-1][1], 1),
        "files_least_before": before,
        "files_least_after": after,
    }
    broken = [] if slope < _MAX_MIB else [f"memory grows by {slope:.1f} MiB in ten minutes"]
    if after > before:
        broken.append(f"at least {after} files are open in the last quarter, {before} in the quarter before it")
    return figures, tuple(broken)


def _work(node: NodeProcess, machine: Machine, windows: Sequence[Event], seconds: int, seed: int) -> list[Sample]:
    """Sends events for `seconds`."""
    samples: list[Sample] = []
    events: list[Event] = []
    machine.events = events
    begun, due = time.monotonic(), iter(windows)
    for turn in range(seconds * _RATE // _BATCH):
        time.sleep(max(begun + turn * _BATCH / _RATE - time.monotonic(), 0))
        if turn % (_WINDOW_EVERY_S * _RATE // _BATCH) == 0:
            events.append(next(due))
        start = turn * _BATCH
        events += [
            {"id": f"reading-{seed}-{number}", "data": {"spindle_rpm": 2000 + number % 97}}
            for number in range(start, start + _BATCH)
        ]
        while not machine.is_done and machine.send(node):
            pass
        at_s = time.monotonic() - begun
        if not samples or at_s - samples[-1][0] >= _SAMPLE_S:
            samples.append((at_s, *_measure(node.process.pid)))
    node.settle()
    return samples


def _measure(number: int) -> tuple[float, int]:
    """Resident memory in MiB and open files of a process (proc(5))."""
    resident = int(Path(f"/proc/{number}/statm").read_text().split()[1]) * _PAGE_MIB
    return resident, sum(1 for _ in Path(f"/proc/{number}/fd").iterdir())


def fit_slope(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the least-squares line through the points; 0 for fewer than two points."""
    mean_x = sum(x for x, _ in points) / max(len(points), 1)
    mean_y = sum(y for _, y in points) / max(len(points), 1)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
