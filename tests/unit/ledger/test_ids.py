"""Identifiers: one spelling each, refusals with a reason, and names on the ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import IdentifierError, RecordError
from millmark.ledger.ids import (
    DigitalLink,
    Identity,
    SubjectKind,
    canonical_identifier,
    identifier_hash,
    is_identifier,
    parse_digital_link,
    parse_epc,
    subject,
)
from millmark.ledger.ids._gs1 import ATTRIBUTES, CSET82, KEYS, check_digit

ROOT = Path(__file__).parents[3]
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests/vectors/identifiers.json").read_text(encoding="utf-8"))
SUBJECTS: list[dict[str, Any]] = json.loads((ROOT / "tests/vectors/subjects.json").read_text(encoding="utf-8"))
CORPUS = ROOT.parent / "shared" / "corpus"
GS1 = CORPUS / "gs1-digital-link"
EPCIS = CORPUS / "epcis-event-hash" / "reference" / "examples"
GTIN = "04012345123456"
serials = st.text(CSET82, min_size=1, max_size=20)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["says"])
def test_vectors(case: dict[str, Any]) -> None:
    if case.get("refused"):
        assert not is_identifier(case["input"])
        with pytest.raises(IdentifierError):
            canonical_identifier(case["input"])
    else:
        assert is_identifier(case["input"])
        assert canonical_identifier(case["input"]) == case["canonical"]
        assert canonical_identifier(case["canonical"]) == case["canonical"]


def test_vectors_refuse_more_than_they_accept() -> None:
    refused = sum(bool(case.get("refused")) for case in VECTORS)
    assert refused > len(VECTORS) - refused


def test_a_refusal_names_cause_and_hint() -> None:
    with pytest.raises(IdentifierError, match=r"04012345123457.*check digit 7 instead of 6; copy the number again"):
        canonical_identifier("https://id.gs1.org/01/04012345123457")


heads = st.one_of(
    st.from_regex(r"urn:epc:id:sgtin:[0-9]{6,12}\.[0-9]{1,7}\.", fullmatch=True),
    st.sampled_from(["urn:epc:id:sgtin:9506000.001345.", "https://id.gs1.org/01/09506000013459/21/"]),
    st.from_regex(r"https://id\.gs1\.org/01/[0-9]{13,14}/21/", fullmatch=True),
)


def outcome(convert: Callable[[str], str], text: str) -> str:
    try:
        return convert(text)
    except IdentifierError as error:
        return f"refused: {error}"


@settings(deadline=None, max_examples=400)
@given(heads, serials)
def test_a_serialised_gtin_is_read_as_any_other_key(head: str, serial: str) -> None:
    """What precedes the serial number is kept: the result, or the refusal, is that of reading the whole."""
    text = head + quote(serial, safe="!'()*;=+,.-:_" if head.startswith("urn") else "!'()*;=")
    whole = parse_epc if head.startswith("urn") else parse_digital_link
    assert outcome(canonical_identifier, text) == outcome(lambda one: whole(one).uri, text)


@settings(deadline=None, max_examples=200)
@given(serials, serials)
def test_two_serial_numbers_have_one_form_each(one: str, two: str) -> None:
    forms = [DigitalLink((("01", GTIN), ("21", serial))).uri for serial in (one, two)]
    assert (forms[0] == forms[1]) == (one == two)
    for form, serial in zip(forms, (one, two), strict=True):
        assert canonical_identifier(form) == form
        assert parse_digital_link(form).elements == (("01", GTIN), ("21", serial))


@settings(deadline=None, max_examples=150)
@given(serials, st.data())
def test_every_spelling_of_a_serial_number_is_one_thing(serial: str, data: st.DataObject) -> None:
    must = set('"%&/<>?#')
    spelled = "".join(
        f"%{ord(letter):02{data.draw(st.sampled_from('xX'))}}" if letter in must or data.draw(st.booleans()) else letter
        for letter in serial
    )
    link = canonical_identifier(f"https://example.com/x/01/{GTIN}/21/{spelled}")
    assert link == canonical_identifier(f"urn:epc:id:sgtin:4012345.012345.{spelled}")


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=60) | st.from_regex(r"(https?://[a-z.]{1,9}/(01|00|21|8004|10)/|urn:|did:|urn:epc:id:)[!-~]{0,40}")
)
def test_anything_is_refused_or_settles_at_once(text: str) -> None:
    if is_identifier(text):
        once = canonical_identifier(text)
        assert canonical_identifier(once) == once


@pytest.mark.parametrize("bad", [None, 1, b"urn:a:b"])
def test_only_texts_are_identifiers(bad: Any) -> None:
    assert not is_identifier(bad)


@pytest.mark.parametrize(
    ("digits", "check"), [("0401234512345", "6"), ("401234511111", "8"), ("04012345000000111", "2")]
)
def test_check_digits(digits: str, check: str) -> None:
    assert check_digit(digits) == check


def test_attributes_are_told_apart_and_decoded() -> None:
    link = parse_digital_link(f"https://a/01/{GTIN}?17=271231&3103=000195&linkType=x&240=a+b%2Bc")
    assert link.attributes == (("17", "271231"), ("3103", "000195"), ("240", "a b+c"))
    assert link.uri == f"https://id.gs1.org/01/{GTIN}"


# The published dictionary, read as data.


def _dictionary() -> list[tuple[range, int, str, str]]:
    path = GS1 / "gs1-syntax-dictionary" / "gs1-syntax-dictionary.txt"
    if not path.exists():
        pytest.skip("corpus gs1-digital-link is absent")
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\d+)(?:-(\d+))?\s+([*?]*)\s+(.*?)(?:#|$)", line):
            first, last, flags, rest = match.groups()
            rows.append((range(int(first), int(last or first) + 1), len(first), flags, rest))
    assert len(rows) > 200
    return rows


def test_keys_and_qualifiers_are_those_of_the_dictionary() -> None:
    keys: dict[str, tuple[tuple[str, ...], ...]] = {}
    for codes, width, _, rest in _dictionary():
        if match := re.search(r"\bdlpkey(?:=(\S+))?", rest):
            keys[f"{codes[0]:0{width}}"] = tuple(tuple(way.split(",")) for way in (match[1] or "").split("|") if way)
    assert keys == KEYS


def test_attributes_are_those_of_the_dictionary() -> None:
    allowed = {f"{code:0{width}}" for codes, width, flags, _ in _dictionary() if "?" in flags for code in codes}
    assert allowed == ATTRIBUTES


def test_epcs_in_the_event_hash_examples_have_their_published_links() -> None:
    if not EPCIS.exists():
        pytest.skip("corpus epcis-event-hash is absent")
    published = "".join(path.read_text(encoding="utf-8") for path in EPCIS.glob("*.prehashes"))
    epcs = set()
    for path in EPCIS.glob("*.jsonld"):
        epcs |= set(re.findall(r'"(urn:epc:(?:id|class|idpat):[^"]+)"', path.read_text(encoding="utf-8")))
    assert len(epcs) >= 1
    assert [epc for epc in sorted(epcs) if canonical_identifier(epc) not in published] == []


# Names on the ledger.


@pytest.mark.parametrize("case", SUBJECTS, ids=lambda case: case["identifier"])
def test_subject_vectors(case: dict[str, Any]) -> None:
    salt = bytes.fromhex(case["salt"])
    hashed = identifier_hash(salt, case["identifier"])
    assert hashed.hex() == case["identifier_hash"]
    identity = Identity(SubjectKind(case["kind"]), case["creator"], case["identifier"], salt)
    assert (
        identity.subject.hex() == case["subject"] == subject(SubjectKind(case["kind"]), case["creator"], hashed).hex()
    )
    assert identity.identifier == case["canonical"]


def test_subject_is_the_hash_of_the_abi_encoding() -> None:
    from eth_abi.abi import encode  # noqa: PLC0415 - the other side of this one test
    from eth_hash.auto import keccak  # noqa: PLC0415

    hashed = bytes(range(32))
    assert subject(SubjectKind.MODEL, 9, hashed) == keccak(encode(["uint8", "uint32", "bytes32"], [5, 9, hashed]))


def test_kind_creator_and_salt_each_change_the_subject() -> None:
    salt, urn = bytes(32), "urn:example:a"
    names = {
        Identity(kind, creator, name, one).subject
        for kind in SubjectKind
        for creator in (1, 2)
        for name in (urn, urn + "b")
        for one in (salt, bytes([1]) * 32)
    }
    assert len(names) == 5 * 2 * 2 * 2


def test_a_salt_is_not_shown() -> None:
    identity = Identity(SubjectKind.LOT, 1, "urn:example:a", bytes(range(32)), (bytes(range(114)),))
    for secret in (identity.salt, *identity.proofs):
        assert secret.hex() not in repr(identity)
        assert repr(secret) not in repr(identity)


@pytest.mark.parametrize(
    "arguments",
    [(0, 1, bytes(32)), (6, 1, bytes(32)), ("LOT", 1, bytes(32)), (SubjectKind.LOT, -1, bytes(32)),
     (SubjectKind.LOT, 2**32, bytes(32)), (SubjectKind.LOT, True, bytes(32)), (SubjectKind.LOT, "1", bytes(32)),
     (SubjectKind.LOT, 1, bytes(31)), (SubjectKind.LOT, 1, "0" * 32)],
)  # fmt: skip
def test_subject_refuses_what_does_not_fit(arguments: Any) -> None:
    with pytest.raises(RecordError):
        subject(*arguments)


def test_identity_refuses_bad_parts() -> None:
    with pytest.raises(IdentifierError):
        Identity(SubjectKind.LOT, 1, "A7", bytes(32))
    with pytest.raises(RecordError):
        Identity(SubjectKind.LOT, 1, "urn:example:a", b"short")
    with pytest.raises(RecordError):
        Identity(9, 1, "urn:example:a", bytes(32))  # type: ignore[arg-type]
