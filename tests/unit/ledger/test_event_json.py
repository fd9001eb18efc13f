"""Reading and writing JSON in C: nothing is taken that the strict reader refuses, and no byte comes out another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import canonical_json, parse_json
from millmark.ledger.errors import CanonicalError
from millmark.ledger.event_json import Parsed, parse_value, parse_values, write_canonical

MAX: dict[str, Any] = {"max_bytes": 4000, "max_depth": 5}
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", '\\"', '\\\\"', "é", "😀"]
)
_numbers = (
    st.integers(-(2**53), 2**53)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1.0, 21.0, 1e16, 1e-7, 1e21, 5e-324, 2**53 - 1, 2**53, 2**64])
)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)


def _judge(data: bytes) -> object:
    """What the strict reader and writer make of it."""
    try:
        value = parse_json(data, **MAX)
        return value, canonical_json(value)
    except CanonicalError as error:
        return str(error)


def _try(data: bytes) -> object:
    try:
        value, plain = parse_value(data, **MAX)
        return value, write_canonical(value, plain)
    except CanonicalError as error:
        return str(error)


@given(_values, st.booleans(), st.sampled_from([None, 1]))
def test_any_value_is_read_and_written_as_by_the_strict_ones(value: Any, ascii_only: bool, indent: int | None) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert repr(_try(data)) == repr(_judge(data))  # by text: -0.0 and 0, 1 and 1.0 are equal


@given(st.binary(max_size=40) | st.text('[]{}",:\\u0018de.-+n tf', max_size=24).map(str.encode))
def test_any_bytes_are_judged_as_by_the_strict_reader(data: bytes) -> None:
    assert repr(_try(data)) == repr(_judge(data))


@given(
    st.lists(st.sampled_from(['"a"', '"\\u0061"', '"b"', '"a\\""', '"a\\\\"']), min_size=1, max_size=4), st.booleans()
)
def test_a_member_that_comes_twice_is_never_taken(names: list[str], nested: bool) -> None:
    text = "{" + ",".join(f"{name}:1" for name in names) + "}"
    data = (f'{{"x":[{text}]}}' if nested else text).encode()
    assert repr(_try(data)) == repr(_judge(data))


HARD = {
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"a":"\xff"}',
    "half a surrogate pair": b'{"a":"\\ud800"}',
    "a member twice": b'{"a":1,"a":1}',
    "a member twice, written differently": b'{"a":1,"\\u0061":1}',
    "an integer that is not kept exact": b"[9007199254740992]",
    "an integer of 64 bits": b"[18446744073709551616]",
    "a number without bound": b"[1e400]",
    "no number": b"[NaN]",
    "one level too many": b"[[[[[[1]]]]]]",
    "one level too many, of objects": b'{"a":{"a":{"a":{"a":{"a":{}}}}}}',
    "levels without end": b"[" * 3000,
    "too many bytes": b'"' + b"x" * 4000 + b'"',
    "nothing": b"",
    "two values": b"1 2",
    "a comma too many": b"[1,]",
}


@pytest.mark.parametrize("name", HARD)
def test_what_could_be_understood_differently_is_refused(name: str) -> None:
    for parse in (parse_value, parse_values):
        with pytest.raises(CanonicalError):
            parse(HARD[name], **MAX)


def test_the_values_of_an_array_are_given_one_by_one_and_what_is_none_as_it_is() -> None:
    assert parse_values(b'[{"a":1},2.0,[]]', **MAX) == [Parsed({"a": 1}, True), Parsed(2.0, False), Parsed([], True)]
    assert parse_values(b'{"a":"\\\\\\""}', **MAX) == [Parsed({"a": '\\"'}, True)]
    assert parse_values(b"[[[[[1]]]]]", **MAX)[0].plain


def test_numbers_that_are_written_in_two_ways_are_written_in_the_canonical_one() -> None:
    value, plain = parse_value(b'{"b":21.0,"a":1e21,"c":-0.0}', **MAX)
    assert write_canonical(value, plain) == b'{"a":1e+21,"b":21,"c":0}'


def test_names_beyond_the_basic_plane_are_sorted_as_utf_16() -> None:
    value, plain = parse_value('{"\ufb33":1,"😀":2}'.encode(), **MAX)
    assert write_canonical(value, plain) == '{"😀":2,"\ufb33":1}'.encode()
