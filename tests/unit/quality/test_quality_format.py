"""Model bytes: golden vectors, round trips, and that no single change goes unnoticed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.quality import Dense, Model, ModelError, build_model, parse_model
from millmark.quality.model import MAX_MODEL_BYTES
from tests.support.quality_samples import VECTORS, models, tiny_network
from tests.unit.quality.model_vectors import check_accepted, check_refused
from tests.unit.quality.vectors import generate

CASES = json.loads((VECTORS / "models.json").read_text())
ACCEPTED = [case for case in CASES if case["verdict"] == "accept"]
REFUSED = [case for case in CASES if case["verdict"] == "refuse"]


def test_vectors_are_what_their_generator_writes() -> None:
    assert generate.build_all() == (VECTORS / "models.json").read_text()


def test_refusals_outnumber_acceptances() -> None:
    assert len(REFUSED) > len(ACCEPTED) > 0


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["says"])
def test_accepted_vector(case: dict[str, Any]) -> None:
    check_accepted(case)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["says"])
def test_refused_vector(case: dict[str, Any]) -> None:
    check_refused(case)


@given(models)
def test_parse_returns_what_was_built(network: Model) -> None:
    assert parse_model(build_model(network)) == network


@given(models, st.data())
def test_every_cut_is_refused(network: Model, data: st.DataObject) -> None:
    model = build_model(network)
    with pytest.raises(ModelError):
        parse_model(model[: data.draw(st.integers(0, len(model) - 1))])


@given(models, st.data())
def test_every_changed_byte_is_refused_or_another_model(network: Model, data: st.DataObject) -> None:
    model = bytearray(build_model(network))
    model[data.draw(st.integers(0, len(model) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = parse_model(bytes(model))
    except ModelError:
        return
    assert changed != network
    assert build_model(changed) == model


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(noise: bytes) -> None:
    for model in (noise, build_model(tiny_network())[:20] + noise):
        with contextlib.suppress(ModelError):
            assert build_model(parse_model(model)) == model


def test_a_model_over_one_mebibyte_is_neither_read_nor_built() -> None:
    with pytest.raises(ModelError, match="the limit is 1048576"):
        parse_model(bytes(MAX_MODEL_BYTES + 1))
    wide = Dense(2**10, 2**10, 1, (0,) * 2**10, bytes(2**20))
    last = Dense(2**10, 1, 0, (0,), bytes(2**10))
    with pytest.raises(ModelError, match="the limit is 1048576"):
        build_model(dataclasses.replace(tiny_network(), width=2**10, layers=(wide, last)))
