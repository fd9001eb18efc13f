"""Telemetry as it is trained on: rows in time, roles of columns, and where it was interrupted; with an example, and the
shares that are computed from times. Needs numpy."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from millmark.quality.data import split_rows, to_fixed
from millmark.quality.errors import InputError
from millmark.quality.process.arrays import to_words
from millmark.quality.process.records import MAX_SPREAD, ONE, Column, Integers, Role

Floats = NDArray[np.float64]
_FEWEST: Final = 50
"""Rows below which nothing is trained."""
_MOST_BYTES: Final = 2**28
_FINE: Final = 10_000
"""Integers per standard deviation of a column."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column is what, by name. Raises InputError for a name that is there twice, or a role that is missing."""

    states: tuple[str, ...]
    setpoints: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    energy: str = ""
    backlog: str = ""
    eta: str = ""
    """Targets of phi and psi: shares in [0, 1]."""
    e: str = ""
    capacity: float = 0.0
    """Units of the backlog that are done in a step at eta = e = 1."""

    def __post_init__(self) -> None:
        if not self.states:
            raise InputError("no column is a state", hint="name one or more with --states")
        if len({*self.names, self.eta, self.e} - {""}) != len(self.names) + bool(self.eta) + bool(self.e):
            raise InputError("a column has two roles")
        if len({bool(self.backlog), bool(self.eta), bool(self.e), self.capacity > 0}) != 1:
            raise InputError("--backlog, --eta, --e and --capacity go together", hint="use all of them, or none")

    @property
    def names(self) -> tuple[str, ...]:
        """The model's columns, in its order."""
        energy, backlog = ((name,) if name else () for name in (self.energy, self.backlog))
        return (*self.states, *energy, *self.setpoints, *self.given, *backlog)

    def role(self, name: str) -> Role:
        special = {self.energy: Role.ENERGY, self.backlog: Role.BACKLOG}
        if name in special:
            return special[name]
        if name in self.setpoints:
            return Role.SETPOINT
        return Role.GIVEN if name in self.given else Role.STATE


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A table of telemetry."""

    names: tuple[str, ...]
    times: Integers
    """(r,) Unix times, strictly ascending within a run."""
    values: Floats
    """(r, c), finite."""
    step_s: int
    sha256s: tuple[str, ...]
    run: Integers
    """(r,) number of the run that a row belongs to: it ends where a row is missing, and where a file does."""

    def select(self, names: Sequence[str]) -> Floats:
        """Columns (r, len(names)). Raises InputError for one that is not there."""
        if missing := [name for name in names if name not in self.names]:
            raise InputError(f"there is no column {missing[0]!a}", hint=f"there are {', '.join(self.names)}"[:200])
        found: Floats = self.values[:, [self.names.index(name) for name in names]]
        return found


@dataclass(frozen=True, slots=True)
class Runs:
    """What is trained on and what is held out: words (r, c) as floats, one array per run, and the rows behind them."""

    training: tuple[Floats, ...]
    validation: tuple[Floats, ...]
    training_rows: Integers
    """(r', ) places of the rows that are trained on."""


def load_telemetry(paths: Sequence[Path], step_s: int) -> Telemetry:
    """Read CSV files with a header and a column `time` in Unix seconds. Raises InputError. A file is a run, and so is
    what follows a missing row. Names are taken in lower case."""
    names: tuple[str, ...] = ()
    rows, run, digests = [], [], []
    for number, path in enumerate(paths):
        content = _read(path)
        digests.append(hashlib.sha256(content).hexdigest())
        lines = split_rows(path.name, content, ",")
        if not lines:
            raise InputError(f"{path.name} is empty", hint="write a header and rows of telemetry")
        header, *cells = lines
        found = tuple(name.lower() for name in header[1])
        if names and found != names:
            raise InputError(f"{path.name} has other columns than {paths[0].name}")
        names = found
        rows += [_numbers(path.name, line, one, len(names)) for line, one in cells]
        run += [number] * len(cells)
    if "time" not in names:
        raise InputError("there is no column time", hint="add one, in Unix seconds")
    if len(rows) < _FEWEST:
        raise InputError(f"{len(rows)} rows of telemetry", hint=f"at least {_FEWEST} are needed")
    table = np.array(rows)
    at = names.index("time")
    times = to_fixed(table[:, at], 0)
    runs = _number_runs(times, np.array(run), step_s)
    kept = [place for place in range(len(names)) if place != at]
    return Telemetry(tuple(names[place] for place in kept), times, table[:, kept], step_s, tuple(digests), runs)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path.name} has more than {_MOST_BYTES} bytes", hint="split it")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error


def _numbers(name: str, line: int, cells: Sequence[str], width: int) -> list[float]:
    if len(cells) != width:
        raise InputError(f"{name}: line {line} has length {len(cells)}, the header has {width}")
    found = []
    for cell in cells:
        try:
            value = float(cell)
        except ValueError:
            raise InputError(f"{name}: line {line} contains {cell[:20]!a}, which is not a number") from None
        if not math.isfinite(value):
            raise InputError(f"{name}: line {line} contains {cell[:20]!a}", hint="leave out rows with missing values")
        found.append(value)
    return found


def _number_runs(times: Integers, run: Integers, step_s: int) -> Integers:
    """Runs end where a row is missing. Raises InputError where time stands still or goes back within a file."""
    gaps = np.diff(times)
    same = np.diff(run) == 0
    if (same & (gaps <= 0)).any():
        raise InputError("time stands still or goes back", hint="sort the rows, and leave out duplicates")
    if not (same & (gaps == step_s)).any():
        raise InputError(f"no two rows are {step_s} s apart", hint="state the time from a row to the next with --step")
    ended = (~same) | (gaps != step_s)
    numbered: Integers = np.concatenate([[0], np.cumsum(ended)]).astype(np.int64)
    return numbered


def build_columns(telemetry: Telemetry, layout: Layout, rows: Integers) -> tuple[tuple[Column, ...], Integers]:
    """The model's columns, scaled on `rows`, and all rows as the columns' integers (r, c). Raises InputError."""
    values = telemetry.select(layout.names)
    if not np.isfinite(values).all():
        raise InputError("a value of the telemetry is not finite", hint="leave out rows with missing values")
    columns, fixed = [], []
    for place, name in enumerate(layout.names):
        decimals = _choose_decimals(values[:, place])
        whole = to_fixed(values[:, place], decimals)
        seen = whole[rows]
        spread = max(1, round(float(seen.std())))
        if spread > MAX_SPREAD:
            raise InputError(f"{name} spreads over {spread} units", hint="use a coarser unit")
        role = layout.role(name)
        # A predicted column that never changes is the mark of a sensor that was stuck all along.
        if role is Role.STATE and int(seen.min()) == int(seen.max()):
            raise InputError(f"{name} is {values[0, place]:g} in all rows", hint="leave it out, or repair the sensor")
        still = _longest_run(seen) if role is Role.STATE else 0
        zero = round(float(seen.mean()))
        columns.append(Column(name, role, decimals, zero, spread, int(seen.min()), int(seen.max()), still))
        fixed.append(whole)
    return tuple(columns), np.stack(fixed, axis=1)


def read_as(columns: tuple[Column, ...], telemetry: Telemetry) -> Integers:
    """All rows (r, c) as the integers of a model's columns. Raises InputError for a column that is not there."""
    values = telemetry.select([column.name for column in columns])
    read: Integers = np.stack(
        [to_fixed(values[:, place], column.decimals) for place, column in enumerate(columns)], axis=1
    )
    return read


def _choose_decimals(values: Floats) -> int:
    """As few as keep `_FINE` integers per standard deviation; 0 for whole numbers that have as many."""
    spread = float(values.std())
    return next((decimals for decimals in range(9) if spread * 10**decimals >= _FINE), 9) if spread > 0 else 0


def _longest_run(values: Integers) -> int:
    changed = np.flatnonzero(np.diff(values))
    return int(np.diff(np.concatenate([[-1], changed, [len(values) - 1]])).max())


def split_runs(telemetry: Telemetry, least: int, folds: int = 1) -> list[tuple[Integers, Integers]]:
    """Rows to train on and rows to validate on: the last fifth of the runs that have `least` rows, or of the one run;
    with more folds, each such part of the runs in turn. Raises InputError if a part would have too few rows."""
    numbers, counts = np.unique(telemetry.run, return_counts=True)
    usable = numbers[counts >= least]
    if 1 < folds <= len(usable):
        return [_hold(telemetry, usable, part, least) for part in np.array_split(usable, folds)]
    if folds > 1:
        raise InputError(f"{len(usable)} runs are too few for {folds} folds", hint=f"each needs {least} rows")
    if len(usable) >= 5:
        return [_hold(telemetry, usable, usable[-max(1, len(usable) // 5) :], least)]
    marked = np.zeros(len(telemetry.run), dtype=np.bool_)
    for number in usable:
        rows = np.flatnonzero(telemetry.run == number)
        marked[rows[-max(least, len(rows) // 5) :]] = True
    return [_part(telemetry, usable, marked, least)]


def _hold(telemetry: Telemetry, usable: Integers, held: Integers, least: int) -> tuple[Integers, Integers]:
    return _part(telemetry, usable, np.isin(telemetry.run, held), least)


def _part(telemetry: Telemetry, usable: Integers, marked: NDArray[np.bool_], least: int) -> tuple[Integers, Integers]:
    training, validation = np.flatnonzero(~marked & np.isin(telemetry.run, usable)), np.flatnonzero(marked)
    if len(training) < least or len(validation) < least:
        raise InputError(
            f"{len(telemetry.run)} rows are too few to train on and to hold some out",
            hint=f"each part needs {least} rows without a gap",
        )
    return training, validation


def to_runs(columns: tuple[Column, ...], fixed: Integers, run: Integers, rows: Integers) -> tuple[Floats, ...]:
    """Words as floats, one array per run, of the rows at these places."""
    words = to_words(columns, fixed[rows]) / ONE
    ends = np.flatnonzero((np.diff(run[rows]) != 0) | (np.diff(rows) != 1)) + 1
    return tuple(part for part in np.split(words, ends) if len(part))


# Two machines in line, each with temperature, pressure and speed: the model's own example, as a plant to learn from.
# A moulding machine and the press that follows it. The plant is written in physical terms that no model sees: heat and
# pressure follow their setpoints slowly and act on each other, a fast machine stops more often and makes more rejects,
# and each stop or reject is drawn. A row is a minute. Everything is reproducible from the seed.

STEP_S: Final = 60
CAPACITY: Final = 12.0
"""Parts that a machine makes in a minute at eta = e = 1."""
SETPOINTS: Final = ("temperature_set", "pressure_set", "speed_set")
COLUMNS: Final = ("temperature", "pressure", "speed", "energy", *SETPOINTS, "backlog", "eta", "e")
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
    """Telemetry of both machines while their setpoints are moved about, as a trial run does. What the first makes
    arrives at the second: work is conserved along the line."""
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
