"""How long first use takes: opens a finished demonstration, signs in as each role from its printed link in one Chromium
profile, and checks the first proof there: `scripts/prove first-use`.

Times are of a program that waits for nothing but the machine; a person's reading comes on top.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.opened import Link, opened
from tests.support.patience import MAX_S
from tests.support.pictures import WIDTHS

__all__ = ["SIX", "check_proof", "main", "open_chromium", "sign_in_all"]

SIX = ("buyer", "planner", "machine operator", "inspector", "auditor", "operator")
"""The roles for which somebody signs in."""
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
_LIMIT_S = 90.0
"""From the last line of `scripts/demo`, for each."""


def sign_in_all(context: BrowserContext, links: Mapping[str, Link]) -> Iterator[tuple[str, Page, str]]:
    """Takes each role's invitation with a passkey. Yields the role, the page after it, and the name that the passkey is
    listed by."""
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    for role in SIX:
        # One for each: a virtual authenticator stores three passkeys at most.
        kept = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.goto(links[role].url)
        page.get_by_role("button", name="Create a passkey").click()
        page.wait_for_url(f"{links[role].origin}/portal")
        [passkey] = session.send("WebAuthn.getCredentials", kept)["credentials"]
        session.send("WebAuthn.removeVirtualAuthenticator", kept)
        yield role, page, passkey["userName"]


def check_proof(page: Page, link: str) -> None:
    """Follows a part's link to its passport and checks its proof on the device."""
    page.goto(link)
    page.get_by_role("link", name="Check it on this device").click()
    expect(page.locator("#result .badge.good .badge-title")).to_contain_text("PASSED")


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """A browser. While it is open, no other event loop can run in this process."""
    expect.set_options(timeout=MAX_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=_FLAGS, timeout=MAX_S * 1000
        )
        try:
            yield browser
        finally:
            browser.close()


def _keep(page: Page, address: str, folder: Path, name: str) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(address)
        page.screenshot(path=folder / f"{name.replace(' ', '-')}-{width}.png", full_page=True)


def main(arguments: list[str]) -> int:
    """Returns 0 if somebody signed in, and the first proof was checked, within 90 s each."""
    parser = argparse.ArgumentParser(prog="scripts/prove first-use")
    parser.add_argument("folder", type=Path, help="of a finished demonstration whose invitations nobody took")
    parser.add_argument("--pictures", type=Path, help="folder for the pages that the links open, 390 and 1,280 px wide")
    given = parser.parse_args(arguments)
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as made, open_chromium() as browser:
        begun = time.monotonic()
        with opened(given.folder, Path(made, "open.log")) as links:
            _say(took, "links printed", begun)
            context = browser.new_context(locale="en-GB")
            check_proof(context.new_page(), links["anybody"].url)
            _say(took, "first proof checked", begun)
            for role, _, name in sign_in_all(context, links):
                _say(took, f"{role} signed in as {name!r}", begun)
            page = context.new_page()
            for role in SIX:
                page.goto(f"{links[role].origin}/portal")
                assert page.url == f"{links[role].origin}/portal", f"the {role} is signed out"
                if given.pictures:
                    given.pictures.mkdir(parents=True, exist_ok=True)
                    _keep(page, page.url, given.pictures, role)
            sys.stdout.write("all six still signed in\n")
    return 0 if max(took.values()) <= _LIMIT_S else 1


def _say(took: dict[str, float], what: str, begun: float) -> None:
    took[what] = time.monotonic() - begun
    sys.stdout.write(f"{took[what]:6.1f} s  {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
