"""The model card: a model's training data and performance as canonical JSON (section 8 of `quality/FORMAT.md`).

Keys are sorted, there are no spaces, only ASCII and no floats: ratios are integers in parts per million. So a card has
exactly one byte form and one hash, which the ledger records. A card is a claim by the person who trained the model;
only the members that follow from the model's bytes (digest, threshold, sizes, sums) can be checked.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.choice import FOLDS, Trial, repeats_for
from millmark.quality.data import Table, to_fixed
from millmark.quality.drift import build_reference
from millmark.quality.errors import InputError
from millmark.quality.fitting import Problem
from millmark.quality.header import FORMAT_VERSION
from millmark.quality.labels import Classes
from millmark.quality.metrics import margins
from millmark.quality.model import build_model, load_family, model_digest
from millmark.quality.network import FLOAT32_EXACT
from millmark.quality.report import Report, build_report
from millmark.quality.train import Trained, score_rows

CardValue: TypeAlias = "str | int | Sequence[CardValue] | Mapping[str, CardValue]"
_LIBRARIES = ("lightgbm", "numpy", "torch")


@dataclass(frozen=True, slots=True)
class Sources:
    """The data that a model was trained and tested on."""

    name: str
    """Name of the data, for people."""
    training: Table
    """The training run splits it into training and validation rows."""
    test: Table | None
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


def build_card(trained: Trained, problem: Problem, sources: Sources) -> Card:
    """Build the card of a model that was trained on this problem. Evaluates the model on the test table, if any."""
    validation, test = _judge_held_out(trained, problem), _judge_test(trained, sources)
    card: dict[str, CardValue] = {
        "choice": _describe_choice(trained),
        "data": _describe_data(trained, problem, sources),
        "format_version": FORMAT_VERSION,
        "labels": list(trained.classes.labels),
        "labels_rejected": [trained.classes.labels[index] for index in _rejected(trained.classes)],
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


def _rejected(classes: Classes) -> list[int]:
    return [index for index in range(len(classes.labels)) if classes.rejects >> index & 1]


def _judge_held_out(trained: Trained, problem: Problem) -> Report:
    """Figures on held-out rows.

    Their logits come from models that were not fitted to them; the final model, which may have seen the rows, is only
    compared with its own float model.
    """
    rows = trained.fitted.held_out
    floats = trained.fitted.float_logits(problem.fixed[rows])
    integers = score_rows(trained.model, problem.fixed[rows])
    return build_report(
        trained, trained.fitted.held_out_logits, problem.classes[rows], integers=integers, floats=floats
    )


def _judge_test(trained: Trained, sources: Sources) -> Report | None:
    if sources.test is None:
        return None
    fixed = to_fixed(sources.test.values, trained.model.decimals)
    logits = score_rows(trained.model, fixed)
    actual = trained.classes.index(sources.test.labels)
    return build_report(trained, logits, actual, integers=logits, floats=trained.fitted.float_logits(fixed))


def _watch_from(trained: Trained, problem: Problem) -> Mapping[str, CardValue] | None:
    """The drift reference from held-out rows, as JSON; None if there are too few."""
    rows = trained.fitted.held_out
    inputs: NDArray[np.signedinteger] = load_family(trained.model.family, "arrays").quantise(
        trained.model, problem.fixed[rows]
    )
    try:
        reference = build_reference(inputs, margins(trained.model.decision, trained.fitted.held_out_logits))
    except InputError:
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


def _describe_data(trained: Trained, problem: Problem, sources: Sources) -> Mapping[str, CardValue]:
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
    lines, bounds = load_family(model.family, "format").describe(model)
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
