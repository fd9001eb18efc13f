"""The style sheets are safe for languages that are written from right to left: no property names a side of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[3] / "services"
SHEETS = ("portal/assets/portal.css", "check/page/check.css")
SIDED = re.compile(
    r"(?<![\w-])(?:left|right|(?:margin|padding|border|scroll-margin|inset)-(?:left|right)[\w-]*"
    r"|border-(?:top|bottom)-(?:left|right)-radius)\s*:"
    r"|(?:text-align|float|clear)\s*:\s*(?:left|right)"
)
FOUR = re.compile(r"(?<![\w-])(?:margin|padding|inset)\s*:\s*([^;{}]+);")
CORNERS = re.compile(r"(?<![\w-])border-radius\s*:\s*([^;{}]+);")


@pytest.mark.parametrize("name", SHEETS)
def test_no_property_names_a_side(name: str) -> None:
    assert SIDED.findall((SERVICES / name).read_text()) == []


@pytest.mark.parametrize("name", SHEETS)
def test_left_and_right_of_a_shorthand_are_alike(name: str) -> None:
    found = [one.split() for one in FOUR.findall((SERVICES / name).read_text())]
    assert [one for one in found if len(one) == 4 and one[1] != one[3]] == []
    corners = [one.split() for one in CORNERS.findall((SERVICES / name).read_text())]
    assert [one for one in corners if len(one) == 4 and (one[0], one[2]) != (one[1], one[3])] == []


@pytest.mark.parametrize("wrong", ["a { left: 1px; }", "a{margin-left:2px}", "p { text-align: right; }"])
def test_what_names_a_side_is_found(wrong: str) -> None:
    assert SIDED.search(wrong)
