"""Things of one kind are many: their names are put together from what is known of the kind, and come out the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.services.interop.epcis import tree

_LINK = "https://id.gs1.org"
_GTIN = "01/09506000134552"


@pytest.mark.parametrize(
    "head",
    [
        "urn:epc:id:sgtin:9506000.001345.",
        "urn:epc:id:sgtin:95060.001345.",
        "urn:epc:id:sgtin:9506000.0013.45.",
        "urn:epc:id:itip:9506000.001345.01.02.",
        "urn:epc:id:upui:9506000.001345.",
        "urn:epc:id:sgln:9506000.00001.",
        "urn:epc:id:cpi:9506000.12.",
        "urn:epc:id:grai:9506000.00001.",
        "urn:epc:id:gdti:9506000.00001.",
        "urn:epc:id:giai:9506000.",
        f"{_LINK}/{_GTIN}/21/",
        f"{_LINK}/{_GTIN}/21/21/",
        f"{_LINK}/{_GTIN}/21/A?10=/21/",
        f"{_LINK}/{_GTIN}/21/A#/21/",
        f"{_LINK}/01/9506000134552/21/",
        f"{_LINK}/8006/095060001345520102/21/",
        f"{_LINK}/414/9506000000010/21/",
        f"https://example.com/a/{_GTIN}/10/L1/21/",
        f"https://example.com/{_GTIN}/22/V/21/",
        "https://example.com/21/",
    ],
)
@settings(max_examples=40, deadline=None)
@given(serial=st.text("0123456789ABCxyz_-", min_size=1, max_size=22) | st.text("A.%2F/?#* é", min_size=1, max_size=4))
def test_a_numbered_thing_is_called_as_if_its_kind_were_new(head: str, serial: str) -> None:
    assert tree.canonical_value(head + serial) == tree._canonical(head + serial)


def test_a_kind_is_known_after_its_first_thing() -> None:
    known = tree._stem("urn:epc:id:sgtin:9506000.001345.")
    assert known == f"{_LINK}/01/09506000013459/21/"
    assert tree.canonical_value("urn:epc:id:sgtin:9506000.001345.A1") == f"{known}A1"


@pytest.mark.parametrize(
    ("written", "hashed"),
    [
        ("https://id.gs1.org/gtin/09780345418913", "01/09780345418913"),
        ("https://example.com/gtin/09780345418913/21/765tz?abc=211121", "01/09780345418913/21/765tz"),
        ("http://us.example.com/01/001122334455/ser/GHB", "01/00001122334455/21/GHB"),
        ("https://ean-13.example/gtin/4012345123456/ser/ABC524", "01/04012345123456/21/ABC524"),
        ("http://id.gs1.org/gtin/9780345418913", "01/09780345418913"),
        ("https://id.gs1.org/gtin/9780345418913/cpv/344/lot/1223/ser/765tz", "01/09780345418913/21/765tz"),
        ("https://id.gs1.org/gtin/9780345418913/cpv/344", "01/09780345418913"),
        ("http://example.de/01/040123451234/cpv/344/lot/ABD", "01/00040123451234/10/ABD"),
        ("https://id.gs1.org/itip/123456789101100190/cpv/ABCD", "8006/123456789101100190"),
        ("http://fashion.example/itip/040123451234560102/ser/ABC145", "8006/040123451234560102/21/ABC145"),
        ("https://example.co.uk/party/4226350800008", "417/4226350800008"),
        ("https://example.com/x/sscc/340123453111111115", "00/340123453111111115"),
        ("https://example.com/gtin/09780345418913/lot/ser", "01/09780345418913/10/ser"),
        ("https://example.com/lot/7/gtin/09780345418913/lot/gtin", "01/09780345418913/10/gtin"),
    ],
)
def test_convenience_names_are_hashed_as_their_identifiers(written: str, hashed: str) -> None:
    """The first eleven are cases of the reference implementation of the event hash."""
    assert tree.canonical_value(written) == f"{_LINK}/{hashed}"


@pytest.mark.parametrize(
    "path",
    [
        *("gtin/", "gtin", "Gtin/09780345418913", "gtin/097803454189131", "gtin/97803454189", "ser/1", "lot/7/ser/1"),
        *("gtin/09780345418913/ser/1/lot/2", "gtin/09780345418913/name/1", "sscc/34012345311111111"),
        *("gln/4226350800008/ser/1", "gtin/09780345418913/ser", "gtin/09780345418913/gtin/09780345418913/ser/%2"),
    ],
)
def test_what_only_resembles_a_named_key_is_hashed_as_it_is(path: str) -> None:
    text = f"https://example.com/{path}"
    assert tree.canonical_value(text) == text
