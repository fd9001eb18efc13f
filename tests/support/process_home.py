"""What a company keeps in its home of the process of a machine: the example's model, its terms, and the last hour."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from millmark.quality.process.telemetry import COLUMNS, Machine
from millmark.services.planning.feedback.inbox_desk import FOLDER
from tests.support.planning_samples import show_calendar

__all__ = ["TERMS", "keep_process"]

TERMS = """[prices]
rate_per_hour = 5400
price_per_kwh = 31
price_per_unit = 60
[horizon]
moves = 3
hold = 6
arrivals = 7.8
[setpoint.temperature_set]
low = 195
high = 225
rate = 8
"""


def keep_process(home: Path, machine: int, end_s: int) -> Path:
    """An hour, until `end_s`, of a machine from which something takes heat away. Returns the machine's folder."""
    folder = home / FOLDER / str(machine)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes((files("millmark.quality") / "models" / "moulder.bin").read_bytes())
    (folder / "terms.toml").write_text(TERMS)
    (folder / "telemetry.csv").write_text(_show(end_s))
    (home / "calendar.toml").write_text(show_calendar("LATHE-2", 4000, "UTC", "06:00", "22:00"))
    return folder


def _show(end_s: int) -> str:
    lines = [f"{end_s + 60 * (number - 59)},{row}" for number, row in enumerate(_measured())]
    return "\n".join([f"time,{','.join(COLUMNS)}", *lines, ""])


@cache
def _measured() -> list[str]:
    machine, draw = Machine(backlog=190.0), np.random.default_rng(1)
    settings = np.array([208.0, 80.0, 33.0])
    rows = [machine.step(settings, 7.8, draw, 8.0).values for _ in range(60)]
    return [",".join(f"{value:.4f}" for value in row) for row in rows]
