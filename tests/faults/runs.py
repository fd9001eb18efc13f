"""The fault profiles by name, and the report of a run.

A profile records a set of unique events on a real chain in its own process while it injects faults. To its sender each
event is acknowledged, failed or unknown. At the end the ledger itself is read: lost, duplicated and invented (phantom)
events are counted, and the index is compared with a new replay and with the heads in the contract.

Those of a network found a ledger on validators of a real node program, have four companies record on it, each from a
process with a database and a chain node of its own, and compare what they were told with what a node shows that was
never faulty.
"""

from __future__ import annotations

import functools
import importlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from millmark.ledger.errors import InputError, SettingsError
from tests.faults.ledger_check import Outcome

Run: TypeAlias = "Callable[[Path, int, int], Outcome]"
"""A fault profile: takes an empty folder, the minimum number of faults (for `soak`, seconds of work), and a seed."""

RUNS: Mapping[str, tuple[str, str]] = {
    "rpc": ("tests.faults.proxy", "run_rpc"),
    "kill": ("tests.faults.kill", "run_kill"),
    "nonce": ("tests.faults.disturbances", "run_nonce"),
    "reorg": ("tests.faults.disturbances", "run_reorg"),
    "disk": ("tests.faults.disk", "run_disk"),
    "clock": ("tests.faults.clock", "run_clock"),
    "offline": ("tests.faults.clock", "run_offline"),
    "rotate": ("tests.faults.soak", "run_rotate"),
    "handover": ("tests.faults.handover", "run_handover"),
    "failover": ("tests.faults.disk", "run_failover"),
    "node": ("tests.faults.factory", "run_node_kills"),
    "sockets": ("tests.faults.sockets", "run_sockets"),
    "soak": ("tests.faults.soak", "run_soak"),
}
"""Module and function of each profile, by name. A profile is imported only when it runs: the command's help lists the
names, and must not need numpy for that."""
_NETWORK_KINDS = {
    "network-kill": ("kill",),
    "network-stop": ("pause",),
    "network-halt": ("halt", "freeze"),
    "network-cut": ("cut-one", "cut-half"),
    "network-erase": ("erase",),
    "network-rpc": ("two-back-ends", "lie", "swap"),
    "network-postgresql": ("database",),
}
NETWORK_RUNS: Mapping[str, tuple[str, ...]] = {
    **_NETWORK_KINDS,
    "network": tuple(kind for kinds in _NETWORK_KINDS.values() for kind in kinds),
}
"""Profiles that run on validators of a node program: the kinds of faults of each
(tests.faults.network.scenarios)."""


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


def run_faults(name: str, count: int, seed: int, keep: Path | None = None) -> FaultReport:
    """Runs a fault profile in a temporary folder. `keep` is a file with the parts of an earlier run of a profile of
    NETWORK_RUNS, which count, and to which this run's are added.

    Raises SettingsError if it is unknown or a program it needs is not installed, InputError for another file.
    """
    if name not in (*RUNS, *NETWORK_RUNS):
        known = ", ".join((*RUNS, *NETWORK_RUNS))
        raise SettingsError(f"unknown fault profile {name!r}", hint=f"use one of {known}")
    if keep is not None and name not in NETWORK_RUNS:
        raise InputError(f"{name} keeps nothing", hint=f"only these can go on: {', '.join(NETWORK_RUNS)}")
    run = _load_network(name, keep) if name in NETWORK_RUNS else _load(name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="millmark-faults-") as folder:
        outcome = run(Path(folder), count, seed)
    return FaultReport(name, count, seed, outcome, time.monotonic() - started)


def _load_network(name: str, keep: Path | None) -> Run:
    module = importlib.import_module("tests.faults.network.part")
    return functools.partial(module.run_network, kinds=NETWORK_RUNS[name], keep=keep)


def _load(name: str) -> Run:
    module, function = RUNS[name]
    run: Run = getattr(importlib.import_module(module), function)
    return run
