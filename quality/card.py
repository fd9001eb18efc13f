"""The model card: what a model was trained on and how it did, as canonical JSON.

Keys sorted, no spaces, ASCII, no floats: ratios are integer parts per million, so that a card has one byte form and
one hash. Everything in it is a claim of whoever trained the model; only what repeats the model's own bytes (digest,
threshold, sizes, sums) can be checked from them.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quality.data import Table, build_targets, to_fixed
from quality.header import FORMAT_VERSION
from quality.metrics import Counts, average_precision
from quality.model import build_model, model_digest
from quality.network import Conv, Dense, Layer, worst_sums
from quality.network.arrays import quantise

if TYPE_CHECKING:
    from quality.train import Trained

__all__ = ["Sources", "build_card"]

CardValue: TypeAlias = "str | int | Sequence[CardValue] | Mapping[str, CardValue]"


@dataclass(frozen=True, slots=True)
class Sources:
    """The data behind a model."""

    name: str
    """What people call the data."""
    training: Table
    """Split into training and validation rows by the training run."""
    test: Table | None
    """Never seen by the training run; None when there is none."""
    positive: float | None = None
    """Label of a defect; the larger of the two when None."""


def build_card(trained: Trained, sources: Sources) -> bytes:
    """Canonical JSON of a card. Evaluates the model on the validation rows and on the test table, if there is one."""
    network = trained.network
    model = build_model(network)
    card: dict[str, CardValue] = {
        "data": _describe_data(trained, sources),
        "format_version": FORMAT_VERSION,
        "layers": [_describe_layer(layer) for layer in network.layers],
        "model": {"bytes": len(model), "sha256": model_digest(model).hex()},
        "threshold": network.decision.threshold,
        "training": {"recipe": trained.recipe.name, "seed": trained.seed},
        "unit": f"1e-{network.decimals} of the sensor's unit",
        "validation": _measure(trained, sources.training, trained.validation_rows, sources.positive),
        "versions": {"numpy": version("numpy"), "python": platform.python_version(), "torch": version("torch")},
        "width": network.width,
        "worst_sums": list(worst_sums(network.layers)),
    }
    if sources.test is not None:
        card["test"] = _measure(trained, sources.test, np.arange(len(sources.test.labels)), sources.positive)
    return json.dumps(card, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _describe_data(trained: Trained, sources: Sources) -> Mapping[str, CardValue]:
    described: dict[str, CardValue] = {
        "name": sources.name,
        "sha256": list(sources.training.sha256s),
        "training_rows": len(trained.training_rows),
        "validation_rows": len(trained.validation_rows),
    }
    if sources.test is not None:
        described["test_sha256"] = list(sources.test.sha256s)
    return described


def _describe_layer(layer: Layer) -> str:
    if isinstance(layer, Conv):
        return f"conv {layer.inputs}-{layer.outputs}, kernel {layer.kernel}, stride {layer.stride}"
    if isinstance(layer, Dense):
        return f"dense {layer.inputs}-{layer.outputs}"
    return f"sum of {layer.length} positions"


def _measure(
    trained: Trained, table: Table, rows: NDArray[np.int64], positive: float | None
) -> Mapping[str, CardValue]:
    """Figures of the integer network on some rows, and on how many the float network gave the same verdict."""
    network = trained.network
    actual = build_targets(table.labels, positive)[rows]
    inputs = quantise(network, to_fixed(table.values[rows], network.decimals))
    scores = trained.score(inputs)
    fails = scores >= network.decision.threshold
    counts = Counts.of(fails, actual)
    return {
        "accuracy_ppm": round(counts.accuracy * 1_000_000),
        "average_precision_ppm": round(average_precision(scores, actual) * 1_000_000),
        "f1_ppm": round(counts.f1 * 1_000_000),
        "false_negatives": counts.false_negatives,
        "false_positives": counts.false_positives,
        "rows": len(rows),
        "same_verdict_as_float": int(np.sum(fails == trained.float_fails(inputs))),
        "true_negatives": counts.true_negatives,
        "true_positives": counts.true_positives,
    }
