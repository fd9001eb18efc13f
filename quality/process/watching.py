"""Whether a model may speak about a machine's present state: the reasons for which it must not. Needs numpy."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millmark.quality.process.arrays import to_words
from millmark.quality.process.records import LIMIT, Integers, ProcessModel, Role


class Reason(enum.StrEnum):
    """Why no setpoints are proposed."""

    TOO_SHORT = "too-short"
    """There are fewer rows than the model reads."""
    SENSOR_MISSING = "sensor-missing"
    """A value of the latest rows is missing or not finite."""
    SENSOR_STUCK = "sensor-stuck"
    """A sensor reports one value for longer than it ever did in the training data."""
    UNSEEN_REGIME = "unseen-regime"
    """The state is farther from the training data than any of them."""
    OVERHAULED = "overhauled"
    """The machine was overhauled after the model's training data end."""
    UNSTABLE = "unstable"
    """The predicted state runs away, or utilisation and effectiveness do not settle."""
    LIMITS = "limits"
    """No setpoints within bounds and rates keep the state within its limits, or the present ones are out of bounds."""
    NO_GAIN = "no-gain"
    """No setpoints cost less than those that the machine has."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no setpoints are proposed, for a program and for people."""

    reason: Reason
    cause: str
    """One line that names the column and the values."""
    hint: str


@dataclass(frozen=True, slots=True)
class MachineState:
    """A machine's latest telemetry, one row per step, in integers of the model's columns."""

    rows: Sequence[Sequence[int | float | None]]
    """The latest last. None, or a number that is not finite, is a missing value. More rows than the model reads let it
    find sensors that are stuck."""
    arrivals: int = 0
    """Work that arrives per step, in the backlog's integers."""
    overhauled_at: int | None = None
    """Unix time of the machine's last overhaul, if it had one."""


def read_rows(model: ProcessModel, state: MachineState) -> Integers | Refusal:
    """The state's rows (r, c) as integers, or why they cannot be used."""
    width = len(model.columns)
    if len(state.rows) < model.history:
        return Refusal(
            Reason.TOO_SHORT,
            f"{len(state.rows)} rows of telemetry, and the model reads {model.history}",
            "wait for more rows",
        )
    rows = np.zeros((len(state.rows), width), dtype=np.int64)
    for place, row in enumerate(state.rows):
        for at in range(width):
            value = row[at] if at < len(row) else None
            if value is None or not np.isfinite(value) or value != int(value) or abs(value) >= 2**53:
                return Refusal(
                    Reason.SENSOR_MISSING,
                    f"{model.columns[at].name} has no usable value {len(state.rows) - 1 - place} rows back",
                    "check the sensor and its connection",
                )
            rows[place, at] = int(value)
    return rows


def find_obstacle(model: ProcessModel, rows: Integers, overhauled_at: int | None) -> Refusal | None:
    """Why the model must not be used on these rows (r, c); None if it may."""
    if overhauled_at is not None and overhauled_at > model.trained_until:
        return Refusal(
            Reason.OVERHAULED,
            f"the machine was overhauled {overhauled_at - model.trained_until} s after the model's data end",
            "train the model on telemetry from after the overhaul",
        )
    return _find_stuck(model, rows) or _find_unseen(model, rows)


def _find_stuck(model: ProcessModel, rows: Integers) -> Refusal | None:
    for place, column in enumerate(model.columns):
        if not column.still:
            continue
        changes = np.flatnonzero(rows[:, place] != rows[-1, place])
        still = len(rows) - (int(changes[-1]) + 1 if len(changes) else 0)
        # Twice as long as ever before: once is what the next longest run of a healthy sensor may be.
        if still > 2 * column.still:
            return Refusal(
                Reason.SENSOR_STUCK,
                f"{column.name} is {int(rows[-1, place])} for {still} rows, and was at most {column.still} in training",
                "check the sensor",
            )
    return None


def _find_unseen(model: ProcessModel, rows: Integers) -> Refusal | None:
    latest = rows[-1]
    for place, column in enumerate(model.columns):
        if column.role is Role.BACKLOG:
            continue
        room = max(column.high - column.low, 1) // 4 + 1
        if not column.low - room <= latest[place] <= column.high + room:
            return Refusal(
                Reason.UNSEEN_REGIME,
                f"{column.name} is {int(latest[place])}, and was {column.low} to {column.high} in training",
                "train the model on telemetry of this regime",
            )
    if (found := distance(model, latest[np.newaxis])[0]) > model.regime.limit:
        return Refusal(
            Reason.UNSEEN_REGIME,
            f"the state is {found / model.regime.limit:.1f} times as far (squared) from the training data as the limit",
            "train the model on telemetry of this regime",
        )
    return None


def distance(model: ProcessModel, rows: Integers) -> Integers:
    """Squared distance (r,) of rows (r, c) from the training data's mean, whitened, in units of `ONE`^2."""
    counted = [place for place, column in enumerate(model.columns) if column.role is not Role.BACKLOG]
    words = to_words(model.columns, rows)[:, counted]
    whitened = (words.astype(np.float64) @ model.regime.whitening.T.astype(np.float64)).astype(np.int64) >> 16
    squared: Integers = (np.clip(whitened, -LIMIT, LIMIT) ** 2).sum(axis=1)
    return squared
