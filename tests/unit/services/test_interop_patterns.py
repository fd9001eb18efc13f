"""EPC patterns against the EPCs that they are of, in every scheme."""

from __future__ import annotations

import sqlite3

import pytest

from millmark.ledger.errors import IdentifierError
from millmark.services.interop.epcis.event_queries import SCHEMES, QueryTooComplexError, parse_pattern, parse_query
from millmark.services.interop.epcis.tree import canonical_value

EPCS = {
    "sgtin": "9506000.013435.A1",
    "upui": "9506000.013435.A1",
    "sscc": "9506000.0000000001",
    "sgln": "9506000.00001.X1",
    "pgln": "9506000.00001",
    "grai": "9506000.01234.A%2FB",
    "gdti": "9506000.00001.5",
    "sgcn": "9506000.00001.5",
    "giai": "9506000.ab_c",
    "ginc": "9506000.X1",
    "gsin": "9506000.000000001",
    "gsrn": "9506000.0000000001",
    "gsrnp": "9506000.0000000001",
    "cpi": "9506000.AB-1.5",
    "itip": "9506000.013435.01.03.A1",
}
TWO_FIELDS = {name for name, epc in EPCS.items() if epc.count(".") == 1}


def fits(pattern: str, value: str, *, kinds: bool = False) -> bool:
    """As a database says."""
    like = parse_pattern(f"urn:epc:idpat:{pattern}", kinds=kinds)
    with sqlite3.connect(":memory:") as connection:
        query = "SELECT ? LIKE ? ESCAPE '\\' AND substr(?1, 1, ?) = ?"
        given = (value, like.pattern, len(like.start), like.start)
        return bool(connection.execute(query, given).fetchone()[0])


def key(scheme: str, body: str) -> str:
    return canonical_value(f"urn:epc:id:{scheme}:{body}")


def opened(body: str, fields: int) -> str:
    """With that many fields open, from the right."""
    parts = body.split(".")
    return ".".join([*parts[: len(parts) - fields], *["*"] * fields])


def test_every_scheme_is_tried() -> None:
    assert EPCS.keys() == set(SCHEMES)


@pytest.mark.parametrize("scheme", EPCS)
def test_a_pattern_fits_what_it_is_of_and_nothing_else(scheme: str) -> None:
    body = EPCS[scheme]
    for fields in range(1, body.count(".") + 2):
        pattern = f"{scheme}:{opened(body, fields)}"
        assert fits(pattern, key(scheme, body)), pattern
        others = [key(other, EPCS[other]) for other in EPCS if other != scheme]
        assert not any(fits(pattern, other) for other in others), pattern
        company = key(scheme, body.replace("9506000", "9506001", 1))
        assert fits(pattern, company) is (fields == body.count(".") + 1), pattern


@pytest.mark.parametrize("scheme", sorted(EPCS.keys() - TWO_FIELDS))
def test_the_kind_counts_until_it_is_open(scheme: str) -> None:
    company, kind, *rest = EPCS[scheme].split(".")
    other = key(scheme, ".".join([company, kind.replace("1", "2"), *rest]))
    opened_rest = ".".join("*" for _ in rest)
    assert not fits(f"{scheme}:{company}.{kind}.{opened_rest}", other)
    assert fits(f"{scheme}:{company}.*.{opened_rest}", other)


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [("01.03.*", False), ("02.03.*", True), ("02.*.*", True), ("01.*.*", False), ("*.*.*", True)],
)
def test_the_piece_counts_until_it_is_open(pattern: str, fitting: bool) -> None:
    assert fits(f"itip:9506000.013435.{pattern}", key("itip", "9506000.013435.02.03.A1")) is fitting


@pytest.mark.parametrize(
    "body", ["013435.04.03.*", "013435.1.3.*", "013435.*.03.*", "013435.*", "013435.*.*", "*.01.03.*"]
)
def test_a_piece_that_is_none_is_refused(body: str) -> None:
    with pytest.raises(IdentifierError):
        parse_pattern(f"urn:epc:idpat:itip:9506000.{body}", kinds=False)


def test_a_place_without_extension_is_one_of_them() -> None:
    assert fits("sgln:9506000.00001.*", key("sgln", "9506000.00001.0"))


def test_kinds_of_things_are_found_without_serial_numbers() -> None:
    kind = canonical_value("urn:epc:idpat:sgtin:9506000.013435.*")
    assert fits("sgtin:9506000.013435.*", kind, kinds=True)
    assert fits("sgtin:9506000.*.*", kind, kinds=True)
    assert not fits("sgtin:9506000.*.*", kind)
    assert not fits("sgtin:9506000.*.*", key("sgtin", EPCS["sgtin"]), kinds=True)


@pytest.mark.parametrize(
    "value", ["https://id.gs1.org/01/1/21/A", "HTTPS://ID.GS1.ORG/01/09506000134352/21/A1", "", "%"]
)
def test_what_only_looks_alike_is_not_found(value: str) -> None:
    assert not fits("sgtin:*.*.*", value)


@pytest.mark.parametrize(
    "pattern",
    [
        "", "sgtin", "sgtin:", "sgtin:*", "sgtin:*.*", "sgtin:*.*.*.*", "sgtin:9506000.*.A1", "sgtin:*.013435.*",
        "sgtin:9506000.013435.A1", "sgtin:%.*.*", "sgtin:_______.*.*", "sgtin:95060.*.*", "sgtin:9506000.0134350.*",
        "sgtin:9506000.01343_.*", "SGTIN:9506000.*.*", "gid:*.*.*", "itip:9506000.*.*.*", "sscc:*.*.*", "giai:*.",
        "cpi:9506000..*", "sgtin:9506000.٠١٣٤٣٥.*",
    ],
)  # fmt: skip
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(IdentifierError):
        parse_pattern(f"urn:epc:idpat:{pattern}", kinds=False)


def test_a_question_has_few_patterns_however_they_are_spread() -> None:
    """Each looks at all that is known of its field."""
    some = "|".join(f"urn:epc:idpat:sgtin:9506000.01343{digit}.*" for digit in range(4))
    parse_query([("MATCH_epc", f"{some}|urn:x:y")], most_per_page=10, per_page=10)
    for more in (
        [("MATCH_epc", f"{some}|urn:epc:idpat:sscc:9506000.*")],
        [("MATCH_epc", some), ("MATCH_parentID", "urn:epc:idpat:sscc:*.*")],
    ):
        with pytest.raises(QueryTooComplexError, match="at most 4 patterns"):
            parse_query(more, most_per_page=10, per_page=10)
