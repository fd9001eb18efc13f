"""Drawings of measured windows and of control charts: of nothing, of one value, of equal, many and huge ones."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.quality.inference import MAX_FIXED
from millmark.services.pictures.plot import Line, Plot, draw_plot, draw_window

NASTY = "<b>\"&'</b>"


def parse(svg: str) -> Element:
    return fromstring(svg)  # noqa: S314  # our own


def points(svg: str) -> list[tuple[float, float]]:
    path = parse(svg).find("path")
    assert path is not None
    return [(float(x), float(y)) for x, y in re.findall(r"(-?\d+) (-?\d+)", path.attrib["d"])]


def test_an_empty_window_has_no_line() -> None:
    assert parse(draw_window((), NASTY)).find("path") is None


@pytest.mark.parametrize("values", [(7,), (7, 7, 7), (0,) * 5000])
def test_a_constant_window_is_level(values: tuple[int, ...]) -> None:
    assert 'd="M0 30H300"' in draw_window(values, "level")


def test_a_window_is_drawn_from_its_least_to_its_greatest_value() -> None:
    assert points(draw_window((0, 10, 5), "rising", 10)) == [(0, 57), (10, 3), (20, 30)]


def test_no_spike_of_a_long_window_is_lost_and_the_drawing_stays_small() -> None:
    values = [0] * 4096
    values[2500], values[2501] = MAX_FIXED, -MAX_FIXED
    svg = draw_window(values, "spike")
    assert {3, 57} <= {y for _, y in points(svg)}
    assert len(svg) < 5_000


@given(st.lists(st.integers(-MAX_FIXED, MAX_FIXED), max_size=700))
def test_every_window_stays_in_its_frame(values: list[int]) -> None:
    svg = draw_window(values, NASTY)
    parse(svg)
    if len(set(values)) > 1:
        drawn = points(svg)
        assert all(0 <= x <= 300 and 3 <= y <= 57 for x, y in drawn)
        assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)


def plot(values: tuple[float, ...], **lines: float) -> Plot:
    made = tuple(Line("limit", label, (at,) * len(values)) for label, at in lines.items())
    return Plot(NASTY, NASTY, values, made, frozenset({0}), "chart")


def test_a_plot_of_nothing_says_so_without_a_line() -> None:
    svg = parse(draw_plot(plot(()), "en"))
    assert [one.tag for one in svg] == ["title", "desc"]
    assert svg[0].text == NASTY


def test_marked_points_are_told_by_shape_too() -> None:
    svg = draw_plot(plot((1.0, 2.0, 3.0), upper=2.5, lower=0.5), "en")
    assert svg.count('<circle class="marked"') == 1
    assert svg.count('r="2"') == 3
    parse(svg)


def test_labels_of_close_lines_do_not_overlap() -> None:
    svg = draw_plot(plot((0.0, 100.0), one=50.0, two=50.1, three=50.2), "en")
    heights = sorted(int(y) for y in re.findall(r'<text[^>]* y="(\d+)"', svg))
    assert all(after - before >= 11 for before, after in pairwise(heights))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=60))
def test_every_plot_stays_in_its_frame(values: list[float]) -> None:
    svg = draw_plot(plot(tuple(values), upper=max(values), lower=min(values)), "zh")
    parse(svg)
    drawn = [(int(x), int(y)) for x, y in re.findall(r'<circle cx="(-?\d+)" cy="(-?\d+)"', svg)]
    assert len(drawn) == len(values)
    assert all(0 <= x <= 340 and 0 <= y <= 120 for x, y in drawn)
