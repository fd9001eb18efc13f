"""Trains a process model: phi and psi, linear ARX, network, gate and regime; and judges it. Imports torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from millmark.quality.card import CardValue, list_versions, ppm
from millmark.quality.errors import ExportError, InputError, ModelError
from millmark.quality.process.arrays import Simulator, distance, settle
from millmark.quality.process.dynamics import FloatSystem, fit_arx, fit_shares, to_integers, windows
from millmark.quality.process.records import (
    FORMAT_VERSION,
    ONE,
    Column,
    Integers,
    Pair,
    ProcessModel,
    Regime,
    Role,
    System,
    Utilisation,
    build_process_model,
    process_digest,
    slope_ppm,
)
from millmark.quality.process.telemetry import Floats, Layout, Telemetry, build_columns, split_runs, to_runs

_ORDERS, _RIDGES = (1, 2, 3), (1e-6, 1e-4, 1e-2)
_BATCH = 128
_FARTHEST = 2.25
"""The limit of the squared distance, in that which 999 of 1,000 training rows are within."""
_SHRINK = 0.05
"""Share of the identity in the covariance, so that directions without any spread do not decide alone."""

Progress = Callable[[str, int, int], object]
_Key = TypeVar("_Key")


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
    folds: int = 1
    """Above 1: each such part of the runs is held out in turn, what is kept is chosen by the mean over these, and
    trained on all rows. For telemetry whose runs differ in what disturbed them, and a model that is to meet others."""

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= 1000 or not 1 <= self.rounds <= 10**6 or not 1 <= self.folds <= 20:
            raise InputError("the horizon, the number of rounds or that of folds is out of range")


@dataclass(frozen=True, slots=True)
class TrainedProcess:
    """A model, and its errors on the validation part: RMSE over the horizon in standard deviations, by column."""

    model: ProcessModel
    errors: Mapping[str, Floats]
    """By `model`, `network`, `arx` and `persistence`: (n,); with folds, the means over them."""
    training: Integers
    """Places of the rows that it was trained on."""
    validation: Integers
    """Places of the rows that were held out from what the errors are of."""
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
    splits = split_runs(telemetry, recipe.history + recipe.horizon + 1, recipe.folds)
    every = np.unique(np.concatenate([part for split in splits for part in split]))
    rows = every if recipe.folds > 1 else splits[0][0]
    columns, fixed = build_columns(telemetry, layout, rows)
    shares = _fit_utilisation(telemetry, layout, columns, fixed, rows, seed)
    job = _Job(columns, recipe, shares, seed, progress or _tell_nobody)
    trials = [_try(job, telemetry, fixed, *split) for split in splits]
    kind = _best(trials, lambda trial: trial.networks)
    choice = _best(trials, lambda trial: trial.linears)
    if recipe.folds > 1 or recipe.refit:
        rows = every
        runs = to_runs(columns, fixed, telemetry.run, rows)
        systems = job.train_network(runs, kind), job.fit_arx(runs, choice)
    else:
        systems = trials[0].networks[kind][0], trials[0].linears[choice][0]
    whole = _assemble(telemetry, columns, fixed, rows, systems, shares)
    ways = [(trial.networks[kind][1], trial.linears[choice][1]) for trial in trials]
    network, linear = (_mean([way[place].errors for way in ways]) for place in (0, 1))
    better = linear < network
    off = np.concatenate([np.where(better, two.last, one.last) for one, two in ways])
    errors = {
        "network": network,
        "arx": linear,
        "model": np.where(better, linear, network),
        "persistence": _mean([trial.persistence for trial in trials]),
    }
    # Where nine of ten predictions at the horizon are, on rows that were held out.
    reached = tuple(int(one) for one in np.quantile(off, 0.9, axis=0))
    model = replace(_close_gate(whole, better), errors=reached)
    held = np.unique(np.concatenate([split[1] for split in splits]))
    return TrainedProcess(model, errors, rows, held, recipe, _only(whole, 1), choice, seed)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A system on the rows that were held out from it."""

    errors: Floats
    """(n,): as `_rms`."""
    last: Integers
    """(b, n): magnitude of the error at the horizon, in the columns' integers."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """What was tried on one split."""

    networks: Mapping[bool, tuple[System, _Judged]]
    """By whether it is anchored."""
    linears: Mapping[tuple[int, float], tuple[System, _Judged]]
    """By order and ridge."""
    persistence: Floats


def _try(job: _Job, telemetry: Telemetry, fixed: Integers, rows: Integers, held: Integers) -> _Trial:
    recipe = job.recipe
    windowed = _cut_windows(fixed, telemetry.run, held, max(recipe.history, *_ORDERS), recipe.horizon)
    runs = to_runs(job.columns, fixed, telemetry.run, rows)
    kinds = (False, True) if recipe.anchored is None else (recipe.anchored,)
    networks = {kind: job.judge(job.train_network(runs, kind), windowed) for kind in kinds}
    linears = {}
    for choice in ((order, ridge) for order in _ORDERS for ridge in _RIDGES):
        try:
            linears[choice] = job.judge(job.fit_arx(runs, choice), windowed)
        except (ModelError, np.linalg.LinAlgError):
            # A weight beyond the format: the ridge above it will do.
            continue
    if not linears:
        raise ExportError("no linear model of these data fits the format", hint="leave out collinear columns")
    return _Trial(networks, linears, _persistence_errors(job.columns, windowed, recipe.horizon))


def _best(trials: Sequence[_Trial], read: Callable[[_Trial], Mapping[_Key, tuple[System, _Judged]]]) -> _Key:
    """What has the least mean error, over the columns, of all that was possible on every split."""
    common = [key for key in read(trials[0]) if all(key in read(trial) for trial in trials)]
    if not common:
        raise ExportError("no linear model of these data fits the format", hint="leave out collinear columns")
    return min(common, key=lambda key: float(_mean([read(trial)[key][1].errors for trial in trials]).mean()))


def _mean(parts: Sequence[Floats]) -> Floats:
    found: Floats = np.mean(np.stack(parts), axis=0)
    return found


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

    def fit_arx(self, runs: Sequence[Floats], choice: tuple[int, float]) -> System:
        """Raises ModelError if a weight does not fit the format."""
        system = fit_arx(runs, [self._shares(run) for run in runs], self.predicted, *choice)
        system.require_fit(len(self.columns), self.predicted, self._others)
        return system

    def judge(self, system: System, windowed: Integers) -> tuple[System, _Judged]:
        model = _build(self.columns, 1, 0, (system,), _no_regime(self.columns), self.utilisation)
        found, wanted = _predict(model, windowed, self.recipe.horizon)
        return system, _Judged(_rms(self.columns, found, wanted), np.abs(found[:, -1] - wanted[:, -1]))

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

    def train_network(self, runs: Sequence[Floats], anchored: bool) -> System:
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


def _cut_windows(fixed: Integers, run: Integers, rows: Integers, history: int, horizon: int) -> Integers:
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
    """Predicted and true values (b, t, n) of windows (b, r, c), whose last `horizon` rows are predicted. All but the
    predicted columns are as they were measured, the backlog too."""
    n = model.predicted
    latest = windowed.shape[1] - horizon - 1
    history, inputs = windowed[:, : latest + 1], windowed[:, latest:-1, n:]
    return Simulator(model).roll(history, inputs).states, windowed[:, latest + 1 :, :n]


def _persistence_errors(columns: tuple[Column, ...], windowed: Integers, horizon: int) -> Floats:
    """As `_rms`, of the value that stays as it is."""
    predicted = sum(column.role in (Role.STATE, Role.ENERGY) for column in columns)
    wanted = windowed[:, -horizon:, :predicted]
    still = windowed[:, -horizon - 1 : -horizon, :predicted]
    return _rms(columns, np.broadcast_to(still, wanted.shape), wanted)


def _rms(columns: tuple[Column, ...], found: Integers, wanted: Integers) -> Floats:
    """RMSE over the predicted rows (b, t, n), in standard deviations, by predicted column (n,)."""
    spreads = np.array([column.spread for column in columns[: wanted.shape[2]]], dtype=np.float64)
    off = (found - wanted) / spreads
    errors: Floats = np.sqrt((off**2).mean(axis=(0, 1)))
    return errors


# The card of a process model: its data, its errors and how it was trained, as canonical JSON without floats.


def build_process_card(trained: TrainedProcess, telemetry: Telemetry, layout: Layout, name: str) -> bytes:
    """Canonical JSON. Errors are RMSE over the horizon on validation rows, in millionths of a standard deviation."""
    card: dict[str, CardValue] = {
        "data": {
            "name": name,
            "rows": len(telemetry.values),
            "sha256": list(telemetry.sha256s),
            "step_s": telemetry.step_s,
            "training_rows": len(trained.training),
            "validation_rows": len(trained.validation),
        },
        "format_version": FORMAT_VERSION,
        "gate": _describe_gate(trained),
        "model": _describe_model(trained),
        "roles": {column: layout.role(column).name.lower() for column in layout.names},
        "training": _describe_training(trained),
        "validation": {
            way: {column.name: ppm(float(error)) for column, error in zip(trained.model.columns, errors, strict=False)}
            for way, errors in trained.errors.items()
        },
        "versions": list_versions(),
    }
    return json.dumps(card, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _describe_gate(trained: TrainedProcess) -> Mapping[str, CardValue]:
    """By column, whose prediction counts."""
    n = trained.model.predicted
    better = trained.errors["arx"] < trained.errors["network"]
    return {trained.model.columns[place].name: "arx" if better[place] else "network" for place in range(n)}


def _describe_model(trained: TrainedProcess) -> Mapping[str, CardValue]:
    model = trained.model
    built = build_process_model(model)
    described: dict[str, CardValue] = {
        "bytes": len(built),
        "columns": [
            {
                "decimals": column.decimals,
                "high": column.high,
                "low": column.low,
                "name": column.name,
                "role": column.role.name.lower(),
                "spread": column.spread,
                "zero": column.zero,
            }
            for column in model.columns
        ],
        "errors": list(model.errors),
        "sha256": process_digest(built).hex(),
        "systems": [
            {"anchored": int(one.anchored), "hidden": one.hidden, "history": one.history, "memory": one.memory}
            for one in model.systems
        ],
        "trained_until": model.trained_until,
    }
    if model.utilisation is not None:
        described["slopes_ppm"] = [slope_ppm(model.utilisation.phi), slope_ppm(model.utilisation.psi)]
        described["capacity"] = model.utilisation.capacity
    return described


def _describe_training(trained: TrainedProcess) -> Mapping[str, CardValue]:
    recipe, (order, ridge) = trained.recipe, trained.arx
    return {
        "arx_order": order,
        "folds": recipe.folds,
        "arx_ridge_1e9": round(ridge * 1e9),
        "hidden": recipe.hidden,
        "history": recipe.history,
        "horizon": recipe.horizon,
        "penalty_1e9": round(recipe.penalty * 1e9),
        "refit": int(recipe.refit),
        "rounds": recipe.rounds,
        "seed": trained.seed,
    }
