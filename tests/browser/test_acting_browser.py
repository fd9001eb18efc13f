"""Acting in a real Chromium without scripts, on a phone: from what waits to the final record, and how pages look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from millmark.ledger.records import LotState, OrderState
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import LotRow, OrderRow
from millmark.services.access.signin import session_cookie
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.serving.server import build_server, listen
from millmark.services.settings import Auth
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.gateway_client import SESSION
from tests.support.looking import CONTRAST, CUT_OFF, NAMELESS, SMALL_TARGETS
from tests.support.loopback import running
from tests.support.patience import MAX_S
from tests.support.sign_in import NOW_S

pytestmark = pytest.mark.browser


@dataclass
class Served:
    """A company whose gateway follows and records on a chain of its own, with an order to accept and a lot to split."""

    site: ActingSite
    origin: str
    order: str
    lot: str

    @contextmanager
    def page(self, chromium: Browser, width: int = 390, language: str = "en") -> Iterator[Page]:
        """Of a recorder who has signed in, in a browser that runs no scripts of pages."""
        context = chromium.new_context(
            viewport={"width": width, "height": 844}, locale=language, java_script_enabled=False
        )
        context.set_default_timeout(MAX_S * 1000)
        token = self.site.person().cookies[SESSION]
        context.add_cookies([{"name": session_cookie(self.origin), "value": token, "url": self.origin}])
        try:
            yield context.new_page()
        finally:
            context.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    for site in open_acting_site(tmp_path_factory.mktemp("acting")):
        terms = {"operations": 1, "coordinator": site.number, "due_at": "2100-01-01T00:00:00Z"}
        order = site.final("/v1/orders", identifier="urn:example:order-7", terms=terms)["subjects"][0][2:]
        lot = site.final("/v1/lots/receive", identifier="urn:example:HEAT1", quantity=40, unit="KGM")["subjects"][0][2:]
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            policy = build_policy(Auth.REQUIRED, host="127.0.0.1", port=port, owner=site.number)
            parts = GatewayParts(
                site.store,
                policy,
                chain=site.world.chain,
                follow_interval_s=0.1,
                clock=lambda: NOW_S,
                limiter=Limiter(Rates(1e6, 1e6)),
                recording=(site.world.chain, site.signer),
                name_keys=site.name_keys,
            )
            with running(build_server(create_gateway(parts), "127.0.0.1", port), listener):
                yield Served(site, policy.origin, order, lot)


def look(page: Page) -> None:
    """What a page must be at any width and in any language. Evaluated by the browser, though pages run no scripts."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    for question in (CONTRAST, NAMELESS, SMALL_TARGETS, CUT_OFF):
        assert page.evaluate(question) == [], page.url


@pytest.mark.parametrize(("width", "language"), [(390, "en"), (390, "zh"), (1280, "en"), (1280, "zh")])
def test_the_pages_of_acts_look_as_they_must(served: Served, chromium: Browser, width: int, language: str) -> None:
    with served.page(chromium, width, language) as page:
        for path in (
            "/portal",
            f"/portal/lots/{served.lot}",
            f"/portal/act/splitLot?subject={served.lot}",
            f"/portal/act/quarantineLot?subject={served.lot}",
            f"/portal/act/packLots?subject={served.lot}",
            "/portal/records/1",
        ):
            page.goto(f"{served.origin}{path}")
            look(page)
        page.goto(f"{served.origin}/portal/act/splitLot?subject={served.lot}")
        page.locator("main form button.primary").click()
        expect(page.locator(".wrong")).to_be_visible()
        look(page)


def test_an_order_is_accepted_on_a_phone_from_what_waits_to_the_final_record(served: Served, chromium: Browser) -> None:
    with served.page(chromium) as page:
        page.goto(f"{served.origin}/portal")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Needs you (")
        page.get_by_role("link", name="Accept the order").click()
        expect(page.get_by_role("heading", name="On the ledger, for good")).to_be_visible()
        look(page)
        page.get_by_role("button", name="Accept the order").click()
        # The page follows by itself: nobody loads it again.
        expect(page.locator(".way li.done")).to_have_count(4)
        look(page)
        page.get_by_role("link", name="Back", exact=True).click()
        expect(page.locator("#pending ~ ul")).to_contain_text("waits for a machine from")
        page.goto(f"{served.origin}/portal")
        expect(page.get_by_role("heading", level=2).first).to_have_text("Plan the work")
    with served.site.store.reading() as connection:
        row = Rows(connection).get(OrderRow, bytes.fromhex(served.order))
    assert row is not None
    assert row.state == OrderState.ACCEPTED


def test_a_part_is_rejected_on_a_phone_with_what_was_missing_said_beside_its_field(
    served: Served, chromium: Browser
) -> None:
    with served.page(chromium) as page:
        page.goto(f"{served.origin}/portal/lots/{served.lot}")
        page.get_by_role("link", name="Put it in quarantine").click()
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("Please fill this in.")).to_be_visible()
        page.get_by_label("Reason").fill('rust <b>on "the" edge</b>')
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(".lines")).to_have_text('rust <b>on "the" edge</b>')
        page.get_by_role("button", name="Put it in quarantine").click()
        expect(page.locator(".way li.done")).to_have_count(4)
    with served.site.store.reading() as connection:
        row = Rows(connection).get(LotRow, bytes.fromhex(served.lot))
    assert row is not None
    assert row.state == LotState.QUARANTINED
