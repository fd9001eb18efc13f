"""One company that records through its gateway, on the embedded chain."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey
from millmark.ledger.records import ALL_ROLES, SetNameKey
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from tests.support.gateway_client import Caller
from tests.support.ledger_world import Founded, LedgerWorld, build_world
from tests.support.stores import new_store

PART = "https://id.gs1.org/01/09506000134352/21/W-1"


@dataclass
class Site:
    """One company with every role, its key at the gateway, and a machine, on the embedded chain."""

    store: Store
    world: LedgerWorld
    signer: LocalSigner
    caller: Caller = field(init=False)
    number: int = 0
    name_keys: list[NameKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The application anew, as after a restart. Its thread is not running: `send` does what it would do."""
        recording = (self.world.chain, self.signer)
        app = create_gateway(
            GatewayParts(self.store, build_policy("loopback-open"), recording=recording, name_keys=self.name_keys)
        )
        self.caller = Caller(app)

    def send(self) -> None:
        self.world.submitter(Outbox(self.store), self.signer).drain()
        Follower(self.world.chain, self.store).follow()

    def post(self, path: str, body: object, key: str = "") -> httpx.Response:
        return self.caller.ask(path, "POST", body, Idempotency_Key=key or str(uuid.uuid4()))

    def record(self, path: str, **body: Any) -> dict[str, Any]:
        """Asks, sends, and gives the record's fate."""
        answer = self.post(path, body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "queued"
        self.send()
        found: dict[str, Any] = self.caller.ask(answer.headers["location"]).json()
        return found

    def final(self, path: str, **body: Any) -> dict[str, Any]:
        fate = self.record(path, **body)
        assert fate["state"] == "final", fate
        return fate

    def set_name_key(self, key: NameKey) -> None:
        submitter = self.world.submitter(Outbox(self.store), self.signer)
        submitter.submit([(f"name-{key.hash.hex()}", SetNameKey(key.hash))])
        self.send()


def found(world: LedgerWorld, store: Store) -> tuple[LocalSigner, NameKey, int]:
    """A company with its name key, and its number."""
    signer = world.admit(Outbox(store), ALL_ROLES)
    key = world.register_name_key(Outbox(store), signer)
    Follower(world.chain, store).follow()
    with store.reading() as connection:
        query = text("SELECT participant FROM keys WHERE address = :a")
        return signer, key, connection.execute(query, {"a": signer.address}).scalar_one()


FOUNDED = Founded(found)


def open_site(folder: Path, sealing: Sequence[LocalSigner] = ()) -> Iterator[Site]:
    """A site; with `sealing`, on a chain of its own, whose blocks these validators seal."""
    with new_store(folder) as store:
        if sealing:
            world = build_world(EmbeddedChain(validators=sealing))
            signer, key, number = found(world, store)
        else:
            world, (signer, key, number) = FOUNDED.copy(store)
        yield Site(store, world, signer, number=number, name_keys=[key])
