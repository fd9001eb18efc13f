"""Pages of certificates, companies, streams, documents, webhooks, API keys and the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from millmark.ledger.signatures import to_checksum
from millmark.services.access import CredentialKind, Scope
from millmark.services.access.repository import AccessRepository
from millmark.services.audit import Access, AuditLog, read_latest
from millmark.services.documents import Documents, KeyRing, new_version_id
from millmark.services.documents.service import Draft
from millmark.services.documents.views import Mode
from millmark.services.portal import pages
from millmark.services.webhooks.http_post import WebhookGround
from millmark.services.webhooks.repository import WebhookRepository
from millmark.services.webhooks.subscriptions import Subscriber, Subscriptions
from tests.support.fake_world import BUYER, CARRIER, COORDINATOR, INSPECTOR, SMITH
from tests.support.gateway_client import hidden
from tests.support.portal_site import BY_ROLE, OWNER, Site
from tests.support.sign_in import NOW_S, sign, signer_of
from tests.support.stores import new_store

LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("registers")) as store:
        yield Site(store)


# Certificates


def test_every_certificate_has_a_page_that_says_what_it_says(site: Site) -> None:
    browser = site.browser(OWNER)
    listed = browser.get("/portal/certificates").text
    for certificate in site.world.certificates.values():
        assert f'href="/portal/certificates/{certificate}"' in listed
        page = browser.get(f"/portal/certificates/{certificate}")
        assert page.status_code == 200
        assert f"/portal/participants/{INSPECTOR}" in page.text
        assert re.search(r'href="/portal/lots/[0-9a-f]{64}"', page.text)


def test_certificates_are_chosen_by_verdict(site: Site) -> None:
    browser = site.browser(OWNER)
    passed, failed = (
        set(re.findall(r"/portal/certificates/(\d+)", browser.get(f"/portal/certificates?verdict={verdict}").text))
        for verdict in ("pass", "fail")
    )
    assert passed
    assert failed
    assert passed | failed == {str(one) for one in site.world.certificates.values()}
    assert not passed & failed


def test_an_auditor_sees_certificates_without_the_names_of_others_lots(site: Site) -> None:
    number = next(iter(site.world.certificates.values()))
    for path in ("/portal/certificates", f"/portal/certificates/{number}"):
        answer = site.browser(BY_ROLE["AUDITOR"]).get(path)
        assert answer.status_code == 200
        assert f"{number}</" in answer.text
        assert not re.search(r"/portal/lots/[0-9a-f]{64}", answer.text)


def test_whoever_has_no_part_in_a_lot_sees_no_certificate_of_it(site: Site) -> None:
    number = next(iter(site.world.certificates.values()))
    for role in ("BUYER", "MANUFACTURER", "INSPECTOR", "CARRIER"):
        browser = site.browser(BY_ROLE[role])
        assert browser.get(f"/portal/certificates/{number}").status_code == 404
        assert "/portal/certificates/" not in browser.get("/portal/certificates").text


# Companies and streams


def test_companies_are_listed_by_role_with_their_keys(site: Site) -> None:
    page = site.browser(BUYER).get("/portal/participants?role=carrier").text
    shown = set(re.findall(r"/portal/participants/(\d+)", page))
    assert str(CARRIER) in shown
    detail = site.browser(BUYER).get(f"/portal/participants/{SMITH}").text
    assert len(re.findall(r"0x[0-9a-fA-F]{40}", detail)) >= 1
    assert "says nothing about this company" in detail


def test_a_stream_shows_its_anchors_to_its_owner_alone(site: Site) -> None:
    path = f"/portal/streams/{site.world.stream.hex()}"
    page = site.browser(SMITH).get(path)
    assert page.status_code == 200
    assert f"/portal/machines/{site.world.machine}" in page.text
    assert site.browser(BUYER).get(path).status_code == 404
    assert path in site.browser(OWNER).get("/portal/streams").text
    assert path not in site.browser(BUYER).get("/portal/streams").text


def test_a_stream_without_a_machine_has_a_page_without_one(site: Site) -> None:
    page = site.browser(COORDINATOR).get(f"/portal/streams/{site.world.logs['plans'].hex()}")
    assert page.status_code == 200
    assert "/portal/machines/" not in page.text


@pytest.mark.parametrize("number", ["0", "x", "9" * 30, "1099511627776", "123456"])
def test_an_unknown_number_is_a_page_of_what_is_not_there(site: Site, number: str) -> None:
    for folder in ("certificates", "participants", "streams", "documents", "machines"):
        answer = site.browser(OWNER).get(f"/portal/{folder}/{number}")
        assert answer.status_code == 404, folder
        assert answer.headers["content-type"].startswith("text/html"), folder


@pytest.mark.parametrize("folder", ["certificates", "participants", "streams", "documents", "apikeys", "audit"])
def test_a_cursor_of_thirty_digits_is_a_page_that_says_so(site: Site, folder: str) -> None:
    answer = site.browser(OWNER).get(f"/portal/{folder}?cursor={'9' * 30}")
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")


def test_companies_turn_both_ways(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ITEMS", 4)
    browser, path, seen, page = site.browser(OWNER), "/portal/participants", [], ""
    while path:
        page = browser.get(path).text
        seen.append(re.findall(r"/portal/participants/(\d+)", page))
        older = re.search(r'href="([^"]+)" rel="next"', page)
        path = "" if older is None else unescape(older[1])
    numbers = [int(one) for part in seen for one in part]
    assert numbers == sorted(numbers, reverse=True)
    for expected in seen[-2::-1]:
        newer = re.search(r'href="([^"]+)" rel="prev"', page)
        assert newer is not None
        page = browser.get(unescape(newer[1])).text
        assert re.findall(r"/portal/participants/(\d+)", page) == expected


# Documents


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[Mode, str]]]:
    """A site with one document of each mode."""
    folder = tmp_path_factory.mktemp("documents")
    with new_store(folder) as store:
        ring = KeyRing(folder / "documents.keys")
        site, documents, ids = Site(store, keys=ring), Documents(store, ring), dict[Mode, str]()
        for place, mode in enumerate(Mode):
            about = "0x" + site.world.lots["hip 1"].hex() if mode is Mode.LINKED else None
            with Draft(new_version_id(), f"{mode.value} <b>ü.pdf", "text/html") as draft:
                draft.write(f"content of {mode.value}".encode())
                ids[mode] = documents.add(draft, mode, about, NOW_S + place).document
        documents.grant(ids[Mode.RESTRICTED], BUYER, NOW_S)
        yield site, ids


def test_documents_are_shown_to_whom_they_are_for(shared: tuple[Site, dict[Mode, str]]) -> None:
    site, ids = shared
    expected = {
        OWNER: set(ids.values()),
        BUYER: {ids[Mode.RESTRICTED], ids[Mode.CONSORTIUM]},
        BY_ROLE["CARRIER"]: {ids[Mode.CONSORTIUM]},
    }
    for viewer, wanted in expected.items():
        page = site.browser(viewer).get("/portal/documents").text
        assert set(re.findall(r"/portal/documents/([0-9a-f]{32})", page)) == wanted
        assert "<b>" not in page
        for document in ids.values():
            there = document in wanted or (viewer == BUYER and document == ids[Mode.LINKED])
            assert site.browser(viewer).get(f"/portal/documents/{document}").status_code == (200 if there else 404)
    order = re.findall(r"/portal/documents/([0-9a-f]{32})", site.browser(OWNER).get("/portal/documents").text)
    assert order == list(ids.values())[::-1]


def test_the_company_downloads_content_that_no_browser_runs(shared: tuple[Site, dict[Mode, str]]) -> None:
    site, ids = shared
    answer = site.browser(OWNER).get(f"/portal/documents/{ids[Mode.PRIVATE]}/1")
    assert answer.content == b"content of private"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''private%20%3Cb%3E%C3%BC.pdf"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert site.browser(OWNER).get(f"/portal/documents/{ids[Mode.PRIVATE]}/2").status_code == 404
    assert site.browser(BUYER).get(f"/portal/documents/{ids[Mode.PRIVATE]}/1").status_code == 404
    # without a published key there is nothing to seal for: a page, no file
    refused = site.browser(BUYER).get(f"/portal/documents/{ids[Mode.RESTRICTED]}/1")
    assert refused.status_code == 409
    assert refused.headers["content-type"].startswith("text/html")


def test_documents_about_a_lot_are_listed_for_its_holders(shared: tuple[Site, dict[Mode, str]]) -> None:
    site, ids = shared
    lot = site.world.lots["hip 1"].hex()
    page = site.browser(BUYER).get(f"/portal/documents?about={lot}")
    assert re.findall(r"/portal/documents/([0-9a-f]{32})", page.text) == [ids[Mode.LINKED]]
    assert site.browser(BY_ROLE["CARRIER"]).get(f"/portal/documents?about={lot}").status_code == 404


# Administration


def test_a_webhook_is_added_shown_once_and_removed(site: Site) -> None:
    browser = site.browser(OWNER)
    fields = hidden(browser.get("/portal/webhooks").text)
    bad = browser.post("/portal/webhooks", {**fields, "url": "http://10.0.0.1/x"})
    assert bad.status_code == 400
    entries = {**hidden(bad.text), "url": "https://erp.example/in", "kinds": "LotReceived"}
    made = browser.post("/portal/webhooks", entries)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.text)
    assert secret is not None
    reloaded = browser.post("/portal/webhooks", entries)
    assert "Nothing was done a second time" in reloaded.text
    assert secret[0] in reloaded.text
    assert reloaded.text.count("https://erp.example/in") == 1
    again = browser.get("/portal/webhooks").text
    assert "https://erp.example/in" in again
    assert secret[0] not in again
    found = re.search(r"/portal/webhooks/([0-9a-f]{16})/remove", again)
    assert found is not None
    assert browser.post(f"/portal/webhooks/{found[1]}/remove", {"token": "x"}).status_code == 400
    assert browser.post(f"/portal/webhooks/{found[1]}/remove", fields).status_code == 303
    assert "https://erp.example/in" not in browser.get("/portal/webhooks").text
    gone = browser.post("/portal/webhooks", entries).text
    assert "Nothing was done a second time. What it led to is not here any more" in gone
    assert secret[0] not in gone
    assert "https://erp.example/in" not in gone
    assert browser.post(f"/portal/webhooks/{found[1]}/remove", fields).status_code == 404


def test_why_nothing_was_delivered_is_said_in_the_readers_language(site: Site) -> None:
    browser = site.browser(OWNER)
    made = Subscriptions(site.store).add(Subscriber(0, owner=True), "https://erp.example/in", now_ms=NOW_S * 1000)
    foreign = "no connection: <Network> is unreachable"
    for state, reason, said in (
        ("parked", WebhookGround.ANSWERED.write(status=410), "已停止推送： 接收方应答 410。"),
        ("active", foreign, '无法连接：<span lang="en" translate="no">&lt;Network&gt; is unreachable</span>'),
    ):
        with site.store.transaction() as connection:
            WebhookRepository(connection).change(made.webhook.id, state=state, reason=reason)
        assert said in browser.get("/portal/webhooks?lang=zh").text
    browser.post(f"/portal/webhooks/{made.webhook.id}/remove", hidden(browser.get("/portal/webhooks").text))


def test_an_api_key_is_shown_once_works_and_is_revoked(site: Site) -> None:
    browser = site.browser(OWNER)
    fields = {**hidden(browser.get("/portal/apikeys").text), "participant": str(SMITH), "label": "ERP", "days": "30"}
    assert browser.post("/portal/apikeys", fields).status_code == 400  # no scope
    fields |= hidden(browser.get("/portal/apikeys").text)
    made = browser.post("/portal/apikeys", {**fields, "scopes": "provenance"})
    key = re.search(r"mmk_([0-9a-f]{12})_[A-Za-z0-9_-]+", made.text)
    assert key is not None
    assert site.caller.ask("/v1/lots", Authorization=f"Bearer {key[0]}").status_code == 200
    assert key[0] not in browser.get("/portal/apikeys").text
    reloaded = browser.post("/portal/apikeys", {**fields, "scopes": "provenance"})
    assert "Nothing was done a second time" in reloaded.text
    assert set(re.findall(r"mmk_[0-9a-f]{12}_[A-Za-z0-9_-]+", reloaded.text)) == {key[0]}
    assert len(set(re.findall(r'id="key-([0-9a-f]{12})"', reloaded.text))) == 1
    assert browser.post("/portal/apikeys/revoke", {**fields, "key": key[1]}).status_code == 303
    assert site.caller.ask("/v1/lots", Authorization=f"Bearer {key[0]}").status_code == 401
    assert browser.post("/portal/apikeys/revoke", {**fields, "key": key[1]}).status_code == 400
    assert key[0] not in browser.post("/portal/apikeys", {**fields, "scopes": "provenance"}).text
    with site.store.reading() as connection:
        rows = AccessRepository(connection).credentials(CredentialKind.API_KEY.value)
    assert [row.scopes for row in rows] == ["provenance"]
    assert len(Scope) > 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_an_audit_log_the_page_says_so(site: Site, language: str) -> None:
    answer = site.browser(OWNER).get(f"/portal/audit?lang={language}")
    assert {"en": "keeps no audit log", "zh": "未保存审计日志"}[language] in answer.text


def write_log(folder: Path, count: int, most_file_bytes: int) -> None:
    log = AuditLog(folder, lambda: NOW_S, most_file_bytes=most_file_bytes)
    for number in range(1, count + 1):
        acting = f"abc/person-{number % 3}" if number % 2 else "operator"
        log.append(Access(50, acting, "GET /portal/lots", f"/portal/lots/{number}", 200, "", None))
    log.close()


@pytest.mark.parametrize("most_file_bytes", [1_000, 1 << 20])
@pytest.mark.parametrize("newest_first", [True, False])
def test_the_log_is_read_from_either_end(tmp_path: Path, most_file_bytes: int, newest_first: bool) -> None:
    write_log(tmp_path, 23, most_file_bytes)
    seen, after = list[object](), None
    while True:
        page = read_latest(tmp_path, after, 4, newest_first=newest_first)
        seen += [one["number"] for one in page.entries]
        after = page.after
        if after is None:
            break
    assert seen == sorted(range(1, 24), reverse=newest_first)
    found = read_latest(tmp_path, None, 4, target="/lots/7")
    assert [one["number"] for one in found.entries] == [7]


def test_the_page_of_the_log_names_who_acted_also_at_sign_in(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        log = AuditLog(tmp_path / "audit", lambda: NOW_S)
        site = Site(store, audit=log)
        try:
            key, browser = signer_of(OWNER), site.browser()
            page = browser.get(f"/portal/sign-in?address={to_checksum(key.address)}").text
            message = re.search(r'<textarea[^>]*name="message"[^>]*>([^<]*)<|<pre[^>]*>([^<]*)</pre>', page)
            assert message is not None
            text = unescape(message[1] or message[2])
            fields = {**hidden(page), "message": text, "signature": sign(text, key)}
            assert browser.post("/portal/sign-in", fields).status_code == 303
            browser.get("/portal/lots")
            shown = browser.get("/portal/audit?target=/portal/sign-in").text
        finally:
            log.close()
    assert "POST /portal/sign-in" in shown
    posted = shown.split("POST /portal/sign-in")[0].rpartition("<tr>")[2]
    assert str(OWNER) in posted
    assert "nobody signed in" not in posted


def test_a_wrong_code_leaves_the_form_to_try_again(site: Site) -> None:
    browser = site.browser()
    fields = hidden(browser.get("/portal/invitation").text)
    answer = browser.post("/portal/invitation", {**fields, "code": "x" * 43})
    assert answer.status_code == 401
    assert 'name="code"' in answer.text


def test_an_invitation_needs_a_role_and_comes_with_a_message_to_send(site: Site) -> None:
    browser = site.browser(OWNER)
    page = browser.get("/portal/people").text
    assert '<select id="role" name="role" required aria-describedby="role-hint"><option value="">' in page
    sent = {**hidden(page), "name": "Yusuf Demir"}
    sent.pop("person", "")
    refused = browser.post("/portal/people", {**sent, "role": ""})
    assert refused.status_code == 400
    assert "An invitation needs a role" in refused.text
    made = browser.post("/portal/people", {**sent, "role": "recorder"})
    assert "script-src 'self'" in made.headers["content-security-policy"]
    message = re.search(r'<blockquote id="message">(.*?)</blockquote>', made.text, re.DOTALL)
    assert message is not None
    assert "invites you, Yusuf Demir, to its site on Millmark" in message[1]
    code = re.search(r'<code id="message-link" translate="no">[^<#]+#([^<]+)</code>', message[1])
    assert code is not None
    assert made.text.count("data-copy=") == 2
    guest = site.browser()
    opened = guest.post("/portal/invitation", {**hidden(guest.get("/portal/invitation").text), "code": code[1]}).text
    assert re.search(r"<h1>[^<]*nvite[sd][^<]*Yusuf Demir</h1>", opened), opened
    assert "Your role here: recorder.</strong> Sees what the company sees, and records in its name" in opened
    for one in re.findall(r'name="invitation" value="([^"]+)"', made.text):
        browser.post("/portal/people/withdraw", {**sent, "invitation": one})


def test_each_role_has_its_pages_in_the_menu_and_the_others_behind_it(site: Site) -> None:
    """Administrators find the people at once; a carrier has no use for machines."""

    def menu(tenant: int) -> tuple[str, str]:
        found = re.search(r'<nav class="menu".*?</nav>', site.browser(tenant).get("/portal").text, re.DOTALL)
        assert found is not None
        first, _, folded = found[0].partition('<details class="more">')
        return first, folded

    shown, folded = menu(BY_ROLE["CARRIER"])
    assert "/portal/lots" in shown
    assert "/portal/machines" in folded
    assert "/portal/machines" not in shown
    assert "/portal/people" in menu(OWNER)[0]
    assert "/portal/status" in menu(OWNER)[1]


def test_a_form_with_a_code_of_elsewhere_is_refused(site: Site) -> None:
    browser = site.browser(OWNER)
    sent = {**hidden(browser.get("/portal/people").text), "name": "Ada Park", "role": "reader"}
    for code in ("0", "0" * 74, "é"):
        assert browser.post("/portal/people", {**sent, "once": code}).status_code == 400
    assert browser.post("/portal/people", {name: sent[name] for name in sent if name != "once"}).status_code >= 400
    assert 'name="invitation"' not in browser.get("/portal/people").text
