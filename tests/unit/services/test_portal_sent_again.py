"""Forms that make something with a secret: sent again, sent twice at once, cut off, refused."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from html import unescape

import pytest

from millmark.services.access.people import people
from millmark.services.access.people.people import code_of
from millmark.services.access.people.repository import PeopleRepository
from millmark.services.access.repository import AccessRepository
from millmark.services.webhooks import subscriptions
from millmark.services.webhooks.repository import WebhookRepository
from tests.support.fake_world import SMITH
from tests.support.gateway_client import Browser, hidden
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("sent")) as store:
        yield Site(store)


def test_an_invitation_that_is_sent_again_is_the_same_one(site: Site) -> None:
    """A page reloaded, a button pressed twice."""
    browser = site.browser(OWNER)
    sent = {**hidden(browser.get("/portal/people").text), "name": "Ada Park", "role": "reader"}
    sent.pop("person", "")
    made = browser.post("/portal/people", sent)
    link = re.search(r"/portal/invitation#([A-Za-z0-9_-]{43})", made.text)
    assert link is not None
    reloaded = browser.post("/portal/people", sent)
    assert reloaded.status_code == 200
    assert "Nothing was done a second time" in reloaded.text
    assert re.findall(r"/portal/invitation#([A-Za-z0-9_-]{43})", reloaded.text) == [link[1]]
    invited = re.findall(r'name="invitation" value="([^"]+)"', reloaded.text)
    assert len(invited) == 1
    another = browser.post("/portal/people", {**sent, **hidden(reloaded.text), "name": "Bo"})
    assert another.text.count('name="invitation"') == 2
    # Another session cannot have the link by the form's code alone.
    other = site.browser(OWNER)
    token = hidden(other.get("/portal/people").text)["token"]
    assert link[1] not in other.post("/portal/people", {**sent, "token": token}).text
    for one in re.findall(r'name="invitation" value="([^"]+)"', another.text):
        assert browser.post("/portal/people/withdraw", {**sent, "invitation": one}).status_code == 303
    gone = browser.post("/portal/people", sent).text
    assert "Nothing was done a second time. What it led to is not here any more" in gone
    assert link[1] not in gone
    assert 'name="invitation"' not in gone


def test_a_form_that_is_filled_in_anew_is_not_taken_for_the_one_that_was_sent(site: Site) -> None:
    """As after the browser's Back: the page has the same code, and somebody else is to be invited."""
    browser = site.browser(OWNER)
    sent = {**hidden(browser.get("/portal/people").text), "name": "Ada Park", "role": "reader"}
    sent.pop("person", "")
    pages = [browser.post("/portal/people", {**sent, "name": name}).text for name in ("Ada Park", "Bo Lind")]
    assert "Nothing was done a second time" not in pages[1]
    assert "invites you, Bo Lind" in pages[1]
    links = {re.findall(r"/portal/invitation#([A-Za-z0-9_-]{43})", page)[0] for page in pages}
    assert len(links) == 2
    for one in re.findall(r'name="invitation" value="([^"]+)"', pages[1]):
        browser.post("/portal/people/withdraw", {**sent, "invitation": one})


@dataclass(frozen=True)
class _Form:
    """A form that makes something with a secret."""

    path: str
    entries: dict[str, str]
    kept_by: tuple[type, str]
    """What keeps that."""
    secret: str
    taken_back: str
    """The form that takes it back again, if there is one."""


FORMS = (
    _Form(
        "people",
        {"name": "Ada Park", "role": "reader"},
        (PeopleRepository, "add_invitation"),
        "/portal/invitation#[A-Za-z0-9_-]{43}",
        '(/portal/people/withdraw)".*?name="(invitation)" value="([^"]+)"',
    ),
    _Form(
        "webhooks",
        {"url": "https://erp.example/in", "kinds": "LotReceived"},
        (WebhookRepository, "add"),
        "whsec_[A-Za-z0-9+/=]{44}",
        '(/portal/webhooks/[0-9a-f]{16}/remove)"',
    ),
    _Form(
        "apikeys",
        {"participant": str(SMITH), "label": "ERP", "days": "30", "scopes": "provenance"},
        (AccessRepository, "add_credential"),
        "mmk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}",
        "",
    ),
)


def secrets_on(page: str, form: _Form) -> list[str]:
    return re.findall(form.secret, unescape(page))


def take_back(browser: Browser, sent: dict[str, str], page: str, form: _Form) -> None:
    """So that the other tests find nothing of it."""
    found = re.search(form.taken_back, page, re.DOTALL)
    if found is not None and form.taken_back:
        path, *entry = found.groups()
        assert browser.post(path, {**sent, **dict([entry] if entry else [])}).status_code == 303


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.path)
def test_a_form_that_was_cut_off_before_it_did_anything_counts_as_not_sent(
    site: Site, monkeypatch: pytest.MonkeyPatch, form: _Form
) -> None:
    browser, where = site.browser(OWNER), f"/portal/{form.path}"
    sent = {**hidden(browser.get(where).text), **form.entries}
    sent.pop("person", "")

    def cut_off(*_: object) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as killed, suppress(RuntimeError):
        killed.setattr(*form.kept_by, cut_off)
        browser.post(where, sent)
    made = browser.post(where, sent).text
    assert "Nothing was done a second time" not in made
    again = browser.post(where, sent).text
    assert "Nothing was done a second time" in again
    assert secrets_on(again, form) == secrets_on(made, form) != []
    take_back(browser, sent, again, form)


def test_of_a_form_that_is_sent_twice_at_once_both_answers_have_what_it_made(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a double click: the browser shows the second answer."""
    browser, (form, *_) = site.browser(OWNER), FORMS
    sent = {**hidden(browser.get("/portal/people").text), **form.entries}
    sent.pop("person", "")
    second, pages = Browser(site.caller, dict(browser.cookies)), list[str]()
    other = threading.Thread(target=lambda: pages.append(second.post("/portal/people", sent).text))

    def code_late(seed: bytes) -> str:
        """Called as soon as it is known that the form is to be carried out."""
        if other.ident is None:
            other.start()
            other.join(0.1)  # an answer that waits for nothing is there by then
        return code_of(seed)

    monkeypatch.setattr(people, "code_of", code_late)
    pages.append(browser.post("/portal/people", sent).text)
    other.join()
    links = [secrets_on(page, form) for page in pages]
    assert links[0] == links[1] != []
    assert sorted("Nothing was done a second time" in page for page in pages) == [False, True]
    take_back(browser, sent, pages[0], form)


def test_a_form_that_came_to_nothing_can_be_sent_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.browser(OWNER)
    sent = {**hidden(browser.get("/portal/webhooks").text), "url": "https://erp.example/in", "kinds": "LotReceived"}
    with monkeypatch.context() as full:
        full.setattr(subscriptions, "MAX_WEBHOOKS", 0)
        assert browser.post("/portal/webhooks", sent).status_code == 400
    made = browser.post("/portal/webhooks", sent).text
    assert "Nothing was done a second time" not in made
    assert "whsec_" in made
    found = re.search(r"/portal/webhooks/([0-9a-f]{16})/remove", made)
    assert found is not None
    browser.post(f"/portal/webhooks/{found[1]}/remove", sent)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("path", "wrong", "right", "why"),
    [
        ("webhooks", {"url": "http://10.0.0.1/x"}, {"url": "https://erp.example/in"}, "not https|不是 https"),
        ("apikeys", {"participant": str(SMITH), "label": "ERP", "days": "30"}, {"scopes": "provenance"}, "scope|权限"),
        ("people", {"name": "", "role": "reader"}, {"name": "Ada Park"}, "1 .* 80 "),
    ],
)
def test_a_form_that_was_refused_says_why_again_and_may_be_mended(
    site: Site, language: str, path: str, wrong: dict[str, str], right: dict[str, str], why: str
) -> None:
    browser, where = site.browser(OWNER), f"/portal/{path}?lang={language}"
    sent = {**hidden(browser.get(where).text), **wrong}
    sent.pop("person", "")
    refused = browser.post(where, sent)
    reloaded = browser.post(where, sent)
    assert (refused.status_code, reloaded.status_code) == (400, 400)
    for page in (refused.text, reloaded.text):
        [told] = re.findall(r'role="alert"[^>]*>(.*?)</p>', page)
        assert re.search(why, told)
        assert 'class="note" role="status"' not in page, "it was not done before"
    made = browser.post(where, {**sent, **right})
    assert made.status_code == 200
    again = browser.post(where, {**sent, **right})
    assert again.status_code == 200
    assert 'class="note" role="status"' in again.text
