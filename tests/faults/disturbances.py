"""Disturbances of a running node, which make it reach its rarer steps."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from millmark.ledger.chain import Chain, HttpTransport, Node, Reception, Transaction, call_data, sign_transaction
from millmark.ledger.errors import ChainError
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.records import OrderTerms, ProposeRevision
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Entry, Outbox, OutboxState
from tests.faults.workload import Event, Site

__all__ = ["CANCELLED_PREFIX", "DISTURBANCES", "Target"]

CANCELLED_PREFIX = "victim-"
"""Prefix for the keys of events that the operator cancels."""
_HIGH_FEE_WEI = 10**12
_HOLD_ROUNDS = 6
_REORGANISATIONS = 3
_JUMP_S = 26 * 3600


@dataclass(slots=True)
class Target:
    """A running node. `transport` reaches the chain directly; `go_on` is called after each of the node's rounds."""

    site: Site
    transport: HttpTransport
    store: Store
    outbox: Outbox
    chain: Chain
    rounds: Iterator[int] = field(default_factory=itertools.count)
    each_round: Callable[[int], None] | None = None
    automine: bool = True

    def __post_init__(self) -> None:
        if self.chain.profile.finality_depth:
            self.set_automine(True)  # an earlier process may have been killed while it was off

    def go_on(self) -> None:
        number = next(self.rounds)
        if self.each_round is not None:
            self.each_round(number)
        if self.chain.profile.finality_depth and self.automine:
            self.transport.request("evm_mine", [])  # so that blocks become final

    def set_automine(self, on: bool) -> None:
        self.automine = on
        self.transport.request("evm_setAutomine", [on])


@contextmanager
def refuse(target: Target) -> Iterator[None]:
    """Queues a record that the contract refuses."""
    unknown = subject(SubjectKind.ORDER, 1, bytes(32))
    terms = OrderTerms(1, 2, (), 4_000_000_000, 0, bytes(3), bytes(32))
    record = ProposeRevision(unknown, terms)
    count = sum(target.outbox.counts().values())
    entry = Entry(f"refused-{count}", record.contract.value, type(record).__name__, call_data(record))
    target.outbox.enqueue(target.site.signer.address, [entry])
    yield


@contextmanager
def overtake(target: Target) -> Iterator[None]:
    """Has another program use the key while a transaction is being sent."""
    node, signer = Node(target.transport), target.site.signer
    before = target.chain.node

    class Overtaking(Node):
        def send_all(self, raws: Sequence[bytes]) -> list[Reception | ChainError]:
            target.chain.node = before  # once only: the retry must find the nonce taken
            nonce = node.transaction_count(signer.address)
            other = Transaction(target.chain.chain_id, nonce, _HIGH_FEE_WEI, _HIGH_FEE_WEI, 21_000, signer.address, b"")
            node.send(sign_transaction(other, signer).raw)
            return before.send_all(raws)

    target.chain.node = Overtaking(target.transport)
    yield


@contextmanager
def skip_nonce(target: Target) -> Iterator[None]:
    """Advances the nonce in the database beyond the chain's, as after the chain was reset."""
    with target.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox_nonces SET next_nonce = next_nonce + 1")
    yield


@contextmanager
def reorganise(target: Target) -> Iterator[None]:
    """Removes the latest block several times, always right after the node took a record of it for mined.

    Until then, one block is mined in each round: by time or number of rounds, the records could be final before.
    """
    target.set_automine(False)
    left = _REORGANISATIONS

    def each_round(_: int) -> None:
        nonlocal left
        if not left:
            return
        if not target.outbox.counts().get(OutboxState.MINED, 0):
            target.transport.request("evm_mine", [])
            return
        target.transport.request("anvil_reorg", [1, []])
        left -= 1
        if not left:
            target.set_automine(True)

    target.each_round = each_round
    try:
        yield
    finally:
        target.set_automine(True)


@contextmanager
def give_up(target: Target) -> Iterator[None]:
    """Stops mining, has the operator cancel a record that was sent, then resumes mining."""
    victim = Event(f"{CANCELLED_PREFIX}{sum(target.outbox.counts().values())}", -1, 0)
    cancelled = False

    def each_round(number: int) -> None:
        nonlocal cancelled
        if number == 0:
            _queue_victim(target, victim)
        state = _state(target, victim)
        if not cancelled and state is OutboxState.SENT:
            target.outbox.cancel([victim.key])
            cancelled = True

    with _stop_mining(target, _HOLD_ROUNDS * 3, each_round):
        yield


def _queue_victim(target: Target, victim: Event) -> None:
    record = target.site.record(victim)
    entry = Entry(victim.key, record.contract.value, type(record).__name__, call_data(record))
    target.outbox.enqueue(target.site.signer.address, [entry])


def _state(target: Target, victim: Event) -> OutboxState | None:
    found = [record for record in target.outbox.unfinished(10_000) if record.idempotency_key == victim.key]
    return found[0].state if found else None


@contextmanager
def hold_blocks(target: Target) -> Iterator[None]:
    """Stops mining for some rounds."""
    with _stop_mining(target, _HOLD_ROUNDS):
        yield


@contextmanager
def _stop_mining(target: Target, rounds: int, act: Callable[[int], None] | None = None) -> Iterator[None]:
    """Mines nothing for `rounds` rounds; calls `act` in each round, also in those that follow."""
    target.set_automine(False)

    def each_round(number: int) -> None:
        if act is not None:
            act(number)
        if number == rounds:
            target.set_automine(True)
            target.transport.request("evm_mine", [])

    target.each_round = each_round
    try:
        yield
    finally:
        target.set_automine(True)


@contextmanager
def jump(target: Target) -> Iterator[None]:
    """Shifts the wall clock by up to 26 hours in either direction, in every round."""
    chance, real = random.Random(0), time.time  # noqa: S311 - a replay needs a seed, not secrecy

    def each_round(_: int) -> None:
        offset_s = chance.uniform(-_JUMP_S, _JUMP_S)
        time.time = lambda: real() + offset_s

    target.each_round = each_round
    try:
        yield
    finally:
        time.time = real


DISTURBANCES: Mapping[str, Callable[[Target], AbstractContextManager[None]]] = {
    "refuse": refuse,
    "overtake": overtake,
    "skip nonce": skip_nonce,
    "reorganise": reorganise,
    "give up": give_up,
    "hold blocks": hold_blocks,
    "jump": jump,
}
