"""Golden vectors of model bytes: the header that they begin with, how a case is written, and how one is checked."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from typing import Any

import pytest

from millmark.quality import Inference, Model, ModelError, build_model, model_digest, parse_model
from millmark.quality.inference import pack_window
from millmark.quality.model import load_family

__all__ = ["build_vectors", "check_accepted", "check_refused", "header"]

_CONTEXT = hashlib.sha256(b"context").digest()
_SALT = hashlib.sha256(b"salt").digest()


def _pack_words(words: Iterable[int], size: int) -> bytes:
    return b"".join(word.to_bytes(size, "big", signed=True) for word in words)


def header(**changes: int | bytes) -> bytes:
    fields: dict[str, int | bytes] = {
        "magic": b"MMQN",
        "version": 1,
        "decimals": 6,
        "outputs": 1,
        "rejects": 1,
        "threshold": 5,
        "width": 3,
        "scales": 1,
    }
    return struct.pack(">4sHBBIiHH", *(fields | changes).values())


def build_vectors(accepted: Iterable[tuple[str, bytes, list[int]]], refused: Iterable[tuple[str, bytes]]) -> str:
    cases = [_build_accepted(*case) for case in accepted]
    cases += [_build_refused(*case) for case in refused]
    return json.dumps(cases, indent=1) + "\n"


def _build_accepted(says: str, model: bytes, window: list[int]) -> dict[str, object]:
    parsed = parse_model(model)
    plain = load_family(parsed.family, "records")
    words = plain.quantise_row(parsed, window)
    logits = plain.infer_row(parsed, words)
    quantised, packed = _pack_words(words, parsed.word_size), pack_window(window)
    digest = hashlib.sha256(model).digest()
    inference = Inference(_CONTEXT, digest, _SALT, packed, logits, parsed.decision.judge(logits))
    return {
        "says": says,
        "verdict": "accept",
        "model": model.hex(),
        "model_digest": digest.hex(),
        "window": window,
        "input": quantised.hex(),
        "logits": list(logits),
        "margin": parsed.decision.margin(logits),
        "inspection": inference.verdict.name,
        "context": _CONTEXT.hex(),
        "salt": _SALT.hex(),
        "input_commitment": inference.input_commitment.hex(),
        "inference_digest": inference.digest.hex(),
    }


def _build_refused(says: str, model: bytes) -> dict[str, object]:
    """`reason` is this release's wording; another implementation need only refuse."""
    try:
        parse_model(model)
    except ModelError as error:
        return {"says": says, "verdict": "refuse", "model": model.hex(), "reason": error.cause}
    raise SystemExit(f"accepted: {says}")


def check_accepted(case: dict[str, Any]) -> Model:
    """Raises AssertionError unless parsing, building and inference agree with the case. Returns the parsed model."""
    model = bytes.fromhex(case["model"])
    parsed = parse_model(model)
    plain, decision, size = load_family(parsed.family, "records"), parsed.decision, parsed.word_size
    words = plain.quantise_row(parsed, case["window"])
    quantised, packed = _pack_words(words, size), pack_window(case["window"])
    logits = plain.infer_row(parsed, words)
    context, salt = bytes.fromhex(case["context"]), bytes.fromhex(case["salt"])
    inference = Inference(context, model_digest(model), salt, packed, logits, decision.judge(logits))
    assert build_model(parsed) == model
    told = {
        "model_digest": inference.model_digest.hex(),
        "input": quantised.hex(),
        "logits": list(logits),
        "margin": decision.margin(logits),
        "inspection": inference.verdict.name,
        "input_commitment": inference.input_commitment.hex(),
        "inference_digest": inference.digest.hex(),
    }
    assert told.items() <= case.items()
    return parsed


def check_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as refusal:
        parse_model(bytes.fromhex(case["model"]))
    assert refusal.value.cause == case["reason"]
