"""RLP: one encoding for each item, and everything that is none."""

from __future__ import annotations

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.errors import ProofError
from millmark.ledger.headers import RlpItem, decode_integer, decode_rlp, encode_integer, encode_rlp

DEPTH = 6
ITEMS: st.SearchStrategy[RlpItem] = st.recursive(
    st.binary(max_size=70), lambda part: st.lists(part, max_size=5), max_leaves=12
)


@pytest.mark.parametrize("length", [0, 1, 55, 56, 255, 256])
def test_lengths_beside_each_limit_come_back(length: int) -> None:
    """Drawn items seldom have just these lengths."""
    for item in (b"\1" * length, [b"\1"] * length):
        encoded = encode_rlp(item)
        assert encoded == rlp.encode(item)
        assert decode_rlp(encoded, max_depth=DEPTH) == item


@given(ITEMS)
def test_encoding_is_that_of_the_reference_and_comes_back(item: RlpItem) -> None:
    encoded = encode_rlp(item)
    assert encoded == rlp.encode(item)
    assert decode_rlp(encoded, max_depth=20) == item


@given(st.binary(max_size=80))
def test_whatever_decodes_is_the_one_encoding_of_its_item(data: bytes) -> None:
    try:
        item = decode_rlp(data, max_depth=DEPTH)
    except ProofError:
        return
    assert encode_rlp(item) == data


@given(ITEMS, st.data())
def test_an_encoding_cut_short_or_continued_is_refused(item: RlpItem, data: st.DataObject) -> None:
    encoded = encode_rlp(item)
    length = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:length], encoded + data.draw(st.binary(min_size=1, max_size=4))):
        with pytest.raises(ProofError):
            decode_rlp(wrong, max_depth=20)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "ends too early"),
        ("81", "ends too early"),
        ("8100", "encodes a byte in two"),
        ("817f", "encodes a byte in two"),
        ("b800", "shortest form"),
        ("b837" + "00" * 55, "shortest form"),
        ("b90038" + "00" * 56, "shortest form"),
        ("b900", "cut off"),
        ("b8", "cut off"),
        ("bfffffffffffffffff", "ends too early"),
        ("f837" + "00" * 55, "shortest form"),
        ("f90038" + "00" * 56, "shortest form"),
        ("c1", "ends too early"),
        ("c28301", "ends too early"),
        ("c2c101" + "00", "too many"),
        ("c281", "ends too early"),
        ("0000", "too many"),
        ("c1c100", "ends too early"),
    ],
)
def test_other_forms_are_refused(text: str, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        decode_rlp(bytes.fromhex(text), max_depth=DEPTH)


def test_an_item_may_not_reach_beyond_its_list() -> None:
    with pytest.raises(ProofError, match="ends too early"):
        decode_rlp(bytes.fromhex("c3" + "83" + "0102" + "03"), max_depth=DEPTH)


def test_depth_is_bounded_before_python_s_own() -> None:
    nested = b""
    for _ in range(3000):
        nested = encode_rlp([decode_rlp(b"\x80", max_depth=0)]) if not nested else _list_of(nested)
    with pytest.raises(ProofError, match="nested too deeply"):
        decode_rlp(nested, max_depth=DEPTH)
    assert decode_rlp(bytes.fromhex("c1c0"), max_depth=2) == [[]]
    with pytest.raises(ProofError, match="nested too deeply"):
        decode_rlp(bytes.fromhex("c1c0"), max_depth=1)


def _list_of(payload: bytes) -> bytes:
    head = encode_rlp(bytes(len(payload)))[: -len(payload)]
    return bytes([head[0] + 0x40]) + head[1:] + payload


def test_only_bytes_are_parsed() -> None:
    with pytest.raises(ProofError, match="as bytes"):
        decode_rlp(bytearray(b"\x80"), max_depth=0)  # type: ignore[arg-type]


@given(st.integers(0, 2**256 - 1))
def test_integers_come_back(value: int) -> None:
    assert decode_integer(encode_integer(value), 32) == value


@pytest.mark.parametrize("item", [b"\0", b"\0\1", bytes(33), b"\1" * 33, [], [b"\1"]])
def test_what_is_no_integer_is_refused(item: RlpItem) -> None:
    with pytest.raises(ProofError, match="not an integer"):
        decode_integer(item, 32)
