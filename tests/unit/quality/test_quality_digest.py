"""The inference digest commits to every field, in the layout that FORMAT.md specifies."""

from __future__ import annotations

import hashlib

import pytest

from millmark.quality import Inference, InputError, Verdict, build_input_commitment, combine_digests
from millmark.quality.inference import pack_window, unpack_window

WINDOW = pack_window([1, -1, 0])
FIELDS: dict[str, object] = {
    "context": bytes(range(32)),
    "model_digest": b"\x11" * 32,
    "salt": b"\x22" * 32,
    "window": WINDOW,
    "logits": (-5,),
    "verdict": Verdict.PASS,
}


def build(**changes: object) -> Inference:
    return Inference(**(FIELDS | changes))  # type: ignore[arg-type]  # fields vary by case


def test_layout_byte_by_byte() -> None:
    assert bytes(7) + b"\x01" + b"\xff" * 8 + bytes(8) == WINDOW
    commitment = hashlib.sha256(b"millmark/input/1" + b"\x22" * 32 + b"\x00\x03" + WINDOW).digest()
    preimage = b"millmark/infer/1" + b"\x00\x01" + bytes(range(32)) + b"\x11" * 32 + commitment
    preimage += b"\x00\x01" + b"\xff\xff\xff\xfb" + b"\x01"
    assert len(preimage) == 121
    assert build().input_commitment == commitment == build_input_commitment(b"\x22" * 32, WINDOW)
    assert build().digest == hashlib.sha256(preimage).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"context": b"\xff" + bytes(range(1, 32))},
        {"model_digest": b"\x12" + b"\x11" * 31},
        {"salt": b"\x23" + b"\x22" * 31},
        {"window": pack_window([1, -1, 1])},
        {"window": pack_window([1, -1])},
        {"window": pack_window([1, -1, 0, 0])},
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
        {"window": b""},
        {"window": bytes(9)},
        {"window": bytes(8 * 4096 + 8)},
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
        build_input_commitment(bytes(16), WINDOW)


def test_combined_digest_depends_on_order() -> None:
    first, second = build(), build(logits=(7,))
    assert combine_digests([first, second]) == hashlib.sha256(first.digest + second.digest).digest()
    assert combine_digests([first, second]) != combine_digests([second, first])


def test_a_window_of_other_than_64_bit_integers_is_refused() -> None:
    with pytest.raises(InputError, match="int64"):
        pack_window([2**63])
    assert unpack_window(pack_window([-(2**63), 5])) == (-(2**63), 5)
    with pytest.raises(InputError, match="window has 9 bytes"):
        unpack_window(bytes(9))
