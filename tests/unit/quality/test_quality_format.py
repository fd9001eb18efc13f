"""Model bytes: golden vectors, round trips, and that no single change goes unnoticed."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality import Dense, Inference, Model, ModelError, build_model, model_digest, parse_model
from quality.inputs import pack_words, unpack_words
from quality.model import MAX_MODEL_BYTES, load_family
from tests.support.quality_samples import VECTORS, models, tiny_network

CASES = json.loads((VECTORS / "models.json").read_text())
ACCEPTED = [case for case in CASES if case["verdict"] == "accept"]
REFUSED = [case for case in CASES if case["verdict"] == "refuse"]


def test_vectors_are_what_their_generator_writes() -> None:
    spec = importlib.util.spec_from_file_location("generate_vectors", VECTORS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.build_all() == (VECTORS / "models.json").read_text()


def test_refusals_outnumber_acceptances() -> None:
    assert len(REFUSED) > len(ACCEPTED) > 0


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["says"])
def test_accepted_vector(case: dict[str, object]) -> None:
    model = bytes.fromhex(str(case["model"]))
    parsed = parse_model(model)
    plain, decision, size = load_family(parsed.family, "plain"), parsed.decision, parsed.word_size
    words = plain.quantise_row(parsed, case["window"])
    quantised = pack_words(words, size)
    assert unpack_words(quantised, width=parsed.width, size=size, limit=parsed.word_limit) == words
    logits = plain.infer_row(parsed, words)
    context, salt = bytes.fromhex(str(case["context"])), bytes.fromhex(str(case["salt"]))
    inference = Inference(context, model_digest(model), salt, quantised, logits, decision.judge(logits))
    assert build_model(parsed) == model
    assert {
        "model_digest": inference.model_digest.hex(),
        "input": quantised.hex(),
        "logits": list(logits),
        "margin": decision.margin(logits),
        "inspection": inference.verdict.name,
        "input_commitment": inference.input_commitment.hex(),
        "inference_digest": inference.digest.hex(),
    }.items() <= case.items()


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["says"])
def test_refused_vector(case: dict[str, str]) -> None:
    with pytest.raises(ModelError) as refusal:
        parse_model(bytes.fromhex(case["model"]))
    assert refusal.value.cause == case["reason"]


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
