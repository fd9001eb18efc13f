"""A ledger, a gateway that relays, and a factory that can reach the chain only through it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI

from millmark.ledger.chain import Transport, call_data, multicall_data
from millmark.ledger.forward_requests import ForwardRequest, SignedRequest, sign_request
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract, Record
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import RelaySubmitter
from millmark.ledger.submit.submitter import Lease
from millmark.services.access import Scope, new_api_key
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.relay import Relay
from millmark.services.relay import HttpRelay
from millmark.services.settings import Auth
from tests.support.ledger_world import Founded, LedgerWorld, build_world
from tests.support.patience import MAX_S
from tests.support.stores import new_store

ORIGIN = "https://gateway.example"


class InProcess(httpx.BaseTransport):
    """Calls an application without a socket; each request runs in its own event loop."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answer(request, request.read()))

    async def _answer(self, request: httpx.Request, content: bytes) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.request(request.method, request.url, headers=request.headers, content=content)
            return httpx.Response(answer.status_code, content=answer.content)


@dataclass
class RelayWorld:
    """`store` is the gateway's, `own` the factory's. Nothing runs by itself: `gateway_relay.step()` sends."""

    world: LedgerWorld
    store: Store
    own: Store
    factory: LocalSigner
    stranger: LocalSigner
    relayer: LocalSigner
    """The signer that pays for the transactions."""
    gateway_relay: Relay = field(init=False)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.restart_relay()

    def restart_relay(self) -> None:
        """Restarts the gateway with its state on disk."""
        chain, policy = self.world.chain, build_policy(Auth.REQUIRED, url=ORIGIN, owner=99)
        self.gateway_relay = Relay(chain, chain, self.store, self.relayer)
        self.app = create_gateway(
            GatewayParts(self.store, policy, limiter=Limiter(Rates(1e6, 1e6)), relay=self.gateway_relay)
        )

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=ORIGIN, transport=InProcess(self.app))

    def token(self, participant: int, *scopes: Scope) -> str:
        wanted = frozenset(scopes or (Scope.RELAY,))
        return new_api_key(self.store, participant, wanted, "relay", now_s=int(time.time()), life_s=86_400)[0]

    def participant(self, signer: LocalSigner) -> int:
        found = self.world.chain.read(Contract.REGISTRY, "actorOf", signer.address)[0]
        assert isinstance(found, int)
        return found

    def relay(self, signer: LocalSigner | None = None) -> HttpRelay:
        return HttpRelay(ORIGIN, self.token(self.participant(signer or self.factory)), self.client)

    def submitter(
        self, relay: HttpRelay | None = None, validity_s: int = 300, lease: Lease | None = None
    ) -> RelaySubmitter:
        given = relay or self.relay()
        deployment = self.world.chain.deployment
        return RelaySubmitter(
            given, deployment, self.own, self.factory, validity_s=validity_s, resend_s=0.0, lease=lease
        )

    def settle(self, submitter: RelaySubmitter) -> None:
        """Runs both sides in turn until the factory has no work left."""
        deadline = time.monotonic() + MAX_S
        while not submitter.step():
            assert time.monotonic() < deadline, "it does not settle"
            self.gateway_relay.step()

    def request(self, *records: Record, **other: int | bytes) -> SignedRequest:
        """A request signed by the factory now. `other`: fields to falsify."""
        calls = [call_data(record) for record in records]
        chain = self.world.chain
        fields: dict[str, int | bytes] = {
            "chain_id": chain.chain_id,
            "forwarder": chain.forwarder,
            "signer": self.factory.address,
            "to": chain.ledger,
            "gas": 2_000_000,
            "nonce": chain.forward_nonce(self.factory.address),
            "deadline": max(int(time.time()), chain.node.header().timestamp) + 300,
            "data": calls[0] if len(calls) == 1 else multicall_data(Contract.LEDGER, calls),
        }
        return sign_request(ForwardRequest(**{**fields, **other}), self.factory)  # type: ignore[arg-type]  # as named


def _found(world: LedgerWorld, store: Store) -> tuple[LocalSigner, LocalSigner, LocalSigner]:
    """Admits factory and stranger, and returns them and the relayer."""
    factory, stranger = (world.admit(Outbox(store), by_request=False) for _ in range(2))
    Follower(world.chain, store).follow()
    return factory, stranger, world.fund(LocalSigner.generate())


_FOUNDED = Founded(_found)


@contextmanager
def open_relay_world(
    folder: Path, transport: Transport | None = None, profile: str = "embedded"
) -> Iterator[RelayWorld]:
    (folder / "gateway").mkdir()
    (folder / "factory").mkdir()
    with new_store(folder / "gateway") as store, new_store(folder / "factory") as own:
        if transport is None:
            world, found = _FOUNDED.copy(store)
        else:
            world = build_world(transport, profile)
            found = _found(world, store)
        yield RelayWorld(world, store, own, *found)
