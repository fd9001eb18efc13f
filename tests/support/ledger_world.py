"""A deployed ledger with admitted companies, on the embedded chain or another development engine; and worlds that are
slow to build, built once a process: each test or test module gets a copy, chain and database and all."""

from __future__ import annotations

import atexit
import copy
import functools
import itertools
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import (
    Chain,
    EmbeddedChain,
    Node,
    RawLog,
    Transaction,
    Transport,
    call_data,
    deploy,
    execute_data,
    find_profile,
    multicall_data,
    sign_transaction,
)
from millmark.ledger.forward_requests import ForwardRequest, SignedRequest, sign_request
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey
from millmark.ledger.records import AcceptKey, Admit, Contract, ReceiveLot, Record, Role, SetNameKey
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord, SentTransaction
from millmark.ledger.submit import Submitter
from tests.support.patience import wait_until
from tests.support.rpc import Line
from tests.support.stores import cluster, copy_database, new_store

NOTHING = bytes(32)
_MONEY_WEI = 10**20
F = TypeVar("F")
W = TypeVar("W")


def new_engine(validators: Sequence[Signer] = ()) -> EmbeddedChain:
    """A chain that began a month ago, so that stories can tell of days that passed."""
    return EmbeddedChain(int(time.time()) - 30 * 86_400, validators=validators)


def copy_chain(chain: EmbeddedChain) -> EmbeddedChain:
    """The same blocks, with every state behind them; what is mined on one of both is not on the other."""
    twin = EmbeddedChain()
    old, new = chain._tester.backend, twin._tester.backend
    database = copy.copy(_stored(old.chain))
    database.kv_store = dict(database.kv_store)
    new.chain = type(old.chain)(type(old.chain.chaindb.db)(database))
    return twin


def _stored(chain: Any) -> Any:
    """The dictionary at the bottom of py-evm's layers, all of which write through."""
    return chain.chaindb.db.wrapped_db


class Template(Generic[W]):
    """A world over an embedded chain and a store, built when the first copy is asked for.

    `shared` names what all copies have in common: keys, which refuse to be copied.
    """

    def __init__(
        self,
        build: Callable[[Store, EmbeddedChain], W],
        shared: Callable[[W], Iterable[object]],
        engine: Callable[[], EmbeddedChain] = new_engine,
    ) -> None:
        self._build, self._shared, self._engine = build, shared, engine
        self._built: dict[str | None, tuple[W, Store, EmbeddedChain]] = {}
        """By the cluster that the store is on."""

    def copy(self, store: Store) -> tuple[W, EmbeddedChain]:
        """The world, in `store`, which is empty; and the chain that it is on."""
        if cluster() not in self._built:
            self._built[cluster()] = self._make()
        world, filled, chain = self._built[cluster()]
        copy_database(filled, store)
        twin = copy_chain(chain)
        same = {id(one): one for one in self._shared(world)}
        return copy.deepcopy(world, {id(filled): store, id(chain): twin, **same}), twin

    def _make(self) -> tuple[W, Store, EmbeddedChain]:
        folder = Path(tempfile.mkdtemp(prefix="millmark-template-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        store, chain = new_store(folder), self._engine()
        atexit.register(store.close)
        return self._build(store, chain), store, chain


class Texts(list[str]):
    """The events that a submitter reports, one after the other. To be given to it as its `report`."""

    def __call__(self, event: str, _: SentTransaction, __: str | None) -> None:
        self.append(event)


@dataclass
class LedgerWorld:
    """A ledger and its owner. All its nodes are reached through `line`."""

    line: Line
    chain: Chain
    owner: LocalSigner
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def admit(self, outbox: Outbox, role: Role = Role.MANUFACTURER, *, by_request: bool = True) -> LocalSigner:
        """Admits a new company and returns its signer, which has accepted (`accept`)."""
        signer = self.fund(LocalSigner.generate())
        owner = self.submitter(outbox, self.owner)
        owner.submit([(f"admit-{signer.address.hex()}", Admit(int(role), signer.address, NOTHING))])
        owner.drain()
        self.accept(signer, by_request=by_request)
        return signer

    def register_name_key(self, outbox: Outbox, signer: LocalSigner) -> NameKey:
        """Gives the signer's company a new name key."""
        key, company = NameKey(secrets.token_bytes(32)), self.submitter(outbox, signer)
        company.submit([(f"name-{key.hash.hex()}", SetNameKey(key.hash))])
        company.drain()
        return key

    def accept(self, signer: Signer, *, by_request: bool = True) -> None:
        """Has the first key of the company admitted last accept. By a forward request, so that the key's first
        transaction is still to come, or by a transaction, so that its first request is."""
        chain = self.unfaulty
        data = call_data(AcceptKey(self.participants()))
        if by_request:
            deadline = chain.node.header().timestamp + 86_400
            request = ForwardRequest(
                chain.chain_id, chain.forwarder, signer.address, chain.registry, 300_000, 0, deadline, data
            )
            sender: Signer = self.fund(LocalSigner.generate())
            self._send(sender, chain.forwarder, execute_data(sign_request(request, signer)))
        else:
            self._send(signer, chain.registry, data)

    def _send(self, sender: Signer, to: bytes, data: bytes) -> None:
        chain = self.unfaulty
        nonce = chain.node.transaction_count(sender.address)
        transaction = Transaction(chain.chain_id, nonce, 10**9, 10**11, 600_000, to, data)
        sent = sign_transaction(transaction, sender)
        chain.node.send(sent.raw)
        wait_until(lambda: chain.node.receipt(sent.hash) is not None)

    def emit(self, signer: LocalSigner, records: Sequence[Record]) -> list[RawLog]:
        """What the ledger emits for these, made by the key in a single transaction."""
        chain = self.unfaulty
        self._send(
            self.fund(signer), chain.ledger, multicall_data(Contract.LEDGER, [call_data(one) for one in records])
        )
        [receipt] = chain.node.receipts(chain.node.header())
        return list(receipt.logs)

    def transfer(self, sender: Signer) -> None:
        """Uses up a nonce of the key without a record."""
        self._send(sender, sender.address, b"")

    def participants(self) -> int:
        """Number of companies admitted so far."""
        chain = self.unfaulty
        last = 0
        while chain.read_struct(Contract.REGISTRY, "participantOf", last + 1)["sequence"]:
            last += 1
        return last

    @functools.cached_property
    def unfaulty(self) -> Chain:
        """The chain without `line` and its faults."""
        return Chain(Node(self.line.node), self.chain.profile, self.chain.deployment)

    def chain_with(self, **profile: Any) -> Chain:
        """The same, as if its engine had another profile."""
        changed = replace(self.chain.profile, **profile)
        return Chain(self.chain.node, changed, self.chain.deployment)

    def sign_request(self, signer: LocalSigner) -> SignedRequest:
        """A forward request for one lot."""
        chain, [(_, lot)] = self.chain, self.lots(1)
        nonce, deadline = chain.forward_nonce(signer.address), chain.node.header().timestamp + 86_400
        return sign_request(
            ForwardRequest(
                chain.chain_id, chain.forwarder, signer.address, chain.ledger, 300_000, nonce, deadline, call_data(lot)
            ),
            signer,
        )

    def fund(self, signer: LocalSigner) -> LocalSigner:
        Node(self.line.node).fund(signer.address, _MONEY_WEI)
        return signer

    def submitter(self, outbox: Outbox, signer: LocalSigner, batch_size: int = 50) -> Submitter:
        return Submitter(self.chain, outbox, signer, batch_size=batch_size, receipt_grace_s=0.2, resend_s=0.0)

    def record(self, outbox: Outbox, signer: LocalSigner, count: int = 1) -> list[int]:
        """Has this many lots recorded for the key, until they are final. Returns their ids in the outbox."""
        submitter = self.submitter(outbox, signer)
        ids = submitter.submit(self.lots(count))
        submitter.drain()
        return ids

    def lots(self, count: int) -> list[tuple[str, Record]]:
        """Records that the contract will accept, each with its own idempotency key."""
        names = [f"lot-{next(self.numbers)}" for _ in range(count)]
        return [(name, ReceiveLot(sha256(name.encode()), 1, b"H87", NOTHING)) for name in names]

    def count(self) -> int:
        """Number of records on the ledger, read without `line` and its faults."""
        return self.unfaulty.sequence(Contract.LEDGER)

    def nonces(self, signer: LocalSigner) -> int:
        return Node(self.line.node).transaction_count(signer.address)


class Founded(Generic[F]):
    """What `found` makes of a ledger without companies and an empty store; what it returns is common to all copies."""

    def __init__(self, found: Callable[[LedgerWorld, Store], F]) -> None:
        def build(store: Store, chain: EmbeddedChain) -> tuple[LedgerWorld, F]:
            world = deploy_world(chain)
            return world, found(world, store)

        self._template = Template(build, lambda made: (made[0].owner, made[1]), EmbeddedChain)

    def copy(self, store: Store) -> tuple[LedgerWorld, F]:
        """The ledger, and what was found on it; `store`, which is empty, gets the content."""
        return self._template.copy(store)[0]


def build_world(transport: Transport | None = None, profile: str = "embedded") -> LedgerWorld:
    """A ledger without companies, deployed on `transport`; without one, a copy of one deployed once a process."""
    return deploy_world(transport, profile) if transport else copy_world(_deployed())


@functools.cache
def _deployed() -> LedgerWorld:
    return deploy_world(EmbeddedChain())


def copy_world(world: LedgerWorld) -> LedgerWorld:
    """The same ledger and owner on a copy of its embedded chain."""
    chain = world.line.node
    assert isinstance(chain, EmbeddedChain)
    line = Line(copy_chain(chain))
    return LedgerWorld(line, Chain(Node(line), world.chain.profile, world.chain.deployment), world.owner)


def deploy_world(transport: Transport, profile: str = "embedded") -> LedgerWorld:
    """Deploys a ledger without companies."""
    line = Line(transport)
    node, owner = Node(line), LocalSigner.generate()
    node.fund(owner.address, _MONEY_WEI)
    engine = find_profile(profile)
    return LedgerWorld(line, Chain(node, engine, deploy(node, engine, owner)), owner)


def results(outbox: Outbox, ids: list[int]) -> list[QueuedRecord]:
    """The outbox records with these ids."""
    return [outbox.record(number) for number in ids]


def submit_one_bad_record(world: LedgerWorld, outbox: Outbox) -> None:
    """Submits 20 records in one batch, of which the contract refuses one, and verifies that it fails alone."""
    submitter = world.submitter(outbox, world.admit(outbox), batch_size=20)
    lots = world.lots(19)
    lots.insert(11, ("again", lots[3][1]))
    ids = submitter.submit(lots)
    submitter.drain()
    failed = outbox.record(ids.pop(11))
    assert (failed.state, failed.error_name) == (OutboxState.FAILED, "HistorySubjectTaken")
    verify_final(outbox, ids)


def verify_final(outbox: Outbox, ids: list[int]) -> list[int]:
    """Asserts that all are final, each with its own sequence; returns the sequences."""
    found = results(outbox, ids)
    assert [record.state for record in found] == [OutboxState.FINAL] * len(ids), [record.error for record in found]
    sequences = [record.sequence for record in found if record.sequence is not None]
    assert len(set(sequences)) == len(ids)
    return sequences


def transactions(store: Store, signer: LocalSigner) -> list[tuple[int, str]]:
    """(nonce, state) of every transaction ever allocated for a key, by nonce."""
    query = "SELECT nonce, state FROM outbox_transactions WHERE signer = ? ORDER BY nonce, id"
    with store.reading() as connection:
        return [(int(n), str(s)) for n, s in connection.exec_driver_sql(query, (signer.address,))]


def verify_once(world: LedgerWorld, store: Store, signer: LocalSigner, ids: list[int], before: int) -> None:
    """Asserts that each record is on the ledger once, and each nonce used by one final transaction."""
    sequences = verify_final(Outbox(store), ids)
    assert sequences == list(range(before + 1, before + 1 + len(ids)))
    assert world.count() == before + len(ids)
    sent = transactions(store, signer)
    assert sent == [(nonce, "final") for nonce in range(len(sent))]
    assert world.nonces(signer) == len(sent)
