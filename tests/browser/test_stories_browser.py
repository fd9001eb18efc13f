"""A carrier's day in a real Chromium: a lot is taken over from the work list, and handed on, to the final records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ledger.records import LotState
from ledger.store import Rows
from ledger.store.rows import LotRow
from services.access.people.roles import PersonRole
from services.access.signin import session_cookie
from tests.browser.test_portal_browser import open_context
from tests.support.axe import find_violations
from tests.support.looking import CONTRAST, CUT_OFF, NAMELESS, SMALL_TARGETS, run_list
from tests.support.patience import wait_until
from tests.support.portal_world import PortalWorld, serve_world

pytestmark = pytest.mark.browser

CARRIER = "Swift Freight"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """The carrier's gateway; passkeys need this host."""
    with serve_world(tmp_path_factory.mktemp("carrier"), host="localhost", owner=CARRIER, acting=True) as world:
        yield world


@pytest.fixture(params=[("en", 390), ("zh", 1280)], ids=["en-390", "zh-1280"])
def seat(request: pytest.FixtureRequest, world: PortalWorld, chromium: Browser) -> Iterator[tuple[BrowserContext, str]]:
    """Somebody's browser, and the language that they read."""
    language, width = request.param
    context = open_context(chromium, locale="en-GB", viewport={"width": width, "height": 844})
    yield context, language
    context.close()


def enter(context: BrowserContext, world: PortalWorld, role: PersonRole) -> None:
    token = world.session(world.company(CARRIER), f"Mei {role}", role)
    context.add_cookies([{"name": session_cookie(secure=False), "value": token, "url": world.origin}])


def look(page: Page) -> None:
    """Nothing sticks out, is too pale, too small or without a name, and axe-core finds nothing."""
    page.wait_for_load_state()
    expect(page.locator("footer")).to_be_visible()
    for script in (CONTRAST, NAMELESS, SMALL_TARGETS, CUT_OFF):
        assert run_list(page, script) == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    assert find_violations(page) == [], page.url


def lot_of(world: PortalWorld, subject: bytes) -> LotRow:
    with world.store.reading() as connection:
        row = Rows(connection).get(LotRow, subject)
    assert row is not None
    return row


def confirm(page: Page) -> None:
    """From the summary to the final record, which the page shows by itself."""
    look(page)
    page.locator('form[action$="/confirm"] button[type=submit]').first.click()
    expect(page.locator(".way li.done")).to_have_count(4)
    look(page)


def test_a_carrier_accepts_what_was_offered_and_hands_it_on(
    seat: tuple[BrowserContext, str], world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    context, language = seat
    giver, taker = world.company("Cedar Assembly"), world.company("Nordwind Mobility")
    name = f"CRATE-{request.node.callspec.id}"
    subject = world.offer_lot(giver.name, CARRIER, f"urn:example:{name}")
    wait_until(lambda: is_offered(world, subject))
    enter(context, world, PersonRole.RECORDER)
    page = context.new_page()
    page.goto(f"{world.origin}/portal?lang={language}")
    task = page.locator("ol.work > li").filter(has_text=name)
    expect(task).to_contain_text(giver.name)
    look(page)
    task.locator('a[href^="/portal/act/acceptCustody"]').click()
    expect(page.locator("main")).to_contain_text(name)
    confirm(page)
    assert lot_of(world, subject).custodian == world.company(CARRIER).number
    page.goto(f"{world.origin}/portal")
    expect(page.locator("ol.work > li").filter(has_text=name)).to_have_count(0)
    page.goto(f"{world.origin}/portal/lots/{subject.hex()}")
    look(page)
    page.locator('main a[href^="/portal/act/offerCustody"]').click()
    page.locator("select[name=to]").select_option(str(taker.number))
    look(page)
    page.locator('main form[action^="/portal/act/"] button[type=submit]').last.click()
    confirm(page)
    assert is_offered(world, subject)


def is_offered(world: PortalWorld, subject: bytes) -> bool:
    with world.store.reading() as connection:
        row = Rows(connection).get(LotRow, subject)
    return row is not None and row.state == LotState.OFFERED
