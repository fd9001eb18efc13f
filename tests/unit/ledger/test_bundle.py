"""The bundle's one text: what is written comes back, and nothing else is taken."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.bundle import (
    MAX_BUNDLE_BYTES,
    Bundle,
    EvidenceEntryShown,
    HistoryShown,
    IdentityShown,
    InferenceShown,
    RecordShown,
    ShownClaims,
    ShownEvidence,
    WithheldRecord,
    encode_bundle,
    parse_bundle,
    read_bundle,
)
from millmark.ledger.canonical import canonical_json
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import BundleError, NotABundleError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.ids import SubjectKind
from millmark.ledger.verify import Step
from tests.proofs.forgeries import judge
from tests.proofs.forging import FORGERIES, Forgery
from tests.support.bundle_content import Content
from tests.support.bundle_vector import vector_bundle, vector_bytes, vector_content

HASHES = st.binary(min_size=32, max_size=32)
ADDRESSES = st.binary(min_size=20, max_size=20)
NUMBERS = st.integers(min_value=0, max_value=2**53 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def table(values: st.SearchStrategy[object], most: int = 4) -> st.SearchStrategy[tuple[object, ...]]:
    return st.sets(values, max_size=most).map(lambda found: tuple(sorted(found)))  # type: ignore[type-var]  # of one type


RECORDS = st.builds(
    RecordShown, st.sampled_from(["LotReceived", "Odd"]), NUMBERS, NUMBERS, NUMBERS, st.binary(min_size=1)
)
LINKS = st.lists(NUMBERS | st.builds(WithheldRecord, st.just("LotsTransformed"), HASHES), max_size=4).map(tuple)
IDENTITIES = st.builds(
    IdentityShown,
    st.sampled_from([kind for kind in SubjectKind if kind is not SubjectKind.MODEL]),
    NUMBERS,
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=20),
    st.lists(st.binary(min_size=114, max_size=114), min_size=1, max_size=2).map(tuple),
)
EVIDENCE = st.builds(
    ShownEvidence,
    NUMBERS,
    st.lists(HASHES, max_size=3).map(tuple),
    st.lists(HASHES, max_size=3).map(tuple),
    st.none() | st.builds(EvidenceEntryShown, st.sampled_from(LeafKind), HASHES, JSON),
)
INFERENCES = st.builds(
    InferenceShown,
    NUMBERS,
    HASHES,
    st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=3).map(b"".join),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3).map(tuple),
)


@st.composite
def claims(draw: st.DrawFn) -> ShownClaims:
    document = draw(st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=4))
    made = build_claims(document)
    return ShownClaims(draw(NUMBERS), draw(NUMBERS), made.disclose(made.paths[: draw(st.integers(0, len(made.paths)))]))


def by(key: str, items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    names = key.split()
    unique = st.lists(items, max_size=3, unique_by=lambda item: tuple(getattr(item, name) for name in names))
    return unique.map(lambda found: tuple(sorted(found, key=lambda item: tuple(getattr(item, name) for name in names))))


BUNDLES = st.builds(
    Bundle,
    chain_id=NUMBERS,
    registry=ADDRESSES,
    ledger=ADDRESSES,
    ledger_id=HASHES,
    contracts=table(ADDRESSES),
    headers=st.lists(st.binary(min_size=1, max_size=50), max_size=3).map(tuple),
    signatures=st.lists(st.binary(min_size=65, max_size=65), max_size=2).map(tuple),
    nodes=table(st.binary(min_size=1, max_size=50)),
    parts=st.sets(HASHES, min_size=1, max_size=3).map(lambda found: tuple(sorted(found))),
    histories=by("subject", st.builds(HistoryShown, HASHES, LINKS)),
    records=by("sequence", RECORDS),
    participants=table(NUMBERS),
    keys=table(ADDRESSES),
    machines=table(NUMBERS),
    models=table(NUMBERS),
    streams=table(HASHES),
    identities=by("kind creator identifier", IDENTITIES),
    claims=by("record root", claims()),
    evidence=by("record", EVIDENCE),
    inferences=by("record", INFERENCES),
)


@given(BUNDLES)
def test_what_is_written_comes_back_and_is_canonical_json(bundle: Bundle) -> None:
    data = encode_bundle(bundle)
    assert parse_bundle(data) == bundle
    assert canonical_json(json.loads(data)) == data


def test_the_vector_is_the_one_text_of_what_it_says() -> None:
    assert encode_bundle(vector_bundle()) == vector_bytes()


@pytest.fixture(scope="module")
def content() -> Content:
    return vector_content()


@pytest.mark.parametrize("forge", FORGERIES[Step.FORMAT], ids=lambda forge: forge.__name__)
def test_other_texts_are_refused(forge: Forgery, content: Content) -> None:
    for seed in range(4):
        forged = forge(content, Random(seed))  # noqa: S311  # to be had again, not secret
        if forged is not None:
            assert judge(forged) is Step.FORMAT, seed


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\x89PNG", b'{"bundle":1}', b'{"bundle_version":2}', b"x" * 99])
def test_what_is_no_bundle_is_told_apart(data: bytes) -> None:
    with pytest.raises(NotABundleError):
        parse_bundle(data)


def test_a_bundle_that_is_cut_off_anywhere_is_refused() -> None:
    data = vector_bytes()
    for end in [*range(200), *range(200, len(data), 97), len(data) - 1]:
        with pytest.raises(BundleError):
            parse_bundle(data[:end])


def test_a_file_that_is_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.bundle"
    with path.open("wb") as file:
        file.write(vector_bytes()[:100])
        file.truncate(10 * MAX_BUNDLE_BYTES)  # sparse: takes no space
    data = read_bundle(path)
    assert len(data) == MAX_BUNDLE_BYTES + 1
    with pytest.raises(BundleError, match="more than"):
        parse_bundle(data)


@pytest.mark.parametrize("filling", [b"[],", b"{},", b'"",', b"[[[[", b'[0,"a"],', b"1,", b'{"a":[]},'])
@pytest.mark.parametrize("member", ["claims", "evidence", "histories", "records", "nodes", "participants"])
def test_a_hostile_file_takes_no_memory(member: str, filling: bytes) -> None:
    """A parser of any JSON would build millions of objects of this before it looked at one."""
    data = vector_bytes()
    at = data.index(b'"%s":[' % member.encode()) + len(member) + 4
    hostile = data[:at] + filling * ((4 << 20) // len(filling)) + data[at:]
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            parse_bundle(hostile)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_disclosed_value_that_nests_or_is_long_is_refused_before_it_is_built() -> None:
    data = vector_bytes()
    at = data.index(b'"value":') + 8
    for filling in (b"[" * 10**6, b'{"a":' * 10**6, b'"' + b"x" * (5 << 20)):
        tracemalloc.start()
        try:
            with pytest.raises(BundleError):
                parse_bundle(data[:at] + filling + data[at:])
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(NotABundleError, match="cannot read"):
            read_bundle(path)
