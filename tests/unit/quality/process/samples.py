"""A small process model, the one of the example's moulding machine, and states of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from millmark import quality
from millmark.quality.process import Bound, MachineState, Prices, ProcessModel, parse_process_model
from millmark.quality.process.records import Integers
from millmark.quality.process.telemetry import read_as, run_line

MODEL = Path(quality.__file__).parent / "models" / "moulder.bin"
PRICES = Prices(
    rate_per_hour=6000,
    price_per_kwh=31,
    co2e_mg_per_wh=380,
    carbon_price_per_kg=10,
    tardiness_per_unit_hour=20,
    price_per_unit=25,
)

_RANGES = {"temperature_set": (192, 222, 8), "pressure_set": (66, 94, 6), "speed_set": (22, 43, 5)}
BOUNDS = {name: Bound(low * 10_000, high * 10_000, rate * 10_000) for name, (low, high, rate) in _RANGES.items()}
LIMITS = {"temperature": (1_920_000, 2_240_000)}


@cache
def moulder() -> ProcessModel:
    return parse_process_model(MODEL.read_bytes())


@cache
def telemetry_rows(seed: int = 7, minutes: int = 240) -> Integers:
    """Rows of the moulding machine that the model was not trained on."""
    return read_as(moulder().columns, run_line(minutes, seed)[0])


def state_at(minute: int, rows: int = 30) -> MachineState:
    found = telemetry_rows()[minute - rows : minute]
    return MachineState(found.tolist(), arrivals=8000)


def random_states(count: int, seed: int) -> Integers:
    """Words (count, n) of measured states far wider than any machine's: up to six standard deviations."""
    draw = np.random.default_rng(seed)
    return np.rint(draw.uniform(-6, 6, (count, moulder().predicted)) * 65536).astype(np.int64)
