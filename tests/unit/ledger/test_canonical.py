"""Canonical JSON against the RFC's own documents, and the strict parser against what is read in two ways."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, keccak256, parse_json, sha256
from millmark.ledger.errors import CanonicalError
from millmark.ledger.event_json import parse_value

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpus" / "jcs-rfc8785" / "testdata"
NAMES = ["arrays", "french", "structures", "unicode", "values", "weird"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(-9e15, 9e15, allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
)
documents: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


def parse(data: bytes) -> Json:
    return parse_json(data, max_bytes=100_000, max_depth=64)


@pytest.mark.parametrize("name", NAMES)
def test_rfc_document_has_the_published_bytes(name: str) -> None:
    if not CORPUS.exists():
        pytest.skip("corpus jcs-rfc8785 is absent")
    expected = bytes.fromhex("".join((CORPUS / "outhex" / f"{name}.txt").read_text().split()))
    assert canonical_json(parse((CORPUS / "input" / f"{name}.json").read_bytes())) == expected
    assert (CORPUS / "output" / f"{name}.json").read_bytes() == expected


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (-0.0, "0"), (5e-324, "5e-324"), (1e21, "1e+21"), (1e-7, "1e-7"), (1e-6, "0.000001"),
     (1e20, "100000000000000000000"), (333333333.33333329, "333333333.3333333"), (1.0, "1")],
)  # fmt: skip
def test_numbers_as_in_appendix_b(number: float, text: str) -> None:
    assert canonical_json(number) == text.encode()


@settings(deadline=None, max_examples=150)
@given(documents)
def test_parsing_undoes_writing(document: Json) -> None:
    text = canonical_json(document)
    assert canonical_json(parse(text)) == text
    assert json.loads(text) == document


@settings(deadline=None, max_examples=500)
@given(
    documents | st.dictionaries(st.text('\u0000\u001f\u007f\ud7ff\ue000\uffff\U00010000"\\/aé', max_size=3), scalars)
)
def test_the_fast_writer_writes_what_rfc8785_does(document: Json) -> None:
    assert canonical_json(document) == rfc8785.dumps(document)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, MAX_SAFE_INTEGER + 1, -(2**53), "\ud800", {"\udfff": 1}, {1: 2},
     {None: 1}, b"x", {"a": object()}, {1, 2}],
)  # fmt: skip
def test_refuses_what_json_cannot_carry(value: Json) -> None:
    with pytest.raises(CanonicalError):
        canonical_json(value)


def test_refuses_a_number_too_long_to_print() -> None:
    with pytest.raises(CanonicalError):
        canonical_json(10**5000)


def test_refuses_a_value_that_holds_itself() -> None:
    loop: list[Json] = []
    loop.append(loop)
    with pytest.raises(CanonicalError, match="too deeply"):
        canonical_json(loop)


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{", b'{"a":1,}', b"[1,]", b"01", b"+1", b"1.", b".5", b"NaN", b"[Infinity]", b"-Infinity", b"1e999",
     b"-1e999", b"9007199254740992", b"-9007199254740992", b"1" * 50, b'{"a":1,"a":1}', b'{"x":{"a":1,"\\u0061":2}}',
     b'"\\ud800"', b'["\\udc00\\ud800"]', b'{"\\udfff":1}', b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf1",
     "[1]".encode("utf-16"), b"1 2", b"'a'", b'"\n"', b"// c\n1", b"tru", b'"', b'"\\x41"', "\u0661".encode()],
)  # fmt: skip
def test_parser_refuses(text: bytes) -> None:
    with pytest.raises(CanonicalError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"9007199254740991", MAX_SAFE_INTEGER), (b"-9007199254740991", -MAX_SAFE_INTEGER), (b' {"a" : [ ] } ', {"a": []}),
     (b'"\\ud83d\\ude00"', "\U0001f600"), (b"1e2", 100.0), (b'"[[[[{{{{"', "[[[[{{{{")],
)  # fmt: skip
def test_parser_takes(text: bytes, value: Json) -> None:
    assert parse_json(text, max_bytes=40, max_depth=3) == value


def test_bounds_hold_before_any_recursion() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64, max_bytes=128, max_depth=64) is not None
    with pytest.raises(CanonicalError, match="nested more than"):
        parse_json(b"[" * 65 + b"]" * 65, max_bytes=200, max_depth=64)
    with pytest.raises(CanonicalError, match="nested more than"):
        parse_json(b'{"a":' * 50_000, max_bytes=10**6, max_depth=64)
    with pytest.raises(CanonicalError, match="limit"):
        parse_json(b"[]" + b" " * 99, max_bytes=100, max_depth=1)
    with pytest.raises(CanonicalError, match="bytes"):
        parse_json("[]", max_bytes=100, max_depth=1)  # type: ignore[arg-type]


def test_escaped_quotes_cost_no_more_than_their_length() -> None:
    text = b'[[],[],[],"' + b'\\"' * 300_000  # quadratic work would take hours
    with pytest.raises(CanonicalError):
        parse_json(text, max_bytes=10**6, max_depth=3)


def test_hashes_are_the_published_ones() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert sha256(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_no_key_comes_twice_however_deep() -> None:
    with pytest.raises(CanonicalError, match="'id' more than once; give each member once"):
        parse_json(b'{"id":1,"b":[{"id":3,"id":3}]}', max_bytes=99, max_depth=3)


@pytest.mark.parametrize("text", ["1e20", "-9007199254740992.0", "12345678901234567890.5", "9.1e15"])
def test_a_number_that_its_canonical_form_could_not_be_read_from_is_refused(text: str) -> None:
    with pytest.raises(CanonicalError, match="cannot be represented exactly"):
        parse_json(text.encode(), max_bytes=100, max_depth=2)
    with pytest.raises(CanonicalError, match="cannot be represented exactly"):
        parse_value(text.encode(), max_bytes=100, max_depth=2)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_read_is_read_again_from_its_canonical_form(number: float) -> None:
    try:
        value = parse_json(json.dumps([number]).encode(), max_bytes=100, max_depth=2)
    except CanonicalError:
        return
    assert parse_json(canonical_json(value), max_bytes=100, max_depth=2) == value
