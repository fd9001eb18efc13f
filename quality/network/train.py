"""Fits a small network: trains each recipe, quantises it, keeps the best by validation loss. Imports torch.

A fifth of the rows is held out for validation. These rows decide when to stop, which recipe is kept and, by their
scores, the threshold. Not established: that training is reproducible on another machine, although it is seeded. What
is published is the model's bytes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.adamw import adamw

from millmark.quality.errors import ExportError, InputError, ModelError
from millmark.quality.evaluate import load_evaluator
from millmark.quality.evaluate.scaling import apply_scales
from millmark.quality.fitting import Problem, Progress, fit_scales, split_rows, undecided
from millmark.quality.inference import LOGIT_LIMIT, Scale
from millmark.quality.network.records import MAX_ACTIVATION, MAX_MULTIPLIER, Conv, Dense, Layer, Network, SumPool

# The float networks that training fits before they are quantised.
# Both kinds consist of blocks of (linear operation, batch norm, ReLU) followed by a linear layer for the logits; the
# CNN averages over time before that layer. The integer format supports exactly this, so every trained network has a
# layer structure that can be exported.

INPUT_STEP = 1 / 32
"""The float network reads the int8 input multiplied by this: -127..127 becomes about -4..4."""
NARROWEST_CNN = 24
"""Values in the narrowest window that a CNN accepts."""

_LONG_FILTERS = ((8, 31, 2), (16, 15, 2), (24, 9, 2), (32, 5, 2))
_SHORT_FILTERS = ((8, 7, 1), (16, 5, 2), (32, 3, 2))
_LONG_WIDTH = 160
_HIDDEN = (32, 16)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters: everything besides data and seed that determines a trained network."""

    kind: str
    """"cnn" or "mlp"."""
    filters: tuple[tuple[int, int, int], ...] = ()
    """(channels, kernel, stride) of each convolution."""
    hidden: tuple[int, ...] = ()
    """Outputs of each dense block."""
    augmented: bool = False
    """Train on reversed, negated and cropped windows too; suits stationary signals such as noise."""
    epochs: int = 60
    batch: int = 64
    """Rows per optimiser step."""
    rate: float = 4e-3
    """Largest learning rate of the one-cycle schedule."""
    decay: float = 1e-2
    """Weight decay of AdamW."""
    smoothing: float = 0.05
    """Label smoothing: the share of each target that is spread evenly over all classes."""

    @property
    def name(self) -> str:
        """The recipe as the card states it."""
        return f"{self.kind}, augmented" if self.augmented else self.kind


def build_recipes(kind: str, width: int) -> tuple[Recipe, ...]:
    """The recipes to try for a kind ("mlp" or "cnn") on windows of `width` values, simplest first."""
    if kind == "mlp":
        return (Recipe("mlp", hidden=_HIDDEN),)
    filters = _LONG_FILTERS if width >= _LONG_WIDTH else _SHORT_FILTERS
    return (Recipe("cnn", filters=filters), Recipe("cnn", filters=filters, augmented=True))


class Block(nn.Module):
    """relu(norm(op(x))). The operation has no bias, since the batch norm adds one."""

    def __init__(self, op: nn.Conv1d | nn.Linear, outputs: int) -> None:
        super().__init__()
        self.op = op
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activations: torch.Tensor = torch.relu(self.norm(self.op(x)))
        return activations


class FloatNetwork(nn.Module):
    """Maps inputs (n, width), multiplied by `INPUT_STEP`, to logits (n, logits)."""

    def __init__(self, recipe: Recipe, width: int, logits: int) -> None:
        super().__init__()
        self.pools = recipe.kind == "cnn"
        self.narrowest = 1
        """Width of the narrowest window that the filters fit; 1 for an MLP."""
        # Backwards from one position behind the last filter: what each filter must read to write that many.
        for _, kernel, stride in reversed(recipe.filters):
            self.narrowest = (self.narrowest - 1) * stride + kernel
        blocks: list[Block] = []
        inputs = 1 if self.pools else width
        for outputs, kernel, stride in recipe.filters:
            blocks.append(Block(nn.Conv1d(inputs, outputs, kernel, stride, bias=False), outputs))
            inputs = outputs
        for outputs in recipe.hidden:
            blocks.append(Block(nn.Linear(inputs, outputs, bias=False), outputs))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, logits)

    def spread(self, x: torch.Tensor) -> torch.Tensor:
        """Reshape (n, width) to what the first block reads: (n, 1, width) for a CNN."""
        return x.unsqueeze(1) if self.pools else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.spread(x))
        if self.pools:
            x = x.mean(dim=2)
        logits: torch.Tensor = self.head(x)
        return logits


# AdamW under a one-cycle schedule: the update rule of torch without its optimiser classes, which import torch's
# compiler when created. That takes seconds at every start, and nothing here is compiled.

_WARM_UP = 0.3
"""Part of the steps in which the rate rises."""
_FIRST, _LAST = 1 / 25, 1e-4 / 25
"""Rates of the first and the last step, as parts of the highest."""
_MOMENTUM = (0.95, 0.85)
"""At the lowest and at the highest rate: a fast step relies less on the steps before."""
_SQUARES, _EPSILON = 0.999, 1e-8


class OneCycleAdamW:
    """Updates parameters by their gradients. AdamW as in Loshchilov and Hutter, "Decoupled Weight Decay Regularization"
    (2019); schedule as in Smith and Topin, "Super-Convergence" (2018), with cosine phases. The same steps as torch's
    `AdamW` and `OneCycleLR` with their defaults."""

    def __init__(
        self, parameters: Iterable[torch.Tensor], *, highest_rate: float, weight_decay: float, steps: int
    ) -> None:
        self._parameters = list(parameters)
        self._highest, self._decay, self._steps = highest_rate, weight_decay, steps
        self._means = [torch.zeros_like(one) for one in self._parameters]
        self._squares = [torch.zeros_like(one) for one in self._parameters]
        self._counts = [torch.tensor(0.0) for _ in self._parameters]
        self._taken = 0

    def zero_grad(self) -> None:
        for one in self._parameters:
            one.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Takes one of the `steps`; every parameter needs a gradient. Raises ValueError after the last."""
        rate, momentum = self._schedule(self._taken)
        adamw(
            self._parameters,
            [cast("torch.Tensor", one.grad) for one in self._parameters],
            self._means,
            self._squares,
            [],
            self._counts,
            foreach=False,
            amsgrad=False,
            beta1=momentum,
            beta2=_SQUARES,
            lr=rate,
            weight_decay=self._decay,
            eps=_EPSILON,
            maximize=False,
        )
        self._taken += 1

    def _schedule(self, step: int) -> tuple[float, float]:
        """Rate and momentum of a step, counted from 0."""
        if step >= self._steps:
            raise ValueError(f"the schedule has {self._steps} steps")
        peak = _WARM_UP * self._steps - 1
        slow, fast = _MOMENTUM
        if step <= peak:
            part = step / peak
            return _between(_FIRST * self._highest, self._highest, part), _between(slow, fast, part)
        part = (step - peak) / (self._steps - 1 - peak)
        return _between(self._highest, _LAST * self._highest, part), _between(fast, slow, part)


def _between(first: float, last: float, part: float) -> float:
    """Cosine interpolation."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * part))


# Quantises a trained float network: folds batch norms, calibrates activation ranges, rounds weights.

_ACTIVATION_QUANTILE = 0.9999
"""Activations above this quantile saturate at 127: a few clipped peaks cost less than a coarser step for all."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An integer network, and the size of its logit unit."""

    network: Network
    """With the decision of `undecided`, which training replaces."""
    logit_step: float
    """Float logit per unit of integer logit."""


def export(
    trained: FloatNetwork, calibration: NDArray[np.int8], *, scales: tuple[Scale, ...], decimals: int
) -> Exported:
    """Quantise a trained network. `calibration` (n, width), int8 training inputs, determines the activation ranges. On
    return, every sum is proved to stay within int32. Raises ExportError if one would not, or if the network has weights
    that do not fit the integer format."""
    # Evaluation mode: batch norms use their running statistics, which are what is folded in.
    trained.eval()
    layers: list[Layer] = []
    step = INPUT_STEP
    with torch.inference_mode():
        values = trained.spread(torch.from_numpy(calibration.astype(np.float32)) * INPUT_STEP)
        for block in trained.blocks.children():
            if not isinstance(block, Block):
                raise ExportError("the network has a layer that the integer format does not support")
            values = block(values)
            # `or 1.0`: a block that never fires on these inputs still needs a step.
            limit = float(np.quantile(values.numpy(), _ACTIVATION_QUANTILE)) or 1.0
            layers.append(_build_layer(*_fold(block), block.op, step, limit / 127))
            step = limit / 127
        if trained.pools:
            layers.append(SumPool(channels=values.shape[1], length=values.shape[2]))
            # The float network averages where the integer one sums.
            step /= values.shape[2]
        head = trained.head
        weight, bias = _to_numpy(head.weight), _to_numpy(head.bias)
        layers.append(_build_layer(weight, bias, head, step, None))
    try:
        network = Network(calibration.shape[1], decimals, undecided(trained.head.out_features), scales, tuple(layers))
    except ModelError as error:
        raise ExportError(
            f"the network does not fit the integer format: {error.cause}", hint="train again with another seed"
        ) from error
    return Exported(network, step * _weight_step(weight))


def _to_numpy(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().numpy().astype(np.float64)


def _fold(block: Block) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and biases of a block with its batch norm folded in: y = (w x - mean) * gain + shift."""
    norm = block.norm
    if norm.running_mean is None or norm.running_var is None:
        raise ExportError("a batch norm has no running statistics")
    gain = _to_numpy(norm.weight) / np.sqrt(_to_numpy(norm.running_var) + norm.eps)
    weight = _to_numpy(block.op.weight)
    biases = _to_numpy(norm.bias) - _to_numpy(norm.running_mean) * gain
    return weight * gain.reshape(-1, *[1] * (weight.ndim - 1)), biases


def _weight_step(weight: NDArray[np.float64]) -> float:
    """Float weight per unit of int8 weight; 1 if all weights are 0."""
    return float(np.abs(weight).max()) / 127 or 1.0


def _build_layer(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    op: nn.Conv1d | nn.Linear,
    input_step: float,
    output_step: float | None,
) -> Dense | Conv:
    """Integer layer from float weights (outputs, inputs[, kernel]) and biases (outputs,). A step is the float value of
    one integer unit, of the layer's input or output; the last layer has no output step. Raises ExportError if a number
    does not fit."""
    weight_step = _weight_step(weight)
    biases = np.rint(bias / (weight_step * input_step))
    multiplier = 0 if output_step is None else round(weight_step * input_step / output_step * 2**24)
    if not (np.isfinite(weight).all() and np.isfinite(biases).all() and np.abs(biases).max() < LOGIT_LIMIT):
        raise ExportError("a weight or bias does not fit the integer format", hint="train again with another seed")
    if output_step is not None and not 1 <= multiplier <= MAX_MULTIPLIER:
        raise ExportError(
            f"a layer needs multiplier {multiplier}, outside 1..{MAX_MULTIPLIER}", hint="train again with another seed"
        )
    packed = np.rint(weight / weight_step).astype(np.int8).tobytes()
    integers = tuple(int(value) for value in biases)
    if isinstance(op, nn.Linear):
        return Dense(op.in_features, op.out_features, multiplier, integers, packed)
    return Conv(op.in_channels, op.out_channels, op.kernel_size[0], op.stride[0], multiplier, integers, packed)


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
            wanted, smoothing = self._wanted[batch], self._recipe.smoothing
            softened = wanted * (1 - smoothing) + smoothing / max(2, wanted.shape[1])
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
