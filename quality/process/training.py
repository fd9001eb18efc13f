"""Trains a process model: phi and psi, linear ARX, network, gate and regime; and judges it. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from quality.errors import ExportError, InputError, ModelError
from quality.process.arrays import Simulator, settle
from quality.process.dynamics import FloatSystem, fit_shares, windows
from quality.process.linear import fit_arx, to_integers
from quality.process.records import ONE, Column, Integers, Pair, ProcessModel, Regime, Role, System, Utilisation
from quality.process.telemetry import Floats, Layout, Telemetry, build_columns, split_runs, to_runs
from quality.process.watching import distance

__all__ = ["Recipe", "TrainedProcess", "cut_windows", "persistence_errors", "simulate_errors", "train_process"]

_ORDERS, _RIDGES = (1, 2, 3), (1e-6, 1e-4, 1e-2)
_BATCH = 128
_FARTHEST = 2.25
"""The limit of the squared distance, in that which 999 of 1,000 training rows are within."""
_SHRINK = 0.05
"""Share of the identity in the covariance, so that directions without any spread do not decide alone."""

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How is trained."""

    horizon: int = 60
    """Steps over which errors count."""
    history: int = 8
    hidden: int = 32
    rounds: int = 600
    rate: float = 4e-3
    penalty: float = 3e-4
    stride: int = 3
    """Rows between the starts of training windows."""
    anchored: bool | None = None
    """None: both kinds are trained, and the better on the validation part is kept."""
    refit: bool = False
    """Whether the kept kind is trained again on all rows, validation included."""

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= 1000 or not 1 <= self.rounds <= 10**6:
            raise InputError("the horizon or the number of rounds is out of range")


@dataclass(frozen=True, slots=True)
class TrainedProcess:
    """A model, and its errors on the validation part: RMSE over the horizon in standard deviations, by column."""

    model: ProcessModel
    errors: Mapping[str, Floats]
    """By `model`, `network`, `arx` and `persistence`: (n,)."""
    training: Integers
    """Places of the rows that it was trained on."""
    validation: Integers
    recipe: Recipe
    linear: ProcessModel
    """The ARX alone, as a model: what the other is compared with."""
    arx: tuple[int, float]
    """Order and ridge of the ARX."""
    seed: int


def train_process(
    telemetry: Telemetry, layout: Layout, recipe: Recipe, seed: int = 0, progress: Progress | None = None
) -> TrainedProcess:
    """Train a model. Raises InputError for unusable telemetry, ExportError if the model does not fit the format."""
    rows, held = split_runs(telemetry, recipe.history + recipe.horizon + 1)
    columns, fixed = build_columns(telemetry, layout, rows)
    shares = _fit_utilisation(telemetry, layout, columns, fixed, rows, seed)
    job = _Job(columns, recipe, shares, seed, progress or _tell_nobody)
    training, validation = (to_runs(columns, fixed, telemetry.run, part) for part in (rows, held))
    arx, choice = job.choose_arx(training, validation)
    network = job.choose_network(training, validation)
    whole = _assemble(telemetry, columns, fixed, rows, (network, arx), shares)
    windowed = cut_windows(fixed, telemetry.run, held, whole.history, recipe.horizon)
    errors = {
        "network": simulate_errors(_only(whole, 0), windowed, recipe.horizon),
        "arx": simulate_errors(_only(whole, 1), windowed, recipe.horizon),
        "persistence": persistence_errors(columns, windowed, recipe.horizon),
    }
    gated = _close_gate(whole, errors["arx"] < errors["network"])
    errors["model"] = simulate_errors(gated, windowed, recipe.horizon)
    final = replace(gated, errors=_nine_of_ten(gated, windowed, recipe.horizon))
    return TrainedProcess(final, errors, rows, held, recipe, _only(whole, 1), choice, seed)


def _tell_nobody(_name: str, _done: int, _planned: int) -> None:
    """Progress of a training that nobody watches."""


def _fit_utilisation(
    telemetry: Telemetry, layout: Layout, columns: tuple[Column, ...], fixed: Integers, rows: Integers, seed: int
) -> Utilisation | None:
    if not layout.backlog:
        return None
    targets = telemetry.select((layout.eta, layout.e))
    for name, values in zip((layout.eta, layout.e), targets.T, strict=True):
        if values.min() < 0 or values.max() > 1:
            outside = float(values.min() if values.min() < 0 else values.max())
            hint = "a share above 1 comes of a planned run time that is too long; correct it, or the records"
            raise InputError(f"{name} is {outside:g}, outside 0..1", hint=hint)
    predicted = sum(column.role in (Role.STATE, Role.ENERGY) for column in columns)
    words = np.concatenate(to_runs(columns, fixed, telemetry.run, rows))[:, :predicted]
    phi, psi = fit_shares(words, targets[rows, 0], targets[rows, 1], seed)
    place = layout.names.index(layout.backlog)
    return Utilisation(phi, psi, max(1, round(layout.capacity * 10 ** columns[place].decimals)))


@dataclass(frozen=True, slots=True)
class _Job:
    columns: tuple[Column, ...]
    recipe: Recipe
    utilisation: Utilisation | None
    seed: int
    progress: Progress

    @property
    def predicted(self) -> int:
        return sum(column.role in (Role.STATE, Role.ENERGY) for column in self.columns)

    def choose_arx(self, training: Sequence[Floats], validation: Sequence[Floats]) -> tuple[System, tuple[int, float]]:
        """The order and ridge with the least error over the horizon on the validation part."""
        shares = [self._shares(run) for run in training]
        found = []
        for order in _ORDERS:
            for ridge in _RIDGES:
                try:
                    system = fit_arx(training, shares, self.predicted, order, ridge)
                    system.require_fit(len(self.columns), self.predicted, self._others)
                except (ModelError, np.linalg.LinAlgError, ValueError):
                    # A weight beyond the format: the ridge above it will do.
                    continue
                found.append((self._error(system, validation), order, ridge, system))
        if not found:
            raise ExportError("no linear model of these data fits the format", hint="leave out collinear columns")
        _, order, ridge, system = min(found, key=lambda one: one[0])
        return system, (order, ridge)

    def choose_network(self, training: Sequence[Floats], validation: Sequence[Floats]) -> System:
        kinds = (False, True) if self.recipe.anchored is None else (self.recipe.anchored,)
        found = [self._train(training, anchored) for anchored in kinds]
        if len(found) > 1:
            errors = [self._error(system, validation) for system in found]
            kinds, found = (kinds[int(np.argmin(errors))],), [found[int(np.argmin(errors))]]
        return self._train([*training, *validation], kinds[0]) if self.recipe.refit else found[0]

    @property
    def _others(self) -> int:
        return len(self.columns) - self.predicted + (0 if self.utilisation is None else 2)

    def _shares(self, run: Floats) -> Floats:
        if self.utilisation is None:
            return np.zeros((len(run), 0))
        states = np.rint(run[:, : self.predicted] * ONE).astype(np.int64)
        return np.stack(settle(self.utilisation, states), axis=1) / ONE

    @property
    def _pairs(self) -> tuple[Pair, Pair] | None:
        return None if self.utilisation is None else (self.utilisation.phi, self.utilisation.psi)

    def _train(self, runs: Sequence[Floats], anchored: bool) -> System:
        """A system by the error of whole futures, over growing horizons."""
        recipe, pairs = self.recipe, self._pairs
        torch.manual_seed(self.seed)
        rows = recipe.history + recipe.horizon
        data = torch.from_numpy(windows(runs, rows, recipe.stride)).float()
        if not len(data):
            raise InputError("no run is as long as history and horizon", hint=f"{rows} rows without a gap are needed")
        sizes = len(self.columns), self.predicted, self._others, recipe.history, recipe.hidden
        system = FloatSystem(*sizes, anchored=anchored)
        optimiser = torch.optim.Adam(system.parameters(), recipe.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.rounds)
        for done in range(recipe.rounds):
            batch = data[torch.randint(0, len(data), (_BATCH,))]
            # Short futures first: the gradient of long ones says nothing while the model is wrong about the next row.
            steps = min(recipe.horizon, 10 + done * recipe.horizon // recipe.rounds)
            wanted = batch[:, recipe.history : recipe.history + steps, : self.predicted]
            off = system.roll(batch, steps, pairs) - wanted
            # Huber's kind of loss: an unforeseeable jump must not outweigh all else.
            loss = 2 * (torch.sqrt(1 + off * off) - 1).mean() + recipe.penalty * system.penalty()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(system.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            self.progress("anchored" if anchored else "free", done + 1, recipe.rounds)
        exported = system.export()
        try:
            exported.require_fit(len(self.columns), self.predicted, self._others)
        except ModelError as error:
            raise ExportError(f"the network does not fit: {error.cause}", hint="train with another seed") from error
        return exported

    def _error(self, system: System, validation: Sequence[Floats]) -> float:
        """Mean over columns of the error over the horizon."""
        fixed = [np.rint(run * ONE).astype(np.int64) for run in validation]
        model = _bare(self.columns, system, self.utilisation)
        rows = system.history + self.recipe.horizon
        cut = windows([run.astype(np.float64) for run in fixed], rows, 1 + self.recipe.horizon // 6).astype(np.int64)
        return float(simulate_errors(model, cut, self.recipe.horizon).mean()) if len(cut) else float("inf")


def _bare(columns: tuple[Column, ...], system: System, utilisation: Utilisation | None) -> ProcessModel:
    """A model whose columns' integers are their words."""
    plain = tuple(replace(column, zero=0, spread=ONE, low=0, high=0) for column in columns)
    return _build(plain, 1, 0, (system,), _no_regime(columns), utilisation)


def _no_regime(columns: tuple[Column, ...]) -> Regime:
    side = sum(column.role is not Role.BACKLOG for column in columns)
    return Regime(np.zeros((side, side), dtype=np.int64), 1)


def _build(
    columns: tuple[Column, ...],
    step_s: int,
    until: int,
    systems: tuple[System, ...],
    regime: Regime,
    utilisation: Utilisation | None,
) -> ProcessModel:
    predicted = sum(column.role in (Role.STATE, Role.ENERGY) for column in columns)
    try:
        return ProcessModel(columns, step_s, until, systems, bytes(predicted), regime, utilisation, (0,) * predicted)
    except ModelError as error:
        raise ExportError(
            f"the model does not fit the format: {error.cause}", hint="train with another seed"
        ) from error


def _assemble(
    telemetry: Telemetry,
    columns: tuple[Column, ...],
    fixed: Integers,
    rows: Integers,
    systems: tuple[System, ...],
    utilisation: Utilisation | None,
) -> ProcessModel:
    until = int(telemetry.times[rows].max())
    bare = _build(columns, telemetry.step_s, until, systems, _no_regime(columns), utilisation)
    counted = [place for place, column in enumerate(columns) if column.role is not Role.BACKLOG]
    words = np.concatenate(to_runs(columns, fixed, telemetry.run, rows))[:, counted]
    covariance = np.cov(words.T).reshape(len(counted), -1)
    shrunk = (1 - _SHRINK) * covariance + _SHRINK * np.eye(len(counted))
    whitening = to_integers(np.linalg.inv(np.linalg.cholesky(shrunk)))
    regime = replace(bare, regime=Regime(whitening, 1))
    reached = np.quantile(distance(regime, fixed[rows]), 0.999)
    return replace(bare, regime=Regime(whitening, max(1, round(float(reached) * _FARTHEST))))


def _only(model: ProcessModel, place: int) -> ProcessModel:
    return replace(model, systems=(model.systems[place],), gate=bytes(model.predicted))


def _close_gate(model: ProcessModel, linear_is_better: NDArray[np.bool_]) -> ProcessModel:
    """The linear model's prediction where it is better; a system that no column needs is left out."""
    if not linear_is_better.any():
        return _only(model, 0)
    if linear_is_better.all():
        return _only(model, 1)
    return replace(model, gate=bytes(int(one) for one in linear_is_better))


def cut_windows(fixed: Integers, run: Integers, rows: Integers, history: int, horizon: int) -> Integers:
    """Windows (b, history + horizon, c) of the rows at these places, which do not cross a gap. Raises InputError if
    there is none."""
    span = history + horizon
    starts = range(0, len(rows) - span + 1, max(1, horizon // 6))
    found = [
        fixed[rows[start : start + span]]
        for start in starts
        if run[rows[start]] == run[rows[start + span - 1]] and rows[start + span - 1] - rows[start] == span - 1
    ]
    if not found:
        raise InputError("the part that is held out is shorter than history and horizon")
    return np.stack(found)


def _predict(model: ProcessModel, windowed: Integers, horizon: int) -> tuple[Integers, Integers]:
    """Predicted and true values (b, t, n) of windows (b, r, c), whose last `horizon` rows are predicted.

    All but the predicted columns are as they were measured, the backlog too.
    """
    n = model.predicted
    latest = windowed.shape[1] - horizon - 1
    history, inputs = windowed[:, : latest + 1], windowed[:, latest:-1, n:]
    return Simulator(model).roll(history, inputs).states, windowed[:, latest + 1 :, :n]


def simulate_errors(model: ProcessModel, windowed: Integers, horizon: int) -> Floats:
    """RMSE over the last `horizon` rows of windows (b, r, c), in standard deviations, by predicted column (n,)."""
    found, wanted = _predict(model, windowed, horizon)
    return _rms(model.columns, found, wanted)


def persistence_errors(columns: tuple[Column, ...], windowed: Integers, horizon: int) -> Floats:
    """The same, of the value that stays as it is."""
    predicted = sum(column.role in (Role.STATE, Role.ENERGY) for column in columns)
    wanted = windowed[:, -horizon:, :predicted]
    still = windowed[:, -horizon - 1 : -horizon, :predicted]
    return _rms(columns, np.broadcast_to(still, wanted.shape), wanted)


def _rms(columns: tuple[Column, ...], found: Integers, wanted: Integers) -> Floats:
    spreads = np.array([column.spread for column in columns[: wanted.shape[2]]], dtype=np.float64)
    off = (found - wanted) / spreads
    errors: Floats = np.sqrt((off**2).mean(axis=(0, 1)))
    return errors


def _nine_of_ten(model: ProcessModel, windowed: Integers, horizon: int) -> tuple[int, ...]:
    found, wanted = _predict(model, windowed, horizon)
    return tuple(int(one) for one in np.quantile(np.abs(found[:, -1] - wanted[:, -1]), 0.9, axis=0))
