"""Rows of inference, exact in integers, beside floating point."""

import tempfile
from pathlib import Path
from typing import Any

from tests.bench.quality.speed import run_speed
from tests.bench.table.rows import Figure, Measured
from tests.bench.table.sides import ask_in_turns, compare, open_sides


def measure_inference() -> Measured:
    """A network of 152-32-16-2 on one thread, so that wall time is CPU time where nothing else runs."""
    answer: Any = run_speed().answer
    medians = answer["medians_us"]
    own, peer = (medians[f"torch {kind}, batch of 1024"] for kind in ("integers", "float32"))
    return Measured({"batch": Figure(own, "us", peer)})


def measure_rocket() -> Measured:
    """Windows of 500 values: one alone, and many at once."""
    arguments = {"width": 500, "alone": 20, "batch": 512}
    figures = {}
    modules = {"own": ("own.rocket", arguments), "aeon": ("peers.rocket", arguments)}
    with tempfile.TemporaryDirectory() as name, open_sides(Path(name), modules) as (sides, missing):
        for task in ("alone", "batch"):
            found = ask_in_turns(sides, task, 7)
            if "aeon" in found:
                figures[task] = compare(found["own"], found["aeon"], 1e6, "us")
    return Measured(figures, {task: why for task in ("alone", "batch") for why in missing.values()})
