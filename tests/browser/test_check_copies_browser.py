"""From a passport to the copy of the page at another company, in a real Chromium: the proof is saved, the copy opened,
the file picked; the verdict is that of the other company's page and trust file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Request, expect

from millmark.ledger.store import Rows
from millmark.ledger.trust import BelievedBlock, parse_trust
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.gateway import follower
from tests.support.check_page import build_page
from tests.support.looking import CONTRAST, NAMELESS, SMALL_TARGETS, run_list
from tests.support.patience import MAX_S, wait_until
from tests.support.portal_world import PortalWorld, serve_beside, serve_world

pytestmark = pytest.mark.browser
MAKER, OTHER, BARE = "Cedar Assembly", "Alder Forge", "Birch Machining"


@dataclass(frozen=True)
class Places:
    world: PortalWorld
    copy: str
    """Origin of a company whose gateway has the page."""
    bare: str
    """Origin of one whose gateway lacks it."""

    def list(self, **gateways: str) -> None:
        """Puts the directory in force that names these gateways."""
        with self.world.store.transaction() as connection:
            for name, gateway in gateways.items():
                company = self.world.company(name.replace("_", " "))
                row = DirectoryEntryRow(company.number, company.name, "", gateway, b"", 0, b"")
                Rows(connection).put(row)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("copies")
    build_page(folder / "page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follower, "_FIRST_S", 0.2)
        patch.setattr(follower, "_INTERVAL_S", 0.2)
        with (
            serve_world(folder, folder / "page", owner=MAKER) as world,
            serve_beside(world, OTHER, folder / "page") as copy,
            serve_beside(world, BARE) as bare,
        ):
            yield Places(world, copy, bare)


@pytest.fixture
def phone(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    yield context
    context.close()


def _copies(places: Places) -> list[str]:
    page = httpx.get(places.world.code(), trust_env=False, timeout=MAX_S).text
    return [origin for origin in (places.copy, places.bare, places.world.origin) if f"{origin}/check/#" in page]


def test_saved_here_and_picked_at_another_company(places: Places, phone: BrowserContext, tmp_path: Path) -> None:
    places.list(Cedar_Assembly=places.world.origin, Alder_Forge=places.copy, Birch_Machining=places.bare)
    wait_until(lambda: _copies(places) == [places.copy])  # the one that lacks the page is not offered
    page = phone.new_page()
    page.goto(places.world.code())
    copies = page.locator("ol", has_text="Open the page at another company")
    with page.expect_download() as saving:
        copies.get_by_role("link", name="Download the proof").click()
    saving.value.save_as(tmp_path / "part.bundle")
    asked: list[Request] = []
    phone.on("request", lambda one: asked.append(one))  # playwright marks the function
    with page.expect_popup() as opening:
        copies.get_by_role("link", name=OTHER).click()
    copy = opening.value
    expect(copy.locator("#trust-name")).to_contain_text("Loaded from trust")
    expect(copy.locator("#pick")).to_contain_text("Choose the proof that you have just saved")
    copy.set_input_files("#bundle", tmp_path / "part.bundle")
    expect(copy.locator("#result").get_by_role("heading", name="PASSED")).to_be_visible()
    expect(copy.locator("#trust-own")).to_be_hidden()
    assert {urlsplit(one.url).netloc for one in asked} == {urlsplit(places.copy).netloc}
    assert [urlsplit(one.url).path for one in asked if "/passport/" in one.url] == ["/passport/trust"]
    assert not [one.url for one in asked if "salt" in one.url]


@pytest.mark.parametrize(("language", "width"), [("en", 390), ("zh", 390), ("en", 1280), ("zh", 1280)])
def test_everybody_can_read_what_is_to_be_picked(places: Places, chromium: Browser, language: str, width: int) -> None:
    with chromium.new_context(viewport={"width": width, "height": 844}, locale=language) as context:
        page = context.new_page()
        page.goto(f"{places.copy}/check/#pick=bundle&trust=/passport/trust%3Fblock%3D1%26hash%3D{'0' * 64}")
        expect(page.locator("#pick")).to_be_visible()
        expect(page.locator("#state")).to_contain_text(
            "信任文件" if language == "zh" else "could not be loaded: its node"
        )
        for script in (CONTRAST, NAMELESS, SMALL_TARGETS):
            assert not run_list(page, script)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_copy_that_is_gone_is_not_offered_any_more(places: Places) -> None:
    places.list(Alder_Forge=places.copy)
    wait_until(lambda: _copies(places) == [places.copy])
    places.list(Alder_Forge=places.bare)
    wait_until(lambda: _copies(places) == [])


def test_a_trust_file_is_for_whoever_has_the_blocks_hash(places: Places) -> None:
    chain = places.world.line.consortium.chain
    number = chain.final_number()
    digest = chain.node.header(number).hash.hex()

    def ask(**query: str) -> httpx.Response:
        return httpx.get(f"{places.copy}/passport/trust", params=query, trust_env=False, timeout=MAX_S)

    trust = parse_trust(ask(block=str(number), hash=digest).content)
    assert trust.checkpoint == BelievedBlock(number, bytes.fromhex(digest))
    wrong = [{}, {"block": str(number)}, {"hash": digest}, {"block": str(number - 1), "hash": digest}]
    wrong += [{"block": str(number), "hash": f"{int(digest, 16) ^ 1:064x}"}, {"block": "9" * 15, "hash": digest}]
    wrong += [{"block": "-1", "hash": digest}, {"block": "9" * 99, "hash": digest}, {"block": "x", "hash": "y"}]
    answers = [ask(**query) for query in wrong]
    assert {one.status_code for one in answers} == {404}
    assert len({re.sub('href="[^"]*"', "", one.text) for one in answers}) == 1, (
        "nothing tells whether there is such a block"
    )
