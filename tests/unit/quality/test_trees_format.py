"""Bytes of tree ensembles: golden vectors, round trips, and that no single change goes unnoticed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.quality import ModelError, build_model, parse_model
from millmark.quality.trees import Forest
from tests.support.quality_samples import VECTORS
from tests.unit.quality.model_vectors import check_accepted, check_refused
from tests.unit.quality.trees_samples import forests
from tests.unit.quality.vectors import generate_trees

CASES = json.loads((VECTORS / "trees.json").read_text())
ACCEPTED = [case for case in CASES if case["verdict"] == "accept"]
REFUSED = [case for case in CASES if case["verdict"] == "refuse"]


def test_vectors_are_what_their_generator_writes() -> None:
    assert generate_trees.build_all() == (VECTORS / "trees.json").read_text()


def test_refusals_outnumber_acceptances() -> None:
    assert len(REFUSED) > len(ACCEPTED) > 0


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["says"])
def test_accepted_vector(case: dict[str, Any]) -> None:
    parsed = check_accepted(case)
    assert isinstance(parsed, Forest)
    assert parsed.word_size == 4


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["says"])
def test_refused_vector(case: dict[str, Any]) -> None:
    check_refused(case)


@settings(max_examples=50, deadline=None)
@given(forests)
def test_parse_returns_what_was_built(forest: Forest) -> None:
    assert parse_model(build_model(forest)) == forest


@settings(max_examples=50, deadline=None)
@given(forests, st.data())
def test_every_shortened_model_is_refused(forest: Forest, data: st.DataObject) -> None:
    model = build_model(forest)
    with pytest.raises(ModelError):
        parse_model(model[: data.draw(st.integers(0, len(model) - 1))])


@settings(max_examples=50, deadline=None)
@given(forests, st.data())
def test_every_changed_byte_is_refused_or_another_model(forest: Forest, data: st.DataObject) -> None:
    model = bytearray(build_model(forest))
    model[data.draw(st.integers(0, len(model) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = parse_model(bytes(model))
    except ModelError:
        return
    assert changed != forest
    assert build_model(changed) == model


@settings(max_examples=50, deadline=None)
@given(forests, st.binary(max_size=200), st.integers(20, 200))
def test_arbitrary_bytes_never_raise_anything_else(forest: Forest, noise: bytes, kept: int) -> None:
    model = build_model(forest)[:kept] + noise
    with contextlib.suppress(ModelError):
        assert build_model(parse_model(model)) == model
