"""Rows of durable ingest."""

import tempfile
from pathlib import Path

from tests.bench.table.rows import Measured
from tests.bench.table.sides import ask_in_turns, compare, open_sides

_ROUNDS = 7


def measure_ingest() -> Measured:
    arguments = {"batch": 500, "batches": 10, "checked": 1000, "singles": 200}
    modules = {"own": ("own.ingest", arguments), "peer": ("peers.ingest", arguments)}
    figures = {}
    with tempfile.TemporaryDirectory() as name, open_sides(Path(name), modules) as (sides, missing):
        for task in ("ingest", "check"):
            found = ask_in_turns(sides, task, _ROUNDS)
            if any(one.result != one.count for one in found["own"]):
                raise AssertionError("not every event was anchored")
            if "peer" in found:
                figures[task] = compare(found["own"], found["peer"], 1e6, "us")
                figures[f"{task} wall"] = compare(found["own"], found["peer"], 1e6, "us", "wall")
    return Measured(
        figures,
        {f"{task}{clock}": why for task in ("ingest", "check") for clock in ("", " wall") for why in missing.values()},
    )
