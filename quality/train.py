"""Training: choose a kind by cross-validation, fit it, choose where the verdict turns. Torch only if a kind needs it.

Nothing here sees test data. A threshold is chosen from scores of rows that did not train what scored them.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quality.choice import FOLDS, SAMPLE_ROWS, Columns, Trial, choose, guess_columns, repeats_for
from quality.decision import Decision
from quality.errors import InputError, QualityError
from quality.evaluate import load_evaluator
from quality.fitting import Fit, Fitted, Problem, Progress, silent
from quality.labels import Classes
from quality.leaks import verify_columns
from quality.metrics import Counts, classify_all, confusion, macro_f1, margins
from quality.model import Model, decide, load_family
from quality.splits import require_rows, split_folds, take_sample
from quality.thresholds import Goal, choose_threshold

__all__ = ["KINDS", "Trained", "score_rows", "train"]

KINDS = {
    "mlp": ("quality.network.train", "fit_mlp"),
    "cnn": ("quality.network.train", "fit_cnn"),
    "rocket": ("quality.rocket.train", "fit"),
    "trees": ("quality.trees.train", "fit"),
}
"""Kind, and the module and name of its `Fit`."""
FOR_SIGNALS = ("cnn", "rocket")
"""Kinds that read a row as one quantity from moment to moment."""
WIDEST_FOR_TREES = 256
"""Wider windows are series, in which trees would compare single values, at length."""
_BATCH = 256

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trained:
    """The model, and what its card has to say about how it came to be."""

    model: Model
    """With its decision."""
    fitted: Fitted
    """What the model is made of, with no decision yet."""
    kind: str
    seed: int
    classes: Classes
    goal: Goal
    trials: tuple[Trial, ...]
    """Empty unless the kind was chosen by cross-validation."""
    sampled: int
    """Rows that cross-validation looked at; 0 when there was none."""
    columns: Columns
    """What they were said, or guessed, to be."""


def train(
    problem: Problem,
    classes: Classes,
    *,
    kind: str = "auto",
    columns: Columns | None = None,
    seed: int = 0,
    goal: Goal | None = None,
    progress: Progress = silent,
) -> Trained:
    """Model of a kind, or of the kind that cross-validation on these rows prefers.

    `columns` are guessed when nobody says what they are; kinds for signals are not tried on what is said to be a table.
    Raises InputError for unusable data, ExportError when no integer model comes out.
    """
    goal = Goal() if goal is None else goal
    require_rows(problem.classes)
    verify_columns(problem.fixed, problem.classes)
    trials: tuple[Trial, ...] = ()
    sampled = np.arange(0)
    found = guess_columns(problem.values) if columns is None else columns
    if kind == "auto":
        sampled = take_sample(problem.classes, SAMPLE_ROWS, seed)
        sample = problem.take(sampled)
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
    fitted = _load_fit(kind)(problem, seed=seed, progress=progress)
    decision = _decide(fitted, problem, classes, goal)
    return Trained(decide(fitted.model, decision), fitted, kind, seed, classes, goal, trials, len(sampled), found)


def _load_fit(kind: str) -> Fit:
    """Raises InputError when there is no such kind, or when what it needs is not installed."""
    if kind not in KINDS:
        raise InputError(f"there is no kind {kind!r}", hint=f"choose one of auto, {', '.join(KINDS)}")
    module, name = KINDS[kind]
    try:
        return cast("Fit", getattr(importlib.import_module(module), name))
    except ModuleNotFoundError as missing:
        raise InputError(f"kind {kind} needs {missing.name}", hint="install millmark[quality]") from missing


def _decide(fitted: Fitted, problem: Problem, classes: Classes, goal: Goal) -> Decision:
    """Of several classes the largest logit decides, unless a cost or recall is stated."""
    outputs = classes.outputs
    plain = Decision(outputs, classes.mask, 0)
    stated = goal.stated
    if outputs > 1 and (not stated or not plain.accepted):
        if stated:
            raise InputError("every class is rejected, so no threshold is left to choose", hint="name fewer to reject")
        return plain
    scores = margins(plain, fitted.held_out_logits)
    return replace(plain, threshold=choose_threshold(scores, classes.fails(problem.classes[fitted.held_out]), goal))


def _try(kind: str, problem: Problem, classes: Classes, seed: int, goal: Goal, progress: Progress) -> Trial:
    """Fit on all folds but one and judge on that one, for each fold."""
    width = problem.values.shape[1]
    if kind == "trees" and width > WIDEST_FOR_TREES:
        return Trial(kind, (), f"windows of {width} values are series, and trees compare single values")
    figures = []
    repeats = range(repeats_for(len(problem.classes)))
    folds = [fold for repeat in repeats for fold in split_folds(problem.classes, FOLDS, seed + repeat)]
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
    """F1 of FAIL for one logit, else the mean over classes of the class that is shown."""
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
