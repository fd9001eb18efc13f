"""No Chinese page says anything in English, in whatever state it is. Every kind of page is walked over by its links;
states that need a fault are rendered with one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any

import pytest

from millmark.ledger.provenance.bundles import TooManyRecordsError
from millmark.ledger.provenance.reader import LookupGround
from millmark.ledger.provenance.statements import tell_trace as tell
from millmark.services.gateway.api.status import build_status
from millmark.services.portal import listings
from millmark.services.serving.loop import Trouble
from millmark.services.views import FailureState, FollowerState
from tests.support.english_words import find_english
from tests.support.gateway_client import LINK, Browser, hidden
from tests.support.interop import NOW
from tests.support.pictures import NO_PAGES
from tests.support.portal_pages import PAGES
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store
from tests.unit.services.test_portal_pages import MEMBER_PAGES
from tests.unit.services.test_portal_passport import PART, salt_of
from tests.unit.services.test_portal_passport import serve as serve_codes
from tests.unit.services.test_portal_passport import world as coded_world  # noqa: F401  # a fixture

NAMES = ("GS1 Digital Link", "EPC URN")
"""Of standards."""
LEFT_OUT = {*NO_PAGES, "/portal/visible"}
"""Routes that show no page. What is visible is a document: test_portal_visible.py compares it with its translation."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("chinese")) as store:
        yield Site(store)


def open_chinese(site: Site, participant: int | None = OWNER) -> Browser:
    browser = site.browser(participant)
    assert '<html lang="zh">' in browser.get("/?lang=zh").text
    return browser


def route_of(path: str) -> str:
    """The route whose pattern has fewest places."""
    fitting = (one for method, one in PAGES if method == "GET" and re.fullmatch(re.sub(r"{[^}]+}", "[^/]+", one), path))
    return min(fitting, key=lambda one: one.count("{"), default="")


@dataclass
class Walk:
    """Opens one page of each route, as links lead to them, and every form."""

    browser: Browser
    left: list[str]
    seen: set[str] = field(default_factory=set)
    english: dict[str, list[str]] = field(default_factory=dict)

    def go(self) -> None:
        while self.left:
            path = self.left.pop(0)
            kind = route_of(path.partition("?")[0]) + ("?" if "?" in path else "")
            kind = path if kind == "/portal/act/{name}?" else kind
            if kind in self.seen or kind.rstrip("?") in ("", *LEFT_OUT):
                continue
            self.seen.add(kind)
            page = self.browser.get(path).text
            if found := find_english(page, NAMES):
                self.english[path] = found
            self.left += [unescape(one) for one in re.findall(r'href="(/[^"#]*)"', page) if "lang=" not in one]


def test_no_page_that_a_member_opens_says_anything_in_english(site: Site) -> None:
    walk = Walk(open_chinese(site), ["/", *MEMBER_PAGES])
    walk.go()
    assert walk.english == {}
    assert {"/portal/lots/{subject}", "/portal/orders/{subject}", "/portal/machines/{number}"} <= walk.seen
    assert len(walk.seen) > len(MEMBER_PAGES)


@pytest.mark.parametrize(
    "query",
    [
        "model=x",
        "model=77",
        "model=1&lot=urn:example:bar",
        "model=" + "9" * 15,
        "lot=nonsense%20of%20words",
        "lot=nonsense:words",
        "lot=" + "x" * 2000 + ":",
        "machine=8&since=2026-01-01",
        "machine=8&since=2026-01-01&until=soon",
        "machine=8&since=2026-01-02&until=2026-01-01",
        "machine=8&since=0001-01-01T00:00:00%2B14:00&until=2026-01-01",
        "machine=99999999999999999999&since=2026-01-01&until=2026-01-02",
        "since=2026-01-01&until=2026-01-02&lot=urn:example:bar",
    ],
)
def test_what_cannot_be_recalled_is_told_in_chinese(site: Site, query: str) -> None:
    answer = open_chinese(site).get(f"/portal/recall?{query}")
    assert answer.status_code in (400, 404)
    assert 'role="alert"' in answer.text
    assert find_english(answer.text, NAMES) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("", ""), ("wants you", "wants me"), ("Version: 1", "Version: 2"), ("Nonce: ", "Nonce: 0"), ("0x", "0X")],
)
@pytest.mark.parametrize("signature", ["0x" + "11" * 65, "0x" + "22" * 64 + "1b", "0x11"])
def test_why_nobody_is_let_in_is_told_in_chinese(site: Site, old: str, new: str, signature: str) -> None:
    browser = open_chinese(site, None)
    page = browser.get("/portal/sign-in?address=0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69").text
    form = hidden(page)
    sent = {**form, "message": form["message"].replace(old, new), "signature": signature}
    answer = browser.post("/portal/sign-in", sent)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert find_english(answer.text, NAMES) == []


def test_no_passport_says_anything_in_english(coded_world: Any) -> None:  # noqa: F811  # the fixture
    caller = serve_codes(coded_world)
    for path in (f"{PART}?salt={salt_of(LINK)}&lang=zh", "/01/1?lang=zh", f"{PART}?lang=zh"):
        assert find_english(caller.ask(path).text, NAMES) == []


@pytest.mark.parametrize("code", ["chain-unreachable", "index-halted", "chain-behind", "never-heard-of"])
def test_what_failed_is_told_in_chinese_and_its_english_folded_away(
    site: Site, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = FailureState(code, "the chain at <so> does not answer", "try again", NOW)
    gateway = replace(build_status(None, None, {}), chain_failure=failure, follower=FollowerState(NOW, failure))
    monkeypatch.setattr(site.caller.app.state.portal, "_read_status", lambda: gateway)
    page = open_chinese(site).get("/portal/status").text
    assert page.count("does not answer; try again") == 2
    assert find_english(page, NAMES) == []


@pytest.mark.parametrize("code", ["thread-stuck", "record-failed", "key-funds-low", "never-heard-of"])
def test_a_trouble_is_told_in_chinese_and_its_english_folded_away(site: Site, code: str) -> None:
    trouble = Trouble("millmark-funds", code, "it is not as it should be", 0.0, "see the log")
    work = next(one.endpoint.__self__ for one in site.caller.app.state.portal.routes if one.path == "/portal")
    kept = work.read_troubles
    object.__setattr__(work, "read_troubles", lambda: [trouble])
    try:
        page = open_chinese(site).get("/portal").text
    finally:
        object.__setattr__(work, "read_troubles", kept)
    assert "millmark-funds: it is not as it should be; see the log" in page
    assert find_english(page, NAMES) == []


def test_why_a_page_tells_nothing_is_told_in_chinese(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    error = TooManyRecordsError(LookupGround.TOO_MANY_RECORDS.write(most=5000), hint="use `millmark bundle`")
    monkeypatch.setattr(listings, "tell_trace", lambda *given, **more: replace(tell(*given, **more), failure=error))
    page = open_chinese(site).get(f"/portal/lots/{site.world.lots['hip 1'].hex()}").text
    assert "超过 5000 条" in page
    assert find_english(page, NAMES) == []


def test_english_is_found_wherever_it_stands() -> None:
    for said in (
        "<p>没有 no answer</p>",
        '<span lang="en">Failed</span>',
        '<b title="not so">是</b>',
        "<svg><text>as is</text></svg>",
    ):
        assert find_english(said), said
    for said in (
        "<p>用 `millmark council status` 查看</p>",
        "<code>no answer</code>",
        "<p>Wh，GLN，CO2e</p>",
        "<p>a thing</p>",
    ):
        assert find_english(said, ["a thing"]) == [], said
