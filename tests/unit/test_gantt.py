"""The Gantt chart of a plan: whatever the plan, it is well-formed, complete, and within its bounds."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from millmark.services.pictures.gantt import Bar, BarTone, Gantt, Lane, Tick, draw_gantt

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12).filter(
    lambda text: "\ufffe" not in text and "\uffff" not in text
)
BARS = st.builds(
    lambda start, length, label, title, tone, moved: Bar(start, start + length, label, title, tone, moved),
    st.integers(-5, 60),
    st.integers(1, 30),
    TEXTS,
    TEXTS,
    st.sampled_from(BarTone),
    st.booleans(),
)
CHARTS = st.builds(
    lambda lanes, title, summary, now: Gantt(title, summary, 0, 48, tuple(lanes), (Tick(0, "a"), Tick(48, "b")), now),
    st.lists(st.builds(lambda name, bars: Lane(name, tuple(bars)), TEXTS, st.lists(BARS, max_size=4)), max_size=4),
    TEXTS,
    TEXTS,
    st.none() | st.integers(-3, 60),
)


@given(CHARTS)
def test_every_bar_is_drawn_within_the_chart_with_its_title(chart: Gantt) -> None:
    root = ElementTree.fromstring(draw_gantt(chart, "en"))  # noqa: S314 - drawn by ourselves, a moment ago
    bars = root.findall("svg")
    assert [bar.findtext("title") for bar in bars] == [bar.title for lane in chart.lanes for bar in lane.bars]
    for bar in bars:
        x, width = (float(bar.attrib[name].removesuffix("%")) for name in ("x", "width"))
        assert 0 <= x <= 100
        assert 0 <= width <= 100


def test_a_bar_begins_where_its_slot_begins_and_is_as_long_as_it_takes() -> None:
    bar = Bar(12, 24, "7", "order 7, operation 2: done", BarTone.DONE, moved=True)
    drawn = draw_gantt(Gantt("plan", "one row", 0, 48, (Lane("LATHE-2", (bar,)),), ()), "en")
    assert re.search(r'<svg class="done moved" x="25.00%" y="\d+" width="25.00%"', drawn)


def test_the_present_is_drawn_only_while_the_plan_runs() -> None:
    assert 'class="present" x1="50.00%"' in draw_gantt(Gantt("plan", "", 0, 48, (), (), now=24), "en")
    assert "present" not in draw_gantt(Gantt("plan", "", 0, 48, (), (), now=49), "en")
