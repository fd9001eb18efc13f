"""Fits a rocket model: features from quantiles of the data, a ridge head, both quantised. Needs numpy.

Features are kernels, dilations, and biases that are quantiles of training responses. Labels play no part in them, so
the features cannot overfit the labels.

Several heads are compared: with few or many features per kernel, on the rows as they are or with mirrored copies (all
words negated). Mirroring suits vibrations and noise, whose sign means nothing. Predictions for rows left out of a fit
decide the strength of the ridge, the head and, by their scores, the threshold; nothing else decides them. Not
established: that the chosen head's loss holds on new rows; as the least of several, it is slightly too low.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality import errors, inference, metrics
from millmark.quality.evaluate.scaling import apply_scales
from millmark.quality.fitting import Problem, Progress, fit_scales, take_sample, undecided
from millmark.quality.rocket import records
from millmark.quality.rocket.arrays import prepare_section

# Ridge regression with its strength chosen by leave-one-group-out cross-validation in closed form.
# A group is a row of the data and its mirrored copy, so that a row is never predicted by a fit that saw its copy. With
# H = U diag(e / (e + strength)) U', where U are the left singular vectors and e the squared singular values of the
# weighted and centred features, the residuals of group g in a fit without it are (I - H_gg)^-1 r_g, where r are the
# residuals of the fit to all rows (Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a
# Good Ridge Parameter", Technometrics 21, 1979, for groups of one row).

Floats = NDArray[np.float64]
STRENGTHS = tuple(10.0 ** (exponent / 2) for exponent in range(-2, 13))
"""Strengths tried, 0.1 to 10^6: penalties on squared weights of standardised features."""
_NEGLIGIBLE = 1e-10
"""Squared singular values below this share of the largest are treated as rounding errors."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear fit: targets are approximated by `features @ weights + biases`."""

    weights: Floats
    """(features, targets)."""
    biases: Floats
    """(targets,)."""
    strength: float
    """The chosen element of `STRENGTHS`."""
    left_out: Floats
    """(rows of the first copy, targets): predictions for each row by the fit without the row and its copies."""
    losses: tuple[float, ...]
    """Weighted mean squared error of such predictions, for each element of `STRENGTHS`."""


def fit_ridge(copies: list[Floats], targets: Floats, row_weights: Floats) -> Ridge:
    """Fit to copies of the same rows, each with features (n, f), that share targets (n, t) and row weights (n,). The
    strength chosen is that of `STRENGTHS` with the least squared error of the left-out predictions for the first
    copy."""
    features = np.concatenate(copies)
    rows, count = len(targets), len(copies)
    weights = np.tile(row_weights, count)
    roots = np.sqrt(weights)[:, np.newaxis]
    mean = np.average(features, axis=0, weights=weights)
    deviation = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    scale = np.where(deviation > 0, deviation, 1.0)
    centre = np.average(targets, axis=0, weights=row_weights)
    scaled = (features - mean) / scale * roots
    wanted = np.tile(targets - centre, (count, 1)) * roots
    left, squares = _decompose(scaled)
    projected = left.T @ wanted
    groups = left.reshape(count, rows, -1)
    # The intercept is fitted too, by centring: its direction belongs to the hat matrix, and is not penalised.
    constant = roots.reshape(count, rows) / np.sqrt(weights.sum())
    losses, best = [], (np.inf, 0.0, targets)
    for strength in STRENGTHS:
        shares = squares / (squares + strength)
        residuals = (wanted - left @ (shares[:, np.newaxis] * projected)).reshape(count, rows, -1)
        missed = _leave_out(groups, shares, constant, residuals)[0] / roots[:rows]
        losses.append(float(np.average((missed**2).sum(axis=1), weights=row_weights)))
        # Strictly less: of equal losses the first, weakest penalty wins.
        if losses[-1] < best[0]:
            best = (losses[-1], strength, missed)
    _, strength, missed = best
    solved = scaled.T @ (left @ (projected / (squares + strength)[:, np.newaxis])) / scale[:, np.newaxis]
    return Ridge(solved, centre - mean @ solved, strength, targets - missed, tuple(losses))


def _decompose(scaled: Floats) -> tuple[Floats, Floats]:
    """Left singular vectors (rows, rank) and squared singular values (rank,). Computed from the smaller of the two Gram
    matrices, which is far cheaper than a singular value decomposition if rows and features differ much in number."""
    rows, columns = scaled.shape
    squares, vectors = np.linalg.eigh(scaled @ scaled.T if rows < columns else scaled.T @ scaled)
    kept = squares > _NEGLIGIBLE * max(squares[-1], _NEGLIGIBLE)
    squares, vectors = squares[kept], vectors[:, kept]
    return (vectors if rows < columns else scaled @ vectors / np.sqrt(squares)), squares


def _leave_out(groups: Floats, shares: Floats, constant: Floats, residuals: Floats) -> Floats:
    """Residuals (copies, rows, targets) of each group in the fit without it."""
    hats = np.einsum("anr,bnr,r->nab", groups, groups, shares, optimize=True)
    hats += np.einsum("an,bn->nab", constant, constant)
    without = np.eye(len(groups)) - hats
    solved = np.linalg.solve(without, residuals.transpose(1, 0, 2))
    return solved.transpose(1, 0, 2)


_GOLDEN = (np.sqrt(5) + 1) / 2

Inputs: TypeAlias = NDArray[np.int8]
Layout: TypeAlias = list[tuple[int, bool, list[tuple[int, int]]]]
"""[(dilation, padded, [(kernel, bias)])], all ascending."""


def lay_out(inputs: Inputs, features_a_kernel: int, generator: np.random.Generator) -> Layout:
    """Choose features: dilations in powers of two, and biases at quantiles of the responses to single training windows.
    As in MiniRocket, dilations grow exponentially up to the window's width, quantiles follow the golden ratio, and
    every other kernel is padded, alternating between dilations. Duplicate features are dropped."""
    width = inputs.shape[1]
    layout: dict[tuple[int, bool], set[tuple[int, int]]] = {}
    quantile = 0
    for index, (dilation, features) in enumerate(_spread_dilations(width, features_a_kernel)):
        for padded in (False, True):
            kernels = range((index + padded) % 2, len(records.KERNELS), 2)
            for kernel in kernels:
                window = inputs[generator.integers(len(inputs))]
                responses = _respond(window, kernel, dilation, padded=padded)
                # The sequence of quantiles continues from kernel to kernel, so that each one gets different ones.
                shares = [(quantile + step) * _GOLDEN % 1 for step in range(1, features + 1)]
                quantile += features
                biases = np.clip(
                    np.floor(np.quantile(responses, shares)), -records.MAX_RESPONSE, records.MAX_RESPONSE - 1
                )
                layout.setdefault((dilation, padded), set()).update((kernel, int(bias)) for bias in biases)
    return [(*key, sorted(features)) for key, features in sorted(layout.items())]


def _spread_dilations(width: int, features_a_kernel: int) -> list[tuple[int, int]]:
    """(dilation, features per kernel) pairs, ascending; the features add up to `features_a_kernel`."""
    largest = np.log2((width - 1) / records.REACH)
    dilations = np.floor(2 ** np.linspace(0, largest, features_a_kernel)).astype(int)
    return [
        (int(dilation), int(count)) for dilation, count in zip(*np.unique(dilations, return_counts=True), strict=True)
    ]


def _respond(window: Inputs, kernel: int, dilation: int, *, padded: bool) -> NDArray[np.int64]:
    """Responses (positions,) of one kernel to one window (width,)."""
    margin = records.REACH // 2 * dilation if padded else 0
    words = np.pad(window.astype(np.int64), margin)
    positions = len(words) - records.REACH * dilation
    taps = [words[tap * dilation : tap * dilation + positions] for tap in range(records.TAPS)]
    # Weights are 2 on three taps and -1 on all others: three times the three taps, minus the sum of all nine.
    heavy = sum((taps[tap] for tap in records.KERNELS[kernel]), start=np.zeros(positions, dtype=np.int64))
    return 3 * heavy - sum(taps, start=np.zeros(positions, dtype=np.int64))


def build_counter(layout: Layout, width: int) -> Callable[[Inputs], Floats]:
    """A function from int8 inputs (n, width) to counts (n, features), in the layout's order."""
    counters = [
        prepare_section(
            records.Section(dilation, padded, tuple(records.Feature(*key, (1,)) for key in features)), width
        )
        for dilation, padded, features in layout
    ]
    return lambda inputs: np.concatenate([counter(inputs) for counter in counters], axis=1).astype(np.float64)


def list_positions(layout: Layout, width: int) -> NDArray[np.int64]:
    """Largest possible count of each feature (features,), in the layout's order."""
    sizes = [
        np.full(len(keys), width if padded else width - records.REACH * dilation) for dilation, padded, keys in layout
    ]
    return np.concatenate(sizes)


FEATURES_A_KERNEL = (6, 12, 24)
"""Tried in this order: 504, 1008 and 2016 features; at most 10 kB of model for a single logit."""
_MAX_ROWS = 20_000
"""Heads are fitted to a sample of this many rows if there are more."""
_MAX_COUNTS = 2**25
"""Counts in memory at a time, of both copies of all rows: a quarter of a gigabyte. With more rows, fewer features per
kernel are tried."""
_BATCH = 256
"""Windows that are counted at a time."""


@dataclass(frozen=True, slots=True)
class FittedRocket:
    """See `millmark.quality.fitting.Fitted`. All rows of the sample are held out, each scored by a fit without it."""

    model: records.Rocket
    recipe: str
    logit_step: float
    held_out: NDArray[np.int64]
    held_out_logits: NDArray[np.int64]
    count: Callable[[Inputs], Floats]
    """Counts (n, features) of int8 inputs (n, width)."""
    weights: Floats
    """Weights (features, outputs) of the float head."""
    biases: Floats
    """Biases (outputs,) of the float head."""

    def float_logits(self, fixed: NDArray[np.int64]) -> Floats:
        """Logits (n, outputs) of the head before its weights were rounded, on fixed-point windows (n, width)."""
        logits: Floats = self.count(_quantise(self.model.scales, fixed)) @ self.weights + self.biases
        return logits


@dataclass(frozen=True, slots=True)
class _Head:
    """A fitted head that is compared with others."""

    recipe: str
    layout: Layout
    ridge: Ridge

    @property
    def loss(self) -> float:
        """Mean squared error on left-out rows, at the chosen strength."""
        return min(self.ridge.losses)


def fit(problem: Problem, *, seed: int, progress: Progress) -> FittedRocket:
    """Fit the head with the least loss on left-out rows. Raises InputError if windows are too narrow for a kernel."""
    width = problem.values.shape[1]
    if width < records.TAPS:
        raise errors.InputError(
            f"a rocket needs windows of at least {records.TAPS} values, these have {width}", hint="use another --kind"
        )
    rows = take_sample(problem.classes, _MAX_ROWS, seed)
    learnt = problem.take(rows)
    fixed = learnt.fixed
    scales = fit_scales(fixed, records.MAX_WORD, shared=True)
    inputs = _quantise(scales, fixed)
    heads: list[_Head] = []
    for features in _choose_features(len(inputs)):
        layout = lay_out(inputs, features, np.random.default_rng(seed))
        heads += _fit_heads(learnt, inputs, layout, f"rocket, {features} features a kernel", progress)
    # min returns the first of equals, and heads are ordered from simple to complex.
    return _round(learnt, rows, min(heads, key=lambda head: head.loss), scales)


def _choose_features(rows: int) -> list[int]:
    """Numbers of features per kernel that fit in memory; at least the smallest."""
    roomy = [features for features in FEATURES_A_KERNEL if 2 * rows * features * len(records.KERNELS) <= _MAX_COUNTS]
    return roomy or [FEATURES_A_KERNEL[0]]


def _fit_heads(problem: Problem, inputs: Inputs, layout: Layout, name: str, progress: Progress) -> Iterator[_Head]:
    """Fit a head to the rows as they are, then one with mirrored copies."""
    count = build_counter(layout, inputs.shape[1])
    steps = 2 * -(-len(inputs) // _BATCH)
    copies = []
    # Negating int8 is safe: words are never -128.
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


def _quantise(scales: tuple[inference.Scale, ...], fixed: NDArray[np.int64]) -> Inputs:
    return apply_scales(scales, fixed, records.MAX_WORD).astype(np.int8)


def _build_targets(problem: Problem) -> Floats:
    """Targets (n, outputs): 1 for the row's class, -1 for the others."""
    wanted = [1] if problem.outputs == 1 else list(range(problem.outputs))
    return np.where(problem.classes[:, np.newaxis] == np.array(wanted), 1.0, -1.0)


def _round(problem: Problem, rows: NDArray[np.int64], head: _Head, scales: tuple[inference.Scale, ...]) -> FittedRocket:
    """Calibrate the head to log odds, then quantise it as finely as int16 weights and int32 sums allow. Raises
    ExportError if all weights are 0."""
    ridge, width = head.ridge, problem.values.shape[1]
    if problem.outputs == 1:
        slope, offset = metrics.fit_log_odds(ridge.left_out[:, 0], problem.classes == 1)
    else:
        slope, offset = metrics.fit_temperature(ridge.left_out, problem.classes), 0.0
    weights, biases = ridge.weights * slope, ridge.biases * slope + offset
    positions = list_positions(head.layout, width)
    worst = (positions @ (np.abs(weights)) + np.abs(biases)).max()
    # Rounding changes a weight by at most half a unit, so a sum by at most half a unit per position: room for a whole
    # unit per position is reserved.
    spare = inference.LOGIT_LIMIT - 1 - positions.sum() - 1
    step = max(np.abs(weights).max() / records.MAX_WEIGHT, worst / spare)
    if not (np.isfinite(step) and step > 0):
        raise errors.ExportError("all weights of the rocket's head are zero", hint="provide rows that differ")
    model = records.Rocket(
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


def _build_sections(layout: Layout, weights: NDArray[np.int64]) -> tuple[records.Section, ...]:
    """Sections of the features that still have a weight after rounding."""
    sections, at = [], 0
    for dilation, padded, keys in layout:
        rows = weights[at : at + len(keys)].tolist()
        at += len(keys)
        features = tuple(records.Feature(*key, tuple(row)) for key, row in zip(keys, rows, strict=True) if any(row))
        if features:
            sections.append(records.Section(dilation, padded, features))
    return tuple(sections)
