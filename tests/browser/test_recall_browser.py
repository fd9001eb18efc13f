"""A heat is recalled in a real Chromium, on a phone: from its lot's page to the notice's final record, and on until the
case is closed; in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import session_cookie
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.serving.server import build_server, listen
from millmark.services.settings import Auth
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.gateway_client import SESSION
from tests.support.looking import (
    CONTRAST,
    CUT_OFF,
    NAMELESS,
    SMALL_TARGETS,
    choose_views,
    find_violations,
    looks_again,
    name_view,
    run_list,
)
from tests.support.loopback import running
from tests.support.patience import MAX_S, wait_until

pytestmark = pytest.mark.browser


@dataclass
class Shop:
    """A company's gateway on the loopback, which records; and a heat of which bars were made."""

    site: ActingSite
    origin: str
    lot: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    sites = open_acting_site(tmp_path_factory.mktemp("shop"))
    site = next(sites)
    lot = make(site)
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        policy = build_policy(Auth.REQUIRED, host="127.0.0.1", port=port, owner=site.number)
        limiter, recording = Limiter(Rates(1e6, 1e6)), (site.world.chain, site.signer)
        app = create_gateway(
            GatewayParts(
                site.store,
                policy,
                chain=site.world.chain,
                recording=recording,
                name_keys=site.name_keys,
                limiter=limiter,
                follow_interval_s=0.05,
            )
        )
        with running(build_server(app, "127.0.0.1", port), listening):
            yield Shop(site, policy.origin, lot)


def make(site: ActingSite) -> str:
    """A heat, split into two bars; returns its subject."""
    heat: str = site.final("/v1/lots/receive", identifier="urn:example:HEAT1", quantity=4, unit="H87", claims={})[
        "subjects"
    ][0]
    bars = [{"identifier": f"urn:example:BAR{number}", "quantity": 2, "unit": "H87"} for number in (1, 2)]
    site.final(
        "/v1/lots/transform",
        kind="split", operation=0, unit="H87", output_unit="H87", loss=0, yield_in=1, yield_out=1,
        inputs=[{"lot": heat, "quantity": 4}], outputs=bars,
    )  # fmt: skip
    return heat


@pytest.fixture(params=choose_views(("en", 390), ("zh", 390)), ids=name_view)
def page(request: pytest.FixtureRequest, shop: Shop, chromium: Browser) -> Iterator[Page]:
    """A browser of somebody who may record. The shop comes first: beside it, no other event loop can run."""
    language, width = request.param
    locale = {"en": "en-GB", "zh": "zh-CN"}[language]
    context = chromium.new_context(locale=locale, viewport={"width": width, "height": 844})
    context.set_default_timeout(MAX_S * 1000)
    token = shop.site.person(PersonRole.RECORDER).cookies[SESSION]
    context.add_cookies([{"name": session_cookie(shop.origin), "value": token, "url": shop.origin}])
    yield context.new_page()
    context.close()


@looks_again
def look(page: Page) -> None:
    """Nothing sticks out, is too pale, too small or without a name."""
    page.wait_for_load_state()  # a record's page loads itself again until it is final
    assert page.viewport_size is not None
    assert page.locator("html").evaluate("(root) => root.scrollWidth") <= page.viewport_size["width"], page.url
    for name, script in (("pale", CONTRAST), ("nameless", NAMELESS), ("cut off", CUT_OFF), ("small", SMALL_TARGETS)):
        assert not run_list(page, script), (page.url, name)
    assert find_violations(page) == [], page.url


def finish(page: Page, shop: Shop) -> None:
    """Confirms the summary, and waits until the record is final."""
    look(page)
    page.locator('form[action$="/confirm"] button[type=submit]').first.click()
    assert "/portal/records/" in page.url
    number = int(re.search(r"/records/(\d+)", page.url)[1])  # type: ignore[index]  # asserted above
    outbox = Outbox(shop.site.store)
    wait_until(lambda: outbox.record(number).state is OutboxState.FINAL)
    # The page loads itself again until the index has the record, too, and says so: loading it from here as well would
    # meet it half-way. What is asked for stands below the steps: between two pages no step is open either.
    expect(page.locator("section:has(> ol.way):not(:has(li:not(.done), .note)) ~ .actions")).to_be_visible()
    look(page)
    page.locator("main .actions a.button").last.click()


def test_a_heat_is_recalled_from_its_page_to_the_closed_case(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.origin}/portal/lots/{shop.lot[2:]}")
    look(page)
    page.locator('main a[href^="/portal/recall?lot="]').click()
    expect(page.locator(".genealogy .own")).to_have_count(2)
    expect(page.locator(".genealogy .spent")).to_have_count(1)
    look(page)
    page.locator('main a[href^="/portal/act/recallNotice"]').click()
    look(page)
    page.locator("textarea").fill('slag <b>inclusions</b> "here"')
    page.locator('form[action^="/portal/act/"] button[type=submit]').last.click()
    finish(page, shop)
    expect(page).to_have_url(f"{shop.origin}/portal/cases")
    expect(page.locator("main .chip.bad").first).to_be_visible()  # the page follows the ledger by itself
    look(page)
    page.locator('main a[href^="/portal/cases/"]').first.click()
    case = page.url
    expect(page.get_by_text('slag <b>inclusions</b> "here"')).to_be_visible()
    look(page)
    page.locator('main a[href^="/portal/act/acknowledgeNotice"]').click()
    finish(page, shop)
    wait_until(lambda: not visit(page, case).locator('a[href^="/portal/act/acknowledgeNotice"]').count())
    page.locator('main a[href^="/portal/act/resolveNotice"]').click()
    page.locator("textarea").fill("melted again")
    page.locator('form[action^="/portal/act/"] button[type=submit]').last.click()
    finish(page, shop)
    wait_until(lambda: not visit(page, case).locator('a[href^="/portal/act/resolveNotice"]').count())
    page.locator('main a[href^="/portal/act/closeCase"]').click()
    page.locator("textarea").fill("all bars are back")
    page.locator('form[action^="/portal/act/"] button[type=submit]').last.click()
    finish(page, shop)
    wait_until(lambda: not visit(page, case).locator('main a[href^="/portal/act/"]').count())
    page.set_viewport_size({"width": 1280, "height": 844})
    assert not run_list(page, CUT_OFF), "when everybody has answered, on a wide screen"
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("dl.facts .chip.good").first).to_be_visible()
    look(page)


def visit(page: Page, url: str) -> Page:
    page.goto(url)
    return page


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_inspectors_pages_and_the_choices_fit(shop: Shop, chromium: Browser, width: int, language: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 844})
    context.set_default_timeout(MAX_S * 1000)
    token = shop.site.person(PersonRole.READER).cookies[SESSION]
    context.add_cookies([{"name": session_cookie(shop.origin), "value": token, "url": shop.origin}])
    page = context.new_page()
    for path in ("recall", "cases", "inspections", "models"):
        page.goto(f"{shop.origin}/portal/{path}?lang={language}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        for script in (CONTRAST, NAMELESS, CUT_OFF, SMALL_TARGETS):
            assert not run_list(page, script), (path, script[:60])
        assert find_violations(page) == [], path
        page.emulate_media(color_scheme="dark")
        assert find_violations(page, "color-contrast") == [], path
        page.emulate_media(color_scheme="light")
    context.close()
