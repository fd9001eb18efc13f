"""axe-core finds nothing on the pages, with real data in them and everything opened: as the company's own people see
them and as another company does; at 390 and 1280 pixels, in both languages, in the dark."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from millmark.ledger.evidence import EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.store import Book
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import session_cookie
from millmark.services.documents import new_version_id
from millmark.services.documents.service import Draft
from millmark.services.documents.views import Mode
from millmark.services.planning.forecast.document import seal_of
from millmark.services.planning.forecast.making import make_forecast
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from tests.browser.test_portal_browser import open_context, pages, sign_in
from tests.support.forecast_samples import IDENTITY, sample
from tests.support.looking import find_violations, read_axe
from tests.support.pictures import NO_PAGES
from tests.support.portal_pages import PAGES
from tests.support.portal_world import PortalWorld, serve_world

pytestmark = pytest.mark.browser

OWNER, STRANGER = "Cedar Assembly", "Nordwind Mobility"
LEFT_OUT = {
    **NO_PAGES,
    "/check": "test_check_browser.py",
    "/passport/trust": "a file, see test_check_copies_browser.py",
    "/portal/order": "test_planning_browser.py",
    "/portal/order/{name}": "test_planning_browser.py",
    "/portal/planner": "test_planning_browser.py",
    "/portal/planner/{call}": "test_planning_browser.py",
    "/portal/offers/{call}": "test_planning_browser.py",
    "/portal/plans/{digest}": "test_planning_browser.py",
    "/portal/cases/{number}": "test_recall_browser.py",
    "/portal/consortium/{number}/suspend": "test_stories_browser.py",
    "/portal/consortium/{number}/reinstate": "test_stories_browser.py",
}
"""Routes that are not visited here: why, or which tests look at their pages, with axe-core too."""
LINKED = {"/portal/demand/{digest}", "/portal/inspections/{number}"}
"""Pages that are visited only if one that is visited before happens to link to them."""
ROUTES = [path for method, path in PAGES if method == "GET" and path not in LEFT_OUT]
CODES = ("/{key:gs1key}/{rest:path}", "/passport/{what}/{key:gs1key}/{rest:path}")
PARTS = {"gs1key": r"(?:01|00|8006)", "path": ".*"}


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+(?::(\w+))?\}", lambda found: PARTS.get(found[1], "[^/]+"), route))


TWICE = (*CODES, "/portal/search?")
"""Parts, one that passed and one that failed; a search that leads to the one thing found, and one that finds none."""
PATTERNS = {route: _pattern(route) for route in ROUTES}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """The first page of whose owner says that a lot was offered. A document and a forecast are kept there."""
    folder = tmp_path_factory.mktemp("portal")
    with serve_world(folder, acting=True) as world:
        world.offer_lot(STRANGER, OWNER, "urn:example:CASTING")
        with Draft(new_version_id(), "drawing.pdf", "application/pdf") as draft:
            draft.write(b"a drawing")
            world.documents.add(draft, Mode.CONSORTIUM, None, int(time.time()))
        _add_forecast(world)
        yield world


def _add_forecast(world: PortalWorld) -> None:
    document, stream, salt = make_forecast(sample(), IDENTITY, 8), b"\x2a" * 32, b"\1" * 32
    entry = seal_of(document.digest)
    leaf = leaf_hash(build_leaf_data(LeafKind.EVENT, salt, entry))
    with world.store.transaction() as connection:
        Book(connection).add_evidence(stream, [EvidenceEntry(0, salt, entry, leaf)])
        cut, text = document.cut, document.to_bytes().decode()
        ForecastRepository(connection).add(ForecastRow(document.digest, stream, 0, cut.block, cut.time_s, text))


def route_of(address: str) -> str:
    """The route of a page; a path without parameters comes before one with them. Empty if it is not visited here."""
    found = [route for route, pattern in PATTERNS.items() if pattern.fullmatch(urlsplit(address).path)]
    return min(found, key=lambda route: route.count("{"), default="")


@dataclass
class Walk:
    """Follows the links of pages, and measures each page that it comes to."""

    page: Page
    origin: str
    left: list[str]
    dark: bool = False
    seen: set[str] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)
    """On this gateway, but for the page that verifies, which is not built here."""
    visits: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def go(self) -> None:
        while self.left:
            address = self.left.pop(0)
            kind = self._kind_of(address)
            if address in self.seen or not kind or self.visits[kind] >= (2 if kind in TWICE else 1):
                continue
            self.seen.add(address)
            self.visits[kind] += 1
            self._visit(address)

    def _kind_of(self, address: str) -> str:
        """One page of each kind is visited, of some two. Each form is a kind, and a page that answers a question is
        another one than the page that asks it."""
        route, parts = route_of(address), urlsplit(address)
        if route == CODES[1] and not parts.path.startswith("/passport/label/"):
            return ""  # files
        if route == "/portal/act/{name}":
            return parts.path
        return (
            f"{route}?" if parts.query and route in ("/portal/recall", "/portal/search", "/portal/sign-in") else route
        )

    def _visit(self, address: str) -> None:
        answer = self.page.goto(address)
        if self.page.locator(".menu details").count() and len(self.seen) < 2:
            self.wrong += find_violations(self.page, where=".menu")
            self.page.locator(".menu details").evaluate("one => { one.open = false; }")
        self._measure(address)
        if self.dark:
            self.page.emulate_media(color_scheme="dark")
            self._measure(f"{address} in the dark", "color-contrast")
            self.page.emulate_media(color_scheme="light")
        links: list[str] = self.page.evaluate("[...document.links].map(one => one.href.split('#')[0])")
        own = [one for one in links if one.startswith(self.origin + "/")]
        self.left += own
        if answer is not None and answer.ok:  # one that refuses links to itself, in the other language
            self.linked |= {one for one in own if urlsplit(one).path != "/check/"}

    def find_dead(self) -> list[str]:
        """What the visited pages link to, and is not there. A file that its reader lacks a key for is (409)."""
        asked = ((one, self.page.request.get(one).status) for one in sorted(self.linked))
        return [f"{one} answers {status}" for one, status in asked if status not in (200, 409)]

    def _measure(self, what: str, *rules: str) -> None:
        self.wrong += [f"{what}: {one}" for one in find_violations(self.page, *rules)]


def walk(chromium: Browser, world: PortalWorld, who: str, language: str, width: int, *, dark: bool = False) -> Walk:
    context = open_context(chromium, locale="en-GB", viewport={"width": width, "height": 844})
    context.add_init_script(read_axe())
    page = context.new_page()
    if who == OWNER:
        token = world.session(world.company(OWNER), "Mei", PersonRole.ADMINISTRATOR)
        context.add_cookies([{"name": session_cookie(world.origin), "value": token, "url": world.origin}])
    else:
        page.goto(f"{world.origin}/portal/orders")
        sign_in(page, world, who)
    page.goto(f"{world.origin}/?lang={language}")
    first = [f"{world.origin}/portal/{name}" for name in ("", "records/1", "invitation", "pairing")]
    walk = Walk(page, world.origin, [*first, *pages(world).values()], dark=dark)
    walk.go()
    walk.wrong += walk.find_dead()
    context.close()
    return walk


@pytest.mark.parametrize(("language", "width"), [("en", 390), pytest.param("zh", 1280, marks=pytest.mark.left_out)])
def test_axe_finds_nothing_on_any_page_that_the_companys_people_can_open(
    chromium: Browser, world: PortalWorld, language: str, width: int
) -> None:
    walked = walk(chromium, world, OWNER, language, width, dark=language == "en")
    assert walked.wrong == []
    assert set(ROUTES) - {route_of(one) for one in walked.seen} <= LINKED


def test_axe_finds_nothing_on_what_another_company_can_open(chromium: Browser, world: PortalWorld) -> None:
    walked = walk(chromium, world, STRANGER, "zh", 390)
    assert walked.wrong == []
    assert {route_of(one) for one in walked.seen} >= {*CODES, "/", "/portal/visible", "/portal/lots/{subject}"}
