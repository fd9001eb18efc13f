"""A factory that submits through a relay on the embedded chain, and what the relay tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from millmark.ledger.canonical import sha256
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract, ReceiveLot
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction
from millmark.ledger.submit import Outcome, RelaySubmitter, Terms
from millmark.services.gateway.relay import Relay
from tests.support.ledger_world import NOTHING, LedgerWorld
from tests.support.relay_at_hand import RelayAtHand

__all__ = ["HOUR_S", "VALIDITY_S", "RelaySite", "finish", "lot"]

VALIDITY_S = 60
HOUR_S = 3600


def finish(submitter: RelaySubmitter) -> None:
    """Steps until nothing is left to do."""
    assert any(submitter.step() for _ in range(20))


def lot(name: str) -> ReceiveLot:
    """A record that the ledger takes."""
    return ReceiveLot(sha256(name.encode()), 5, b"H87", NOTHING)


class RelaySite:
    """A relay on the embedded chain, and a factory that reaches the chain only through it."""

    def __init__(self, world: LedgerWorld, store: Store, own: Store, folder: Path) -> None:
        self.world, self.own, self.outbox, self.folder = world, own, Outbox(own, relayed=True), folder
        self.factory = world.admit(Outbox(store), by_request=False)
        payer = world.fund(LocalSigner.generate())
        self.sending = Relay(world.chain, world.chain, store, payer)
        number = world.chain.read(Contract.REGISTRY, "actorOf", self.factory.address)[0]
        assert isinstance(number, int)
        self.relay = _Told(self.sending, number)
        self.submitter = RelaySubmitter(
            self.relay, world.chain.deployment, own, self.factory, validity_s=VALIDITY_S, resend_s=0.0
        )

    def submit(self, name: str) -> int:
        [number] = self.submitter.submit([(name, lot(name))])
        return number

    def open(self) -> SentTransaction:
        [found] = self.outbox.open_transactions(self.factory.address)
        return found

    def requests(self) -> list[tuple[int, str, str | None]]:
        """Nonce, state and error of every request that the factory signed."""
        with self.own.reading() as connection:
            found = connection.exec_driver_sql("SELECT nonce, state, error FROM outbox_transactions ORDER BY id")
            return [(row.nonce, row.state, row.error) for row in found]

    def state(self, number: int) -> OutboxState:
        return self.outbox.record(number).state


class _Told(RelayAtHand):
    """Tells what a test puts in place of the truth."""

    passed_s = 0
    """How much later it is, as the relay and its chain tell."""
    lost = False
    """Whether it has forgotten all requests."""
    outcome: Outcome | None = None
    """What it tells of each request, instead of sending it."""
    gas: int | None = None
    """What each call needs."""
    unsettled_s = 0
    """How much earlier the last final block is than the clock."""
    otherwise: Mapping[str, Any] = MappingProxyType({})
    """What it tells otherwise of each request."""
    works = False
    """Whether it makes a step whenever it is asked for a request."""
    sent = 0
    """How many requests it was given."""
    refusal: Exception | None = None
    """What it raises for a request, once it was given it."""
    at_s: int | None = None
    """What time it is, as it tells, and the time of the last final block."""
    silence: Exception | None = None
    """What it raises for any question about terms."""

    def terms(self, key: bytes) -> Terms:
        if self.silence is not None:
            raise self.silence
        found = super().terms(key)
        if self.at_s is not None:
            return replace(found, final_time_s=self.at_s, now_s=self.at_s)
        final_time_s = found.final_time_s + self.passed_s - self.unsettled_s
        return replace(found, final_time_s=final_time_s, now_s=found.now_s + self.passed_s)

    def simulate(self, contract: Contract, data: bytes, key: bytes) -> int:
        return super().simulate(contract, data, key) if self.gas is None else self.gas

    def send(self, raw: bytes) -> None:
        self.sent += 1
        if self.refusal is not None:
            raise self.refusal
        if self.outcome is None:
            super().send(raw)

    def look(self, digest: bytes) -> Outcome | None:
        if self.works:
            self.relay.step()
        found = None if self.lost else self.outcome or super().look(digest)
        return found and replace(found, **self.otherwise)
