"""The gateway of a consortium's operator, and people of it and of companies, for tests of the consortium's page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Role
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.access import OPERATOR
from millmark.services.access.people.people import People
from millmark.services.access.rules import PersonRole
from millmark.services.directory import DirectoryEntry, sign_statement
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.consortium import Upkeep
from millmark.services.home import AdmissionRequest
from millmark.services.serving.logs import build_logger
from millmark.services.settings import Auth
from tests.support.acting_site import fields_of
from tests.support.gateway_client import Caller
from tests.support.ledger_world import LedgerWorld
from tests.support.portal_site import SESSION, Browser
from tests.support.sign_in import NOW_S, ORIGIN

PAGE = "/portal/consortium"
DAY_S = 86_400


@dataclass
class Operator:
    """The operator's gateway, without its threads: `send` does what they would."""

    store: Store
    world: LedgerWorld
    signer: LocalSigner
    number: int
    caller: Caller

    def person(self, role: PersonRole = PersonRole.RECORDER) -> Browser:
        return enter(self.store, self.caller, OPERATOR, role)

    def send(self) -> None:
        self.world.submitter(Outbox(self.store), self.world.owner).drain()
        Follower(self.world.chain, self.store).follow()
        Upkeep(self.store, lambda: self.world.chain, build_logger()).step()

    def request(self, name: str = "Elm Cutting", signer: LocalSigner | None = None, **listed: Any) -> str:
        key, chain = signer or LocalSigner.generate(), self.world.chain
        stated = sign_statement(chain.chain_id, chain.ledger, bytes(31) + b"\1", NOW_S, key)
        entry = DirectoryEntry(0, name, recipient_key=stated, **listed)
        roles = Role.MANUFACTURER | Role.CARRIER
        return AdmissionRequest(chain.chain_id, chain.ledger, key.address, roles, entry).to_bytes().decode()


def enter(store: Store, caller: Caller, owner: int, role: PersonRole) -> Browser:
    people = People(store, owner)
    invited = people.invite(f"Mei {role}", role, now_s=NOW_S)
    with store.transaction() as connection:
        entered = people.enter(connection, people.welcome(connection, invited.code, NOW_S), NOW_S)
    return Browser(caller, {SESSION: entered.token})


def build_caller(store: Store, owner: int | None, **parts: Any) -> Caller:
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=owner)
    limiter = Limiter(Rates(1e9, 1e9))
    return Caller(create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, limiter=limiter, **parts)))


def post(browser: Browser, path: str, page: str, **more: str) -> Any:
    return browser.post(path, {**fields_of(page, path), **more})
