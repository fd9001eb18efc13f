"""People sign in with their accounts at a real OpenID provider, in a real Chromium: discovery, its own pages for who
somebody is and what they allow, and the way back; and when somebody meddles, its keys change, or nothing answers there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, Route, expect

from millmark.services.access.people.openid import BACK_PATH, Provider
from millmark.services.access.people.people import People
from millmark.services.access.rules import PersonRole
from tests.browser.test_portal_browser import open_context
from tests.support.looking import find_violations
from tests.support.patience import MAX_S
from tests.support.portal_world import PortalWorld, serve_world

_FOLDER = Path(__file__).parent
_CLIENT, _SECRET = "gateway", "only for tests"


class OpenIdServer:
    """Its own pages believe every name; it has one client, a gateway."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer = self._read()

    @property
    def provider(self) -> Provider:
        """The settings of the gateway."""
        return Provider(self.issuer, _CLIENT, _SECRET)

    def serve(self, origin: str) -> None:
        """Begins with new keys, for the gateway with this origin. What it had given to anybody is void."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"back": origin + BACK_PATH}) + "\n")
        self._process.stdin.flush()
        while (line := self._read()) != "ready":  # the package prints what it thinks of its own settings
            assert line, "the provider has ended"

    def end(self) -> None:
        """From now on nothing answers at its address."""
        self._process.kill()
        self._process.wait(MAX_S)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")


@contextmanager
def run_openid_server() -> Iterator[OpenIdServer]:
    """Skips where Node or the package is not installed."""
    node = shutil.which("node")
    if node is None or not (_FOLDER / "node_modules" / "oidc-provider").exists():
        pytest.skip("the packages of tests/browser are not installed: npm is needed")
    command = [node, str(_FOLDER / "openid_server.mjs"), _CLIENT, _SECRET]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield OpenIdServer(process)
        finally:
            process.kill()


pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server() -> Iterator[OpenIdServer]:
    with run_openid_server() as server:
        yield server


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: OpenIdServer) -> Iterator[PortalWorld]:
    with serve_world(tmp_path_factory.mktemp("portal"), provider=server.provider) as world:
        server.serve(world.origin)
        yield world


@pytest.fixture
def phone(world: PortalWorld, chromium: Browser) -> Iterator[BrowserContext]:
    """One at which nobody has signed in, here or at the provider. The world comes first: beside the browser, no other
    event loop can run."""
    context = open_context(chromium, locale="en-GB", viewport={"width": 390, "height": 844})
    yield context
    context.close()


def invite(world: PortalWorld, name: str) -> str:
    people = People(world.store, world.company("Cedar Assembly").number)
    code = people.invite(name, PersonRole.RECORDER, now_s=int(time.time())).code
    return f"{world.origin}/portal/invitation#{code}"


def say_who(page: Page, account: str) -> None:
    """The provider's own page."""
    page.locator("input[name=login]").fill(account)
    page.locator("input[name=password]").fill("anything")
    page.locator("button[type=submit]").click()


def allow(page: Page) -> None:
    """The provider's own page, which it shows after the other."""
    expect(page.locator("form input[name=prompt][value=consent]")).to_have_count(1)
    page.locator("button[type=submit]").click()


def join(page: Page, world: PortalWorld, name: str, account: str) -> None:
    """Takes an invitation with an account."""
    page.goto(invite(world, name))
    page.get_by_role("button", name="Use my company account instead").click()
    say_who(page, account)
    allow(page)
    expect(page).to_have_url(f"{world.origin}/portal")


def leave(page: Page) -> None:
    page.locator("li form[action='/portal/sign-out'] button").click()


def on_the_way_back(page: Page, world: PortalWorld, act: Callable[[CDPSession, dict[str, Any]], object]) -> None:
    """Has the browser stop before it brings the gateway what the provider gave it: a redirect, which Playwright's own
    routes do not see."""
    session = page.context.new_cdp_session(page)

    def stop(event: dict[str, Any]) -> None:
        act(session, {"requestId": event["requestId"]})

    session.on("Fetch.requestPaused", stop)
    session.send("Fetch.enable", {"patterns": [{"urlPattern": f"{world.origin}{BACK_PATH}?code=*"}]})


def begin(page: Page, world: PortalWorld) -> None:
    page.goto(f"{world.origin}/portal/sign-in")
    page.get_by_role("button", name="Sign in with my company account").click()


def test_somebody_is_invited_with_an_account_and_signs_in_with_it(phone: BrowserContext, world: PortalWorld) -> None:
    page = phone.new_page()
    join(page, world, "Ada Lovelace", "ada")
    expect(page.get_by_role("link", name="Ada Lovelace")).to_be_attached()
    leave(page)
    begin(page, world)  # the provider knows the browser by now, and asks nothing
    expect(page).to_have_url(f"{world.origin}/portal")
    expect(page.get_by_role("link", name="Ada Lovelace")).to_be_attached()


def test_an_account_that_nobody_invited_stays_outside(phone: BrowserContext, world: PortalWorld) -> None:
    page = phone.new_page()
    begin(page, world)
    say_who(page, "mallory")
    allow(page)
    expect(page.locator("#refused")).to_contain_text("Nobody was invited with this account")
    assert find_violations(page) == []
    page.goto(f"{world.origin}/portal")
    expect(page).to_have_url(f"{world.origin}/portal/sign-in?next=%2Fportal")


def test_whoever_does_not_allow_it_is_told_and_may_try_again(phone: BrowserContext, world: PortalWorld) -> None:
    page = phone.new_page()
    begin(page, world)
    page.get_by_role("link", name="Cancel").click()
    expect(page.locator("#refused")).to_contain_text("access_denied")
    expect(page.get_by_role("button", name="Sign in with my company account")).to_be_enabled()


def test_a_token_for_another_nonce_is_refused(phone: BrowserContext, world: PortalWorld, server: OpenIdServer) -> None:
    page = phone.new_page()
    join(page, world, "Grace Hopper", "grace")
    leave(page)

    def change(route: Route) -> None:
        parts = urlsplit(route.request.url)
        query = dict(parse_qsl(parts.query)) | {"nonce": "somebody else's"}
        route.fulfill(status=302, headers={"location": urlunsplit(parts._replace(query=urlencode(query)))})

    asked = f"{server.issuer}/auth?"
    page.route(lambda url: url.startswith(asked) and "somebody" not in url, change)
    begin(page, world)
    expect(page.locator("#refused")).to_contain_text("it answers another question")


def test_an_answer_for_another_browser_opens_nothing(
    phone: BrowserContext, world: PortalWorld, chromium: Browser
) -> None:
    page = phone.new_page()
    join(page, world, "Katherine Johnson", "katherine")
    leave(page)
    kept = {"responseCode": 200, "body": b64encode(b"kept here").decode()}
    on_the_way_back(page, world, lambda session, held: session.send("Fetch.fulfillRequest", held | kept))
    begin(page, world)
    expect(page.get_by_text("kept here")).to_be_visible()
    other = open_context(chromium)
    victim = other.new_page()
    victim.goto(page.url)
    expect(victim.locator("#refused")).to_contain_text("not to a question of this browser")
    assert [one["name"] for one in other.cookies() if "session" in one["name"]] == []
    other.close()


def test_changed_keys_are_fetched_again_and_a_provider_that_is_down_is_named(
    phone: BrowserContext, world: PortalWorld, server: OpenIdServer
) -> None:
    page = phone.new_page()
    join(page, world, "Edsger Dijkstra", "edsger")
    leave(page)
    server.serve(world.origin)
    begin(page, world)
    say_who(page, "edsger")
    allow(page)
    expect(page).to_have_url(f"{world.origin}/portal")
    leave(page)

    def fall(session: CDPSession, held: dict[str, Any]) -> None:
        server.end()
        session.send("Fetch.continueRequest", held)

    on_the_way_back(page, world, fall)
    begin(page, world)
    expect(page.locator("#refused")).to_contain_text("did not answer: ConnectError")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    assert find_violations(page) == []
