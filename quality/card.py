"""The model card: a model's training data and performance as canonical JSON (section 8 of `quality/FORMAT.md`).

Keys are sorted, there are no spaces, only ASCII and no floats: ratios are integers in parts per million. So a card has
exactly one byte form and one hash, which the ledger records. A card is a claim by the person who trained the model;
only the members that follow from the model's bytes (digest, threshold, sizes, sums) can be checked. The pictures beside
it show the same figures. Needs numpy.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality import data, drift, errors, fitting, inference, metrics
from millmark.quality.model import build_model, load_family, model_digest
from millmark.quality.network import FLOAT32_EXACT
from millmark.quality.train import FOLDS, Trained, Trial, repeats_for, score_rows

# The figures of one model on one set of rows, with their 95 % intervals.

_BINS = 10

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Report:
    """The performance of a model on one set of rows."""

    confusion: Integers
    """(classes, classes): rows by true class, columns by the class shown to people."""
    counts: metrics.Counts
    """Verdicts compared with the truth; positive means FAIL."""
    figures: Mapping[str, tuple[float, metrics.Interval]]
    """Value and 95 % interval: accuracy, f1 and average_precision of the classes, precision and recall of FAIL."""
    reliability: tuple[tuple[int, float, float], ...]
    """(rows, mean predicted probability of FAIL, observed share of FAIL) for each tenth of the probability scale that
    has rows."""
    same_verdicts: int
    """Rows on which the float model, before any rounding, reaches the same verdict."""


def build_report(trained: Trained, logits: Integers, actual: Integers, *, integers: Integers, floats: Floats) -> Report:
    """Report on logits (n, outputs) of rows whose true classes (n,) are known. `integers` and `floats` (n, outputs) are
    the logits of the final integer model and of the float model that it was rounded from. `logits` may differ from
    `integers`: held-out rows are scored by models that were not fitted to them."""
    decision, classes = trained.model.decision, trained.classes
    shown = metrics.classify_all(decision, logits)
    fails = metrics.margins(decision, logits) >= decision.threshold
    counts = metrics.Counts.of(fails, classes.fails(actual))
    return Report(
        confusion=metrics.confusion(shown, actual, len(classes.labels)),
        counts=counts,
        figures=_measure(logits, shown, actual, counts),
        reliability=_bin(_chance_of_fail(trained, logits), classes.fails(actual)),
        same_verdicts=int(
            np.sum((metrics.margins(decision, integers) >= decision.threshold) == _float_fails(trained, floats))
        ),
    )


def _measure(
    logits: Integers, shown: Integers, actual: Integers, counts: metrics.Counts
) -> Mapping[str, tuple[float, metrics.Interval]]:
    """The `figures` of a report: Wilson intervals for shares of rows, bootstrap intervals for the others."""
    several = logits.shape[1] > 1
    size = int(max(shown.max(), actual.max())) + 1

    def f1(rows: Integers) -> float:
        if several:
            return metrics.macro_f1(metrics.confusion(shown[rows], actual[rows], size))
        return metrics.Counts.of(shown[rows] == 1, actual[rows] == 1).f1

    def ranked(rows: Integers) -> float:
        return metrics.macro_average_precision(logits[rows], actual[rows])

    everything = np.arange(len(actual))
    right = int(np.sum(shown == actual))
    called = counts.true_positives + counts.false_positives
    defects = counts.true_positives + counts.false_negatives
    return {
        "accuracy": (right / len(actual), metrics.wilson(right, len(actual))),
        "average_precision": (ranked(everything), metrics.bootstrap(ranked, actual)),
        "f1": (f1(everything), metrics.bootstrap(f1, actual)),
        "precision": (counts.true_positives / max(1, called), metrics.wilson(counts.true_positives, called)),
        "recall": (counts.true_positives / max(1, defects), metrics.wilson(counts.true_positives, defects)),
    }


def _chance_of_fail(trained: Trained, logits: Integers) -> Floats:
    """Probability of FAIL (n,) according to the logits, independent of the threshold."""
    chances = metrics.probabilities(logits.astype(np.float64) * trained.fitted.logit_step)
    rejected = trained.classes.fails(np.arange(len(trained.classes.labels)))
    total: Floats = chances[:, rejected].sum(axis=1)
    return total


def _float_fails(trained: Trained, floats: Floats) -> NDArray[np.bool_]:
    """Verdicts (n,) of float logits (n, outputs), with the threshold converted to their units; True means FAIL."""
    decision = trained.model.decision
    if decision.outputs == 1:
        margin = floats[:, 0]
    elif decision.accepted:
        margin = floats[:, decision.rejected].max(axis=1) - floats[:, decision.accepted].max(axis=1)
    else:
        margin = np.zeros(len(floats))
    return np.asarray(margin >= decision.threshold * trained.fitted.logit_step, dtype=np.bool_)


def _bin(chances: Floats, failed: NDArray[np.bool_]) -> tuple[tuple[int, float, float], ...]:
    # A probability of exactly 1 belongs to the last bin.
    bins = np.minimum((chances * _BINS).astype(np.int64), _BINS - 1)
    groups = [bins == index for index in range(_BINS)]
    return tuple(
        (int(group.sum()), float(chances[group].mean()), float(failed[group].mean())) for group in groups if group.any()
    )


CardValue: TypeAlias = "str | int | Sequence[CardValue] | Mapping[str, CardValue]"
_LIBRARIES = ("lightgbm", "numpy", "torch")


@dataclass(frozen=True, slots=True)
class Sources:
    """The data that a model was trained and tested on."""

    name: str
    """Name of the data, for people."""
    training: data.Table
    """The training run splits it into training and validation rows."""
    test: data.Table | None
    """Never seen by the training run; None if there are no test data."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card's bytes, and the figures that the pictures beside it show."""

    content: bytes
    """Canonical JSON."""
    validation: Report
    test: Report | None


def ppm(share: float) -> int:
    """Parts per million of a share."""
    return round(share * 1_000_000)


def build_card(trained: Trained, problem: fitting.Problem, sources: Sources) -> Card:
    """Build the card of a model that was trained on this problem. Evaluates the model on the test table, if any."""
    validation, test = _judge_held_out(trained, problem), _judge_test(trained, sources)
    card: dict[str, CardValue] = {
        "choice": _describe_choice(trained),
        "data": _describe_data(trained, problem, sources),
        "format_version": inference.FORMAT_VERSION,
        "labels": list(trained.classes.labels),
        "labels_rejected": [
            label for index, label in enumerate(trained.classes.labels) if trained.classes.rejects >> index & 1
        ],
        "model": _describe_model(trained),
        "training": {"goal": trained.goal.name, "recipe": trained.fitted.recipe, "seed": trained.seed},
        "validation": describe_report(validation),
        "versions": list_versions(),
    }
    if test is not None:
        card["test"] = describe_report(test)
    reference = _watch_from(trained, problem)
    if reference is not None:
        card["drift"] = reference
    content = json.dumps(card, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    return Card(content, validation, test)


def _judge_held_out(trained: Trained, problem: fitting.Problem) -> Report:
    """Figures on held-out rows. Their logits come from models that were not fitted to them; the final model, which may
    have seen the rows, is only compared with its own float model."""
    rows = trained.fitted.held_out
    floats = trained.fitted.float_logits(problem.fixed[rows])
    integers = score_rows(trained.model, problem.fixed[rows])
    return build_report(
        trained, trained.fitted.held_out_logits, problem.classes[rows], integers=integers, floats=floats
    )


def _judge_test(trained: Trained, sources: Sources) -> Report | None:
    if sources.test is None:
        return None
    fixed = data.to_fixed(sources.test.values, trained.model.decimals)
    logits = score_rows(trained.model, fixed)
    actual = trained.classes.index(sources.test.labels)
    return build_report(trained, logits, actual, integers=logits, floats=trained.fitted.float_logits(fixed))


def _watch_from(trained: Trained, problem: fitting.Problem) -> Mapping[str, CardValue] | None:
    """The drift reference from held-out rows, as JSON; None if there are too few."""
    rows = trained.fitted.held_out
    inputs: NDArray[np.signedinteger] = load_family(trained.model.family, "arrays").quantise(
        trained.model, problem.fixed[rows]
    )
    try:
        reference = drift.build_reference(
            inputs, metrics.margins(trained.model.decision, trained.fitted.held_out_logits)
        )
    except errors.InputError:
        return None
    # Through JSON, which gives it the type of a card's value.
    described: Mapping[str, CardValue] = json.loads(json.dumps(reference.describe()))
    return described


def _describe_choice(trained: Trained) -> Mapping[str, CardValue]:
    """How the kind was chosen, with the F1 of each kind on each fold if by cross-validation."""
    if not trained.trials:
        return {"kind": trained.kind, "why": "stated"}
    columns = trained.columns.value
    return {
        "columns": columns,
        "folds": FOLDS,
        "kind": trained.kind,
        "repeats": repeats_for(trained.sampled),
        "rows": trained.sampled,
        "trials": [_describe_trial(trial) for trial in trained.trials],
        "why": f"first for a {columns} of those within a standard error of the best mean F1 on training rows",
    }


def _describe_trial(trial: Trial) -> Mapping[str, CardValue]:
    if not trial.figures:
        return {"kind": trial.kind, "obstacle": trial.obstacle}
    return {
        "f1_ppm": [ppm(figure) for figure in trial.figures],
        "kind": trial.kind,
        "mean_ppm": ppm(trial.mean),
        "spread_ppm": ppm(trial.spread),
    }


def _describe_data(trained: Trained, problem: fitting.Problem, sources: Sources) -> Mapping[str, CardValue]:
    counts = np.bincount(problem.classes, minlength=problem.count).tolist()
    described: dict[str, CardValue] = {
        "name": sources.name,
        "rows": len(problem.classes),
        "rows_by_label": dict(zip(trained.classes.labels, counts, strict=True)),
        "sha256": list(sources.training.sha256s),
        "validation_rows": len(trained.fitted.held_out),
        "width": problem.values.shape[1],
    }
    if sources.test is not None:
        described["test_sha256"] = list(sources.test.sha256s)
    return described


def _describe_model(trained: Trained) -> Mapping[str, CardValue]:
    model = trained.model
    built = build_model(model)
    lines, bounds = load_family(model.family, "records").describe(model)
    return {
        "bytes": len(built),
        "family": model.family,
        "outputs": model.decision.outputs,
        "sha256": model_digest(built).hex(),
        "structure": lines,
        "threshold": model.decision.threshold,
        "unit": f"1e-{model.decimals} of the sensor's unit",
        "worst_sums": bounds,
        "worst_sums_exact_in": "float32" if max(bounds) < FLOAT32_EXACT else "float64",
    }


def describe_report(report: Report) -> Mapping[str, CardValue]:
    """JSON form of a report: counts, and shares in parts per million with their 95 % intervals."""
    described: dict[str, CardValue] = {
        "confusion": report.confusion.tolist(),
        "reliability": [[rows, ppm(predicted), ppm(observed)] for rows, predicted, observed in report.reliability],
        "rows": report.counts.rows,
        "same_verdict_as_float": report.same_verdicts,
        "verdicts": {
            "false_negatives": report.counts.false_negatives,
            "false_positives": report.counts.false_positives,
            "true_negatives": report.counts.true_negatives,
            "true_positives": report.counts.true_positives,
        },
    }
    for name, (value, (low, high)) in report.figures.items():
        described[f"{name}_ppm"] = ppm(value)
        described[f"{name}_95_ppm"] = [ppm(low), ppm(high)]
    return described


def list_versions() -> Mapping[str, CardValue]:
    """Versions of Python and of those libraries for training that are installed."""
    versions: dict[str, CardValue] = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions


# Draws the confusion matrix and the reliability diagram of a model as SVG text, byte for byte the same every time.

_INK, _FAINT, _FILL, _WRONG, _PAPER = "#1f2a37", "#8a94a3", "#1d6fa5", "#b4452c", "#ffffff"
_FONT = "font-family='Helvetica, Arial, sans-serif'"
_CELL = 64
_LABEL_LETTERS = 14


def _text(x: float, y: float, words: str, *, size: int = 13, colour: str = _INK, anchor: str = "middle") -> str:
    where = f"x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{colour}' text-anchor='{anchor}'"
    return f"<text {where} {_FONT}>{escape(words)}</text>"


def _turned(x: float, y: float, words: str, *, size: int = 12) -> str:
    turn = f"transform='rotate(-90 {x:.1f} {y:.1f})'"
    return _text(x, y, words, size=size, colour=_FAINT).replace("<text ", f"<text {turn} ", 1)


def _frame(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    box = f"width='{width:.0f}' height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}'"
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' {box} role='img'>",
            f"<title>{escape(title)}</title>",
            f"<rect width='100%' height='100%' fill='{_PAPER}'/>",
            *parts,
            "</svg>\n",
        ]
    )


def _shorten(label: str) -> str:
    return label if len(label) <= _LABEL_LETTERS else label[: _LABEL_LETTERS - 1] + "…"


def draw_confusion(matrix: NDArray[np.int64], labels: Sequence[str], title: str) -> str:
    """Draw a confusion matrix (classes, classes): rows by true class, columns by predicted class. A cell is darker the
    larger its share of its row; the diagonal is blue, mistakes are red."""
    size, left, top = len(labels), 150, 92
    side = size * _CELL
    parts = [_text(20, 30, title, size=16, anchor="start")]
    parts.append(_text(left + side / 2, 58, "predicted class", size=12, colour=_FAINT))
    parts.append(_turned(24, top + side / 2, "true class"))
    totals = np.maximum(matrix.sum(axis=1), 1)
    for row, label in enumerate(labels):
        middle = top + row * _CELL + _CELL / 2
        parts.append(_text(left - 10, middle + 4, _shorten(label), anchor="end"))
        parts.append(_text(left + row * _CELL + _CELL / 2, top - 12, _shorten(label), size=13 if size < 8 else 10))
        for column in range(size):
            share = float(matrix[row, column] / totals[row])
            parts += _draw_cell(
                left + column * _CELL, top + row * _CELL, int(matrix[row, column]), share, row == column
            )
    return _frame(left + side + 30, top + side + 30, title, parts)


def _draw_cell(x: float, y: float, count: int, share: float, right: bool) -> list[str]:
    fill = _FILL if right else _WRONG
    strength = 0.06 + 0.9 * share if count else 0.03
    colour = _PAPER if strength > 0.5 else _INK
    box = f"x='{x + 1.5:.1f}' y='{y + 1.5:.1f}' width='{_CELL - 3}' height='{_CELL - 3}' rx='4'"
    parts = [f"<rect {box} fill='{fill}' fill-opacity='{strength:.3f}'/>"]
    parts.append(_text(x + _CELL / 2, y + _CELL / 2 + 1, str(count), size=15, colour=colour))
    parts.append(_text(x + _CELL / 2, y + _CELL / 2 + 18, f"{share:.1%}", size=10, colour=colour))
    return parts


def draw_reliability(bins: Sequence[tuple[int, float, float]], title: str) -> str:
    """Draw a reliability diagram of bins (rows, predicted probability of FAIL, observed share of FAIL). Bins of a
    well-calibrated model lie on the diagonal. A larger circle has more rows; bars are 95 % intervals by the normal
    approximation."""
    left, top, side = 70.0, 60.0, 320.0
    most = max((rows for rows, _, _ in bins), default=1)
    parts = [_text(20, 30, title, size=16, anchor="start")]
    for tick in range(6):
        at = tick / 5 * side
        parts.append(_line(left, top + at, left + side, top + at, "#e6e9ee"))
        parts.append(_line(left + at, top, left + at, top + side, "#e6e9ee"))
        parts.append(_text(left + at, top + side + 20, f"{tick * 20} %", size=11, colour=_FAINT))
        parts.append(_text(left - 8, top + side - at + 4, f"{tick * 20} %", size=11, colour=_FAINT, anchor="end"))
    parts.append(_line(left, top + side, left + side, top, _FAINT, dashed=True))
    for rows, predicted, observed in bins:
        x, y = left + predicted * side, top + (1 - observed) * side
        half = 1.96 * float(np.sqrt(observed * (1 - observed) / rows)) * side
        parts.append(_line(x, max(top, y - half), x, min(top + side, y + half), _FILL))
        radius = 3 + 9 * float(np.sqrt(rows / most))
        parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}' fill='{_FILL}' fill-opacity='0.75'/>")
    parts.append(_text(left + side / 2, top + side + 42, "predicted probability of FAIL", size=12, colour=_FAINT))
    parts.append(_turned(22, top + side / 2, "observed share of FAIL"))
    return _frame(left + side + 30, top + side + 60, title, parts)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False) -> str:
    dash = " stroke-dasharray='5 4'" if dashed else ""
    ends = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {ends} stroke='{colour}' stroke-width='1.2'{dash}/>"
