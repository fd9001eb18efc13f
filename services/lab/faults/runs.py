"""The fault profiles by name, and the report of a run."""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from ledger.errors import SettingsError
from services.lab.faults.ledger_check import Outcome

__all__ = ["RUNS", "FaultReport", "run_faults"]

Run: TypeAlias = "Callable[[Path, int, int], Outcome]"
"""A fault profile: takes an empty folder, the minimum number of faults (for `soak`, seconds of work), and a seed."""

RUNS: Mapping[str, tuple[str, str]] = {
    "rpc": ("services.lab.faults.rpc", "run_rpc"),
    "kill": ("services.lab.faults.kill", "run_kill"),
    "nonce": ("services.lab.faults.nonces", "run_nonce"),
    "reorg": ("services.lab.faults.reorg", "run_reorg"),
    "disk": ("services.lab.faults.disk", "run_disk"),
    "clock": ("services.lab.faults.clock", "run_clock"),
    "offline": ("services.lab.faults.offline", "run_offline"),
    "rotate": ("services.lab.faults.rotate", "run_rotate"),
    "handover": ("services.lab.faults.handover", "run_handover"),
    "failover": ("services.lab.faults.failover", "run_failover"),
    "node": ("services.lab.faults.node_kills", "run_node_kills"),
    "sockets": ("services.lab.faults.sockets", "run_sockets"),
    "soak": ("services.lab.faults.soak", "run_soak"),
}
"""Module and function of each profile, by name.

A profile is imported only when it runs: the command's help lists the names, and must not need numpy for that.
"""


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
    run = _load(name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millmark-faults-") as folder:
        outcome = run(Path(folder), count, seed)
    return FaultReport(name, count, seed, outcome, time.monotonic() - started)


def _load(name: str) -> Run:
    module, function = RUNS[name]
    run: Run = getattr(importlib.import_module(module), function)
    return run
