"""The page that verifies in a browser, in a real Chromium: from a passport, from files, from the code on a part."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from millmark.ledger.canonical import canonical_json
from tests.support.check_page import build_page
from tests.support.looking import CONTRAST, NAMELESS, SMALL_TARGETS, find_violations, run_list
from tests.support.portal_world import PortalWorld, serve_beside, serve_world

pytestmark = pytest.mark.browser
STEPS = 11


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """A gateway that offers the page; with its memory, where Node is installed."""
    folder = tmp_path_factory.mktemp("portal")
    build_page(folder / "page")
    with serve_world(folder, folder / "page") as world:
        yield world


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    yield context.new_page()
    context.close()


def test_from_the_passport_a_phone_verifies_alone(world: PortalWorld, page: Page) -> None:
    asked: list[Request] = []
    page.on("request", lambda one: asked.append(one))  # playwright marks the function
    page.goto(world.code())
    page.get_by_role("link", name="Check it on this device").click()
    result = page.locator("#result")
    expect(result.get_by_role("heading", name="PASSED")).to_be_visible()
    expect(page.locator("#trust-own")).to_be_visible()
    page.context.set_offline(True)
    before = len(asked)
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#state")).to_have_text("")
    expect(result.get_by_role("heading", name="PASSED")).to_be_visible()
    assert world.part.part is not None
    expect(result).to_contain_text(world.part.part.identifier)
    assert {urlsplit(one.url).netloc for one in asked} == {urlsplit(world.origin).netloc}
    # The salt opens the part to whoever reads it, so it is in no address that the page's own server would log for it.
    assert not [one.url for one in asked if "/check/" in one.url and "salt" in urlsplit(one.url).query]
    assert len(asked) == before
    result.get_by_text("What was checked").click()
    expect(result.locator(".checks li.done")).to_have_count(STEPS)
    # Codes are read without the network, too: it is a camera that is missing here.
    page.locator("#scan").evaluate("one => one.click()")
    expect(page.locator("#state")).to_have_text("The camera cannot be used: Requested device not found.")


def test_python_starts_from_its_memory_and_without_it_from_its_sources(
    world: PortalWorld, page: Page, tmp_path: Path
) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    bundle, trust = _download(world, page, tmp_path)
    asked: list[Request] = []
    page.on("request", lambda one: asked.append(one))  # playwright marks the function
    page.goto(f"{world.origin}/check/")
    _choose(page, "bundle", bundle)
    expect(page.locator("#state")).to_have_text(re.compile(r"The verifier is ready \(Python [\d.]+\)\.$"))
    assert not [one.url for one in asked if one.url.endswith(("code.json", "python_stdlib.zip"))]
    page.context.route("**/memory.bin", lambda route: route.fulfill(status=404))
    page.goto(f"{world.origin}/check/")
    _choose(page, "bundle", bundle)
    _choose(page, "trust", trust)
    expect(page.locator("#state")).to_contain_text("quick start failed, so it started the slow way: Error: memory.bin")
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#result")).to_contain_text("all eleven steps of the check passed")


def test_a_page_without_a_memory_starts_from_its_sources_and_asks_for_none(
    world: PortalWorld, page: Page, tmp_path: Path
) -> None:
    bundle, trust = _download(world, page, tmp_path)
    build_page(tmp_path / "page", memory=False)
    asked: list[str] = []
    told: list[str] = []
    page.on("response", lambda one: asked.append(f"{one.status} {urlsplit(one.url).path}"))
    page.on("console", lambda one: told.append(one.text))
    with serve_beside(world, None, tmp_path / "page") as origin:
        page.goto(f"{origin}/check/")
        _choose(page, "bundle", bundle)
        expect(page.locator("#state")).to_have_text(re.compile(r"The verifier is ready \(Python [\d.]+\)\.$"))
        _choose(page, "trust", trust)
        page.get_by_role("button", name="Verify").click()
        expect(page.locator("#result")).to_contain_text("all eleven steps of the check passed")
    assert "200 /check/code.json" in asked
    assert [one for one in asked if "memory" in one or not one.startswith("200 ")] == []
    assert told == []


def test_files_are_verified_and_a_forgery_is_refused(world: PortalWorld, page: Page, tmp_path: Path) -> None:
    bundle, trust = _download(world, page, tmp_path)
    page.goto(f"{world.origin}/check/")
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#state")).to_have_text("Choose the part's proof first.")
    _choose(page, "bundle", bundle)
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#state")).to_have_text("Choose a trust file first.")
    _choose(page, "trust", trust)
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#result")).to_contain_text("all eleven steps of the check passed")
    content = json.loads(bundle.read_bytes())
    content["records"][0][3] += 1  # the time of its block
    bundle.write_bytes(canonical_json(content))
    expect(page.locator("#result")).to_be_visible()
    _set_file(page, "bundle", bundle)
    expect(page.locator("#result")).to_be_hidden()  # it is not about the file that was chosen now
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#result")).to_contain_text("Step 5 of 11 failed. Do not rely on this proof.")
    _choose(page, "bundle", trust)
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#result")).to_contain_text("This cannot be checked")


def test_the_code_on_a_part_is_looked_up_at_this_server_only(world: PortalWorld, page: Page) -> None:
    asked: list[Request] = []
    page.on("request", lambda one: asked.append(one))  # playwright marks the function
    page.goto(f"{world.origin}/check/")
    elsewhere = world.code().replace(world.origin, "https://maker.example")
    page.get_by_label("Or its address").fill(elsewhere)
    page.get_by_role("button", name="Load").click()
    expect(page.locator("#bundle-name")).to_contain_text("Loaded from")
    page.get_by_label("Or its address").fill("https://maker.example/part.bundle")
    page.get_by_role("button", name="Load").click()
    expect(page.locator("#state")).to_contain_text("Open maker.example in another tab")
    assert {urlsplit(one.url).netloc for one in asked} == {urlsplit(world.origin).netloc}


def test_where_the_part_is_not_known_the_page_says_so(world: PortalWorld, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda one: asked.append(urlsplit(one.url).path))  # playwright marks the function
    paths = {one: f"/passport/{one}/01/09506000013459/21/ELSEWHERE?salt={'A' * 43}" for one in ("bundle", "trust")}
    page.goto(f"{world.origin}/check/#{urlencode(paths)}")
    expect(page.locator("#state")).to_have_text("The proof could not be loaded: this server has no proof of that part.")
    assert [one for one in asked if one.startswith("/passport/")] == ["/passport/bundle/01/09506000013459/21/ELSEWHERE"]
    expect(page.get_by_role("button", name="Verify")).to_be_enabled()


def test_what_is_too_large_is_not_read(world: PortalWorld, page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.bundle"
    with large.open("wb") as file:
        file.truncate(33 * 2**20)
    page.goto(f"{world.origin}/check/")
    _set_file(page, "bundle", large)
    expect(page.locator("#state")).to_have_text("large.bundle is larger than 32 MB, which no proof is.")


def test_markup_in_a_proof_is_shown_as_text(world: PortalWorld, page: Page, tmp_path: Path) -> None:
    bundle, trust = _download(world, page, tmp_path)
    content = json.loads(trust.read_bytes())
    content["participants"][0]["name"] = "<img src=x onerror=alert(1)>"
    trust.write_bytes(canonical_json(content))
    page.goto(f"{world.origin}/check/")
    _choose(page, "bundle", bundle)
    _choose(page, "trust", trust)
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#result")).to_contain_text("all eleven steps of the check passed")
    assert page.locator("#result img").count() == 0


@pytest.mark.parametrize(
    ("language", "width"),
    [
        ("en", 390),
        ("zh", 1280),
        *(pytest.param(*one, marks=pytest.mark.left_out) for one in (("zh", 390), ("en", 1280))),
    ],
)
def test_everybody_can_read_it_in_every_state(
    world: PortalWorld, chromium: Browser, tmp_path: Path, language: str, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 844}, locale=language)
    page = context.new_page()
    page.goto(f"{world.origin}/check/")
    expect(page.locator("#go")).to_be_enabled()
    _measure(page)
    page.locator("#go").click()  # nothing was chosen
    expect(page.locator("#state")).not_to_be_empty()
    _measure(page)
    page.goto(world.code(world.failed))
    page.locator("a[href^='/check/#']").click()
    expect(page.locator("#result .badge.bad")).to_be_visible()
    _measure(page)
    page.goto(world.code())
    page.locator("a[href^='/check/#']").click()
    expect(page.locator("#result .badge.good")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == language
    _measure(page)
    chinese = re.search(r"[\u4e00-\u9fff]", page.locator("#given").inner_text())
    assert (chinese is not None) == (language == "zh")
    broken = tmp_path / "broken.bundle"
    broken.write_text("no bundle")
    _choose(page, "bundle", broken)
    page.locator("#go").click()
    expect(page.locator("#result .badge.none")).to_be_visible()
    _measure(page)
    context.close()


def _measure(page: Page) -> None:
    """Also in the dark, and with the pointer on the button."""
    for script in (CONTRAST, NAMELESS, SMALL_TARGETS):
        assert not run_list(page, script)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert find_violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert find_violations(page, "color-contrast") == []
    page.locator("#go").hover()
    assert find_violations(page, "color-contrast") == []
    page.emulate_media(color_scheme="light")
    page.mouse.move(0, 0)


def _download(world: PortalWorld, page: Page, folder: Path) -> tuple[Path, Path]:
    found = []
    page.goto(world.code())
    for name in ("part.bundle", "trust.json"):
        with page.expect_download() as waiting:
            page.locator(f"a[download='{name}']").click()
        path = folder / name
        waiting.value.save_as(path)
        found.append(path)
    return found[0], found[1]


def _set_file(page: Page, what: str, path: Path) -> None:
    """Chooses a file, once the page takes one."""
    expect(page.locator(f"#{what}")).to_be_enabled()
    page.set_input_files(f"#{what}", path)


def _choose(page: Page, what: str, path: Path) -> None:
    """Chooses a file, and waits until the page has it: a click at once may come before it."""
    _set_file(page, what, path)
    expect(page.locator(f"#{what}-name")).to_contain_text(path.name)
