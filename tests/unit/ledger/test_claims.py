"""Claims: every document keeps its root through disclosure, storage and erasure, and no other disclosure passes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.claims import (
    MAX_DEPTH,
    MAX_FIELDS,
    Claims,
    Disclosure,
    Field,
    build_claims,
    claims_root,
    parse_claims,
    parse_disclosure,
    verify_disclosure,
)
from millmark.ledger.claims import Path as ClaimsPath
from millmark.ledger.errors import CanonicalError, ClaimsError, MillmarkError, ProofError
from millmark.ledger.merkle import Tree, leaf_hash

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "claims.json").read_text(encoding="utf-8")
)
SALT = bytes(range(32))
DOCUMENT: Json = {"lot": "A7", "heat": [{"C": 0.21}, {"C": 0.2, "Mn": None}], "note": {}, "tests": []}

texts = st.text(st.characters(codec="utf-8"), max_size=4)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-9e15, 9e15) | texts
values: st.SearchStrategy[Json] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
documents = st.dictionaries(texts, values, max_size=5)


def plain_root(claims: Claims) -> bytes:
    """As CLAIMS.md defines it, with `canonical_json` for each leaf."""
    data = [b"millmark.claims-paths.v1\0" + canonical_json(claims.paths)]
    for path, field in claims.fields:
        assert isinstance(field, Field)
        data.append(b"millmark.claims-field.v1\0" + field.salt + canonical_json([path, field.value]))
    return claims_root(len(data), Tree(map(leaf_hash, data)).root())


@settings(max_examples=200)
@given(documents)
def test_the_root_is_that_of_the_definition(document: Json) -> None:
    claims = build_claims(document)
    assert claims.root == plain_root(claims)
    again = Claims(claims.fields)  # checked as what comes from elsewhere
    assert (again, again.root) == (claims, claims.root)
    assert list(again.paths) == sorted(again.paths, key=_code_units_of)
    verify_disclosure(claims.disclose(claims.paths), claims.root)


def _code_units_of(path: ClaimsPath) -> list[tuple[bool, int, bytes]]:
    """How CLAIMS.md orders paths: integers before strings, strings by UTF-16 code units, a prefix first."""
    return [(False, step, b"") if isinstance(step, int) else (True, 0, step.encode("utf-16-be")) for step in path]


@pytest.mark.parametrize(
    "document", [{"\ud800": 1}, {"a": "\ud800"}, {"a": {"\u4e2d\udfff": []}}, {"a": 2**53}, {1: 2}]
)
def test_what_no_canonical_json_can_hold_is_refused(document: Json) -> None:
    with pytest.raises(CanonicalError):
        build_claims(document).root  # noqa: B018  # computed when it is asked for


def reload(value: Json) -> Json:
    return parse_json(canonical_json(value), max_bytes=10**6, max_depth=40)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["says"])
def test_vectors(case: dict[str, Any]) -> None:
    root = bytes.fromhex(case["root"])
    if case["holds"]:
        numbers = iter(range(1000))
        claims = build_claims(case["document"], salt=lambda: next(numbers).to_bytes(32, "big"))
        assert claims.root == root
        verify_disclosure(parse_disclosure(case["disclosure"]), root)
        assert parse_disclosure(case["disclosure"]).to_json() == case["disclosure"]
    else:
        with pytest.raises((ClaimsError, ProofError)):
            verify_disclosure(parse_disclosure(case["disclosure"]), root)


def test_vectors_refuse_more_than_they_accept() -> None:
    assert sum(not case["holds"] for case in VECTORS) > 2 * sum(case["holds"] for case in VECTORS)


def test_the_root_of_one_field_by_hand() -> None:
    def sha(*parts: bytes) -> bytes:
        return hashlib.sha256(b"".join(parts)).digest()

    paths = sha(b"\0", b"millmark.claims-paths.v1\0", b'[["a",0]]')
    field = sha(b"\0", b"millmark.claims-field.v1\0", SALT, b'[["a",0],"x"]')
    root = sha(b"millmark.claims-root.v1\0", (2).to_bytes(8, "big"), sha(b"\1", paths, field))
    assert build_claims({"a": ["x"]}, salt=lambda: SALT).root == root


@settings(deadline=None, max_examples=100)
@given(documents, st.data())
def test_any_choice_of_fields_verifies_and_shows_no_other(document: dict[str, Json], data: st.DataObject) -> None:
    claims = build_claims(document)
    assert canonical_json(claims.document) == canonical_json(document)
    chosen = data.draw(st.sets(st.sampled_from(claims.paths)))
    disclosure = parse_disclosure(reload(claims.disclose(chosen).to_json()))
    verify_disclosure(disclosure, claims.root)
    assert disclosure.fields.keys() == chosen
    for path in chosen:
        assert canonical_json(disclosure.value(path)) == canonical_json(claims.value(path))
    text = json.dumps(disclosure.to_json())
    hidden = [field for path, field in claims.fields if path not in chosen]
    assert all(isinstance(field, Field) and field.salt.hex() not in text for field in hidden)


@settings(deadline=None, max_examples=60)
@given(documents, st.data())
def test_erasing_keeps_the_root_and_every_other_proof(document: dict[str, Json], data: st.DataObject) -> None:
    claims = build_claims(document)
    gone = data.draw(st.sets(st.sampled_from(claims.paths), min_size=1))
    erased = parse_claims(reload(claims.erase(gone).to_json()))
    assert erased.root == claims.root
    assert erased.erase(gone) == erased
    rest = [path for path in claims.paths if path not in gone]
    assert erased.disclose(rest) == claims.disclose(rest)
    with pytest.raises(ClaimsError):
        erased.disclose(gone)
    with pytest.raises(ClaimsError):
        _ = erased.document
    text = json.dumps(erased.to_json())
    assert all(
        isinstance(field, Field) and field.salt.hex() not in text for path, field in claims.fields if path in gone
    )


@settings(deadline=None, max_examples=60)
@given(documents)
def test_storage_keeps_everything(document: dict[str, Json]) -> None:
    claims = build_claims(document)
    assert parse_claims(reload(claims.to_json())).root == claims.root


def test_salts_are_fresh_and_hide_equal_values() -> None:
    one, two = build_claims({"a": 1, "b": 1}), build_claims({"a": 1, "b": 1})
    assert len({field.salt for claims in (one, two) for _, field in claims.fields if isinstance(field, Field)}) == 4
    assert one.root != two.root


def test_structure_is_part_of_the_root() -> None:
    same = [{"a": [1]}, {"a": {"0": 1}}, {"a": 1}, {"a": {}}, {"a": []}, {"a": "1"}, {"a": True}, {"a": None}, {}]
    roots = {build_claims(document, salt=lambda: SALT).root for document in same}  # type: ignore[arg-type]
    assert len(roots) == len(same)


def test_a_container_stands_for_its_fields() -> None:
    claims = build_claims(DOCUMENT)
    assert claims.disclose([["heat", 1]]).fields.keys() == {("heat", 1, "C"), ("heat", 1, "Mn")}
    assert claims.disclose([[]]).document == DOCUMENT
    with pytest.raises(ClaimsError, match="only from all of its fields"):
        _ = claims.disclose([["lot"]]).document
    with pytest.raises(ClaimsError, match="not disclosed"):
        claims.disclose([["lot"]]).value(["tests"])
    paths: list[list[str | int]] = [["x"], ["heat", 2], ["heat", "0"], ["lot", 0]]
    for unknown in paths:
        with pytest.raises(ClaimsError, match="no field"):
            claims.disclose([unknown])
        with pytest.raises(ClaimsError, match="no field"):
            claims.value(unknown)


def test_arrays_of_more_than_ten_keep_their_order() -> None:
    claims = build_claims({"a": list(range(12))})
    assert claims.document == {"a": list(range(12))}


@pytest.mark.parametrize(
    "document",
    [None, [], "x", 1, {"a": 2**53}, {"a": float("nan")}, {"a": 1e16}, {"a": -9007199254740992.0}, {1: 2},
     {"\ud800": 1}, {"a": b""}, {"a": object()}, {"a": "\udfff"}],
)  # fmt: skip
def test_refuses_what_is_no_claims_document(document: Any) -> None:
    with pytest.raises((ClaimsError, CanonicalError)):
        build_claims(document)


def test_sizes_are_bounded() -> None:
    deep: Json = 1
    for _ in range(MAX_DEPTH):
        deep = {"a": deep}
    assert build_claims(deep).document == deep
    with pytest.raises(ClaimsError, match="nested more than"):
        build_claims({"a": deep})
    with pytest.raises(ClaimsError, match="fields"):
        build_claims({"a": [0] * (MAX_FIELDS + 1)})
    with pytest.raises(ClaimsError, match="bytes"):
        build_claims({"a": "x" * (1 << 20)})
    loop: dict[str, Json] = {}
    loop["a"] = loop
    with pytest.raises(ClaimsError, match="nested more than"):
        build_claims(loop)


@pytest.mark.parametrize(
    "paths",
    [[], [("b",), ("a",)], [("a",), ("a",)], [("a",), ("a", "b")], [("a", 0), ("a", "b")], [("a", "b"), ("a", 0)],
     [("a", 1)], [("a", 0), ("a", 2)], [("a", 0, 1)], [("a", 0), ("b", 1)], [(0,)], [(), ("a",)], [("a", True)],
     [("a", 0.0)], [("a", None)], [("a", -1)], [("a",) * 33], [("\ud800",)], [("\uffff",), ("\U00010000",)]],
)  # fmt: skip
def test_lists_of_paths_that_no_document_has(paths: Any) -> None:
    with pytest.raises((ClaimsError, CanonicalError)):
        Disclosure(tuple(paths), (), ())
    with pytest.raises((ClaimsError, CanonicalError)):
        Claims(tuple((path, bytes(32)) for path in paths))


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33), "0" * 32, None])
def test_salts_are_32_bytes(salt: Any) -> None:
    with pytest.raises(ClaimsError):
        Field(1, salt)


@pytest.mark.parametrize(
    "stored",
    [None, [], {}, {"version": 1}, {"version": 2, "fields": []}, {"version": True, "fields": []},
     {"version": 1, "fields": []}, {"version": 1, "fields": {}}, {"version": 1, "fields": [1]},
     {"version": 1, "fields": [{"path": ["a"]}]}, {"version": 1, "fields": [{"path": "a", "erased": "00" * 32}]},
     {"version": 1, "fields": [{"path": ["a"], "erased": "00"}]},
     {"version": 1, "fields": [{"path": ["a"], "value": 1, "salt": "00" * 32, "erased": "00" * 32}]}],
)  # fmt: skip
def test_storage_forms_that_are_none(stored: Any) -> None:
    with pytest.raises(ClaimsError):
        parse_claims(stored)


@settings(deadline=None, max_examples=150)
@given(values)
def test_parsers_refuse_any_json_with_their_own_error(value: Json) -> None:
    for parse in (parse_claims, parse_disclosure):
        with pytest.raises(MillmarkError):
            parse(value)


def test_the_wrong_root_is_refused() -> None:
    claims = build_claims(DOCUMENT)
    disclosure = claims.disclose([["lot"]])
    for root in (bytes(32), b"", claims.root[:-1], claims.root.hex(), None):
        with pytest.raises(ProofError):
            verify_disclosure(disclosure, root)  # type: ignore[arg-type]
    assert re.fullmatch("[0-9a-f]{64}", claims.root.hex())
