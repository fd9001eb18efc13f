"""The root of a block's receipts, against py-trie."""

from __future__ import annotations

import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from millmark.ledger.chain.blocks import build_root


def expected(values: list[bytes]) -> bytes:
    trie = HexaryTrie({})
    for place, value in enumerate(values):
        trie[rlp.encode(place)] = value
    return bytes(trie.root_hash)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20))
def test_the_root_is_the_tries(values: list[bytes]) -> None:
    """Short values lie in their parents, long ones are hashed."""
    assert build_root(values) == expected(values)


def test_places_of_more_than_one_byte() -> None:
    for count in (1, 2, 16, 17, 127, 128, 129, 130, 255, 256, 257, 300):
        values = [b"receipt" * 6 + place.to_bytes(2, "big") for place in range(count)]
        assert build_root(values) == expected(values)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=20), st.data())
def test_another_value_has_another_root(values: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values[:place], values[place] + b"x", *values[place + 1 :]]
    assert len({build_root(each) for each in (values, changed, values[:-1])}) == 3
