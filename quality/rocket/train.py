"""Fit a rocket model: features by the data's own quantiles, a ridge head, both turned into integers. Needs numpy.

Several heads compete: on few or many features a kernel, and on the rows as they are or with their mirrored twins (all
words negated), which is right for vibrations and noise, whose sign means nothing. Rows that were left out of a head's
fit judge the strength of its ridge, which head wins and, by their scores, the threshold. No other rows decide anything.
Not established: the loss of the winner, being the least of several, is a little less than it will be on new rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.calibration import fit_log_odds, fit_temperature
from quality.decision import LOGIT_LIMIT
from quality.errors import ExportError, InputError
from quality.evaluate.scaling import apply_scales
from quality.fitting import Problem, Progress, undecided
from quality.inputs import Scale
from quality.rocket.layout import Floats, Inputs, Layout, build_counter, lay_out, list_positions
from quality.rocket.records import KERNELS, MAX_WEIGHT, MAX_WORD, TAPS, Feature, Rocket, Section
from quality.rocket.ridge import Ridge, fit_ridge
from quality.scales import fit_scales
from quality.splits import take_sample

__all__ = ["FEATURES_A_KERNEL", "FittedRocket", "fit"]

FEATURES_A_KERNEL = (6, 12, 24)
"""What is tried: 504, 1008 and 2016 features, for one logit up to 10 kB of model."""
_MOST_ROWS = 20_000
"""A head learns from a sample of so many rows when there are more."""
_MOST_COUNTS = 2**25
"""Counts of both copies of all rows that are in memory at a time, a quarter of a gigabyte; more rows try fewer features
a kernel."""
_BATCH = 256


@dataclass(frozen=True, slots=True)
class FittedRocket:
    """See `quality.fitting.Fitted`. All rows of the sample are held out: a head that did not see them scores them."""

    model: Rocket
    recipe: str
    logit_step: float
    held_out: NDArray[np.int64]
    held_out_logits: NDArray[np.int64]
    count: Callable[[Inputs], Floats]
    weights: Floats
    """(features, outputs) of the float head."""
    biases: Floats

    def float_logits(self, fixed: NDArray[np.int64]) -> Floats:
        """(n, outputs) of the head before its weights were rounded, on fixed-point windows (n, width)."""
        logits: Floats = self.count(_quantise(self.model.scales, fixed)) @ self.weights + self.biases
        return logits


@dataclass(frozen=True, slots=True)
class _Head:
    """One that competes."""

    recipe: str
    layout: Layout
    ridge: Ridge

    @property
    def loss(self) -> float:
        """Of rows that it did not see."""
        return min(self.ridge.losses)


def fit(problem: Problem, *, seed: int, progress: Progress) -> FittedRocket:
    """The head that misses least on rows left out. Raises InputError when the windows are too narrow for a kernel."""
    width = problem.values.shape[1]
    if width < TAPS:
        raise InputError(f"a rocket needs windows of {TAPS} values, these have {width}", hint="use another --kind")
    rows = take_sample(problem.classes, _MOST_ROWS, seed)
    learnt = problem.take(rows)
    fixed = learnt.fixed
    scales = fit_scales(fixed, MAX_WORD, shared=True)
    inputs = _quantise(scales, fixed)
    heads: list[_Head] = []
    for features in _choose_features(len(inputs)):
        layout = lay_out(inputs, features, np.random.default_rng(seed))
        heads += _fit_heads(learnt, inputs, layout, f"rocket, {features} features a kernel", progress)
    # min keeps the first of equals, and heads come simplest first.
    return _round(learnt, rows, min(heads, key=lambda head: head.loss), scales)


def _choose_features(rows: int) -> list[int]:
    """Features a kernel that there is room to try, at least the fewest."""
    roomy = [features for features in FEATURES_A_KERNEL if 2 * rows * features * len(KERNELS) <= _MOST_COUNTS]
    return roomy or [FEATURES_A_KERNEL[0]]


def _fit_heads(problem: Problem, inputs: Inputs, layout: Layout, name: str, progress: Progress) -> Iterator[_Head]:
    """On the rows as they are, then with their mirrored twins."""
    count = build_counter(layout, inputs.shape[1])
    steps = 2 * -(-len(inputs) // _BATCH)
    copies = []
    for copy, words in enumerate((inputs, -inputs)):
        parts = []
        for index, start in enumerate(range(0, len(words), _BATCH)):
            parts.append(count(words[start : start + _BATCH]))
            progress(name, copy * steps // 2 + index + 1, steps, {})
        copies.append(np.concatenate(parts))
    targets = _build_targets(problem)
    plain = fit_ridge(copies[:1], targets, problem.row_weights)
    mirrored = fit_ridge(copies, targets, problem.row_weights)
    for step, losses in enumerate(zip(plain.losses, mirrored.losses, strict=True)):
        figures = dict(zip(("loss/plain", "loss/mirrored"), losses, strict=True))
        progress(f"ridge of {name}", step + 1, len(plain.losses), figures)
    yield _Head(f"{name}, ridge {plain.strength:.3g}", layout, plain)
    yield _Head(f"{name}, mirrored, ridge {mirrored.strength:.3g}", layout, mirrored)


def _quantise(scales: tuple[Scale, ...], fixed: NDArray[np.int64]) -> Inputs:
    return apply_scales(scales, fixed, MAX_WORD).astype(np.int8)


def _build_targets(problem: Problem) -> Floats:
    """(n, outputs): 1 for the class, -1 for the others."""
    wanted = [1] if problem.outputs == 1 else list(range(problem.outputs))
    return np.where(problem.classes[:, np.newaxis] == np.array(wanted), 1.0, -1.0)


def _round(problem: Problem, rows: NDArray[np.int64], head: _Head, scales: tuple[Scale, ...]) -> FittedRocket:
    """Calibrate the head to log odds, then round it as finely as int16 weights and int32 sums allow."""
    ridge, width = head.ridge, problem.values.shape[1]
    if problem.outputs == 1:
        slope, offset = fit_log_odds(ridge.left_out[:, 0], problem.classes == 1)
    else:
        slope, offset = fit_temperature(ridge.left_out, problem.classes), 0.0
    weights, biases = ridge.weights * slope, ridge.biases * slope + offset
    positions = list_positions(head.layout, width)
    worst = (positions @ (np.abs(weights)) + np.abs(biases)).max()
    # Rounding adds at most half a unit a position, which the spare part of the limit takes up.
    spare = LOGIT_LIMIT - 1 - positions.sum() - 1
    step = max(np.abs(weights).max() / MAX_WEIGHT, worst / spare)
    if not (np.isfinite(step) and step > 0):
        raise ExportError("the head of the rocket has no weights", hint="give rows that differ")
    model = Rocket(
        width=width,
        decimals=problem.decimals,
        decision=undecided(problem.outputs),
        scales=scales,
        biases=tuple(np.rint(biases / step).astype(np.int64).tolist()),
        sections=_build_sections(head.layout, np.rint(weights / step).astype(np.int64)),
    )
    logits = np.rint((ridge.left_out * slope + offset) / step).astype(np.int64)
    count = build_counter(head.layout, width)
    return FittedRocket(model, head.recipe, float(step), rows, logits, count, weights, biases)


def _build_sections(layout: Layout, weights: NDArray[np.int64]) -> tuple[Section, ...]:
    """Sections of the features that have a weight left."""
    sections, at = [], 0
    for dilation, padded, keys in layout:
        rows = weights[at : at + len(keys)].tolist()
        at += len(keys)
        features = tuple(Feature(*key, tuple(row)) for key, row in zip(keys, rows, strict=True) if any(row))
        if features:
            sections.append(Section(dilation, padded, features))
    return tuple(sections)
