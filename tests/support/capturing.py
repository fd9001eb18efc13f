"""A company whose gateway records what captured EPCIS events propose, on the real contracts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import text

from millmark.ledger.claims import build_claims
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey
from millmark.ledger.records import ALL_ROLES, Admit
from millmark.ledger.store import Book, Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.epcis.capture import CAPTURE
from millmark.services.interop.epcis.event_queries import CONTEXT
from tests.support.gateway_client import Caller
from tests.support.ledger_world import Founded, LedgerWorld

__all__ = ["FOUNDED", "OTHER", "PARTY", "Company", "Json", "added", "admit", "document", "event", "thing"]

Json = dict[str, Any]
PARTY = "urn:epc:id:pgln:9506000.00001"
OTHER = "9506000000022"


def thing(serial: str) -> str:
    return f"https://id.gs1.org/01/09506000134352/21/{serial}"


def event(number: int, kind: str = "ObjectEvent", action: str | None = "ADD", **fields: Any) -> Json:
    action_of = {} if action is None else {"action": action}
    return {
        "type": kind,
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "eventTime": f"2026-03-02T09:{number % 60:02}:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        **action_of,
        **fields,
    }


def added(number: int, *serials: str) -> Json:
    return event(number, epcList=[thing(one) for one in serials], bizStep="commissioning")


def document(*events: Json) -> Json:
    return {
        "@context": [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T09:30:00Z",
        "epcisBody": {"eventList": list(events)},
    }


@dataclass
class Company:
    """Its gateway, with its key, on the embedded chain. The recorder's thread is not running: `send` does its work."""

    store: Store
    world: LedgerWorld
    signer: LocalSigner
    name_key: NameKey
    number: int = field(init=False)
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        with self.store.reading() as connection:
            query = text("SELECT participant FROM keys WHERE address = :a")
            self.number = connection.execute(query, {"a": self.signer.address}).scalar_one()
        self.start()

    def start(self, store: Store | None = None) -> None:
        """The application anew, as after a restart."""
        recording = (self.world.chain, self.signer)
        app = create_gateway(
            GatewayParts(
                store or self.store, build_policy("loopback-open"), recording=recording, name_keys=[self.name_key]
            )
        )
        self.caller = Caller(app)

    def send(self) -> None:
        self.world.submitter(Outbox(self.store), self.signer).drain()
        Follower(self.world.chain, self.store).follow()

    def post(self, *events: Json, query: str = "?record=true", **headers: str) -> httpx.Response:
        return self.caller.ask(CAPTURE + query, "POST", document(*events), **headers)

    def capture(self, *events: Json, **named: str) -> list[Json]:
        """What the job says of each event once everything was sent."""
        answer = self.post(*events, **named)
        assert answer.status_code == 202, answer.text
        self.send()
        found: list[Json] = self.caller.ask(answer.headers["location"]).json()["events"]
        return found

    def final(self, *events: Json) -> list[str]:
        """Kinds of the records, all of them final."""
        told = self.capture(*events)
        assert all("recorded" in one for one in told), told
        records = [record for one in told for record in one["recorded"]]
        assert all(one["state"] == "final" and one["done"] and one["sequence"] > 0 for one in records), records
        return [one["kind"] for one in records]

    def lots(self, serial: str) -> list[Json]:
        found: list[Json] = self.caller.ask(f"/v1/lots?identifier={thing(serial)}").json()["items"]
        return found


def admit(world: LedgerWorld, store: Store, claims: Json | None = None) -> Company:
    signer, root = world.fund(LocalSigner.generate()), bytes(32)
    if claims is not None:
        kept = build_claims(claims)
        root = kept.root
        with store.transaction() as connection:
            Book(connection).put_document(root, json.dumps(kept.to_json()))
    owner = world.submitter(Outbox(store), world.owner)
    owner.submit([(f"admit-{signer.address.hex()}", Admit(int(ALL_ROLES), signer.address, root))])
    owner.drain()
    world.accept(signer)
    key = world.register_name_key(Outbox(store), signer)
    Follower(world.chain, store).follow()
    return Company(store, world, signer, key)


def _found(world: LedgerWorld, store: Store) -> tuple[LocalSigner, NameKey]:
    first = admit(world, store)
    return first.signer, first.name_key


FOUNDED = Founded(_found)
