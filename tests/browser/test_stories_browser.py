"""Days in a real Chromium, from the work list to the final records: a carrier's, who takes a lot over and hands it on;
an auditor's, who checks a proof, demands an opening and withdraws a model; that of the consortium's operator, who
admits a company, publishes the directory, suspends a company and lifts that. Each on an English phone and on a wide
Chinese screen, at gateways over one index.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from playwright.sync_api import Browser, BrowserContext, Page, expect

from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import CertificateState, LotState, Role
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import CertificateRow, LotRow
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import session_cookie
from millmark.services.directory import DirectoryEntry, sign_statement
from millmark.services.home import AdmissionRequest
from tests.browser.test_portal_browser import open_context
from tests.support.check_page import build_page
from tests.support.looking import (
    CONTRAST,
    CUT_OFF,
    NAMELESS,
    SMALL_TARGETS,
    VIEWS,
    find_violations,
    looks_again,
    name_view,
    run_list,
)
from tests.support.patience import wait_until
from tests.support.portal_world import PortalWorld, serve_beside, serve_world

pytestmark = pytest.mark.browser

CARRIER, AUDITOR, INSPECTOR = "Swift Freight", "Vector Auditing", "Umbra Inspection"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """The carrier's gateway; passkeys need this host."""
    with serve_world(tmp_path_factory.mktemp("carrier"), owner=CARRIER, acting=True) as world:
        yield world


@pytest.fixture(scope="module")
def beside(world: PortalWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Origins of further gateways; the auditor's has the page that verifies."""
    page = tmp_path_factory.mktemp("check") / "page"
    build_page(page)
    with (
        serve_beside(world, AUDITOR, page) as auditor,
        serve_beside(world, INSPECTOR) as inspector,
        serve_beside(world, None) as operator,
    ):
        yield {AUDITOR: auditor, INSPECTOR: inspector, "operator": operator}


@pytest.fixture(params=VIEWS, ids=name_view)
def seat(request: pytest.FixtureRequest, world: PortalWorld, chromium: Browser) -> Iterator[tuple[BrowserContext, str]]:
    """Somebody's browser, and the language that they read."""
    language, width = request.param
    context = open_context(chromium, locale="en-GB", viewport={"width": width, "height": 844})
    yield context, language
    context.close()


def enter(
    context: BrowserContext, world: PortalWorld, role: PersonRole, name: str | None = CARRIER, origin: str = ""
) -> None:
    token = world.session(None if name is None else world.company(name), f"Mei {role}", role)
    context.add_cookies(
        [{"name": session_cookie(origin or world.origin), "value": token, "url": origin or world.origin}]
    )


@looks_again
def look(page: Page) -> None:
    """Nothing sticks out, is too pale, too small or without a name, and axe-core finds nothing."""
    page.wait_for_load_state()
    expect(page.locator("footer")).to_be_visible()
    for script in (CONTRAST, NAMELESS, SMALL_TARGETS, CUT_OFF):
        assert run_list(page, script) == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    assert find_violations(page) == [], page.url


def lot_of(world: PortalWorld, subject: bytes) -> LotRow:
    with world.store.reading() as connection:
        row = Rows(connection).get(LotRow, subject)
    assert row is not None
    return row


def confirm(page: Page) -> None:
    """From the summary to the final record, which the page shows by itself."""
    look(page)
    page.locator('form[action$="/confirm"] button[type=submit]').first.click()
    await_final(page)


def await_final(page: Page) -> None:
    expect(page.locator(".way li.done")).to_have_count(4)
    page.reload()  # the page that followed by itself may be about to load once more
    look(page)


def test_a_carrier_accepts_what_was_offered_and_hands_it_on(
    seat: tuple[BrowserContext, str], world: PortalWorld, request: pytest.FixtureRequest
) -> None:
    context, language = seat
    giver, taker = world.company("Cedar Assembly"), world.company("Nordwind Mobility")
    name = f"CRATE-{request.node.callspec.id}"
    subject = world.offer_lot(giver.name, CARRIER, f"urn:example:{name}")
    wait_until(lambda: is_offered(world, subject))
    enter(context, world, PersonRole.RECORDER)
    page = context.new_page()
    page.goto(f"{world.origin}/portal?lang={language}")
    task = page.locator("ol.work > li").filter(has_text=name)
    expect(task).to_contain_text(giver.name)
    look(page)
    task.locator('a[href^="/portal/act/acceptCustody"]').click()
    expect(page.locator("main")).to_contain_text(name)
    confirm(page)
    assert lot_of(world, subject).custodian == world.company(CARRIER).number
    page.goto(f"{world.origin}/portal")
    expect(page.locator("ol.work > li").filter(has_text=name)).to_have_count(0)
    page.goto(f"{world.origin}/portal/lots/{subject.hex()}")
    look(page)
    expect(page.locator('main a[href^="/portal/act/sendBack"]')).to_be_visible()  # another company made it
    page.locator('main a[href^="/portal/act/offerCustody"]').click()
    page.locator("select[name=to]").select_option(str(taker.number))
    look(page)
    page.locator('main form[action^="/portal/act/"] button[type=submit]').last.click()
    confirm(page)
    assert is_offered(world, subject)


def is_offered(world: PortalWorld, subject: bytes) -> bool:
    with world.store.reading() as connection:
        row = Rows(connection).get(LotRow, subject)
    return row is not None and row.state == LotState.OFFERED


# The auditor


def test_an_auditor_checks_a_proof_demands_an_opening_and_judges_the_model(
    seat: tuple[BrowserContext, str], world: PortalWorld, beside: dict[str, str], chromium: Browser
) -> None:
    context, language = seat
    job = world.part if language == "en" else world.failed
    identity, origin = world.identity(job), beside[AUDITOR]
    enter(context, world, PersonRole.RECORDER, AUDITOR, origin)
    page = context.new_page()
    page.goto(f"{origin}/portal?lang={language}")
    look(page)
    page.locator("#find").fill(identity.identifier.rpartition("/")[2])
    page.locator("form.find button").click()
    expect(page).to_have_url(f"{origin}/portal/lots/{identity.subject.hex()}")
    look(page)
    verify(page, good=job is world.part)
    page.goto(f"{origin}/portal/lots/{identity.subject.hex()}")
    page.locator('main a[href^="/portal/certificates/"]').click()
    certificate = page.url
    look(page)
    if demand(page, world):
        page.goto(certificate)
        expect(page.locator('main a[href^="/portal/act/demandOpening"]')).to_have_count(0)
        look(page)
        tell_inspector(chromium, world, beside[INSPECTOR], certificate.rpartition("/")[2])
    page.goto(certificate)
    judge_model(page, withdraw=language == "zh")


def verify(page: Page, *, good: bool) -> None:
    """From the passport, with the page of the auditor's own gateway."""
    page.locator("ul.links a").first.click()
    page.locator('a[href^="/check/#"]').click()
    expect(page.locator(f"#result .badge.{'good' if good else 'bad'}")).to_be_visible()
    look(page)


def demand(page: Page, world: PortalWorld) -> bool:
    """Demands the opening, which the contract grants a company once an hour; otherwise the page says so in words.
    Returns whether it was granted."""
    with world.store.reading() as connection:
        granted = not Rows(connection).find(CertificateRow, state=int(CertificateState.DEMANDED))
    page.locator('main a[href^="/portal/act/demandOpening"]').click()
    if granted:
        confirm(page)
        return True
    page.locator('form[action$="/confirm"] button[type=submit]').first.click()
    expect(page.locator("[role=alert]")).to_contain_text(re.compile("less than an hour ago|一小时内"))
    look(page)
    return False


def tell_inspector(chromium: Browser, world: PortalWorld, origin: str, certificate: str) -> None:
    """The inspector's work list has it, with the date until which the opening is awaited. In a browser of its own: a
    cookie is for all ports of a host."""
    context = open_context(chromium, locale="en-GB", viewport={"width": 390, "height": 844})
    enter(context, world, PersonRole.READER, INSPECTOR, origin)
    page = context.new_page()
    page.goto(f"{origin}/portal")
    task = page.locator("ol.work > li").filter(has_text=certificate)
    expect(task.locator(".when time").first).to_be_visible()
    look(page)
    context.close()


def judge_model(page: Page, *, withdraw: bool) -> None:
    """From the certificate to the model that it rests on, and what that reached; its approver may withdraw it, for
    good."""
    page.locator('main a[href^="/portal/models/"]').click()
    model = page.url
    look(page)
    page.locator('main a[href^="/portal/recall?model="]').click()
    expect(page.locator("main svg a, main tbody tr").first).to_be_attached()
    look(page)
    page.goto(model)
    page.locator('main a[href^="/portal/act/withdrawModel"]').click()
    look(page)
    if withdraw:
        page.locator("textarea").fill("the window does not show what the certificate says")
        page.locator('main form[action^="/portal/act/"] button[type=submit]').last.click()
        confirm(page)
        page.goto(model)
        expect(page.locator('main a[href^="/portal/act/withdrawModel"]')).to_have_count(0)
        look(page)


# The consortium's operator


def test_the_operator_admits_publishes_suspends_and_lifts(
    seat: tuple[BrowserContext, str], world: PortalWorld, beside: dict[str, str]
) -> None:
    context, language = seat
    origin = beside["operator"]
    enter(context, world, PersonRole.RECORDER, None, origin)
    page = context.new_page()
    page.goto(f"{origin}/portal?lang={language}")
    look(page)
    page.goto(f"{origin}/portal/consortium")
    look(page)
    page.locator("#asked").fill(ask_to_join(world, f"Elm {language}"))
    page.locator('form[action="/portal/consortium/admission"] button').click()
    look(page)
    page.locator('form[action="/portal/consortium/admission/confirm"] button').click()
    go_on(page)
    expect(page.locator("#joining ~ ul")).to_contain_text(f"Elm {language}")
    publish = page.locator('form[action="/portal/consortium/directory"] button')
    # The page does not follow by itself, and is made from the index and from what the node said a moment ago.
    wait_until(lambda: publish.is_visible() or _reload(page))
    publish.click()
    go_on(page)
    number = world.company("Birch Machining").number
    page.locator(f'a[href="/portal/consortium/{number}/suspend"]').click()
    page.locator("textarea").fill("a key may be lost")
    look(page)
    page.locator(f'form[action="/portal/consortium/{number}/suspend"] button').click()
    go_on(page)
    page.locator(f'a[href="/portal/consortium/{number}/reinstate"]').click()
    look(page)
    page.locator(f'form[action="/portal/consortium/{number}/reinstate"] button').click()
    go_on(page)
    expect(page.locator(f'a[href="/portal/consortium/{number}/suspend"]')).to_be_visible()


def go_on(page: Page) -> None:
    """From a record that becomes final, back to the consortium."""
    await_final(page)
    page.locator("main .actions a.button").last.click()
    expect(page).to_have_url(re.compile("/portal/consortium$"))
    look(page)


def ask_to_join(world: PortalWorld, name: str) -> str:
    """What a company that wants to join writes, with a key of its own."""
    key, chain = LocalSigner.generate(), world.line.consortium.chain
    stated = sign_statement(chain.chain_id, chain.ledger, X25519PrivateKey.generate().public_key().public_bytes_raw(),
                            int(time.time()), key)  # fmt: skip
    entry = DirectoryEntry(0, name, recipient_key=stated)
    return AdmissionRequest(chain.chain_id, chain.ledger, key.address, Role.MANUFACTURER, entry).to_bytes().decode()


def _reload(page: Page) -> bool:
    page.wait_for_timeout(1000)  # within what may be asked of the page
    page.reload()
    return False
