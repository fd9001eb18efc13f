"""A ledger, a gateway that relays, and a factory that can reach the chain only through it: over HTTP, or with a relay
that tells what a test puts in place of the truth."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import RawLog, Transport, call_data, multicall_data
from millmark.ledger.errors import ContractRefusedError, NotFoundError
from millmark.ledger.forward_requests import ForwardRequest, SignedRequest, sign_request
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract, ReceiveLot, Record
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction
from millmark.ledger.submit import Outcome, RelaySubmitter, Terms
from millmark.ledger.submit.submitter import Lease
from millmark.services.access import Principal, Scope, new_api_key
from millmark.services.gateway.relay import Relay
from millmark.services.gateway.relay.relay import RelayedRequest
from millmark.services.relay import HttpRelay
from tests.support.gateway_client import Caller, build_caller, client_of
from tests.support.ledger_world import NOTHING, Founded, LedgerWorld, build_world
from tests.support.patience import MAX_S
from tests.support.sign_in import ORIGIN
from tests.support.stores import new_store

VALIDITY_S = 60
HOUR_S = 3600


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

    def __post_init__(self) -> None:
        self.restart_relay()

    def restart_relay(self) -> None:
        """Restarts the gateway with its state on disk."""
        self.gateway_relay = Relay(self.world.chain, self.world.chain, self.store, self.relayer)
        self.__dict__.pop("caller", None)

    @functools.cached_property
    def caller(self) -> Caller:
        return build_caller(self.store, 99, clock=lambda: int(time.time()), relay=self.gateway_relay)

    @property
    def client(self) -> httpx.Client:
        return client_of(self.caller.app, origin=ORIGIN)

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
            # The last final block is of now, not of when the first test of this process founded the ledger.
            world.line.node.request("evm_mine", [])
        else:
            world = build_world(transport, profile)
            found = _found(world, store)
        yield RelayWorld(world, store, own, *found)


def finish(submitter: RelaySubmitter) -> None:
    """Steps until nothing is left to do."""
    assert any(submitter.step() for _ in range(20))


def lot(name: str) -> ReceiveLot:
    """A record that the ledger takes."""
    return ReceiveLot(sha256(name.encode()), 5, b"H87", NOTHING)


class RelaySite:
    """A factory that submits through a relay that it calls in the same process, without HTTP in between."""

    def __init__(self, found: RelayWorld) -> None:
        self.world, self.own, self.outbox = found.world, found.own, Outbox(found.own, relayed=True)
        self.factory, self.sending = found.factory, found.gateway_relay
        self.relay = Answers(self.sending, found.participant(self.factory))
        self.submitter = RelaySubmitter(
            self.relay, self.world.chain.deployment, self.own, self.factory, validity_s=VALIDITY_S, resend_s=0.0
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


class Answers:
    """The gateway's relay as one participant reaches it; tells what a test puts in place of the truth."""

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

    def __init__(self, relay: Relay, participant: int) -> None:
        self.relay = relay
        self.principal = Principal(participant, 0, frozenset({Scope.RELAY}), "", owner=False, expires_at=0)

    def terms(self, key: bytes) -> Terms:
        if self.silence is not None:
            raise self.silence
        found = self.relay.terms(key)
        final_time_s, now_s = found.final_time_s + self.passed_s - self.unsettled_s, found.now_s + self.passed_s
        if self.at_s is not None:
            final_time_s = now_s = self.at_s
        return Terms(found.chain_id, found.forwarder, found.nonce, found.final_nonce, final_time_s, now_s)

    def simulate(self, contract: Contract, data: bytes, key: bytes) -> int:
        if self.gas is not None:
            return self.gas
        found = self.relay.simulate(contract, data, key, self.principal)
        if found.gas is None:
            raise ContractRefusedError(str(found.error_name), {"by": found.error})
        return found.gas

    def send(self, raw: bytes) -> None:
        self.sent += 1
        if self.refusal is not None:
            raise self.refusal
        if self.outcome is None:
            self.relay.accept(raw, self.principal)

    def look(self, digest: bytes) -> Outcome | None:
        if self.works:
            self.relay.step()
        found = None if self.lost else self.outcome or self._look(digest)
        return found and replace(found, **self.otherwise)

    def _look(self, digest: bytes) -> Outcome | None:
        try:
            found = self.relay.look(digest, self.principal)
        except NotFoundError:
            return None
        return Outcome(
            found.state,
            found.error_name,
            found.error,
            found.block_number,
            found.block_hash,
            found.gas_used,
            _logs(found),
        )


def _logs(found: RelayedRequest) -> tuple[RawLog, ...]:
    number, block, transaction = found.block_number, found.block_hash, found.transaction_hash
    if number is None or block is None or transaction is None:
        return ()
    return tuple(
        RawLog(one.address, one.topics, one.data, number, block, transaction, one.log_index) for one in found.logs
    )
