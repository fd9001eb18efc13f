"""Open pages follow the chain's records in a real Chromium: without a reload, without losing the focus or what was
written; and they say when the session is over."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.records import ReceiveLot
from millmark.services.access.repository import AccessRepository
from millmark.services.demo.consortium import hash_of
from tests.browser.test_portal_browser import open_context, sign_in, watch
from tests.support.portal_world import PortalWorld

pytestmark = pytest.mark.browser
OWNER = "Cedar Assembly"


@pytest.fixture(params=[("en", 390), ("zh", 1280)], ids=["en-390", "zh-1280"])
def page(request: pytest.FixtureRequest, world: PortalWorld, chromium: Browser) -> Iterator[Page]:
    language, width = request.param
    context = open_context(chromium, locale="en-GB", viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(world.origin + "/portal/lots")
    sign_in(page, world, OWNER)
    page.goto(f"{world.origin}/portal/lots?lang={language}")
    yield page
    context.close()


def receive(world: PortalWorld, name: str) -> Identity:
    """A lot that comes from outside, recorded and indexed."""
    consortium, owner = world.line.consortium, world.company(OWNER)
    identity = consortium.name(SubjectKind.LOT, owner, f"urn:example:{name}")
    claims = consortium.document(owner, {"note": name})
    consortium.record(owner, [ReceiveLot(hash_of(identity), 1, b"H87", claims)])
    world.follow()
    return identity


def test_a_list_shows_what_came_and_keeps_the_focus(
    page: Page, world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    complaints = watch(page)
    with page.expect_response(re.compile("/portal/events")):
        page.reload()
    link = page.locator("main table a").last
    link.focus()
    focused = link.get_attribute("href")
    page.evaluate("window.same = true")
    name = f"LIVE-{request.node.callspec.id}"
    receive(world, name)
    expect(page.get_by_role("link", name=name)).to_be_visible()
    assert page.evaluate("window.same") is True  # the page was not loaded again
    assert page.evaluate("document.activeElement.getAttribute('href')") == focused
    expect(page.locator("#live")).to_be_visible()
    assert page.locator("#live").get_attribute("role") == "status"
    assert complaints == []


def test_what_was_chosen_in_a_form_stays(page: Page, world: PortalWorld, request: pytest.FixtureRequest) -> None:
    with page.expect_response(re.compile("/portal/events")):
        page.reload()
    page.locator("#filter").select_option("quarantined")
    receive(world, f"KEPT-{request.node.callspec.id}")
    expect(page.locator("#live a")).to_be_visible()
    assert page.locator("#filter").input_value() == "quarantined"
    page.locator("#live a").click()
    expect(page.get_by_role("link", name=f"KEPT-{request.node.callspec.id}")).to_be_visible()


def test_a_page_that_could_not_be_had_is_asked_for_again(
    page: Page, world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    with page.expect_response(re.compile("/portal/events")):
        page.reload()
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused or "x-millmark-live" not in route.request.headers:
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=503, body="busy")

    page.route(re.compile("/portal/lots"), refuse_once)
    name = f"AGAIN-{request.node.callspec.id}"
    receive(world, name)
    expect(page.get_by_role("link", name=name)).to_be_visible(timeout=30_000)
    assert len(refused) == 1


def test_a_page_that_records_at_once_only_says_that_there_is_news(
    page: Page, world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    with page.expect_response(re.compile("/portal/events")):
        page.reload()
    main = page.locator("main")
    # As pages have on which a button records at once; with a key that differs each time.
    main.evaluate("one => one.insertAdjacentHTML('beforeend', '<form method=post><button>Agree</button></form>')")
    name = f"NEWS-{request.node.callspec.id}"
    receive(world, name)
    expect(page.locator("#live a")).to_be_visible()
    assert main.get_by_role("button", name="Agree").count() == 1
    assert page.get_by_role("link", name=name).count() == 0


def test_a_session_that_ended_says_so_and_leads_back(
    page: Page, world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    with page.expect_response(re.compile("/portal/events")):
        page.reload()
    credential = next(
        one["value"] for one in page.context.cookies() if str(one.get("name")).startswith("millmark-session-")
    )
    with world.store.transaction() as connection:
        AccessRepository(connection).revoke_credential(credential.split("_")[1], "session", 1)
    receive(world, f"ENDED-{request.node.callspec.id}")
    found = page.locator("#live a")
    expect(found).to_be_visible()
    assert (found.get_attribute("href") or "").startswith("/portal/sign-in?next=%2Fportal%2Flots")


def test_no_script_but_that_of_local_times_runs_on_what_everybody_may_open(page: Page, world: PortalWorld) -> None:
    answer = page.goto(world.code())
    assert answer is not None
    [digest] = page.locator("script").evaluate_all("(all) => all.map((one) => one.integrity)")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'{digest}'", "no other file, and no text in the page"
    assert "connect-src" not in policy, "it can ask nobody for anything"
    refused = page.evaluate("""() => new Promise((told) => {
        document.addEventListener("securitypolicyviolation", (event) => told(event.violatedDirective));
        document.body.append(Object.assign(document.createElement("script"), {textContent: "window.ran = 1"}));
    })""")
    assert (refused, page.evaluate("'ran' in window")) == ("script-src-elem", False)
