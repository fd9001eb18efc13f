"""Fits a small network: trains each recipe, quantises it, keeps the best by validation loss. Imports torch.

A fifth of the rows is held out for validation. These rows decide when to stop, which recipe is kept and, by their
scores, the threshold. Not established: that training is reproducible on another machine, although it is seeded. What
is published is the model's bytes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from millmark.quality.errors import InputError
from millmark.quality.evaluate import load_evaluator
from millmark.quality.evaluate.scaling import apply_scales
from millmark.quality.fitting import Problem, Progress
from millmark.quality.inputs import Scale
from millmark.quality.network.export import export
from millmark.quality.network.floatnet import INPUT_STEP, NARROWEST_CNN, FloatNetwork, Recipe, build_recipes
from millmark.quality.network.optimiser import OneCycleAdamW
from millmark.quality.network.records import MAX_ACTIVATION, Network
from millmark.quality.scales import fit_scales
from millmark.quality.splits import split_rows

_CALIBRATION_ROWS = 512
"""Training rows that set the activation ranges of the integer network."""
_MAX_STEPS = 6000
"""Optimiser steps of one recipe, at most."""
_MAX_VALUES = 10**8
"""Input values that one recipe is trained on, at most, counted once per epoch. Bounds the time, since a convolution
takes about a microsecond per value; large data need fewer epochs."""
_MIN_EPOCHS = 10
"""If so many epochs of all rows would exceed the limits above, each epoch trains on a new random part of the rows."""
_PATIENCE = 25
"""Epochs without a better validation loss after which training stops."""
_BATCH = 1024
"""Rows evaluated at a time."""

Inputs = NDArray[np.int8]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """See `millmark.quality.fitting.Fitted`. Float and integer network read the same int8 inputs."""

    model: Network
    floats: FloatNetwork
    """The network that the model was quantised from."""
    recipe: str
    logit_step: float
    held_out: Rows
    held_out_logits: NDArray[np.int64]
    validation_loss: float

    def float_logits(self, fixed: NDArray[np.int64]) -> Floats:
        """Logits (n, outputs) of the float network on fixed-point windows (n, width)."""
        return _float_logits(self.floats, _quantise(self.model.scales, fixed)).numpy().astype(np.float64)


def fit_mlp(problem: Problem, *, seed: int, progress: Progress) -> FittedNetwork:
    """Fit dense layers; suits tables, as each column has a scale of its own."""
    return _fit("mlp", problem, seed, progress)


def fit_cnn(problem: Problem, *, seed: int, progress: Progress) -> FittedNetwork:
    """Fit convolutions over time, averaged over positions. Raises InputError if the windows are too narrow."""
    width = problem.values.shape[1]
    if width < NARROWEST_CNN:
        raise InputError(
            f"a cnn needs windows of at least {NARROWEST_CNN} values, these have {width}", hint="use another --kind"
        )
    return _fit("cnn", problem, seed, progress)


def _fit(kind: str, problem: Problem, seed: int, progress: Progress) -> FittedNetwork:
    rows = split_rows(problem.classes, seed)
    recipes = build_recipes(kind, problem.values.shape[1])
    fitted = [_fit_recipe(recipe, problem, rows, seed, progress) for recipe in recipes]
    # min returns the first of equals, and recipes are ordered from simple to complex.
    return min(fitted, key=lambda one: one.validation_loss)


def _fit_recipe(
    recipe: Recipe, problem: Problem, rows: tuple[Rows, Rows], seed: int, progress: Progress
) -> FittedNetwork:
    training, validation = rows
    fixed = problem.fixed
    scales = fit_scales(fixed[training], MAX_ACTIVATION, shared=recipe.kind == "cnn")
    inputs = _quantise(scales, fixed)
    fitting = _Fitting(recipe, problem, inputs, rows, seed)
    fitting.run(progress)
    # Only training rows: the held-out ones must not influence the integer network either.
    some = np.random.default_rng(seed).permutation(training)[:_CALIBRATION_ROWS]
    exported = export(fitting.network, inputs[some], scales=scales, decimals=problem.decimals)
    return FittedNetwork(
        model=exported.network,
        floats=fitting.network,
        recipe=recipe.name,
        logit_step=exported.logit_step,
        held_out=validation,
        held_out_logits=_integer_logits(exported.network, inputs[validation]),
        validation_loss=fitting.best,
    )


def _quantise(scales: tuple[Scale, ...], fixed: NDArray[np.int64]) -> Inputs:
    return apply_scales(scales, fixed, MAX_ACTIVATION).astype(np.int8)


def _integer_logits(network: Network, inputs: Inputs) -> NDArray[np.int64]:
    infer = load_evaluator("torch")(network)
    starts = range(0, len(inputs), _BATCH)
    return np.concatenate([infer(inputs[start : start + _BATCH]) for start in starts]).astype(np.int64)


class _Fitting:
    """Trains one recipe on one split. After `run`, `network` is that of the epoch with the smallest validation loss."""

    def __init__(self, recipe: Recipe, problem: Problem, inputs: Inputs, rows: tuple[Rows, Rows], seed: int) -> None:
        torch.manual_seed(seed)
        self._recipe = recipe
        self._inputs, self._rows = inputs, rows
        self._weights = torch.from_numpy(problem.row_weights.astype(np.float32))
        self._wanted = _build_targets(problem)
        self.network = FloatNetwork(recipe, inputs.shape[1], problem.outputs)
        self.best = float("inf")
        # Batch norm needs at least two rows, so a last batch of one row is skipped.
        count = len(rows[0])
        starts = [start for start in range(0, count, recipe.batch) if count - start > 1]
        room = max(_MIN_EPOCHS, min(_MAX_STEPS, _MAX_VALUES // (recipe.batch * inputs.shape[1])))
        self._starts = starts[: room // _MIN_EPOCHS]
        self._epochs = min(recipe.epochs, room // len(self._starts))
        steps = self._epochs * len(self._starts)
        self._optimiser = OneCycleAdamW(
            self.network.parameters(), highest_rate=recipe.rate, weight_decay=recipe.decay, steps=steps
        )

    def run(self, progress: Progress) -> None:
        """Train until the last epoch, or until `_PATIENCE` epochs have brought no better validation loss."""
        # A deep copy, since a state dict refers to the tensors that training goes on changing.
        best_epoch, best_state = 0, copy.deepcopy(self.network.state_dict())
        for epoch in range(self._epochs):
            training = self._learn()
            validation = self._validate()
            if validation < self.best:
                self.best, best_epoch, best_state = validation, epoch, copy.deepcopy(self.network.state_dict())
            figures = {"loss/training": training, "loss/validation": validation}
            progress(self._recipe.name, epoch + 1, self._epochs, figures)
            if epoch - best_epoch >= _PATIENCE:
                break
        self.network.load_state_dict(best_state)
        self.network.eval()

    def _learn(self) -> float:
        """Train for one epoch, with the rows in a new order; returns their mean loss."""
        self.network.train()
        rows = torch.from_numpy(self._rows[0])
        order = rows[torch.randperm(len(rows))]
        total, seen = 0.0, 0
        for start in self._starts:
            batch = order[start : start + self._recipe.batch]
            x = _to_float(self._inputs[batch.numpy()])
            shown = _augment(x, self.network.narrowest) if self._recipe.augmented else x
            softened = _soften(self._wanted[batch], self._recipe.smoothing)
            loss = _loss(self.network(shown), softened, self._weights[batch])
            self._optimiser.zero_grad()
            torch.autograd.backward(loss)
            self._optimiser.step()
            total += float(loss.detach()) * len(batch)
            seen += len(batch)
        return total / seen

    def _validate(self) -> float:
        rows = self._rows[1]
        logits = _float_logits(self.network, self._inputs[rows])
        return float(_loss(logits, self._wanted[rows], self._weights[rows]))


def _build_targets(problem: Problem) -> torch.Tensor:
    """Targets (n, outputs): 0 or 1 for a single logit, else one-hot."""
    classes = torch.from_numpy(problem.classes)
    if problem.outputs == 1:
        return classes.to(torch.float32).unsqueeze(1)
    return nn.functional.one_hot(classes, problem.outputs).to(torch.float32)


def _soften(wanted: torch.Tensor, smoothing: float) -> torch.Tensor:
    return wanted * (1 - smoothing) + smoothing / max(2, wanted.shape[1])


def _loss(logits: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over rows, weighted; binary for a single logit."""
    if logits.shape[1] == 1:
        each = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")[:, 0]
    else:
        each = nn.functional.cross_entropy(logits, wanted, reduction="none")
    return (each * weights).sum() / weights.sum()


def _augment(x: torch.Tensor, narrowest: int) -> torch.Tensor:
    """Negate each row at random, reverse the batch at random, and crop it at random to four fifths of its width."""
    x = x * (torch.randint(0, 2, (len(x), 1)) * 2 - 1)
    if int(torch.randint(0, 2, (1,))):
        x = x.flip(1)
    width = max(narrowest, x.shape[1] * 4 // 5)
    start = int(torch.randint(0, x.shape[1] - width + 1, (1,)))
    return x[:, start : start + width]


def _to_float(inputs: Inputs) -> torch.Tensor:
    return torch.from_numpy(inputs.astype(np.float32)) * INPUT_STEP


def _float_logits(network: FloatNetwork, inputs: Inputs) -> torch.Tensor:
    """Logits (n, outputs) of int8 inputs (n, width), with the batch norm's running statistics."""
    network.eval()
    with torch.inference_mode():
        chunks = [network(_to_float(inputs[start : start + _BATCH])) for start in range(0, len(inputs), _BATCH)]
        return torch.cat(chunks)
