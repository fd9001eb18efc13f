"""A participant that asks a company's gateway, signed in."""

from __future__ import annotations

import secrets

import httpx

from millmark.services.access import CredentialKind, Scope
from millmark.services.access.credentials import issue
from millmark.services.access.repository import AccessRepository
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.settings import Auth
from tests.support.gateway_client import Caller
from tests.support.shared_world import OWNER, SharedWorld
from tests.support.sign_in import NOW_S, ORIGIN, signer_of

HOST = "gateway.example"


class Partner:
    """Asks the gateway as one participant."""

    def __init__(self, shared: SharedWorld, participant: int, now_s: int = NOW_S) -> None:
        policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER)
        self._caller = Caller(create_gateway(GatewayParts(shared.store, policy, keys=shared.ring, clock=lambda: now_s)))
        with shared.store.transaction() as connection:
            desk, key = AccessRepository(connection), signer_of(participant).address
            token, _ = issue(
                desk, CredentialKind.SESSION, participant, frozenset(Scope), now_s=now_s, life_s=900, key=key
            )
        self._bearer = f"Bearer {token}"

    def __call__(self, path: str, method: str = "GET", body: object = None, **headers: str) -> httpx.Response:
        headers.setdefault("Idempotency_Key", secrets.token_hex(8))
        return self._caller.ask(path, method, body, Host=HOST, Authorization=self._bearer, **headers)
