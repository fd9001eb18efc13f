"""Times in a real Chromium: in the reader's own zone and named so, with UTC as the title; in UTC without scripts, on
paper as on the screen; on passports, pages that follow records, and the page that verifies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect

from tests.browser.test_live_browser import receive
from tests.browser.test_portal_browser import open_context, sign_in, watch
from tests.support.check_page import build_page
from tests.support.looking import CONTRAST, CUT_OFF, find_violations, run_list
from tests.support.portal_world import PortalWorld, serve_world

pytestmark = pytest.mark.browser
UTC = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC")
LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC\+08:00")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """A gateway that offers the page that verifies."""
    folder = tmp_path_factory.mktemp("portal")
    build_page(folder / "page")
    with serve_world(folder, folder / "page") as world:
        yield world


@pytest.fixture
def reader(request: pytest.FixtureRequest, world: PortalWorld, chromium: Browser) -> Iterator[BrowserContext]:
    """Somebody in Shanghai. The world comes first: beside the browser, no other event loop can run."""
    language, width = request.param
    viewport: ViewportSize = {"width": width, "height": 844}
    context = open_context(chromium, locale="en-GB", viewport=viewport, timezone_id="Asia/Shanghai")
    context.add_cookies([{"name": "millmark-language", "value": language, "url": world.origin}])
    yield context
    context.close()


_REST = [pytest.param(view, marks=pytest.mark.left_out) for view in (("zh", 390), ("en", 1280))]
EACH = pytest.mark.parametrize("reader", [("en", 390), ("zh", 1280), *_REST], indirect=True)
BOTH = pytest.mark.parametrize("reader", [("en", 390), ("zh", 1280)], indirect=True)


def check_times(times: Locator) -> None:
    """Each is local, the same moment as its title, and the same as its machine-readable one."""
    expect(times.first).to_have_text(LOCAL)
    for one in times.all():
        text, title, told = (one.text_content() or ""), one.get_attribute("title"), one.get_attribute("datetime")
        assert LOCAL.fullmatch(text), text
        assert title is not None
        assert UTC.fullmatch(title), title
        moments = (text.replace(" UTC", ""), title.replace(" UTC", "+00:00"))
        local, utc = (datetime.fromisoformat(one) for one in moments)
        assert local == utc
        assert told is not None
        assert told.startswith(title[:16].replace(" ", "T"))


@EACH
def test_a_passport_tells_the_readers_time(reader: BrowserContext, world: PortalWorld) -> None:
    page = reader.new_page()
    complaints = watch(page)
    page.goto(world.code())
    check_times(page.locator("time"))
    assert complaints == []
    assert not run_list(page, CONTRAST)
    assert not run_list(page, CUT_OFF)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert find_violations(page) == []
    page.emulate_media(media="print")
    expect(page.locator("time").first).to_have_text(LOCAL)


def test_without_scripts_times_are_in_utc(chromium: Browser, world: PortalWorld) -> None:
    with open_context(chromium, timezone_id="Asia/Shanghai", java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(world.code())
        for one in page.locator("time").all():
            assert UTC.fullmatch(one.text_content() or "")
            assert one.get_attribute("title") is None


@pytest.mark.parametrize(
    ("zone", "told"), [("UTC", "UTC"), ("Asia/Kolkata", "UTC\\+05:30"), ("America/St_Johns", "UTC-0[23]:30")]
)
def test_the_zone_is_named_by_its_distance(chromium: Browser, world: PortalWorld, zone: str, told: str) -> None:
    with open_context(chromium, timezone_id=zone) as context:
        page = context.new_page()
        page.goto(world.code())
        expect(page.locator("time").first).to_have_text(re.compile(rf"\d\d:\d\d(:\d\d)? {told}$"))


@BOTH
def test_a_page_that_follows_records_keeps_the_readers_time(
    reader: BrowserContext, world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    language, width = request.node.callspec.params["reader"]
    page = reader.new_page()
    page.goto(world.origin + "/portal/sign-in?lang=en")
    sign_in(page, world, "Cedar Assembly")
    with page.expect_response(re.compile("/portal/events")):
        page.goto(f"{world.origin}/portal/lots?lang={language}")
    check_times(page.locator("main time"))
    page.evaluate("window.same = true")
    name = f"TIMED-{width}"
    receive(world, name)
    expect(page.get_by_role("link", name=name)).to_be_visible()
    assert page.evaluate("window.same") is True
    check_times(page.locator("main time"))


@BOTH
def test_the_check_tells_the_readers_time_and_shows_its_verdict(reader: BrowserContext, world: PortalWorld) -> None:
    page = reader.new_page()
    page.goto(world.code())
    page.locator("a[href^='/check/#']").click()
    see_verdict(page)
    check_times(page.locator("#result time"))
    assert find_violations(page) == []
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator("#go").click()
    expect(page.locator("#state")).to_be_empty()
    see_verdict(page)


def see_verdict(page: Page) -> None:
    """It is on the screen, and is what a screen reader reads next."""
    verdict = page.locator("#result .badge-title")
    expect(verdict).to_be_focused()
    expect(verdict).to_be_in_viewport(ratio=1)
