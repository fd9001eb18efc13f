"""People at the portal, in a real Chromium with a virtual authenticator: invited, signed in by passkey, removed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from millmark.services.access.people.people import People
from millmark.services.access.rules import PersonRole
from millmark.services.client.login import LOGIN
from tests.support.looking import CONTRAST, CUT_OFF, NAMELESS, SMALL_TARGETS, run_list
from tests.support.patience import MAX_S
from tests.support.portal_world import PortalWorld, serve_world

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    with serve_world(tmp_path_factory.mktemp("portal")) as world:
        yield world


@contextmanager
def phone(chromium: Browser, language: str = "en", width: int = 390) -> Iterator[Page]:
    """A person's phone, with a passkey store that nobody else has."""
    context = chromium.new_context(viewport={"width": width, "height": 844}, locale=language)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    try:
        yield page
    finally:
        context.close()


def test_a_colleague_is_invited_signs_in_and_is_removed(world: PortalWorld, chromium: Browser) -> None:
    with phone(chromium) as boss, phone(chromium) as ada:
        _join(boss, _invite(world, "Boss", PersonRole.ADMINISTRATOR))
        boss.goto(f"{world.origin}/portal/people")
        boss.get_by_label("Name", exact=True).fill("Ada Lovelace")
        boss.get_by_label("Role", exact=True).select_option("reader")
        boss.get_by_role("button", name="Invite somebody").click()
        expect(boss.get_by_role("button", name="Copy only the link")).to_be_visible()
        link = boss.locator("#message-link").inner_text()
        assert link.startswith(f"{world.origin}/portal/invitation#")
        _join(ada, link)
        expect(ada.get_by_role("link", name="Ada Lovelace")).to_be_visible()
        assert ada.get_by_role("link", name="People").count() == 0
        ada.get_by_role("button", name="Sign out").click()
        _sign_in(ada, world)
        ada.goto(f"{world.origin}/portal/people")
        expect(ada.locator("main")).to_contain_text("Nothing found here")
        ada.goto(link)  # whoever finds it later gets nothing
        expect(ada.locator("[role=alert]").first).to_contain_text("was used, has expired, or does not exist")
        boss.goto(f"{world.origin}/portal/people")
        boss.get_by_role("row", name="Ada Lovelace").get_by_role("button", name="Remove").click()
        expect(boss.get_by_role("row", name="Ada Lovelace")).to_have_count(0)
        ada.goto(f"{world.origin}/portal/orders")
        expect(ada).to_have_url(f"{world.origin}/portal/sign-in?next=%2Fportal%2Forders")
        ada.get_by_role("button", name="Sign in with a passkey").click()
        expect(ada.locator("#refused")).to_contain_text("The passkey is not one of this gateway’s people")


def test_a_passkey_is_added_and_the_last_one_stays(world: PortalWorld, chromium: Browser) -> None:
    with phone(chromium) as page:
        _join(page, _invite(world, "Grace", PersonRole.READER))
        page.get_by_role("link", name="Grace").click()
        expect(page.get_by_role("button", name="Remove")).to_have_count(1)
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("[role=alert]").first).to_contain_text("This is the last way in")


def test_whoever_cancels_is_told_and_may_try_again(world: PortalWorld, chromium: Browser) -> None:
    with phone(chromium) as page:
        page.goto(f"{world.origin}/portal/sign-in")  # with no passkey at all
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.locator("form[data-passkey] [role=alert]")).to_contain_text("The browser gave no passkey")
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_enabled()


def test_a_page_that_was_open_for_long_asks_anew(world: PortalWorld, chromium: Browser) -> None:
    with phone(chromium) as page:
        _join(page, _invite(world, "Edsger", PersonRole.READER))
        page.locator("li form[action='/portal/sign-out'] button").click()
        page.clock.install()
        page.goto(f"{world.origin}/portal/sign-in")
        page.clock.fast_forward(290_000)
        with page.expect_response(f"{world.origin}/portal/sign-in"):
            page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page).to_have_url(f"{world.origin}/portal")


@pytest.mark.parametrize(("language", "width"), [("en", 390), ("zh", 1280), ("zh", 390)])
def test_everybody_can_use_the_pages(world: PortalWorld, chromium: Browser, language: str, width: int) -> None:
    with phone(chromium, language, width) as page:
        link = _invite(world, "Maria Skłodowska-Curie 居里夫人", PersonRole.ADMINISTRATOR)
        page.goto(link)
        expect(page.locator("form[data-passkey] button")).to_be_enabled()
        _look(page)
        page.locator("form[data-passkey] button").click()
        expect(page).to_have_url(f"{world.origin}/portal")
        for path in ("/portal/people", "/portal/account"):
            page.goto(world.origin + path)
            _look(page)
        page.locator("li form[action='/portal/sign-out'] button").click()
        page.goto(f"{world.origin}/portal/sign-in")
        _look(page)


def _look(page: Page) -> None:
    for script in (CONTRAST, NAMELESS, SMALL_TARGETS, CUT_OFF):
        assert not run_list(page, script), page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


def _invite(world: PortalWorld, name: str, role: PersonRole) -> str:
    owner = world.line.consortium.makers[2].number
    code = People(world.store, owner).invite(name, role, now_s=int(time.time())).code
    return f"{world.origin}/portal/invitation#{code}"


def _join(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("button", name="Create a passkey").click()
    expect(page).to_have_url(link.partition("/portal")[0] + "/portal")
    assert "#" not in page.url


def _sign_in(page: Page, world: PortalWorld) -> None:
    page.goto(f"{world.origin}/portal/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{world.origin}/portal")


def test_a_command_signs_in_as_the_person_who_agrees(world: PortalWorld, chromium: Browser, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "millmark.services.cli", "--home", str(tmp_path)]
    with phone(chromium) as page:
        _join(page, _invite(world, "Katherine", PersonRole.RECORDER))
        login = [*command, "login", world.origin, "--no-browser", "--json"]
        with subprocess.Popen(login, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
            assert started.stderr is not None
            address = started.stderr.readline().removeprefix("Open ").strip()
            digits = started.stderr.readline().rsplit(maxsplit=1)[-1]
            page.goto(address)
            expect(page.get_by_role("heading", name=digits)).to_be_visible()
            _look(page)
            page.get_by_role("button", name="Let it sign in").click()
            expect(page.get_by_text("Signed in. You can close this page.")).to_be_visible()
            told, _ = started.communicate(timeout=MAX_S)
        assert json.loads(told)["person"] == "Katherine"
        token = json.loads((tmp_path / LOGIN).read_text())["token"]
        with httpx.Client(base_url=world.origin, trust_env=False) as client:
            given = {"Authorization": f"Bearer {token}"}
            assert client.get("/v1/session", headers=given).status_code == 200
            done = subprocess.run([*command, "logout"], capture_output=True, text=True, timeout=MAX_S)
            assert done.returncode == 0, done.stderr
            assert client.get("/v1/session", headers=given).status_code == 401
        assert not (tmp_path / LOGIN).exists()
