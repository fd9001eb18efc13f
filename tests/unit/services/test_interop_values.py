"""Things of one kind are many: their names are put together from what is known of the kind, and come out the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.interop.epcis import values

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
    assert values.canonical_value(head + serial) == values._canonical(head + serial)


def test_a_kind_is_known_after_its_first_thing() -> None:
    known = values._stem("urn:epc:id:sgtin:9506000.001345.")
    assert known == f"{_LINK}/01/09506000013459/21/"
    assert values.canonical_value("urn:epc:id:sgtin:9506000.001345.A1") == f"{known}A1"
