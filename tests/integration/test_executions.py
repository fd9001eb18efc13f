"""The contract and the evaluators on the same drawn inputs; `scripts/bench executions` runs ten thousand of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.quality import Dense, Network, build_model
from tests.bench import inferences
from tests.bench.inferences import SIZES, compare_executions

pytestmark = pytest.mark.integration


def test_the_contract_says_what_every_evaluator_says() -> None:
    told: list[tuple[str, int]] = []
    found = compare_executions(60, 2, lambda name, done: told.append((name, done)))
    assert [one.sizes for one in found] == list(SIZES)
    assert [(one.inputs, one.invalid, one.differing) for one in found] == [(60, 6, 0)] * len(SIZES)
    assert told[-1] == (found[-1].name, 60)
    assert found[0].digest != found[1].digest


def test_what_differs_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain is given other biases than the evaluators: only the inputs that no network reads are alike."""

    def build_another(network: Network) -> bytes:
        last = network.layers[-1]
        assert isinstance(last, Dense)
        biases = tuple(bias + 1 for bias in last.biases)
        return build_model(replace(network, layers=(*network.layers[:-1], replace(last, biases=biases))))

    monkeypatch.setattr(inferences, "build_model", build_another)
    found = compare_executions(10, 2, lambda _name, _done: None)
    assert [(one.invalid, one.differing) for one in found] == [(1, 9)] * len(SIZES)
