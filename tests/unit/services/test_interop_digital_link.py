"""Digital Links with their attributes, and the code on a part."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import DigitalLink
from millmark.ledger.ids._gs1 import CHECKS, CSET82, RULES, check_digit
from millmark.services.interop.digital_link import build_part_link, build_qr_svg, read_link, read_salt
from tests.support.interop import CORPUS

GTIN = "09506000013459"
PRODUCT = f"https://example.com/01/{GTIN}"
LOGISTIC = "https://example.com/00/095060000134352011"
COUPON = "https://example.com/255/9501101530003"

ACCEPTED = {
    "a date whose day is left open": (f"{PRODUCT}?17=270200", {"17": "270200"}),
    "the leap day of a leap year": (f"{PRODUCT}?11=280229", {"11": "280229"}),
    "weight and price": (f"{PRODUCT}?3103=000195&3922=0299", {"3103": "000195", "3922": "0299"}),
    "a plus sign that is a space is no character of a lot": (f"{LOGISTIC}?400=A%2BB", {"400": "A+B"}),
    "a GTIN of 13 digits as an attribute": (
        "https://example.com/8004/9520614141234567?01=9520123456788",
        {"01": "09520123456788"},
    ),
    "unknown names and bare words": (f"{PRODUCT}?linkType=all&debug&s=1", {}),
    "countries of processing": (f"{PRODUCT}?423=276840", {"423": "276840"}),
    "delivery not before": (f"{LOGISTIC}?4324=2712312359", {"4324": "2712312359"}),
    "a place on earth": (f"{LOGISTIC}?4309=18000000003600000000", {"4309": "18000000003600000000"}),
    "a temperature below zero": (f"{LOGISTIC}?4331=001850-", {"4331": "001850-"}),
    "a signature with padding": (f"{PRODUCT}/21/A?8030=abc_-w%3D%3D", {"8030": "abc_-w=="}),
    "a roll": (f"{PRODUCT}?8001=00010000200319", {"8001": "00010000200319"}),
    "production to the minute": (f"{PRODUCT}?8008=271231235" + "9", {"8008": "2712312359"}),
    "the batch of a thing with a third party's serial number": (f"{PRODUCT}/235/T1?10=L1", {"10": "L1"}),
    "a batch and a date beside a third party's serial number": (
        f"{PRODUCT}/235/T1?17=271231&10=L%2F1",
        {"17": "271231", "10": "L/1"},
    ),
    "a coupon with a serial number": (
        f"{LOGISTIC}?8110=106141416543213150110120",
        {"8110": "106141416543213150110120"},
    ),
}

REFUSED = {
    "a month that is none": (f"{PRODUCT}?17=271301", "yymmd0"),
    "a leap day of no leap year": (f"{PRODUCT}?17=270229", "yymmd0"),
    "a date of five digits": (f"{PRODUCT}?17=27123", "is not a USE BY"),
    "a date of seven digits": (f"{PRODUCT}?17=2712311", "is not a USE BY"),
    "a day that must be told": (f"{LOGISTIC}?4326=271200", "yymmdd"),
    "an hour that is none": (f"{LOGISTIC}?4324=2712312400", "hhmi"),
    "a letter in a weight": (f"{PRODUCT}?3103=00019A", "NET WEIGHT"),
    "digits of another script": (f"{PRODUCT}?3103=%D9%A0%D9%A0%D9%A0", "NET WEIGHT"),
    "a decimal place that is not defined": (f"{PRODUCT}?3106=000195", "not a data attribute"),
    "two weights of one kind": (f"{PRODUCT}?3103=000195&3102=001950", "exclude each other"),
    "a country that is none": (f"{PRODUCT}?422=275276", "ORIGIN"),
    "an unknown country": (f"{PRODUCT}?422=001", "iso3166"),
    "a currency that is none": ("https://example.com/415/9501101530003/8020/X?3912=001100", "iso4217"),
    "a coupon beside a GTIN": (f"{COUPON}?01={GTIN}", "exclude each other"),
    "a wrong check digit in an attribute": (f"{LOGISTIC}?410=9501101530004", "check digit 4 instead of 3"),
    "an internal name that is too long": (f"{PRODUCT}?91={'A' * 91}", "INTERNAL"),
    "a character outside set 82": (f"{PRODUCT}?240=A%7EB", "ADDITIONAL ID"),
    "a space": (f"{PRODUCT}?240=A+B", "ADDITIONAL ID"),
    "a qualifier in the query": (f"{PRODUCT}?21=A", "is a qualifier of"),
    "a batch in the query beside a serial number": (f"{PRODUCT}/21/A?10=L1", "is a qualifier of"),
    "a batch in the query beside a variant": (f"{PRODUCT}/22/V?10=L1", "is a qualifier of"),
    "a batch before a third party's serial number": (f"{PRODUCT}/10/L1/235/T1", "cannot qualify"),
    "a batch after a third party's serial number": (f"{PRODUCT}/235/T1/10/L1", "cannot qualify"),
    "two serial numbers in the path": (f"{PRODUCT}/21/A/235/T1", "cannot qualify"),
    "a serial number beside a third party's": (f"{PRODUCT}/235/T1?21=A", "not a data attribute"),
    "a variant beside a third party's serial number": (f"{PRODUCT}/235/T1?22=V", "not a data attribute"),
    "a third party's serial number in the query": (f"{PRODUCT}?235=T1", "is a qualifier of"),
    "a third party's serial number twice": (f"{PRODUCT}/235/T1?235=T1", "occurs twice"),
    "a third party's serial number that is too long": (f"{PRODUCT}/235/{'T' * 29}", "third-party serial"),
    "a batch of a third party's thing that is too long": (f"{PRODUCT}/235/T1?10={'L' * 21}", "batch or lot"),
    "a GTIN of 13 digits": ("https://example.com/01/9506000013459", "with 14 digits"),
    "a GTIN of 12 digits": ("https://example.com/01/614141123452", "with 14 digits"),
    "a GTIN of 8 digits": ("https://example.com/01/95060004", "with 14 digits"),
    "a GTIN of 13 digits with a serial number": ("https://example.com/01/9506000013459/21/A", "with 14 digits"),
    "an identifier twice": (f"{PRODUCT}?17=271231&17=271231", "occurs twice"),
    "an identifier in path and query": (f"{PRODUCT}/10/A?10=A", "occurs twice"),
    "a number that is no identifier": (f"{PRODUCT}?999=1", "not a data attribute"),
    "an identifier without a value": (f"{PRODUCT}?17=", "has no value"),
    "what no link may carry": (f"{PRODUCT}?8200=x", "not a data attribute"),
    "a flag that is not yes or no": (f"{LOGISTIC}?4321=2", "yesno"),
    "north of the pole": (f"{LOGISTIC}?4309=18000000010000000000", "latitude"),
    "a temperature with a plus sign": (f"{LOGISTIC}?4331=001850%2B", "hyphen"),
    "padding inside a signature": (f"{PRODUCT}/21/A?8030=ab%3Dc", "DIGSIG"),
    "three padding characters": (f"{PRODUCT}/21/A?8030=abc%3D%3D%3D", "DIGSIG"),
    "a roll of no length": (f"{PRODUCT}?8001=00010000000319", "nonzero"),
    "a winding that is none": (f"{PRODUCT}?8001=00010000200329", "winding"),
    "a wrong IBAN": ("https://example.com/415/9501101530003/8020/X?8007=GB82WEST12345698765433", "iban"),
    "a coupon that ends early": (f"{LOGISTIC}?8110=10614141654321315011012", "couponcode"),
    "coupon fields out of order": (f"{LOGISTIC}?8110=1061414165432131501101204271231" + "3271231", "couponcode"),
    "half an escape in a name": (f"{LOGISTIC}?4300=A%252", "pcenc"),
    "two persons' names at once": ("https://example.com/8018/095060000134351984?7253=A&7256=B", "exclude each other"),
}


@pytest.mark.parametrize("says", ACCEPTED)
def test_accepted(says: str) -> None:
    text, attributes = ACCEPTED[says]
    assert dict(read_link(text).link.attributes) == attributes


@pytest.mark.parametrize("says", REFUSED)
def test_refused(says: str) -> None:
    text, reason = REFUSED[says]
    with pytest.raises(IdentifierError, match=reason):
        read_link(text)


@pytest.mark.parametrize("short", ["9506000013459", "614141123452", "95060002"])
def test_zeros_left_out_of_a_gtin_are_restored_if_asked_for(short: str) -> None:
    found = read_link(f"https://example.com/01/{short}/10/L1?17=271231", zero_suppressed=True)
    assert found.link.uri == f"https://id.gs1.org/01/{short:0>14}/10/L1"
    assert read_link(found.link.uri) == read_link(found.link.uri, zero_suppressed=True)


@pytest.mark.parametrize("other", ["9506000013458", "506000013459", "00", "095060000134591", "9506000", "00/12345"])
def test_only_zeros_are_restored(other: str) -> None:
    with pytest.raises(IdentifierError):
        read_link(f"https://example.com/01/{other}", zero_suppressed=True)


def test_what_is_needed_on_the_same_item_is_told_and_not_refused() -> None:
    assert read_link(f"{LOGISTIC}?10=A").unmet == (
        "(10) requires (01) or (02) or (03) or (8006) or (8026) on the same item",
    )
    assert read_link(f"{PRODUCT}?250=A").unmet == (
        "(250) requires (01) with (21) or (03) with (21) or (8006) with (21) on the same item",
    )
    assert read_link(f"{PRODUCT}/21/S?250=A").unmet == ()


def test_a_model_number_is_checked_by_its_two_characters() -> None:
    """The example of the GS1 General Specifications, section 7.9.5."""
    assert read_link("https://a/8013/1987654Ad4X4bL5ttr2310c2K").link.elements[0][0] == "8013"
    with pytest.raises(IdentifierError, match="check characters"):
        read_link("https://a/8013/1987654Ad4X4bL5ttr2310c2L")


@given(st.text(CSET82, min_size=4, max_size=23), st.data())
def test_one_changed_character_changes_the_check_characters(tail: str, data: st.DataObject) -> None:
    alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
    text = ("1234" + tail)[:23]
    [pair] = [one + two for one in alphabet for two in alphabet if CHECKS["csumalpha"](text + one + two)]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(CSET82.replace(text[place], "")))
    assert not CHECKS["csumalpha"](text[:place] + other + text[place + 1 :] + pair)


@given(st.text("0123456789", min_size=7, max_size=17), st.data())
def test_one_changed_digit_changes_the_check_digit(digits: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(digits) - 1))
    other = data.draw(st.sampled_from("0123456789".replace(digits[place], "")))
    assert check_digit(digits) != check_digit(digits[:place] + other + digits[place + 1 :])


# The published dictionary, read as data.


def _rows() -> Iterator[tuple[str, str]]:
    path = CORPUS / "gs1-digital-link" / "gs1-syntax-dictionary" / "gs1-syntax-dictionary.txt"
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"(\d+)(?:-(\d+))?\s+[*?]*\s+(.*?)(?:\s#|$)", line):
                first, last, rest = match.groups()
                for code in range(int(first), int(last or first) + 1):
                    yield f"{code:0{len(first)}}", rest


@pytest.mark.parametrize(("ai", "published"), [(ai, rest) for ai, rest in _rows() if ai in RULES])
def test_every_rule_is_that_of_the_dictionary(ai: str, published: str) -> None:
    rule, words = RULES[ai], published.split()
    parts = [word for word in words if "=" not in word and word != "dlpkey"]
    assert [part.startswith("[") for part in parts] == [component.optional for component in rule.components]
    assert [tuple(part.split(",")[1:]) for part in parts] == [component.checks for component in rule.components]
    for part, component in zip(parts, rule.components, strict=True):
        kind, least, most = re.match(r"\[?([NXYZ])(\.\.)?(\d+)", part).groups()  # type: ignore[union-attr]
        sample = {"N": "1", "X": "a", "Y": "A", "Z": "_"}[kind]
        assert bool(component.pattern.fullmatch(sample)) == (least is not None or most == "1")
        assert component.pattern.fullmatch(sample * int(most))
        assert not component.pattern.fullmatch(sample * (int(most) + 1))
        assert not component.pattern.fullmatch({"N": "A", "X": "~", "Y": "a", "Z": "."}[kind] * int(most))
    needs = {word[4:] for word in words if word.startswith("req=")}
    assert {",".join("+".join(way) for way in rule.requires)} - {""} == needs
    assert {",".join(rule.excludes)} - {""} == {word[3:] for word in words if word.startswith("ex=")}


# The code on a part.


@given(st.binary(min_size=32, max_size=32))
def test_the_salt_rides_in_the_link_and_not_in_the_identifier(salt: bytes) -> None:
    link = DigitalLink((("01", GTIN), ("21", "A/1")))
    text = build_part_link(link, salt, base_url="https://parts.example.com/p/")
    assert read_salt(text) == salt
    assert read_link(text).link.uri == link.uri
    assert salt.hex() not in text


def test_a_link_without_salt_has_none() -> None:
    assert read_salt(PRODUCT) is None
    assert read_salt(f"{PRODUCT}#?salt=x") is None


@pytest.mark.parametrize(
    "value", ["", "A", "A" * 42, "A" * 44, "A" * 42 + "B", "A" * 42 + "%3D", "A" * 43 + "&salt=" + "A" * 43]
)
def test_a_salt_that_is_not_32_bytes_is_refused(value: str) -> None:
    with pytest.raises(IdentifierError):
        read_salt(f"{PRODUCT}?salt={value}")


@pytest.mark.parametrize("base", ["ftp://a", "https://a?x=", "https://a#", "https://u:p@a", ""])
def test_a_host_that_changes_the_link_is_refused(base: str) -> None:
    with pytest.raises(IdentifierError):
        build_part_link(DigitalLink((("01", GTIN),)), bytes(32), base_url=base)


def test_the_code_is_plain_svg() -> None:
    svg = build_qr_svg(build_part_link(DigitalLink((("01", GTIN),)), bytes(range(32))))
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own output
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "g", "path", "title"}


def test_a_link_too_long_for_a_code_is_refused() -> None:
    with pytest.raises(IdentifierError, match="too long"):
        build_qr_svg("https://a/" + "x" * 3000)


def test_the_report_is_json() -> None:
    report = json.loads(json.dumps(read_link(f"{PRODUCT}/10/L1?17=271231").to_json()))
    assert report == {
        "ai": {"01": GTIN, "10": "L1", "17": "271231"},
        "canonical": f"https://id.gs1.org/01/{GTIN}/10/L1",
        "unmet": [],
    }
    assert list(report["ai"]) == ["01", "10", "17"]


def test_the_vectors_refuse_more_than_they_accept() -> None:
    assert len(REFUSED) > 2 * len(ACCEPTED)
