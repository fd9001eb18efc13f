"""Training: choose a kind of model by cross-validation, fit it, choose its threshold. Needs torch only if a kind does.

Nothing here sees test data. The threshold is chosen on rows whose scores come from models that were not fitted to them.
Columns that leak the label, number the rows, repeat another column or are all constant are refused before training.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import cast

import numpy as np
from numpy.typing import NDArray

from millmark.quality import drift, fitting
from millmark.quality.errors import InputError, QualityError
from millmark.quality.evaluate import load_evaluator
from millmark.quality.inference import Decision
from millmark.quality.metrics import Counts, Goal, choose_threshold, classify_all, confusion, macro_f1, margins
from millmark.quality.model import Model, decide, load_family

# Chooses the kind of model that suits the data, from cross-validation of all kinds on the same folds.
# Rows are *signals* if their columns are one quantity sampled over time, and *tables* if each column is a quantity of
# its own. Unless the caller states which, it is guessed; a guess only affects the order in which kinds are preferred.
# Of the kinds that are worse than the best by no more than a standard error, the first in that order is chosen: on few
# rows the best of four is often best by luck, and without this rule a kind for signals would now and then be chosen for
# a table.

FOLDS = 3
SAMPLE_ROWS = 1200
"""Cross-validation uses about this many rows at most, so that choosing takes minutes however large the data are."""
_MAX_REPEATS = 3
_SMOOTH = 0.5
"""Roughness (see `_roughness`) below which columns look like a signal; 1 is that of values in random order."""

Floats = NDArray[np.float64]


class Columns(enum.Enum):
    """What the columns of a row are."""

    SIGNAL = "signal"
    """One quantity sampled over time."""
    TABLE = "table"
    """Different quantities, in any order."""


_ORDER: Mapping[Columns, Sequence[str]] = {
    Columns.SIGNAL: ("rocket", "cnn", "mlp", "trees"),
    Columns.TABLE: ("mlp", "trees", "rocket", "cnn"),
}
"""Order of preference: kinds that suit the columns first. Among these, the MLP comes first for tables because the
contract can execute it, and the rocket for signals because it is usually the more accurate."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one kind in cross-validation."""

    kind: str
    figures: tuple[float, ...]
    """F1 on each fold, with the same folds for every kind: of FAIL for two classes, else the mean over classes."""
    obstacle: str = ""
    """Why the kind could not be tried; there are no figures then."""

    @property
    def mean(self) -> float:
        """Mean F1 over folds; -1 if the kind was not tried, which is below any F1."""
        return float(np.mean(self.figures)) if self.figures else -1.0

    @property
    def spread(self) -> float:
        """Standard deviation of F1 over folds."""
        return float(np.std(self.figures)) if self.figures else 0.0

    def error_against(self, other: Trial) -> float:
        """Standard error of the difference between two means, corrected for folds that share training rows. C. Nadeau,
        Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003: the variance over folds times (1
        / folds + held-out rows / training rows)."""
        differences = np.subtract(self.figures, other.figures)
        return float(differences.std(ddof=1)) * sqrt(1 / len(differences) + 1 / (FOLDS - 1))


def guess_columns(values: Floats) -> Columns:
    """Guess whether rows (n, width) are signals or a table. Neighbouring values of a signal differ little: by less than
    half the mean square difference between two random values of the row (von Neumann's ratio), both in raw values and
    with each column standardised. The median row decides. A signal of pure noise looks like a table."""
    # Constant columns, such as padding, say nothing, and cannot be standardised.
    moving = values[:, values.std(axis=0) > 0]
    if moving.shape[1] < 2:
        return Columns.TABLE
    alike = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    return Columns.SIGNAL if max(_roughness(moving), _roughness(alike)) < _SMOOTH else Columns.TABLE


def _roughness(values: Floats) -> float:
    """Mean square difference of neighbours over that of any two values, for the median row; about 1 in random order."""
    steps = np.mean(np.diff(values, axis=1) ** 2, axis=1)
    spread = 2 * values.var(axis=1)
    return float(np.median(np.divide(steps, spread, out=np.ones_like(steps), where=spread > 0)))


def repeats_for(rows: int) -> int:
    """How many times the rows are split into folds: more often with few rows, where a single split says little."""
    return min(_MAX_REPEATS, max(1, SAMPLE_ROWS // rows))


def choose(trials: Sequence[Trial], columns: Columns) -> Trial:
    """The first kind, in the columns' order of preference, that is at most one standard error worse than the best. At
    least one trial must have figures."""
    tried = {trial.kind: trial for trial in trials if trial.figures}
    best = max(tried.values(), key=lambda trial: trial.mean)
    ordered = (tried[kind] for kind in _ORDER[columns] if kind in tried)
    return next(trial for trial in ordered if best.mean - trial.mean <= best.error_against(trial))


def verify_columns(values: NDArray[np.float64] | NDArray[np.int64], classes: NDArray[np.int64]) -> None:
    """Raise InputError if the columns of values (n, width) cannot be trusted to predict the classes (n,).

    That is the case if a column is a one-to-one function of the class; if it numbers the rows, which reveals the class
    when rows are sorted by it; if two columns of a table are equal; or if all columns are constant. Some columns may be
    constant, as in padded windows, and two columns of a series may be equal by chance. Not established: that no column
    leaks the label in a less obvious way.
    """
    count = len(np.unique(classes))
    seen: dict[bytes, int] = {}
    # Column numbers in messages count from 1, as spreadsheets do.
    for index, column in enumerate(values.T):
        distinct, codes = np.unique(column, return_inverse=True)
        if len(distinct) == 1:
            continue
        # One-to-one: as many values as classes, and as many (value, class) pairs.
        if len(distinct) == count and len(np.unique(codes * count + classes)) == count:
            raise InputError(f"column {index + 1} determines the label", hint="remove it from the inputs")
        if len(column) > 2 and len(np.unique(np.diff(column))) == 1:
            raise InputError(f"column {index + 1} numbers the rows", hint="remove it from the inputs")
        first = seen.setdefault(np.ascontiguousarray(column).tobytes(), index)
        if first != index and values.shape[1] <= drift.MAX_TABLE_COLUMNS:
            raise InputError(f"columns {first + 1} and {index + 1} are equal", hint="keep one of them")
    if not seen:
        raise InputError("every column is constant", hint="provide columns that vary, or use a finer unit")


KINDS = {
    "mlp": ("millmark.quality.network.train", "fit_mlp"),
    "cnn": ("millmark.quality.network.train", "fit_cnn"),
    "rocket": ("millmark.quality.rocket.train", "fit"),
    "trees": ("millmark.quality.trees.train", "fit"),
}
"""Kind of model, and the module and name of its `Fit`. Imported by name, so that one kind does not need another's
packages."""
FOR_SIGNALS = ("cnn", "rocket")
"""Kinds that read a row as one quantity sampled over time."""
WIDEST_FOR_TREES = 256
"""Wider windows are time series: trees would compare single samples, and take long to train."""
_BATCH = 256
"""Windows scored at a time, to bound memory."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model, and what its card reports about the training."""

    model: Model
    """The final model, with its threshold."""
    fitted: fitting.Fitted
    """The fit that the model comes from; its own model has no threshold yet."""
    kind: str
    seed: int
    classes: fitting.Classes
    goal: Goal
    trials: tuple[Trial, ...]
    """One per kind; empty unless the kind was chosen by cross-validation."""
    sampled: int
    """Rows used by cross-validation; 0 without it."""
    columns: Columns
    """As stated by the caller, or guessed."""


def train(
    problem: fitting.Problem,
    classes: fitting.Classes,
    *,
    kind: str = "auto",
    columns: Columns | None = None,
    seed: int = 0,
    goal: Goal | None = None,
    progress: fitting.Progress = fitting.silent,
) -> Trained:
    """Train a model of the given kind, or of the kind that cross-validation on these rows selects. `columns` is guessed
    if not stated; kinds for signals are not tried on columns stated to be a table. Raises InputError for unusable data,
    and ExportError if the fitted model does not fit the integer format."""
    goal = Goal() if goal is None else goal
    fitting.require_rows(problem.classes)
    verify_columns(problem.fixed, problem.classes)
    trials: tuple[Trial, ...] = ()
    sampled = np.arange(0)
    found = guess_columns(problem.values) if columns is None else columns
    if kind == "auto":
        sampled = fitting.take_sample(problem.classes, SAMPLE_ROWS, seed)
        sample = problem.take(sampled)
        # Only a statement bars a kind. A guess may be wrong, so it merely orders the kinds: see `choose`.
        barred = FOR_SIGNALS if columns is Columns.TABLE else ()
        trials = tuple(
            Trial(name, (), "the columns are said to be a table")
            if name in barred
            else _try(name, sample, classes, seed, goal, progress)
            for name in KINDS
        )
        if not any(trial.figures for trial in trials):
            raise InputError(f"no kind suits the data: {trials[0].obstacle}")
        kind = choose(trials, found).kind
    # The trials' models saw a sample and only some folds of it; the chosen kind is fitted again, to all rows.
    fitted = _load_fit(kind)(problem, seed=seed, progress=progress)
    decision = _decide(fitted, problem, classes, goal)
    return Trained(decide(fitted.model, decision), fitted, kind, seed, classes, goal, trials, len(sampled), found)


def _load_fit(kind: str) -> fitting.Fit:
    """Raises InputError if the kind is unknown, or a package that it needs is not installed."""
    if kind not in KINDS:
        raise InputError(f"unknown kind {kind!r}", hint=f"choose one of auto, {', '.join(KINDS)}")
    module, name = KINDS[kind]
    try:
        return cast("fitting.Fit", getattr(importlib.import_module(module), name))
    except ModuleNotFoundError as missing:
        raise InputError(f"kind {kind} needs {missing.name}", hint="install millmark[quality]") from missing


def _decide(fitted: fitting.Fitted, problem: fitting.Problem, classes: fitting.Classes, goal: Goal) -> Decision:
    """The decision with its threshold. With several classes the threshold is 0, so that the largest logit decides,
    unless a cost or a recall is stated."""
    outputs = classes.outputs
    plain = Decision(outputs, classes.mask, 0)
    stated = goal.stated
    if outputs > 1 and (not stated or not plain.accepted):
        if stated:
            raise InputError("every class is rejected, so there is no threshold to choose", hint="reject fewer labels")
        return plain
    scores = margins(plain, fitted.held_out_logits)
    return replace(plain, threshold=choose_threshold(scores, classes.fails(problem.classes[fitted.held_out]), goal))


def _try(
    kind: str, problem: fitting.Problem, classes: fitting.Classes, seed: int, goal: Goal, progress: fitting.Progress
) -> Trial:
    """Cross-validate one kind: fit to all folds but one and measure F1 on that one, for each fold. An error of the kind
    itself becomes the trial's obstacle: the other kinds are still tried."""
    width = problem.values.shape[1]
    if kind == "trees" and width > WIDEST_FOR_TREES:
        return Trial(kind, (), f"windows of {width} values are series, and trees compare single values")
    figures = []
    repeats = range(repeats_for(len(problem.classes)))
    folds = [fold for repeat in repeats for fold in fitting.split_folds(problem.classes, FOLDS, seed + repeat)]
    for index, (training, judged) in enumerate(folds):

        def report(name: str, done: int, planned: int, _figures: object, fold: int = index) -> None:
            progress(f"choosing: {name}, fold {fold + 1} of {len(folds)}", done, planned, {})

        try:
            fitted = _load_fit(kind)(problem.take(training), seed=seed, progress=report)
            decision = _decide(fitted, problem.take(training), classes, goal)
        except QualityError as error:
            return Trial(kind, (), error.cause)
        logits = score_rows(fitted.model, problem.take(judged).fixed)
        figures.append(f1_of(decision, logits, problem.classes[judged]))
    return Trial(kind, tuple(figures))


def f1_of(decision: Decision, logits: Integers, actual: Integers) -> float:
    """F1 of FAIL for a single logit, else the mean over classes of each class's F1 (macro F1)."""
    predicted = classify_all(decision, logits)
    if decision.outputs == 1:
        return Counts.of(predicted == 1, actual == 1).f1
    return macro_f1(confusion(predicted, actual, decision.outputs))


def score_rows(model: Model, fixed: Integers, evaluator: str = "numpy") -> Integers:
    """Integer logits (n, outputs) of fixed-point windows (n, width)."""
    infer = load_evaluator(evaluator)(model)
    quantise = load_family(model.family, "arrays").quantise
    starts = range(0, len(fixed), _BATCH)
    return np.concatenate([infer(quantise(model, fixed[start : start + _BATCH])) for start in starts]).astype(np.int64)
