"""Bytes of tree ensembles: golden vectors, round trips, and that no single change goes unnoticed."""

from __future__ import annotations

import contextlib
import importlib.util
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality import Inference, ModelError, build_model, model_digest, parse_model
from quality.inputs import pack_words, unpack_words
from quality.model import load_family
from quality.trees import Forest
from tests.support.quality_samples import VECTORS
from tests.support.trees_samples import forests

CASES = json.loads((VECTORS / "trees.json").read_text())
ACCEPTED = [case for case in CASES if case["verdict"] == "accept"]
REFUSED = [case for case in CASES if case["verdict"] == "refuse"]


def test_vectors_are_what_their_generator_writes() -> None:
    spec = importlib.util.spec_from_file_location("generate_trees", VECTORS / "generate_trees.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.build_all() == (VECTORS / "trees.json").read_text()


def test_refusals_outnumber_acceptances() -> None:
    assert len(REFUSED) > len(ACCEPTED) > 0


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["says"])
def test_accepted_vector(case: dict[str, object]) -> None:
    model = bytes.fromhex(str(case["model"]))
    parsed = parse_model(model)
    assert isinstance(parsed, Forest)
    plain = load_family(parsed.family, "plain")
    words = plain.quantise_row(parsed, case["window"])
    packed = pack_words(words, parsed.word_size)
    assert unpack_words(packed, width=parsed.width, size=4, limit=parsed.word_limit) == words
    logits = plain.infer_row(parsed, words)
    context, salt = bytes.fromhex(str(case["context"])), bytes.fromhex(str(case["salt"]))
    inference = Inference(context, model_digest(model), salt, packed, logits, parsed.decision.judge(logits))
    assert build_model(parsed) == model
    assert {
        "model_digest": inference.model_digest.hex(),
        "input": packed.hex(),
        "logits": list(logits),
        "margin": parsed.decision.margin(logits),
        "inspection": inference.verdict.name,
        "input_commitment": inference.input_commitment.hex(),
        "inference_digest": inference.digest.hex(),
    }.items() <= case.items()


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["says"])
def test_refused_vector(case: dict[str, str]) -> None:
    with pytest.raises(ModelError) as refusal:
        parse_model(bytes.fromhex(case["model"]))
    assert refusal.value.cause == case["reason"]


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
