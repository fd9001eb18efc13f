"""Days in a real Chromium, from the work list to what the contracts say for good: an inspector's, who opens a
certificate because that was demanded, on an English phone and on a wide Chinese screen; and the council's, of which one
member proposes on a phone, and another one agrees and carries it out on a wide screen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from millmark.ledger.chain.council import deploy_council, find_council
from millmark.ledger.records import CertificateState, DemandOpening, TransferOwnership
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import CertificateRow, LotRow, RecordRow
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import session_cookie
from tests.browser.test_portal_browser import open_context
from tests.browser.test_stories_browser import confirm, look
from tests.support.looking import VIEWS
from tests.support.patience import wait_until
from tests.support.portal_world import PortalWorld, serve_beside, serve_world

pytestmark = pytest.mark.browser

INSPECTOR, FIRST, SECOND, THIRD = "Umbra Inspection", "Cedar Assembly", "Nordwind Mobility", "Vector Auditing"
DAY_S = 86_400


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """The inspector's gateway."""
    with serve_world(tmp_path_factory.mktemp("inspector"), owner=INSPECTOR, acting=True) as world:
        yield world


def sit(chromium: Browser, world: PortalWorld, name: str, width: int, origin: str) -> BrowserContext:
    """The browser of somebody who may do everything for a company. Of its own: a cookie is for all ports of a host."""
    context = open_context(chromium, locale="en-GB", viewport={"width": width, "height": 844})
    token = world.session(world.company(name), f"Mei of {name}", PersonRole.ADMINISTRATOR)
    context.add_cookies([{"name": session_cookie(origin), "value": token, "url": origin}])
    return context


# The inspector


@pytest.mark.parametrize(("language", "width"), VIEWS)
def test_an_inspector_opens_what_is_demanded(world: PortalWorld, chromium: Browser, language: str, width: int) -> None:
    number = demand(world, failed=language == "zh")
    wait_until(lambda: state_of(world, number) is CertificateState.DEMANDED)
    context = sit(chromium, world, INSPECTOR, width, world.origin)
    page = context.new_page()
    page.goto(f"{world.origin}/portal?lang={language}")
    look(page)
    task = page.locator("ol.work > li").filter(has_text=str(number))
    task.locator('a[href^="/portal/act/openCertificate"]').click()
    look(page)
    page.locator('main form[action^="/portal/act/"] button[type=submit]').last.click()
    expect(page.locator("#publish_window")).to_have_attribute("aria-invalid", "true")
    look(page)
    page.locator("#publish_window").check()
    page.locator('main form[action^="/portal/act/"] button[type=submit]').last.click()
    expect(page.locator("#public ~ dl details").first).to_be_visible()
    confirm(page)
    assert state_of(world, number) is CertificateState.UPHELD
    page.locator("main .actions a.button").last.click()
    expect(page).to_have_url(f"{world.origin}/portal/certificates/{number}")
    look(page)
    expect(page.locator('main a[href^="/portal/act/openCertificate"]')).to_have_count(0)
    page.goto(f"{world.origin}/portal")
    expect(page.locator("ol.work > li").filter(has_text=str(number))).to_have_count(0)
    context.close()


def demand(world: PortalWorld, *, failed: bool) -> int:
    """By the coordinator of the failed part's order, or by the buyer: each may demand one in an hour."""
    consortium, job = world.line.consortium, world.failed if failed else world.part
    lot = world.identity(job).subject
    with world.store.reading() as connection:
        rows = Rows(connection)
        (row,) = rows.find(CertificateRow, lot=lot)
        kept = rows.get(LotRow, lot)
    assert kept is not None
    assert kept.order is not None
    who = consortium.coordinator if failed else consortium.buyer
    consortium.record(who, [DemandOpening(lot, kept.order, row.sequence)])
    return row.sequence


def state_of(world: PortalWorld, certificate: int) -> CertificateState:
    with world.store.reading() as connection:
        row = Rows(connection).get(CertificateRow, certificate)
    assert row is not None
    return CertificateState(row.state)


# The council


@pytest.fixture
def members(world: PortalWorld) -> Iterator[dict[str, str]]:
    """Origins of the gateways of a council's members, to which the registry is offered."""
    consortium = world.line.consortium
    numbers = sorted(world.company(name).number for name in (FIRST, SECOND, INSPECTOR, THIRD))
    council = deploy_council(consortium.chain, consortium.owner.signer, numbers, 3, DAY_S)
    consortium.record(consortium.owner, [TransferOwnership(council.address)])
    with serve_beside(world, FIRST) as first, serve_beside(world, SECOND) as second:
        yield {FIRST: first, SECOND: second}


def test_members_of_the_council_propose_agree_and_carry_out(
    world: PortalWorld, chromium: Browser, members: dict[str, str]
) -> None:
    phone, commands = (
        sit(chromium, world, *one) for one in ((FIRST, 390, members[FIRST]), (SECOND, 1280, members[SECOND]))
    )
    page = phone.new_page()
    page.goto(f"{members[FIRST]}/portal/consortium?lang=en")
    look(page)
    page.locator("#call").select_option("accept-ownership")
    page.locator('form[action="/portal/consortium/motions"] button').click()
    look(page)
    button = page.locator('form[action="/portal/consortium/motions/confirm"] button')
    expect(button).to_have_text("Propose a motion")
    button.click()
    expect(page.locator("#motion-1")).to_contain_text("Motion 1")
    look(page)
    council, _ = find_council(world.line.consortium.chain)
    council.approve(world.company(THIRD).signer, 1)  # with `millmark council approve`
    other = commands.new_page()
    vote(other, f"{members[SECOND]}/portal?lang=zh", "approve", "accept-ownership")
    expect(other.locator('form[action$="/motions/1/approve"]')).to_have_count(0)
    other.goto(f"{members[SECOND]}/portal")
    expect(other.locator('ol.work a[href$="#motion-1"]')).to_have_count(0)
    let_pass(world, DAY_S + 3600)  # the chain may be minutes ahead of this clock: a block a second, faster than that
    vote(page, f"{members[FIRST]}/portal", "execute", "accept-ownership")
    assert find_council(world.line.consortium.chain)[1], "the council owns the registry"
    wait_until(lambda: is_indexed(world, "OwnershipAccepted"))
    page.reload()
    expect(page.locator("main")).to_contain_text("It owns the registry")
    phone.close()
    commands.close()


def vote(page: Page, work_list: str, vote: str, call: str) -> None:
    """From the work list, which knows of motions a moment later, to the vote."""
    link = page.locator("ol.work > li").filter(has_text=call).locator('a[href="/portal/consortium#motion-1"]')

    def is_there() -> bool:
        page.goto(work_list)
        if link.count() != 1:
            page.wait_for_timeout(1000)
        return link.count() == 1

    wait_until(is_there)
    look(page)
    link.click()
    expect(page).to_have_url(re.compile("#motion-1$"))
    look(page)
    button = page.locator(f'form[action$="/motions/1/{vote}"] button')

    def is_offered() -> bool:
        # The page shows a view of some seconds ago.
        if button.count() != 1:
            page.wait_for_timeout(1000)
            page.reload()
        return button.count() == 1

    wait_until(is_offered)
    button.click()
    expect(button).to_have_count(0)
    look(page)


def let_pass(world: PortalWorld, seconds: int) -> None:
    transport = world.line.consortium.chain.node._transport  # no other node lets its clock be set
    for method, params in (("evm_increaseTime", [seconds]), ("evm_mine", [])):
        transport.request(method, params)


def is_indexed(world: PortalWorld, kind: str) -> bool:
    with world.store.reading() as connection:
        return bool(Rows(connection).find(RecordRow, kind=kind))
