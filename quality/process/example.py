"""Two machines in line, each with temperature, pressure and speed: the model's own example, as a plant to learn from.

A moulding machine and the press that follows it. The plant is written in physical terms that no model sees: heat and
pressure follow their setpoints slowly and act on each other, a fast machine stops more often and makes more rejects,
and each stop or reject is drawn. A row is a minute. Everything is reproducible from the seed. Needs numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from millmark.quality.process.telemetry import Layout, Telemetry

Floats = NDArray[np.float64]
STEP_S: Final = 60
CAPACITY: Final = 12.0
"""Parts that a machine makes in a minute at eta = e = 1."""
SETPOINTS: Final = ("temperature_set", "pressure_set", "speed_set")
COLUMNS: Final = ("temperature", "pressure", "speed", "energy", *SETPOINTS, "backlog", "eta", "e")
LAYOUT: Final = Layout(
    states=("temperature", "pressure", "speed"),
    setpoints=SETPOINTS,
    energy="energy",
    backlog="backlog",
    eta="eta",
    e="e",
    capacity=CAPACITY,
)
_CHECKS: Final = 240
"""Quarter seconds in a minute, each of which is a stop or not; and as many parts' worth of work that is good or not."""


@dataclass(frozen=True, slots=True)
class PlantRow:
    """What is measured in a minute."""

    values: tuple[float, ...]
    """By `COLUMNS`."""
    made: int
    """Good parts that left the machine."""


@dataclass(slots=True)
class Machine:
    """One machine of the line. Temperatures in degrees Celsius, pressures in bar, speed in strokes per minute."""

    best_temperature: float = 210.0
    best_pressure: float = 80.0
    wear: float = 0.0
    """Drift of the best temperature, in degrees: what a worn tool does. 0 for a new one."""
    state: Floats = field(default_factory=lambda: np.array([205.0, 78.0, 30.0]))
    backlog: float = 60.0
    shares: tuple[float, float] = (0.9, 0.7)

    def step(self, setpoints: Floats, arrivals: float, draw: np.random.Generator, disturbance: float = 0.0) -> PlantRow:
        """A minute under these setpoints (3,). `disturbance`: degrees by which cooling takes heat away."""
        temperature, pressure, speed = self.state
        eta, e = self._shares()
        eta_seen = draw.binomial(_CHECKS, eta) / _CHECKS
        e_seen = draw.binomial(_CHECKS, e) / _CHECKS
        friction = 0.06 * max(speed - 25, 0) * pressure / 80
        self.state = self.state + np.array(
            [
                (setpoints[0] - temperature) / 9 + friction - disturbance / 9,
                (setpoints[1] - pressure) / 3 + 0.02 * (temperature - 205),
                (setpoints[2] - speed) / 2,
            ]
        )
        self.state = self.state + draw.normal(0, (0.25, 0.3, 0.1))
        there = self.backlog + arrivals
        made = min(there, CAPACITY * eta_seen * e_seen)
        self.backlog, self.shares = there - made, (eta_seen, e_seen)
        return PlantRow(
            (temperature, pressure, speed, self._energy(), *setpoints, self.backlog, eta_seen, e_seen), int(made)
        )

    def _shares(self) -> tuple[float, float]:
        """eta and e as they are: the fixed point of two curves, each of which leans on the other."""
        temperature, pressure, speed = self.state
        eta, e = self.shares
        heat = (temperature - self.best_temperature - self.wear) / 12
        squeeze = (pressure - self.best_pressure) / 15
        for _ in range(40):
            eta = _logistic(2.2 - 0.09 * max(speed - 32, 0) ** 1.5 - 0.5 * heat**2 + 1.2 * (e - 0.7))
            good = _logistic(3.2 - heat**2 - squeeze**2 - 0.06 * max(speed - 34, 0) ** 1.5 + 0.8 * (eta - 0.85))
            e = min(1.0, speed / 45) * good
        return eta, e

    def _energy(self) -> float:
        """Wh in a minute: standing by, heating, and work by pressure and speed."""
        temperature, pressure, speed = self.state
        return max(0.0, float(20 + 0.9 * (temperature - 20) / 2 + 0.035 * pressure * speed))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def run_line(minutes: int, seed: int, wear: tuple[float, float] = (0.0, 0.0)) -> tuple[Telemetry, Telemetry]:
    """Telemetry of both machines while their setpoints are moved about, as a trial run does.

    What the first makes arrives at the second: work is conserved along the line.
    """
    draw = np.random.default_rng(seed)
    line = Machine(wear=wear[0]), Machine(best_temperature=185.0, best_pressure=95.0, wear=wear[1], backlog=40.0)
    line[1].state = np.array([182.0, 92.0, 28.0])
    centres = np.array([[208.0, 80.0, 33.0], [184.0, 94.0, 32.0]])
    setpoints, rows = centres.copy(), ([], [])  # type: tuple[Floats, tuple[list[PlantRow], list[PlantRow]]]
    for minute in range(minutes):
        arrivals = float(draw.poisson(8)) if line[0].backlog < 200 else 0.0
        for place, machine in enumerate(line):
            if minute % 20 == 10 * place:
                setpoints[place] = centres[place] + draw.uniform(-1, 1, 3) * (14, 12, 11)
            row = machine.step(setpoints[place], arrivals, draw)
            rows[place].append(row)
            arrivals = float(row.made) if line[1].backlog < 200 else 0.0
    return _tabulate(rows[0]), _tabulate(rows[1])


def _tabulate(rows: list[PlantRow]) -> Telemetry:
    times = np.arange(len(rows), dtype=np.int64) * STEP_S + 1_700_000_000
    values = np.array([row.values for row in rows])
    return Telemetry(COLUMNS, times, values, STEP_S, (), np.zeros(len(rows), dtype=np.int64))
