"""Inspecting windows, and catching every inference that does not follow from its model and input."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from millmark.quality import (
    Inference,
    InferenceError,
    InputError,
    Inspector,
    ModelError,
    Verdict,
    build_model,
    verify_inference,
)
from millmark.quality.evaluate import EVALUATORS, load_evaluator
from millmark.quality.inference import pack_window
from tests.support.quality_samples import tiny_network

MODEL = build_model(tiny_network(threshold=10))
CONTEXT, SALT = b"\x01" * 32, b"\x02" * 32


def inspect(window: list[int]) -> Inference:
    return Inspector(MODEL).inspect(window, context=CONTEXT, salt=SALT)


def test_an_inspection_by_hand() -> None:
    # Logit: 2 * q0 - q1 + 3, threshold 10.
    passed, failed = inspect([3, 0]), inspect([3, -1])
    assert (passed.logits, passed.verdict, passed.window) == ((9,), Verdict.PASS, pack_window([3, 0]))
    assert (failed.logits, failed.verdict, failed.window) == ((10,), Verdict.FAIL, pack_window([3, -1]))
    assert (failed.context, failed.salt, failed.model_digest) == (CONTEXT, SALT, Inspector(MODEL).model_digest)
    verify_inference(passed, MODEL)
    verify_inference(failed, MODEL)


@pytest.mark.parametrize("name", EVALUATORS)
def test_many_windows_at_once_are_many_inspections(name: str) -> None:
    windows = np.random.default_rng(1).integers(-200, 200, (20, 2))
    contexts, salts = [bytes([row]) * 32 for row in range(20)], [bytes([99 - row]) * 32 for row in range(20)]
    inspector = Inspector(MODEL)
    together = inspector.inspect_all(
        windows, contexts=contexts, salts=salts, infer=load_evaluator(name)(inspector.model)
    )
    each = zip(windows.tolist(), contexts, salts, strict=True)
    assert together == tuple(inspector.inspect(window, context=c, salt=s) for window, c, s in each)


@pytest.mark.parametrize(
    "window", [[1], [1, 2, 3], [1.5, 2.0], [2**64, 0], [2**53, 0], ["1", "2"], [[1, 2]], [], [True, False]]
)
def test_unusable_windows_are_refused(window: list[int]) -> None:
    with pytest.raises(InputError):
        inspect(window)


@pytest.mark.parametrize("sizes", [(31, 32), (32, 33)])
def test_context_and_salt_have_32_bytes(sizes: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="expected 32"):
        Inspector(MODEL).inspect([1, 2], context=bytes(sizes[0]), salt=bytes(sizes[1]))


def test_each_window_needs_its_context() -> None:
    with pytest.raises(InputError, match="2 windows have 1 contexts and 2 salts"):
        Inspector(MODEL).inspect_all(np.zeros((2, 2), dtype=np.int64), contexts=[CONTEXT])


def test_an_unusable_model_is_refused() -> None:
    with pytest.raises(ModelError):
        Inspector(MODEL + b"\x00")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"model_digest": bytes(32)}, "inference names model 00"),
        ({"window": pack_window([3])}, r"windows have shape \(1, 1\)"),
        ({"window": pack_window([2**53, 0])}, r"a sensor value exceeds 2\^53 - 1"),
        ({"window": pack_window([4, 0])}, r"logits are \(9,\), the model computes \(11,\)"),
        ({"logits": (8,)}, r"logits are \(8,\), the model computes \(9,\)"),
        ({"logits": (9, 0)}, "the model computes"),
        ({"verdict": Verdict.FAIL}, "verdict is FAIL, the model computes PASS"),
    ],
)
def test_tampering_is_caught(change: dict[str, object], cause: str) -> None:
    tampered = dataclasses.replace(inspect([3, 0]), **change)  # type: ignore[arg-type]  # fields vary by case
    with pytest.raises(InferenceError, match=cause):
        verify_inference(tampered, MODEL)


def test_a_changed_model_is_caught() -> None:
    with pytest.raises(InferenceError, match="names model"):
        verify_inference(inspect([3, 0]), build_model(tiny_network(threshold=11)))
