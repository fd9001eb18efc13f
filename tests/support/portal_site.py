"""The small world behind a gateway with authentication, and browsers without scripts: cookies, forms, links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx

from millmark.ledger.records import ALL_ROLES, Role
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import CredentialKind, Scope
from millmark.services.access.credentials import issue
from millmark.services.access.repository import AccessRepository
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.settings import Auth
from tests.support.fake_world import SMITH, build_world
from tests.support.gateway_client import Caller
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, signer_of

HOST = "gateway.example"
SESSION, FORM = "__Host-millmark-session-443", "__Host-millmark-form-443"
OWNER, STRANGER, NO_ROLE, SUSPENDED = 50, 99, 51, 52
BY_ROLE = {str(role.name): 60 + place for place, role in enumerate(Role)}
"""For each role, a participant that has only that role and takes part in nothing."""


@dataclass
class Browser:
    """Keeps cookies; does not follow redirects by itself."""

    caller: Caller
    cookies: dict[str, str] = field(default_factory=dict)
    host: str = HOST

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._keep(self.caller.ask(path, Host=self.host, **self._cookies(), **headers))

    def head(self, path: str) -> httpx.Response:
        return self._keep(self.caller.ask(path, "HEAD", Host=self.host, **self._cookies()))

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> httpx.Response:
        body = urlencode(fields).encode()
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        return self._keep(self.caller.ask(path, "POST", body, Host=self.host, **self._cookies(), **kind, **headers))

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def _keep(self, answer: httpx.Response) -> httpx.Response:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not self.cookies[name]:
                del self.cookies[name]
        return answer


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


class Site:
    """A portal to which every participant can sign in."""

    def __init__(self, store: Store, **parts: Any) -> None:
        self.store, self.world = store, build_world(store)
        with store.transaction() as connection:
            rows = Rows(connection)
            known = rows.get(ParticipantRow, SMITH)
            assert known is not None
            alone = [(number, int(Role[role])) for role, number in BY_ROLE.items()]
            others = [(OWNER, int(ALL_ROLES)), (STRANGER, int(ALL_ROLES)), (NO_ROLE, 0), *alone]
            new = [replace(known, number=one, sequence=one, keys=1, roles=roles) for one, roles in others]
            rows.insert([*new, replace(known, number=SUSPENDED, sequence=SUSPENDED, keys=1, suspended=True)])
        everybody = [number for number, _ in others]
        add_keys(store, *range(1, 8), *everybody, SUSPENDED)
        policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER)
        app = create_gateway(
            GatewayParts(
                store, policy, clock=lambda: NOW_S, limiter=Limiter(Rates(1e9, 1e9)), absent_every_s=0, **parts
            )
        )
        self.caller = Caller(app)

    def browser(self, participant: int | None = None, **issued: int) -> Browser:
        """A browser, signed in unless `participant` is None."""
        if participant is None:
            return Browser(self.caller)
        return Browser(self.caller, {SESSION: self.session(participant, **issued)})

    def session(self, participant: int, age_s: int = 0) -> str:
        key = signer_of(participant).address
        with self.store.transaction() as connection:
            desk, kind = AccessRepository(connection), CredentialKind.SESSION
            return issue(desk, kind, participant, list(Scope), now_s=NOW_S - age_s, life_s=900, key=key)[0]
