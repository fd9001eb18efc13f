"""Fit a rocket model: features by the data's own quantiles, a ridge head, both turned into integers. Needs numpy.

Two recipes compete: the rows as they are, and the rows with their mirrored twins (all words negated), which is right
for vibrations and noise, whose sign means nothing. Rows that were left out of the head's fit judge the strength of the
ridge, the recipe and, by their scores, the threshold; the kernels' biases are quantiles of responses and see no label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.calibration import fit_log_odds, fit_temperature
from quality.data import DECIMALS
from quality.decision import LOGIT_LIMIT
from quality.errors import ExportError, InputError
from quality.evaluate.scaling import apply_scales
from quality.fitting import Problem, Progress, undecided
from quality.inputs import Scale
from quality.rocket.arrays import prepare_section
from quality.rocket.records import KERNELS, MAX_RESPONSE, MAX_WEIGHT, MAX_WORD, REACH, TAPS, Feature, Rocket, Section
from quality.rocket.ridge import Ridge, fit_ridge
from quality.scales import fit_scales

__all__ = ["FEATURES_A_KERNEL", "FittedRocket", "fit"]

FEATURES_A_KERNEL = 24
"""2016 features, about 10 kB for one logit. Half of them lose a point of accuracy on FordA."""
_GOLDEN = (np.sqrt(5) + 1) / 2
_BATCH = 256

Floats = NDArray[np.float64]
Inputs = NDArray[np.int8]
Layout = list[tuple[int, bool, list[tuple[int, int]]]]
"""(dilation, padded, [(kernel, bias)]), all ascending."""


@dataclass(frozen=True, slots=True)
class FittedRocket:
    """See `quality.fitting.Fitted`. Every row is held out: its score comes from a head that did not see it."""

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


def fit(problem: Problem, *, seed: int, progress: Progress) -> FittedRocket:
    """The better of two recipes. Raises InputError when the windows are too narrow for a kernel."""
    width = problem.values.shape[1]
    if width < TAPS:
        raise InputError(f"a rocket needs windows of {TAPS} values, these have {width}", mend="use another --kind")
    fixed = problem.fixed
    scales = fit_scales(fixed, MAX_WORD, shared=True)
    inputs = _quantise(scales, fixed)
    layout = _lay_out(inputs, np.random.default_rng(seed))
    count = _build_counter(layout, width)
    name, steps = "rocket", 2 * -(-len(inputs) // _BATCH)
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
    best = mirrored if min(mirrored.losses) < min(plain.losses) else plain
    recipe = f"rocket, {'mirrored, ' if best is mirrored else ''}ridge {best.strength:.3g}"
    for step, losses in enumerate(zip(plain.losses, mirrored.losses, strict=True)):
        figures = dict(zip(("loss/plain", "loss/mirrored"), losses, strict=True))
        progress("ridge", step + 1, len(plain.losses), figures)
    return _round(problem, best, recipe, scales, layout, count)


def _quantise(scales: tuple[Scale, ...], fixed: NDArray[np.int64]) -> Inputs:
    return apply_scales(scales, fixed, MAX_WORD).astype(np.int8)


def _build_targets(problem: Problem) -> Floats:
    """(n, outputs): 1 for the class, -1 for the others."""
    wanted = [1] if problem.outputs == 1 else list(range(problem.outputs))
    return np.where(problem.classes[:, np.newaxis] == np.array(wanted), 1.0, -1.0)


def _lay_out(inputs: Inputs, generator: np.random.Generator) -> Layout:
    """Dilations spread over powers of two; biases at quantiles of the responses of single training windows.

    As in MiniRocket: exponential dilations up to the window, quantiles by the golden ratio, padding on every other
    kernel, the other way round at every other dilation. Features that repeat each other are left out.
    """
    width = inputs.shape[1]
    layout: dict[tuple[int, bool], set[tuple[int, int]]] = {}
    quantile = 0
    for index, (dilation, features) in enumerate(_spread_dilations(width)):
        for padded in (False, True):
            kernels = range((index + padded) % 2, len(KERNELS), 2)
            for kernel in kernels:
                window = inputs[generator.integers(len(inputs))]
                responses = _respond(window, kernel, dilation, padded=padded)
                shares = [(quantile + step) * _GOLDEN % 1 for step in range(1, features + 1)]
                quantile += features
                biases = np.clip(np.floor(np.quantile(responses, shares)), -MAX_RESPONSE, MAX_RESPONSE - 1)
                layout.setdefault((dilation, padded), set()).update((kernel, int(bias)) for bias in biases)
    return [(*key, sorted(features)) for key, features in sorted(layout.items())]


def _spread_dilations(width: int) -> list[tuple[int, int]]:
    """(dilation, features a kernel) pairs, ascending; the features add up to `FEATURES_A_KERNEL`."""
    largest = np.log2((width - 1) / REACH)
    dilations = np.floor(2 ** np.linspace(0, largest, FEATURES_A_KERNEL)).astype(int)
    return [
        (int(dilation), int(count)) for dilation, count in zip(*np.unique(dilations, return_counts=True), strict=True)
    ]


def _respond(window: Inputs, kernel: int, dilation: int, *, padded: bool) -> NDArray[np.int64]:
    margin = REACH // 2 * dilation if padded else 0
    words = np.pad(window.astype(np.int64), margin)
    positions = len(words) - REACH * dilation
    taps = [words[tap * dilation : tap * dilation + positions] for tap in range(TAPS)]
    heavy = sum((taps[tap] for tap in KERNELS[kernel]), start=np.zeros(positions, dtype=np.int64))
    return 3 * heavy - sum(taps, start=np.zeros(positions, dtype=np.int64))


def _build_counter(layout: Layout, width: int) -> Callable[[Inputs], Floats]:
    """A function from int8 inputs (n, width) to counts (n, features) in the layout's order."""
    counters = [
        prepare_section(Section(dilation, padded, tuple(Feature(*key, (1,)) for key in features)), width)
        for dilation, padded, features in layout
    ]
    return lambda inputs: np.concatenate([counter(inputs) for counter in counters], axis=1).astype(np.float64)


def _round(
    problem: Problem,
    ridge: Ridge,
    recipe: str,
    scales: tuple[Scale, ...],
    layout: Layout,
    count: Callable[[Inputs], Floats],
) -> FittedRocket:
    """Calibrate the head to log odds, then round it as finely as int16 weights and int32 sums allow."""
    if problem.outputs == 1:
        slope, offset = fit_log_odds(ridge.left_out[:, 0], problem.classes == 1)
    else:
        slope, offset = fit_temperature(ridge.left_out, problem.classes), 0.0
    weights, biases = ridge.weights * slope, ridge.biases * slope + offset
    width = problem.values.shape[1]
    positions = np.concatenate(
        [np.full(len(keys), width if padded else width - REACH * dilation) for dilation, padded, keys in layout]
    )
    worst = (positions @ (np.abs(weights)) + np.abs(biases)).max()
    # Rounding adds at most half a unit a position, which the spare part of the limit takes up.
    spare = LOGIT_LIMIT - 1 - positions.sum() - 1
    step = max(np.abs(weights).max() / MAX_WEIGHT, worst / spare)
    if not (np.isfinite(step) and step > 0):
        raise ExportError("the head of the rocket has no weights", mend="give rows that differ")
    rounded = np.rint(weights / step).astype(np.int64)
    model = Rocket(
        width=width,
        decimals=DECIMALS,
        decision=undecided(problem.outputs),
        scales=scales,
        biases=tuple(np.rint(biases / step).astype(np.int64).tolist()),
        sections=_build_sections(layout, rounded),
    )
    logits = np.rint((ridge.left_out * slope + offset) / step).astype(np.int64)
    return FittedRocket(model, recipe, float(step), np.arange(len(logits)), logits, count, weights, biases)


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
