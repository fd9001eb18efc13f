"""The portal in a real Chromium: from the scan to the proof, signing in without a script, recall, what is forbidden,
the keyboard's way, and how it looks at 320 and 1280 pixels in both languages."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.support.looking import CONTRAST, CUT_OFF, NAMELESS, SMALL_TARGETS, read_codes, run_list
from tests.support.patience import MAX_S
from tests.support.portal_world import PortalWorld

pytestmark = pytest.mark.browser

PROVED = "That this was recorded is proved"


def open_context(chromium: Browser, **options: Any) -> BrowserContext:
    """A context whose pages may take as long as anything else in the tests: the browser's own limit is 30 s."""
    context = chromium.new_context(**options)
    context.set_default_timeout(MAX_S * 1000)
    return context


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    context = open_context(chromium, locale="en-GB", viewport={"width": 390, "height": 844})
    yield context
    context.close()


def watch(page: Page) -> list[str]:
    """What the browser complains of: a style or script that the policy forbids, a thing that does not load."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.extend(unloaded(request)))
    return complaints


def unloaded(request: Request) -> list[str]:
    """A page that is left gives up what it had still to load: that is no complaint, whatever else fails is one."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"not loaded: {request.url}: {request.failure}"]


def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=MAX_S, input=given)


# From the scan to the proof


def test_from_the_code_on_the_part_to_a_proof_checked_offline(
    chromium: Browser, visitor: BrowserContext, world: PortalWorld, tmp_path: Path
) -> None:
    page = visitor.new_page()
    complaints = watch(page)
    page.goto(world.code().replace("/01/", "/passport/label/01/"))
    picture = page.get_by_role("img", name="QR code of the part's GS1 Digital Link")
    (scanned,) = read_codes(chromium, picture.screenshot())
    assert scanned == world.code()
    page.goto(scanned)
    expect(page.get_by_role("heading", level=1)).to_have_text("crankshaft")
    expect(page.get_by_text(PROVED)).to_be_visible()
    for button, name in (("Download the proof", "part.bundle"), ("Download the trust file", "trust.json")):
        with page.expect_download() as download:
            page.get_by_role("link", name=button).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    command = page.get_by_label("Command").inner_text()
    assert command == "python -m millmark.verify part.bundle --trust trust.json"
    done = run("-m", "millmark.ledger.verify", str(tmp_path / "part.bundle"), "--trust", str(tmp_path / "trust.json"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VERIFIED")
    assert world.identity(world.part).identifier in done.stdout
    assert not complaints


def test_the_page_and_its_file_tell_the_same(visitor: BrowserContext, world: PortalWorld) -> None:
    page = visitor.new_page()
    page.goto(world.code())
    for text in ("Alder Forge", "Birch Machining", "Cedar Assembly", "Umbra Inspection", "Nordwind Mobility"):
        expect(page.get_by_text(text).first).to_be_attached()
    expect(page.locator(".checks .done")).to_have_count(11)
    expect(page.locator("#footprint")).to_have_text("Energy and carbon")
    figures = page.locator(".figures").inner_text().split()
    assert figures[:4] == ["Energy", "27.360", "kWh", "Carbon,"], "22, 95 and 35 minutes at 180 Wh"
    assert figures[-3:] == ["readings", "51.0", "%"]
    assert "for Mara" not in page.content(), "only what is marked is disclosed"
    expect(page.get_by_role("img", name=re.compile("Genealogy"))).to_be_visible()
    expect(page.get_by_text("F0001: made by Alder Forge from HEAT1").first).to_be_visible()


def test_a_failed_part_is_proved_and_not_called_good(visitor: BrowserContext, world: PortalWorld) -> None:
    page = visitor.new_page()
    page.goto(world.code(world.failed))
    expect(page.locator("#badge-title")).to_contain_text("STOPPED: in quarantine")
    expect(page.locator(".badge")).to_contain_text("FAILED: certificate")
    expect(page.locator(".badge")).not_to_contain_text("PASSED")
    expect(page.get_by_text(PROVED)).to_be_visible()
    expect(page.locator(".checks .failed")).to_contain_text("not in quarantine")


def test_without_the_salt_nothing_is_there(visitor: BrowserContext, world: PortalWorld) -> None:
    page = visitor.new_page()
    answer = page.goto(world.code().partition("?")[0])
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing found here")


# Signing in


def sign_in(page: Page, world: PortalWorld, company: str) -> None:
    """As a person does it: address, message into the command, signature back."""
    who = world.company(company)
    page.get_by_label("Address of the key").fill(world.address(who))
    page.get_by_role("button", name="Show the message").click()
    message = page.get_by_label("Message to sign").inner_text()
    done = run("-m", "millmark.services.cli", "keys", "sign-in", *world.keystore(who), given=message + "\n")
    assert done.returncode == 0, done.stderr
    page.get_by_label("Signature").fill(done.stdout)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "/sign-in" not in address)


def follow_menu(page: Page, name: str) -> None:
    """Follows a link of the menu, also one that is folded away for this company."""
    menu = page.get_by_role("navigation", name="Pages for participants")
    if not menu.get_by_role("link", name=name, exact=True).count():
        menu.get_by_text("More", exact=True).click()
    menu.get_by_role("link", name=name, exact=True).click()


def test_in_and_out_without_a_script(chromium: Browser, world: PortalWorld) -> None:
    context = open_context(chromium, java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto(world.origin + "/portal/orders")
    expect(page).to_have_url(re.compile("/portal/sign-in"))
    sign_in(page, world, "Nordwind Mobility")
    expect(page).to_have_url(world.origin + "/portal/orders")
    expect(page.get_by_role("row")).to_have_count(3)
    (cookie,) = [one for one in context.cookies() if str(one.get("name")).startswith("millmark-session-")]
    assert cookie.get("httpOnly") is True
    assert cookie.get("sameSite") == "Strict"
    for name in ("Machines", "Lots", "Quarantine", "Models", "Recall", "Orders"):
        follow_menu(page, name)
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
    page.get_by_role("row").nth(1).get_by_role("link").click()
    expect(page.get_by_role("heading", name="Lots of this order")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(world.origin + "/")
    page.goto(world.origin + "/portal/orders")
    expect(page).to_have_url(re.compile("/portal/sign-in"))
    context.close()


def test_a_signature_of_another_key_is_told(visitor: BrowserContext, world: PortalWorld) -> None:
    page = visitor.new_page()
    page.goto(world.origin + "/portal/sign-in")
    page.get_by_label("Address of the key").fill(world.address(world.company("Nordwind Mobility")))
    page.get_by_role("button", name="Show the message").click()
    page.get_by_label("Signature").fill("0x" + "1" * 130)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Not signed in.")


def test_what_is_not_for_a_company_is_not_there(visitor: BrowserContext, world: PortalWorld) -> None:
    """The first factory sees the orders that it works for, not the assembler's box of bearings, nor how the gateway
    does."""
    page = visitor.new_page()
    page.goto(world.origin + "/portal/machines")
    sign_in(page, world, "Alder Forge")
    expect(page.get_by_role("heading", level=1)).to_have_text("Machines")
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Queues")).to_have_count(0)
    pallet = next(row for row in world.line.components)
    for path in ("/portal/queues", "/portal/status", f"/portal/lots/{'77' * 32}"):
        answer = page.goto(world.origin + path)
        assert answer is not None
        assert answer.status == 404
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing found here")
    page.goto(world.origin + "/portal/lots")
    assert page.locator(f'a[href="/portal/lots/{pallet.hex()}"]').count() == 0


def test_the_owner_sees_queues_models_and_status(visitor: BrowserContext, world: PortalWorld) -> None:
    page = visitor.new_page()
    page.goto(world.origin + "/portal/queues")
    sign_in(page, world, "Cedar Assembly")
    expect(page.get_by_role("row", name=re.compile("^final"))).to_contain_text("permanently on the ledger")
    follow_menu(page, "Models")
    expect(page.get_by_text("95.8")).to_be_visible()
    follow_menu(page, "Status")
    expect(page.get_by_text("There is no chain to compare the index with.")).to_be_visible()


# Recall, by keyboard


def press_to(page: Page, name: str, most: int = 60) -> None:
    """Tabs until the control of that name has the focus, which must be seen there."""
    script = """() => { const e = document.activeElement, s = getComputedStyle(e);
      const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
      return [(e.labels?.[0] ?? e).textContent.trim(), seen]; }"""
    for _ in range(most):
        page.keyboard.press("Tab")
        text, seen = page.evaluate(script)
        assert seen, f"no focus is seen on {text}"
        if text == name:
            return
    raise AssertionError(f"{name} is not reached by keyboard")


def test_a_recall_with_the_keyboard_alone(visitor: BrowserContext, world: PortalWorld, tmp_path: Path) -> None:
    page = visitor.new_page()
    page.goto(world.origin + "/portal/recall")
    sign_in(page, world, "Umbra Inspection")
    expect(page.get_by_role("heading", level=1)).to_have_text("Recall")
    press_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    press_to(page, "A quality model judged wrongly")
    page.keyboard.press("Enter")
    press_to(page, "Find what the model affected")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What it affected")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Cedar Assembly")).first).to_contain_text("1")
    expect(page.get_by_role("row", name=re.compile("Nordwind Mobility")).first).to_contain_text("1")
    press_to(page, "Download all as CSV")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    download.value.save_as(tmp_path / "recall.csv")
    rows = list(csv.DictReader((tmp_path / "recall.csv").read_text("utf-8-sig").splitlines()))
    assert {row["verdict"] for row in rows} == {"pass", "fail"}
    assert {row["holder"] for row in rows} == {"Cedar Assembly", "Nordwind Mobility"}


def test_the_proof_is_reached_with_the_keyboard(visitor: BrowserContext, world: PortalWorld) -> None:
    page = visitor.new_page()
    page.goto(world.code())
    press_to(page, "What was proved, what was not, and how to check it yourself")
    page.keyboard.press("Enter")
    press_to(page, "Download the proof")


# How it looks


def pages(world: PortalWorld) -> dict[str, str]:
    """One of each kind, as the owner sees them."""
    job, plant = world.part, world.line.plant
    names = ("", "orders", "lots", "quarantine", "machines", "models", "recall", "queues", "status", "sign-in")
    registers = ("certificates", "participants", "streams", "documents", "webhooks", "apikeys", "audit")
    paths = {
        **{name: name for name in (*names, *registers)},
        "participant": f"participants/{world.company('Umbra Inspection').number}",
        "several found": f"search?q={plant.machines[0].number}",
        "nothing found": "search?q=NOTHING",
        "order": f"orders/{job.order.subject.hex()}",
        "lot": f"lots/{world.identity(job).subject.hex()}",
        "machine": f"machines/{plant.machines[0].number}",
        "what a recall found": f"recall?model={plant.model}",
        "a recall refused": "recall?model=x",
        "message": f"sign-in?address={world.address(world.line.consortium.buyer)}",
    }
    code = world.code()
    return {
        **{name: f"{world.origin}/portal/{path}".rstrip("/") for name, path in paths.items()},
        "passport": code,
        "failed": world.code(world.failed),
        "label": code.replace("/01/", "/passport/label/01/"),
        "home": world.origin + "/",
        "visible": world.origin + "/portal/visible",
        "unknown": code.partition("?")[0],
        "malformed": world.origin + "/01/1",
    }


@pytest.mark.parametrize(
    ("language", "width", "scheme"),
    [
        ("en", 320, "dark"),
        ("zh", 1280, "light"),
        *(pytest.param(*one, "light", marks=pytest.mark.left_out) for one in (("en", 320), ("en", 1280), ("zh", 320))),
    ],
)
def test_every_page_fits_reads_and_is_named(
    chromium: Browser, world: PortalWorld, language: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    viewport = {"width": width, "height": 800}
    context = open_context(chromium, locale="en-GB", viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.goto(world.origin + "/portal/status")
    sign_in(page, world, "Cedar Assembly")
    complaints = watch(page)
    for name, address in pages(world).items():
        page.goto(f"{address}{'&' if '?' in address else '?'}lang={language}")
        assert page.locator("html").get_attribute("lang") == language, name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways"
        assert run_list(page, CONTRAST) == [], name
        assert run_list(page, NAMELESS) == [], name
        assert run_list(page, SMALL_TARGETS) == [], name
        assert run_list(page, CUT_OFF) == [], name
        for role in ("banner", "main", "contentinfo"):
            expect(page.get_by_role(role)).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expected = re.compile(r"status of 4\d\d")  # of pages that are to be refused
    assert [one for one in complaints if not expected.search(one)] == []
    context.close()


def test_the_language_follows_the_browser_and_the_switch(chromium: Browser, world: PortalWorld) -> None:
    context = open_context(chromium, locale="zh-CN")
    page = context.new_page()
    page.goto(world.code())
    expect(
        page.get_by_text("“确有此记录”已得到证明，截至").or_(page.get_by_text("“确有此记录”已得到证明， 截至"))
    ).to_be_visible()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_text(PROVED)).to_be_visible()
    page.goto(world.code())
    expect(page.get_by_text(PROVED)).to_be_visible()
    context.close()


def test_nothing_is_loaded_from_elsewhere(visitor: BrowserContext, world: PortalWorld) -> None:
    page = visitor.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(world.code())
    assert len(asked) >= 3
    assert all(address.startswith(world.origin) for address in asked)
