"""axe-core finds nothing on the pages of demand with the demonstration's own forecasts: at 390 and 1280 pixels, in both
languages."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser

from millmark.services.access.signin import session_cookie
from millmark.services.demo.demand import forecast_demand
from millmark.services.products import Catalogue
from millmark.services.serving.server import build_server, listen
from tests.browser.test_axe_demand_browser import measure
from tests.browser.test_portal_browser import open_context
from tests.support.demand_home import open_demand_home
from tests.support.looking import read_axe
from tests.support.loopback import running

pytestmark = pytest.mark.browser


@pytest.mark.left_out
def test_axe_finds_nothing_on_the_demand_of_the_demonstration(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = forecast_demand(Catalogue().find("crankshaft"), tmp_path_factory.mktemp("demand") / "forecasts")
    with open_demand_home(made.home) as opened, listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        origin = f"http://127.0.0.1:{port}"
        with running(build_server(opened.gateway(origin), "127.0.0.1", port), listening):
            context = open_context(chromium, locale="en-GB")
            context.add_init_script(read_axe())
            cookie = session_cookie(origin), opened.session(int(time.time()))
            context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": origin}])
            page = context.new_page()
            wrong = [*measure(page, origin, "demand"), *measure(page, origin, f"demand/{made.earlier.digest.hex()}")]
            text = page.locator("main").inner_text()
            context.close()
    assert wrong == [], "\n".join(one[:200] for one in wrong)
    assert str(made.score.actual) in text, "with what came"
