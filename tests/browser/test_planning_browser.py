"""Ordering and planning in a real Chromium without scripts, on a phone, and in Chinese on a wide screen: a buyer orders
a configured product to the final record; a coordinator calls, has a plan made in a process of its own, and proposes it;
the machine's owner offers and accepts; the operator sees what comes next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect

from millmark.ledger.products import name_in
from millmark.ledger.records import AssignmentState, OrderState
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import AssignmentRow, OrderRow
from millmark.services.access.people.people import People
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import session_cookie
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.portal.pages import read_catalogues
from millmark.services.products import Catalogue
from millmark.services.serving.server import build_server, listen
from millmark.services.settings import Auth
from tests.support.company_site import FOUNDED, Site
from tests.support.looking import (
    CONTRAST,
    CUT_OFF,
    NAMELESS,
    SMALL_TARGETS,
    VIEWS,
    View,
    find_violations,
    name_view,
    run_list,
)
from tests.support.loopback import running
from tests.support.patience import MAX_S, wait_until
from tests.support.planning_samples import show_calendar
from tests.support.stores import new_store

pytestmark = pytest.mark.browser

HOUR_S = 3600
CAPABLE = {
    "capability": [
        {"kind": "forging", "limits": {"material": ["42CrMo4"], "mass_g": [100, 9000]}},
        {"kind": "turning", "limits": {"material": ["42CrMo4"], "stroke_mm": [60, 120], "finish": ["ground"]}},
        {"kind": "assembly", "limits": {"bearings": ["aluminium-tin"]}},
    ]
}
DONE = [AssignmentState.ACCEPTED] * 2 + [AssignmentState.FINISHED]
CATALOGUES = read_catalogues()
R = TypeVar("R")
PRODUCT = Catalogue().find("crankshaft")
OBJECTIVE = 'unit = "EUR/100"\ntardiness_per_day = 2400\n'
OTHERS = [view for view in VIEWS if view != ("en", 390)]
"""Beside the phone that the pages are looked at on; none in the suite."""


@dataclass
class Factory:
    """A company with every role, a machine, and a gateway that follows and records on a chain of its own."""

    site: Site
    origin: str
    ahead_s: int = 0

    def now_s(self) -> int:
        return int(time.time()) + self.ahead_s

    def pass_time(self, seconds: int) -> None:
        self.ahead_s += seconds
        self.site.world.chain.node.wait(seconds)

    @contextmanager
    def phone(
        self, chromium: Browser, language: str = "en", width: int = 390, *, scripts: bool = False
    ) -> Iterator[Page]:
        """Of a recorder who has signed in; pages have no scripts unless they are wanted."""
        size = {"width": width, "height": 844}
        context = chromium.new_context(viewport=size, locale=language, java_script_enabled=scripts)  # type: ignore[arg-type]  # a dict
        context.set_default_timeout(MAX_S * 1000)
        context.add_cookies([{"name": session_cookie(self.origin), "value": self._session(), "url": self.origin}])
        try:
            yield context.new_page()
        finally:
            context.close()

    def _session(self) -> str:
        people, now_s = People(self.site.store, self.site.number), self.now_s()
        invited = people.invite("Mei", PersonRole.RECORDER, now_s=now_s)
        with self.site.store.transaction() as connection:
            return people.enter(connection, people.welcome(connection, invited.code, now_s), now_s).token

    def order(self) -> OrderRow:
        """The only one: once the index has read the block that the submitter saw."""
        wait_until(lambda: len(self._rows(OrderRow)) == 1)
        return self._rows(OrderRow)[0]

    def states(self) -> list[AssignmentState]:
        return [AssignmentState(one.state) for one in self._rows(AssignmentRow)]

    def _rows(self, kind: type[R]) -> list[R]:
        with self.site.store.reading() as connection:
            return Rows(connection).find(kind)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    with _open_factory(tmp_path_factory.mktemp("factory")) as factory:
        yield factory


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[View, Factory]]:
    """One for each further view. Made before the browser: while that is open, no other event loop can run."""
    with ExitStack() as stack:
        yield {view: stack.enter_context(_open_factory(tmp_path_factory.mktemp("desk"))) for view in OTHERS}


@contextmanager
def _open_factory(folder: Path) -> Iterator[Factory]:
    home = folder / "home"
    home.mkdir()
    with new_store(folder) as store, listen("127.0.0.1", 0) as listener:
        world, (signer, key, number) = FOUNDED.copy(store)
        site = Site(store, world, signer, number=number, name_keys=[key])
        _equip(site, home)
        port = listener.getsockname()[1]
        policy = build_policy(Auth.REQUIRED, host="127.0.0.1", port=port, owner=number)
        factory = Factory(site, policy.origin)
        parts = GatewayParts(
            store,
            policy,
            chain=world.chain,
            follow_interval_s=0.1,
            clock=factory.now_s,
            limiter=Limiter(Rates(1e6, 1e6)),
            recording=(world.chain, signer),
            name_keys=[key],
            home=home,
        )
        with running(build_server(create_gateway(parts), "127.0.0.1", port), listener):
            yield factory


def _equip(site: Site, home: Path) -> None:
    machine = site.final("/v1/machines", identifier="urn:example:CELL", claims=CAPABLE)["sequence"]
    site.final("/v1/streams", identifier="urn:example:CELL:offers", machine=machine)
    site.final("/v1/streams", identifier="urn:example:plans", machine=0)
    calendar = show_calendar("CELL", 4000, "UTC", "00:00", "00:00")
    minutes = "minutes = { forging = 60, turning = 60, assembly = 60 }"
    (home / "calendar.toml").write_text(calendar.replace("minutes = { turning = 60, milling = 90 }", minutes))
    (home / "objective.toml").write_text(OBJECTIVE)


@pytest.fixture(scope="module")
def at_work(factory: Factory, others: dict[View, Factory], chromium: Browser) -> Factory:
    """The factory after the story that this module tells, on a phone: all its pages have something to show."""
    with factory.phone(chromium) as page:
        _tell(factory, page)
    return factory


def test_from_a_product_on_a_phone_to_work_that_is_agreed(at_work: Factory) -> None:
    assert sorted(at_work.states()) == DONE


@pytest.mark.left_out
@pytest.mark.parametrize("view", OTHERS, ids=name_view)
def test_the_same_in_chinese_and_on_a_wide_screen(others: dict[View, Factory], chromium: Browser, view: View) -> None:
    language, width = view
    with others[view].phone(chromium, {"zh": "zh-CN"}.get(language, language), width) as page:
        _tell(others[view], page)
        assert page.locator("html").get_attribute("lang") == language
    assert sorted(others[view].states()) == DONE


def _say(page: Page, key: str, **values: object) -> str:
    """A text of the page, in its language."""
    return CATALOGUES[page.locator("html").get_attribute("lang") or ""].say(key, **values)


def _name(page: Page, english: str) -> str:
    """The name of the product, of one of its options or of a choice, in the page's language."""
    names = (
        PRODUCT.names,
        *(one.names for one in PRODUCT.options),
        *(choice.names for one in PRODUCT.options for choice in getattr(one, "choices", ())),
    )
    found = next(one for one in names if name_in(one, "en").startswith(english))
    return name_in(found, page.locator("html").get_attribute("lang") or "")


def _tell(factory: Factory, page: Page) -> None:
    """The story, from the product to work that is done."""
    _order(factory, page)
    _accept_order(factory, page)
    _call(factory, page)
    _offer(factory, page)
    factory.pass_time(HOUR_S + 120)
    _plan(factory, page)
    _agree(factory, page)
    _at_the_machine(factory, page)


def _order(factory: Factory, page: Page) -> None:
    page.goto(f"{factory.origin}/portal")
    page.get_by_role("link", name=_say(page, "menu.order")).first.click()
    page.get_by_role("link", name=_name(page, "crankshaft")).click()
    hardening = _name(page, "hardening of the journals")
    page.get_by_label(_name(page, "ground and polished")).check()
    page.get_by_role("group", name=hardening).get_by_label(_name(page, "none")).check()
    page.get_by_label(_name(page, "stroke")).fill("92")
    page.get_by_role("button", name=_say(page, "wizard.check")).click()
    needs = _say(page, "wizard.needs", given="|", needed="|").split("|")[1]
    expect(page.get_by_role("alert")).to_contain_text(f"{_name(page, 'ground and polished')}{needs}{hardening}")
    _look(page)
    page.get_by_label(_name(page, "ground"), exact=True).check()
    page.get_by_label("42CrMo4").check()
    page.get_by_label(_name(page, "aluminium-tin")).check()
    page.get_by_role("button", name=_say(page, "wizard.check")).click()
    expect(page.locator(".cost")).to_contain_text("EUR 518.00")
    expect(page.locator(".cost")).to_contain_text(_say(page, "wizard.ready"))
    page.get_by_role("button", name=_say(page, "wizard.go_on")).click()
    page.get_by_label(_say(page, "act.field.order_name")).fill("urn:example:crank-1")
    page.get_by_label(_say(page, "act.field.coordinator")).select_option(index=1)
    page.get_by_label(_say(page, "act.field.due_at")).fill("2100-01-01T12:00")
    _look(page)
    page.get_by_role("button", name=_say(page, "act.go_on")).click()
    expect(page.get_by_role("heading", name=_say(page, "act.public"))).to_be_visible()
    _look(page)
    page.get_by_role("button", name=_say(page, "act.orderProduct")).click()
    _final(page)
    assert OrderState(factory.order().state) is OrderState.PLACED


def _accept_order(factory: Factory, page: Page) -> None:
    page.goto(f"{factory.origin}/portal/orders/{factory.order().subject.hex()}")
    page.get_by_role("link", name=_say(page, "act.acceptOrder")).click()
    page.locator("main form button.primary").click()
    _final(page)


def _call(factory: Factory, page: Page) -> None:
    page.goto(f"{factory.origin}/portal/planner")
    expect(page.locator("main")).to_contain_text(
        f"crank-1{_say(page, 'comma')}{_say(page, 'planner.operations', open=3, all=3)}"
    )
    page.get_by_label(_say(page, "plans.closes")).fill(
        f"{datetime.fromtimestamp(factory.now_s() + HOUR_S, UTC):%Y-%m-%dT%H:%M}"
    )
    _look(page)
    page.get_by_role("button", name=_say(page, "planner.summarise")).click()
    _look(page)
    page.get_by_role("button", name=_say(page, "planner.call_now")).click()
    _final(page)


def _offer(factory: Factory, page: Page) -> None:
    page.goto(f"{factory.origin}/portal/offers")
    expect(page.locator("main")).to_contain_text(_say(page, "offers.wait"))
    page.locator("tbody a").click()
    expect(page.locator("main")).to_contain_text(f"{_say(page, 'offers.window')} 2")
    _look(page)
    page.get_by_role("button", name=_say(page, "offers.offer")).click()
    _final(page)


def _plan(factory: Factory, page: Page) -> None:
    page.goto(f"{factory.origin}/portal/planner")
    page.locator("tbody a").click()
    page.get_by_label(_say(page, "planner.cpu")).fill("1")
    page.get_by_role("button", name=_say(page, "planner.make_first")).click()
    expect(page.locator("main")).to_contain_text(_say(page, "planner.being_made"))
    # The page shows it by itself, without a script.
    expect(page.locator("#made ~ * tbody")).to_contain_text("EUR")
    _look(page)
    page.get_by_role("button", name=_say(page, "planner.record_this", number=1)).click()
    _final(page)
    page.goto(f"{factory.origin}/portal/planner")
    page.locator("tbody a").click()
    page.get_by_role("button", name=_say(page, "planner.propose_now")).click()
    expect(page.get_by_role("heading", name=_say(page, "plan.chart"))).to_be_visible()
    expect(page.locator("main")).to_contain_text(_say(page, "written.terms"))
    _look(page)


def _agree(factory: Factory, page: Page) -> None:
    _until(
        page,
        f"{factory.origin}/portal/offers",
        f"crank-1{_say(page, 'comma')}{_say(page, 'offers.operation', number=3)}",
    )
    _look(page)
    page.get_by_role("button", name=_say(page, "offers.accept")).click()
    _until(page, f"{factory.origin}/portal/offers", _say(page, "offers.no_rows"))
    assert factory.states() == [AssignmentState.ACCEPTED] * 3


def _at_the_machine(factory: Factory, page: Page) -> None:
    page.goto(f"{factory.origin}/portal/machines")
    expect(page.get_by_role("img", name=_say(page, "board.chart"))).to_be_visible()
    agreed = _say(page, "board.count", count=3, state=_say(page, "plan.tone.agreed"))
    page.get_by_text(f"CELL{_say(page, 'colon')}{agreed}").click()
    _look(page)
    page.get_by_role("link", name=_say(page, "at_machine.link")).click()
    expect(page.locator("article.job")).to_have_count(3)
    expect(page.locator("article.job").nth(1)).to_contain_text(f"crank-1{_say(page, 'comma')}turning")
    expect(page.locator("article.job").nth(1)).to_contain_text("92 mm")
    _look(page)
    _work(factory, page)
    page.get_by_label(_say(page, "at_machine.what")).fill("the spindle is worn")
    page.get_by_role("button", name=_say(page, "at_machine.is_down")).click()
    _look(page)
    page.get_by_role("button", name=_say(page, "at_machine.record")).click()
    _final(page)


def _work(factory: Factory, page: Page) -> None:
    """The operator reads the meter, starts the first job, and when it is over reads again and finishes it."""
    here = page.url
    _read_meter(page, "start", "120000")
    _until(page, here, _say(page, "act.startAssignment"))
    page.locator("article.job").first.get_by_role("link", name=_say(page, "act.startAssignment"), exact=True).click()
    _look(page)
    _confirm(page)
    _until(page, here, _say(page, "act.finishAssignment"))
    _read_meter(page, "finish", "120400")
    page.goto(here)
    page.locator("article.job").first.get_by_role("link", name=_say(page, "act.finishAssignment"), exact=True).click()
    page.get_by_label(_say(page, "act.field.measurement")).select_option(index=1)
    _confirm(page)
    _until(page, here, _say(page, "at_machine.lately"))
    assert sorted(factory.states()) == DONE
    expect(page.locator("article.job")).to_have_count(2)


def _read_meter(page: Page, moment: str, reading: str) -> None:
    page.locator("article.job").first.get_by_role("link", name=_say(page, "act.readRegister")).click()
    page.get_by_label(_say(page, "act.field.moment")).select_option(moment)
    page.get_by_label(_say(page, "act.field.register_wh")).fill(reading)
    _confirm(page)


def _confirm(page: Page) -> None:
    """From the form over the summary to the final record."""
    page.locator("main form button.primary").click()
    page.locator("main form button.primary").click()
    _final(page)


@pytest.mark.parametrize(("language", "width"), [("zh", 390), ("zh", 1280), ("en", 1280), ("en", 390)])
def test_everybody_can_use_the_pages(at_work: Factory, chromium: Browser, language: str, width: int) -> None:
    factory = at_work
    with factory.phone(chromium, language, width, scripts=True) as page:
        pages = ("order", "order/crankshaft", "order/implant", "planner", "offers", "machines", "machines?days=1")
        for path in (*pages, "demand", "process", "plans", "lots/00"):
            page.goto(f"{factory.origin}/portal/{path}")
            _measure(page)
        for kind in ("planner", "offers"):
            page.goto(f"{factory.origin}/portal/{kind}")
            page.locator(f"tbody a[href*='/portal/{kind}/']").first.click()
            _measure(page)
        page.goto(f"{factory.origin}/portal/plans")
        page.locator("main a[href*='/portal/plans/']").first.click()
        _measure(page)
        page.goto(f"{factory.origin}/portal/order/crankshaft")
        page.locator("main form button.primary").click()  # nothing was chosen
        _measure(page)


def _measure(page: Page) -> None:
    """With axe-core, also in the dark."""
    _look(page)
    assert find_violations(page) == [], page.url
    page.emulate_media(color_scheme="dark")
    assert find_violations(page, "color-contrast") == [], page.url
    page.emulate_media(color_scheme="light")


def _final(page: Page) -> None:
    """The page of a record shows by itself that it is final; its number on the ledger stands there before that."""
    expect(page.locator(".way li.done")).to_have_count(4)


def _until(page: Page, address: str, text: str) -> None:
    end = time.monotonic() + MAX_S
    page.goto(address)
    while text not in page.locator("main").inner_text():
        assert time.monotonic() < end, page.locator("main").inner_text()
        page.goto(address)


def _look(page: Page) -> None:
    page.wait_for_load_state()
    expect(page.locator("footer")).to_be_visible()
    for script in (CONTRAST, NAMELESS, SMALL_TARGETS, CUT_OFF):
        assert not run_list(page, script), page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
