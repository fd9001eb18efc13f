"""A gateway on a chain of two companies, whose parts can be broken while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from millmark.ledger.events.registry import ParticipantSuspended
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.credentials import new_api_key
from millmark.services.audit import AuditLog
from tests.support.fake_ledger import FakeLedger
from tests.support.gateway_client import HOST, Caller, ServedChain, build_caller, running
from tests.support.patience import wait_until
from tests.support.sign_in import NOW_S

__all__ = ["OTHER", "OWNER", "Ask", "Site"]

OWNER, OTHER = 1, 2


class Site:
    """A gateway on a chain with two companies."""

    def __init__(self, store: Store, audit: AuditLog | None = None) -> None:
        self.store = store
        fake = FakeLedger(ServedChain())
        for number in (OWNER, OTHER):
            fake.admit(number)
        fake.chain.mine()
        assert isinstance(fake.chain, ServedChain)
        self.chain = fake.chain
        Follower(self.chain, store).follow()
        self.keys = {
            number: "Bearer " + new_api_key(store, number, list(Scope), "ERP", now_s=NOW_S, life_s=900)[0]
            for number in (OWNER, OTHER)
        }
        self.audit = audit

    def build(self) -> Starlette:
        return build_caller(self.store, OWNER, chain=self.chain, follow_interval_s=0.01, audit=self.audit).app

    @contextmanager
    def open(self) -> Iterator[Ask]:
        with running(self.build()) as caller:
            ask = Ask(caller, self.keys)
            wait_until(lambda: ask("/v1/session").status_code == 200 and not ask.codes()[0])
            yield ask

    def suspend(self, participant: int) -> None:
        subject = participant.to_bytes(32, "big")
        self.chain.record(ParticipantSuspended(participant, bytes(32)), OWNER, subject)
        self.chain.mine()


class Ask:
    def __init__(self, caller: Caller, keys: dict[int, str]) -> None:
        self._caller, self._keys = caller, keys

    def __call__(self, path: str, number: int = OWNER, method: str = "GET", **headers: Any) -> httpx.Response:
        headers = {"Host": HOST, "Authorization": self._keys[number], **headers}
        return self._caller.ask(path, method, **{name: value for name, value in headers.items() if value})

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = self("/ready", Authorization="").json()
        return found

    def codes(self) -> tuple[list[str], list[str]]:
        found = self.ready()
        troubles, alarms = (
            [f"{one['where']}: {one['code']}" for one in found[name]] for name in ("troubles", "alarms")
        )
        return troubles, alarms
