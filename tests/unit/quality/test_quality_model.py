"""The committed FordA model: pinned bytes, and figures that anybody with the data can repeat."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest

from millmark.quality import Inspector, combine_digests, data, to_fixed
from millmark.quality.drift import parse_reference
from millmark.quality.evaluate import load_evaluator
from millmark.quality.fitting import find_defects
from millmark.quality.metrics import Counts, average_precision
from millmark.quality.network import FLOAT32_EXACT, Network, worst_sums
from tests.support.quality_samples import MODELS, load_corpus, needs_ford_a

DIGEST = "322f3f6d327b66ff2e5d9ed42b49dae5ac1aa69fa89684a9fa4eed50fa2385aa"
TEST_RUN = "e5543e84115dc1a5cf1519ecac332e09610d3ae9cf50a4b82a17eaa1dd0ccc5e"
"""What `python -m millmark.quality evaluate --model quality/models/forda.bin` prints as digest."""
MODEL = (MODELS / "forda.bin").read_bytes()
CARD_BYTES = (MODELS / "forda.json").read_bytes()
CARD = json.loads(CARD_BYTES)


def test_the_model_is_the_pinned_one() -> None:
    assert hashlib.sha256(MODEL).hexdigest() == DIGEST
    assert (CARD["model"]["bytes"], CARD["model"]["sha256"]) == (len(MODEL), DIGEST)


def read() -> Network:
    network = Inspector(MODEL).model
    assert isinstance(network, Network)
    return network


def test_the_card_repeats_the_model() -> None:
    network = read()
    assert CARD["model"]["threshold"] == network.decision.threshold
    assert CARD["data"]["width"] == network.width == data.WIDTH
    assert CARD["model"]["worst_sums"] == list(worst_sums(network.layers))
    assert CARD["model"]["worst_sums_exact_in"] == "float32"
    assert CARD["data"]["sha256"] == [data.TRAIN.sha256]
    assert CARD["data"]["test_sha256"] == [data.TEST.sha256]
    assert CARD["data"]["rows"] == 3601
    assert parse_reference(CARD["drift"]).rows == CARD["data"]["validation_rows"] == 720


def test_the_card_is_canonical() -> None:
    def refuse(text: str) -> None:
        pytest.fail(f"float {text} in the card")

    card = json.loads(CARD_BYTES, parse_float=refuse)
    assert json.dumps(card, sort_keys=True, separators=(",", ":")).encode() == CARD_BYTES


def test_the_model_is_exact_in_float32() -> None:
    assert max(worst_sums(read().layers)) < FLOAT32_EXACT


def test_one_inspection_is_the_same_for_ever() -> None:
    window = [(index * 7919) % 2_000_001 - 1_000_000 for index in range(500)]
    inference = Inspector(MODEL).inspect(window, context=bytes(32), salt=bytes(32))
    assert inference.logits == (-861408,)
    assert inference.digest.hex() == "da4b688cbf281a945cb6adb15a3fc53a28a11de70be7b8513d935e36ad9ca0dc"


@needs_ford_a
@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_the_card_tells_the_truth_on_the_test_data(name: str) -> None:
    test = load_corpus("FordA_TEST.npy.gz")
    actual = find_defects(test.labels)
    inspector = Inspector(MODEL)
    fixed = to_fixed(test.values)
    infer = load_evaluator(name)(inspector.model)
    inferences = [
        inference
        for start in range(0, len(fixed), 256)
        for inference in inspector.inspect_all(fixed[start : start + 256], infer=infer)
    ]
    scores = np.array([inference.logits[0] for inference in inferences])
    counts = Counts.of(scores >= inspector.model.decision.threshold, actual)
    claimed = CARD["test"]
    assert claimed["rows"] == len(actual) == 1320
    assert claimed["verdicts"] == asdict(counts)
    assert claimed["confusion"] == [
        [counts.true_negatives, counts.false_positives],
        [counts.false_negatives, counts.true_positives],
    ]
    assert round(counts.accuracy * 1_000_000) == claimed["accuracy_ppm"] > 950_000
    assert round(counts.f1 * 1_000_000) == claimed["f1_ppm"]
    assert round(average_precision(scores, actual) * 1_000_000) == claimed["average_precision_ppm"]
    for figure in ("accuracy", "f1", "average_precision", "precision", "recall"):
        low, high = claimed[f"{figure}_95_ppm"]
        assert low < claimed[f"{figure}_ppm"] < high
    assert combine_digests(inferences).hex() == TEST_RUN
