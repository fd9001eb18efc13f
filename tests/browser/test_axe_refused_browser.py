"""Pages that refuse: what is for others, a form that is too old or that a change overtook, and too many requests. In
both colour schemes and languages, axe-core finds nothing on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import session_cookie
from millmark.services.gateway import Rates
from tests.browser.test_portal_browser import open_context
from tests.browser.test_stories_browser import look
from tests.support.looking import find_violations
from tests.support.patience import wait_until
from tests.support.portal_world import PortalWorld, serve_beside, serve_world

pytestmark = pytest.mark.browser

OWNER, GIVER = "Cedar Assembly", "Nordwind Mobility"
BUSY = Rates(participant=0.2, anonymous=1e6)
"""One page in some seconds; styles and sign-in are nobody's."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    with serve_world(tmp_path_factory.mktemp("refused"), owner=OWNER, acting=True) as world:
        yield world


@pytest.fixture(scope="module")
def busy(world: PortalWorld) -> Iterator[str]:
    """Another gateway of the company, which takes few requests."""
    with serve_beside(world, OWNER, rates=BUSY) as origin:
        yield origin


@pytest.fixture(params=[("en", 390), ("zh", 1280)], ids=["en-390", "zh-1280"])
def seat(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[tuple[BrowserContext, str]]:
    language, width = request.param
    context = open_context(chromium, locale="en-GB", viewport={"width": width, "height": 844})
    yield context, language
    context.close()


def enter(context: BrowserContext, world: PortalWorld, role: PersonRole, origin: str) -> None:
    token = world.session(world.company(OWNER), f"Mei {role}", role)
    context.add_cookies([{"name": session_cookie(origin), "value": token, "url": origin}])


def look_twice(page: Page) -> None:
    """By day and in the dark."""
    look(page)
    page.emulate_media(color_scheme="dark")
    assert find_violations(page) == [], f"{page.url} in the dark"
    page.emulate_media(color_scheme="light")


def test_what_is_for_others_looks_like_what_does_not_exist(
    seat: tuple[BrowserContext, str], world: PortalWorld
) -> None:
    context, language = seat
    enter(context, world, PersonRole.READER, world.origin)
    page = context.new_page()
    for path in ("portal/people", "portal/consortium/1/suspend", "portal/nothing"):
        answer = page.goto(f"{world.origin}/{path}?lang={language}")
        assert answer is not None
        assert answer.status == 404
        look_twice(page)


def test_too_many_requests_are_told_in_words(seat: tuple[BrowserContext, str], world: PortalWorld, busy: str) -> None:
    context, language = seat
    enter(context, world, PersonRole.RECORDER, busy)
    page, refused = context.new_page(), None
    while refused is None:
        answer = page.goto(f"{busy}/portal/orders?lang={language}")
        assert answer is not None
        refused = None if answer.ok else answer
    assert (refused.status, int(refused.headers["retry-after"]) > 0) == (429, True)
    expect(page.get_by_role("heading", level=1)).to_have_text(
        {"en": "Too many requests at once", "zh": "请求过于频繁"}[language]
    )
    look_twice(page)


def test_a_form_that_a_change_overtook_says_so_and_offers_nothing(
    seat: tuple[BrowserContext, str], world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    context, language = seat
    subject = world.offer_lot(GIVER, OWNER, f"urn:example:LATE-{request.node.callspec.id}").hex()
    enter(context, world, PersonRole.RECORDER, world.origin)
    first, second = context.new_page(), context.new_page()
    path = f"{world.origin}/portal/act/acceptCustody?subject={subject}&lang={language}"
    wait_until(lambda: _is_there(first, path))
    second.goto(f"{world.origin}/portal/act/declineCustody?subject={subject}")
    first.locator('form[action$="/confirm"] button[type=submit]').first.click()
    expect(first.locator(".way li.done")).to_have_count(4)
    second.locator("textarea").fill("too late")
    with second.expect_navigation() as left:
        second.locator('main form[action^="/portal/act/"] button[type=submit]').last.click()
    assert left.value.status == 409
    expect(second.locator("main form")).to_have_count(0)
    look_twice(second)


def _is_there(page: Page, path: str) -> bool:
    answer = page.goto(path)
    return answer is not None and answer.status == 200


def test_a_form_that_is_too_old_is_refused(seat: tuple[BrowserContext, str], world: PortalWorld) -> None:
    context, language = seat
    enter(context, world, PersonRole.ADMINISTRATOR, world.origin)
    page = context.new_page()
    page.goto(f"{world.origin}/portal/people?lang={language}")
    form = page.locator("form:has(#name)")
    form.locator('input[name="token"]').evaluate("one => { one.value = 'old'; }")
    form.locator("#name").fill("Ana")
    form.locator("#role").select_option("reader")
    with page.expect_navigation() as left:
        form.locator("button[type=submit]").click()
    assert left.value.status == 400
    look_twice(page)
