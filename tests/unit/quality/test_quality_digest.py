"""The inference digest commits to every field, in the layout that FORMAT.md specifies."""

from __future__ import annotations

import hashlib

import pytest

from quality import Inference, InputError, Verdict, build_input_commitment, combine_digests

FIELDS: dict[str, object] = {
    "context": bytes(range(32)),
    "model_digest": b"\x11" * 32,
    "salt": b"\x22" * 32,
    "input": b"\x01\xff\x00",
    "logits": (-5,),
    "verdict": Verdict.PASS,
}


def build(**changes: object) -> Inference:
    return Inference(**(FIELDS | changes))  # type: ignore[arg-type]  # fields vary by case


def test_layout_byte_by_byte() -> None:
    commitment = hashlib.sha256(b"millmark/input/1" + b"\x22" * 32 + b"\x01\xff\x00").digest()
    preimage = b"millmark/infer/1" + b"\x00\x01" + bytes(range(32)) + b"\x11" * 32 + commitment
    preimage += b"\x00\x01" + b"\xff\xff\xff\xfb" + b"\x01"
    assert len(preimage) == 121
    assert build().input_commitment == commitment == build_input_commitment(b"\x22" * 32, b"\x01\xff\x00")
    assert build().digest == hashlib.sha256(preimage).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"context": b"\xff" + bytes(range(1, 32))},
        {"model_digest": b"\x12" + b"\x11" * 31},
        {"salt": b"\x23" + b"\x22" * 31},
        {"input": b"\x01\xff\x01"},
        {"input": b"\x01\xff"},
        {"input": b"\x01\xff\x00\x00"},
        {"logits": (-4,)},
        {"logits": (-5, 0)},
        {"verdict": Verdict.FAIL},
    ],
    ids=lambda change: "-".join(f"{key}={value!r:.12}" for key, value in change.items()),
)
def test_digest_changes_with_every_field(change: dict[str, object]) -> None:
    assert build(**change).digest != build().digest


@pytest.mark.parametrize(
    "change",
    [
        {"context": bytes(31)},
        {"model_digest": bytes(33)},
        {"salt": b""},
        {"input": b""},
        {"input": bytes(8 * 4096 + 1)},
        {"logits": ()},
        {"logits": (2**31,)},
        {"logits": (-(2**31) - 1,)},
        {"logits": (0,) * 33},
    ],
    ids=lambda change: "-".join(f"{key}={value!r:.12}" for key, value in change.items()),
)
def test_fields_of_wrong_size_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        build(**change)


def test_a_commitment_needs_a_whole_salt() -> None:
    with pytest.raises(InputError, match="salt has 16 bytes; expected 32"):
        build_input_commitment(bytes(16), b"\x00")


def test_combined_digest_depends_on_order() -> None:
    first, second = build(), build(logits=(7,))
    assert combine_digests([first, second]) == hashlib.sha256(first.digest + second.digest).digest()
    assert combine_digests([first, second]) != combine_digests([second, first])
