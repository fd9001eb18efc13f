"""The fault profiles by name, and the report of a run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ledger.errors import SettingsError
from services.lab.faults.clock import run_clock
from services.lab.faults.disk import run_disk
from services.lab.faults.kill import run_kill
from services.lab.faults.node_kills import run_node_kills
from services.lab.faults.nonces import run_nonce
from services.lab.faults.offline import run_offline
from services.lab.faults.outcome import Outcome
from services.lab.faults.reorg import run_reorg
from services.lab.faults.rotate import run_rotate
from services.lab.faults.rpc import run_rpc
from services.lab.faults.soak import run_soak

__all__ = ["RUNS", "FaultReport", "run_faults"]

RUNS: Mapping[str, Callable[[Path, int, int], Outcome]] = {
    "rpc": run_rpc,
    "kill": run_kill,
    "nonce": run_nonce,
    "reorg": run_reorg,
    "disk": run_disk,
    "clock": run_clock,
    "offline": run_offline,
    "rotate": run_rotate,
    "node": run_node_kills,
    "soak": run_soak,
}
"""Each takes an empty folder, the minimum number of faults (for `soak`, seconds of work), and a seed."""


@dataclass(frozen=True, slots=True)
class FaultReport:
    """Report of one run. The same name, count and seed inject the same faults."""

    name: str
    count: int
    seed: int
    outcome: Outcome
    seconds: float

    @property
    def passed(self) -> bool:
        return self.outcome.check.passed and not self.outcome.broken

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "count": self.count,
            "seed": self.seed,
            "passed": self.passed,
            "engine": self.outcome.engine,
            "injected": dict(sorted(self.outcome.injected.items())),
            **asdict(self.outcome.check),
            **self.outcome.figures,
            "broken": list(self.outcome.broken),
            "seconds": round(self.seconds, 1),
        }


def run_faults(name: str, count: int, seed: int) -> FaultReport:
    """Runs a fault profile in a temporary folder. Raises SettingsError if it is unknown or a program it needs is not
    installed."""
    if name not in RUNS:
        raise SettingsError(f"unknown fault profile {name!r}", hint=f"use one of {', '.join(RUNS)}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millmark-faults-") as folder:
        outcome = RUNS[name](Path(folder), count, seed)
    return FaultReport(name, count, seed, outcome, time.monotonic() - started)
