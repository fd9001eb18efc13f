"""The portal's search, and lists that turn both ways; what fails is a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest

from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.provenance import listings as found_lists
from millmark.ledger.records import Role
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import LotRow
from millmark.services.access import Principal, Scope
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.portal import pages, registers
from millmark.services.portal.check_page import CheckCopy, find_copies
from millmark.services.portal.listings import find_lot_links
from tests.support.fake_world import INSPECTOR, OTHER_BUYER, SMITH, lot_trace
from tests.support.portal_site import OWNER, STRANGER, Site
from tests.support.stores import new_store

NAMED = Identity(SubjectKind.LOT, SMITH, "https://id.gs1.org/01/09506000134352/21/HIP-9", bytes(32))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("search")) as store:
        site = Site(store)
        with store.transaction() as connection:
            known = Rows(connection).get(LotRow, site.world.lots["hip 1"])
            assert known is not None
            Rows(connection).put(replace(known, subject=NAMED.subject, sequence=9_000, number=576_000))
            Book(connection).add_identity(NAMED)
        yield site


@pytest.mark.parametrize("text", ["HIP-9", " HIP-9", NAMED.identifier, NAMED.subject.hex(), "9000"])
def test_one_thing_is_opened_at_once(site: Site, text: str) -> None:
    answer = site.browser(OWNER).get(f"/portal/search?q={quote(text)}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/portal/lots/{NAMED.subject.hex()}")


def test_what_others_have_is_not_found(site: Site) -> None:
    for participant, status in ((OWNER, 303), (STRANGER, 404)):
        assert site.browser(participant).get("/portal/search?q=HIP-9").status_code == status


def test_candidates_are_told_apart_by_kind(site: Site) -> None:
    page = site.browser(OWNER).get(f"/portal/search?q={SMITH}").text
    links = set(re.findall(r'href="/portal/(\w+)/', page))
    assert "participants" in links
    many = site.browser(OWNER).get("/portal/search?q=o")
    assert many.status_code == 404  # one letter is no name of a company


@pytest.mark.parametrize(("language", "told"), [("en", "You can see nothing that is called"), ("zh", "没有此名称")])
@pytest.mark.parametrize("text", ["NOTHING-1", "7" * 30, "<b>\"'", "x" * 4000])
def test_nothing_found_is_said_and_escaped(site: Site, language: str, told: str, text: str) -> None:
    answer = site.browser(OWNER).get(f"/portal/search?q={quote(text)}&lang={language}")
    assert answer.status_code == 404
    assert told in answer.text
    assert "<b>" not in answer.text


def test_lists_turn_to_the_next_page_and_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ITEMS", 3)
    browser, path, seen = site.browser(OWNER), "/portal/lots", []
    while True:
        page = browser.get(path).text
        seen.append(re.findall(r"/portal/lots/([0-9a-f]{64})", page))
        older = re.search(r'href="([^"]+)" rel="next"', page)
        if older is None:
            break
        path = older[1]
    everything = found_lists.lots(site.store, None, None, 200, {}, newest_first=True).items
    assert [one for part in seen for one in part] == [one.subject.hex() for one in everything]
    assert len(seen) > 2
    for expected in seen[-2::-1]:
        newer = re.search(r'href="([^"]+)" rel="prev"', page)
        assert newer is not None
        page = browser.get(newer[1]).text
        assert re.findall(r"/portal/lots/([0-9a-f]{64})", page) == expected
    assert 'rel="prev"' not in page


def test_a_filter_stays_on_every_page_and_others_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ITEMS", 1)
    browser = site.browser(OWNER)
    page = browser.get("/portal/lots?state=held").text
    assert '<option value="held" selected>' in page
    older = re.search(r'href="([^"]+)" rel="next"', page)
    assert older is not None
    path = unescape(older[1])
    assert "state=held" in path
    assert browser.get(path).status_code == 200
    assert browser.get(path.replace("state=held", "state=spent")).status_code == 400
    assert browser.get("/portal/lots?state=lost").status_code == 400


def test_what_fails_unexpectedly_is_a_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OverflowError("secret detail")

    monkeypatch.setattr(registers, "search", fail)
    answer = site.browser(OWNER).get("/portal/search?q=a")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "secret detail" not in answer.text


def test_a_lot_leads_to_its_code_for_its_holder_and_the_owner_alone(site: Site) -> None:
    lot = found_lists.lot(site.store, NAMED.subject, None)
    salted = "/01/09506000134352/21/HIP-9?salt="
    code = {salted, *(f"/passport/{what}{salted}" for what in ("label", "bundle"))}  # and the proof, on the passport
    for participant, owner, expected in (
        (OWNER, True, code),
        (lot.holder.participant, False, code),
        (STRANGER, False, set[str]()),
    ):
        principal = Principal(participant, int(Role.BUYER), frozenset(Scope), "a", owner, 0)
        links = {one.path.partition("=")[0] + "=" for one in find_lot_links(site.store, lot, principal)}
        assert links - {"/portal/recall?lot=", "/portal/documents?about="} == expected
    carrier = Principal(STRANGER, int(Role.CARRIER), frozenset(), "a", False, 0)
    assert find_lot_links(site.store, lot, carrier) == ()


def test_who_only_has_to_do_with_a_lot_is_not_given_its_salt(site: Site) -> None:
    lot = site.world.lots["hip 1"]
    for viewer in range(1, 8):
        answer = site.browser(viewer).get(f"/portal/lots/{lot.hex()}")
        assert "salt=" not in answer.text


def test_copies_of_the_check_page_are_at_companies_that_took_part(site: Site) -> None:
    with site.store.transaction() as connection:
        for number, gateway in (
            (SMITH, "https://smith.example/"),
            (OTHER_BUYER, "https://hall.example"),
            (INSPECTOR, ""),
        ):
            Rows(connection).put(DirectoryEntryRow(number, f"company {number}", "", gateway, b"", 0, b""))
    trace = lot_trace(site.world, "hip 1")
    assert {one.owner.participant for one in trace.assignments} == {SMITH}
    everywhere = {"https://smith.example/", "https://hall.example", ""}
    assert find_copies(site.store, trace, everywhere) == (
        CheckCopy(f"company {SMITH}", "https://smith.example/check/"),
    )
    assert find_copies(site.store, trace, {"https://hall.example"}) == ()
