"""The machine board: empty, with one piece of work, with many, overlapping, outside of what is shown, with markup in
names; and what it shows to whom."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.provenance.answers import Party, RegisteredMachine
from millmark.ledger.records import LotState
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import AssignmentRow, LotRow
from millmark.services.pictures.gantt import BarTone, Gantt, draw_gantt
from millmark.services.portal.board import SPANS, MachineWork, Work, build_board
from millmark.services.portal.pages import read_catalogues
from tests.support.fake_world import CARRIER, OTHER_BUYER, SMITH
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store

NOW_S = 1_774_483_200
DAY_S = 86_400
CATALOGUE = read_catalogues()["en"]
TIMES = st.integers(NOW_S - 90 * DAY_S, NOW_S + 90 * DAY_S)


def machine(identifier: str = "urn:example:LATHE-2", owner: str = "Forge") -> RegisteredMachine:
    return RegisteredMachine(17, bytes(32), identifier, Party(3, owner), None, None, 0, 0, bytes(32))


def job(number: int, begin: int | None, end: int | None, tone: BarTone = BarTone.DONE, name: str = "order-7") -> Work:
    return Work(number, bytes([number % 256]) * 32, name, 1, tone, begin, end, NOW_S + DAY_S)


def board(*work: Work, days: int | None = None, **about: str) -> Gantt | None:
    return build_board([MachineWork(machine(**about), work, cut=False)], days, NOW_S, CATALOGUE)


JOBS = st.builds(
    lambda number, begin, length, tone: job(number, begin, None if length is None else begin + length, tone),
    st.integers(1, 255),
    TIMES,
    st.none() | st.integers(0, 3 * DAY_S),
    st.sampled_from(BarTone),
)


@given(st.lists(JOBS, min_size=1, max_size=12), st.none() | st.sampled_from(SPANS))
def test_every_bar_lies_within_the_chart_and_none_overlaps_in_its_lane(work: list[Work], days: int | None) -> None:
    chart = board(*work, days=days)
    assert chart is not None
    assert chart.first < chart.last
    assert chart.first <= NOW_S <= chart.last
    root = ElementTree.fromstring(draw_gantt(chart, "en"))  # noqa: S314 - drawn by ourselves, a moment ago
    for bar in root.findall("svg"):
        x, width = (float(bar.attrib[name].removesuffix("%")) for name in ("x", "width"))
        assert 0 <= x <= 100
        assert 0 <= width <= 100
    assert 1 <= len(chart.lanes) <= 3
    assert [lane.name for lane in chart.lanes[1:]] == [""] * (len(chart.lanes) - 1)


def test_nothing_with_a_time_is_no_chart() -> None:
    assert board() is None
    assert board(job(1, None, None, BarTone.PLANNED)) is None
    assert build_board([], None, NOW_S, CATALOGUE) is None


def test_work_that_follows_other_work_is_in_one_lane_and_work_at_once_in_several() -> None:
    after = board(job(1, NOW_S, NOW_S + 60), job(2, NOW_S + 60, NOW_S + 120))
    assert after is not None
    assert [len(lane.bars) for lane in after.lanes] == [2]
    at_once = board(*(job(number, NOW_S, NOW_S + 3600) for number in range(1, 6)))
    assert at_once is not None
    assert [len(lane.bars) for lane in at_once.lanes] == [1, 1, 3], "what has no lane left is drawn over another"


def test_a_bar_of_seconds_can_be_seen_in_weeks() -> None:
    chart = board(job(1, NOW_S - 60, NOW_S - 59), days=28)
    assert chart is not None
    [bar] = chart.lanes[0].bars
    assert bar.end - bar.start == (chart.last - chart.first) // 160
    assert bar.title == "order-7, operation 2: done, 2026-03-25 23:59 UTC to 2026-03-25 23:59 UTC"


def test_work_under_way_reaches_to_now_though_its_plan_had_it_end_before() -> None:
    for end in (NOW_S - 1800, None, NOW_S + 1800):
        chart = board(job(1, NOW_S - 3600, end, BarTone.NOW))
        assert chart is not None
        [bar] = chart.lanes[0].bars
        assert (bar.start, bar.end) == (NOW_S - 3600, max(NOW_S, end or 0))
        assert ("no end yet" in bar.title) is (end is None)


def test_failed_and_reworked_work_is_marked_by_more_than_colour() -> None:
    chart = board(job(1, NOW_S, NOW_S + 60, BarTone.FAILED), job(2, NOW_S + 60, NOW_S + 90, BarTone.REWORKED))
    assert chart is not None
    assert [bar.label for bar in chart.lanes[0].bars] == ["✕ order-7", "↻ order-7"]


def test_what_lies_outside_of_the_days_is_not_drawn() -> None:
    far = job(1, NOW_S - 20 * DAY_S, NOW_S - 19 * DAY_S), job(2, NOW_S + 20 * DAY_S, NOW_S + 21 * DAY_S)
    chart = board(*far, job(3, NOW_S, NOW_S + 60), days=7)
    assert chart is not None
    assert [[bar.start for bar in lane.bars] for lane in chart.lanes] == [[NOW_S]]


def test_a_due_date_is_marked_while_there_is_work_for_it() -> None:
    chart = board(job(1, NOW_S, NOW_S + 2 * DAY_S, BarTone.AGREED), job(2, NOW_S - 60, NOW_S, BarTone.DONE, "order-8"))
    assert chart is not None
    assert [mark.title for mark in chart.lanes[0].marks] == ["order-7 is due 2026-03-27 00:00 UTC"]
    drawn = draw_gantt(chart, "en")
    assert drawn.count('class="due"') == len(chart.lanes)
    late = board(job(1, NOW_S, NOW_S + 60, BarTone.AGREED), days=1)
    assert late is not None
    assert 'class="due"' not in draw_gantt(late, "en"), "it is due after what is shown"


def test_markup_in_names_is_text() -> None:
    work = job(1, NOW_S, NOW_S + 60, name="<b>&1")
    chart = board(work, identifier="urn:x:<script>", owner='"><img>')
    assert chart is not None
    drawn = draw_gantt(chart, "en")
    assert not re.search(r"<(b|script|img)", drawn)
    ElementTree.fromstring(drawn)  # noqa: S314 - drawn by ourselves, a moment ago


# The page


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with new_store(tmp_path) as store:
        site = Site(store)
        # The small world's blocks are of another time than the page's clock.
        now = int(time.time())
        with store.transaction() as connection:
            rows = Rows(connection)
            works = rows.find(AssignmentRow, machine=site.world.machine)
            rows.update(
                [replace(one, started_at=now - 600, ended_at=now - 300 if one.ended_at else 0) for one in works]
            )
        yield site


def bars(page: str) -> list[str]:
    return re.findall(r'<svg class="([a-z ]+)" x=', page)


@pytest.mark.parametrize(("language", "title"), [("en", "Machine board"), ("zh", "设备看板")])
def test_the_page_has_the_work_as_bars_and_as_text(site: Site, language: str, title: str) -> None:
    page = site.browser(OWNER).get(f"/portal/machines?lang={language}").text
    assert title in page
    assert bars(page) == ["done", "now"]
    assert page.count('<th scope="row"><a href="/portal/orders/') == 2
    for days in SPANS:
        assert f'href="/portal/machines?days={days}"' in page
        assert site.browser(OWNER).get(f"/portal/machines?days={days}").status_code == 200
    for odd in ("0", "-1", "9" * 30, "x"):
        assert site.browser(OWNER).get(f"/portal/machines?days={odd}").status_code == 200


def test_work_on_orders_that_the_viewer_may_not_see_is_not_there(site: Site) -> None:
    for participant, count in ((SMITH, 2), (OTHER_BUYER, 1), (CARRIER, 0)):
        page = site.browser(participant).get("/portal/machines").text
        assert len(bars(page)) == count, participant
        shown = {name for name, subject in site.world.orders.items() if subject.hex() in page}
        assert len(shown) == count


def test_work_whose_part_failed_is_marked_and_only_that(site: Site) -> None:
    """The lots of one certificate share it: the work on each of them failed."""
    with site.store.transaction() as connection:
        rows = Rows(connection)
        lot = rows.get(LotRow, site.world.lots["hip 3"])
        first, second = sorted(rows.find(AssignmentRow, machine=site.world.machine), key=lambda row: row.sequence)
        other = rows.get(LotRow, site.world.lots["rail blank"])
        assert lot is not None
        assert other is not None
        failed = site.world.certificates["hip 3"]
        state = int(LotState.QUARANTINED)
        rows.update([replace(lot, assignment=first.sequence, state=state, certificate=failed)])
        rows.update([replace(other, assignment=second.sequence, certificate=failed)])
    assert bars(site.browser(OWNER).get("/portal/machines").text) == ["failed", "failed"]
