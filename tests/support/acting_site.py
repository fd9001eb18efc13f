"""One company that records through its portal, on the embedded chain: browsers without scripts, for people of each role
at the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx

from millmark.services.access.people.people import People
from millmark.services.access.rules import PersonRole
from millmark.services.audit import AuditLog
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.settings import Auth
from tests.support.gateway_client import Caller
from tests.support.portal_site import SESSION, Browser
from tests.support.recording_site import FOUNDED, Site
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store

__all__ = ["ActingSite", "act", "fields_of", "open_acting_site", "read"]


@dataclass
class ActingSite(Site):
    """`caller` is the API, open to all; `portal` wants people to sign in, and `silent` has no key to record with."""

    portal: Caller = field(init=False)
    silent: Caller = field(init=False)
    audit: AuditLog | None = None

    def start(self) -> None:
        super().start()
        self.portal = self._portal(recording=(self.world.chain, self.signer), audit=self.audit)
        self.silent = self._portal()

    def _portal(self, **parts: Any) -> Caller:
        policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=self.number)
        limiter = Limiter(Rates(1e9, 1e9))
        common: dict[str, Any] = {
            "clock": lambda: NOW_S,
            "limiter": limiter,
            "absent_every_s": 0,
            "name_keys": self.name_keys,
        }
        return Caller(create_gateway(GatewayParts(self.store, policy, **common, **parts)))

    def person(self, role: PersonRole = PersonRole.RECORDER, *, caller: Caller | None = None) -> Browser:
        """A person of the company with this role, signed in."""
        people = People(self.store, self.number)
        invited = people.invite(f"Mei {role}", role, now_s=NOW_S)
        with self.store.transaction() as connection:
            row = people.welcome(connection, invited.code, NOW_S)
            entered = people.enter(connection, row, NOW_S)
        return Browser(caller or self.portal, {SESSION: entered.token})


def open_acting_site(folder: Path, audit: AuditLog | None = None) -> Iterator[ActingSite]:
    with new_store(folder) as store:
        world, (signer, key, number) = FOUNDED.copy(store)
        yield ActingSite(store, world, signer, number=number, name_keys=[key], audit=audit)


def fields_of(page: str, action: str = "/portal/act/") -> dict[str, str]:
    """What a browser would send of the first form that posts to this action; to it or below, with `/` at its end."""
    whole = re.escape(action) + ('[^"]*' if action.endswith("/") else "")
    form = re.search(rf'<form method="post" action="[^"]*{whole}".*?</form>', page, re.DOTALL)
    assert form is not None, page
    sent: dict[str, str] = {}
    for found in re.finditer(r"<input ([^>]*)>", form[0]):
        marks = dict(re.findall(r'(\w+)="([^"]*)"', found[1]))
        if marks.get("type") != "checkbox" or "checked" in found[1]:
            sent[marks["name"]] = unescape(marks.get("value", ""))
    for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n?(.*?)</textarea>', form[0], re.DOTALL):
        sent[name] = unescape(text)
    for name, options in re.findall(r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        sent[name] = "" if chosen is None else unescape(chosen[1])
    return sent


def act(browser: Browser, path: str, entries: Mapping[str, str] | None = None) -> httpx.Response:
    """Opens a form, fills it in, and confirms the summary: what a person does. Returns the last answer."""
    page = browser.get(path)
    assert page.status_code == 200, page.text
    action = path.partition("?")[0]
    if f'action="{action}/confirm"' not in page.text or entries:
        page = browser.post(action, {**fields_of(page.text, action), **(entries or {})})
        assert page.status_code == 200, read(page.text)
    return browser.post(f"{action}/confirm", fields_of(page.text, f"{action}/confirm"))


def read(page: str) -> str:
    """The words between the page's menu and its foot, in one line."""
    main = page.partition("<main")[2].partition("</main>")[0]
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", main.partition(">")[2])).split())
    return words.replace(" ,", ",")
