"""What can happen to a node beside its own death, so that its rarer steps are reached, too."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from ledger.chain import Chain, HttpTransport, Node, Reception, Transaction, call_data, sign_transaction
from ledger.ids import SubjectKind, subject
from ledger.records import OrderTerms, ProposeRevision
from ledger.store import Store
from ledger.store.outbox import Entry, Outbox, OutboxState
from services.lab.faults.workload import Event, Site

__all__ = ["MISCHIEF", "VICTIM", "Scene"]

VICTIM = "victim-"
"""How the keys of events begin that the operator gives up."""
_HIGH_FEE_WEI = 10**12
_HOLD_ROUNDS = 6
_JUMP_S = 26 * 3600


@dataclass(slots=True)
class Scene:
    """A node at work. `line` reaches the chain past it; `go_on` is called after each of its rounds."""

    site: Site
    line: HttpTransport
    store: Store
    outbox: Outbox
    chain: Chain
    rounds: Iterator[int] = field(default_factory=itertools.count)
    each_round: Callable[[int], None] | None = None
    automine: bool = True

    def __post_init__(self) -> None:
        if self.chain.profile.finality_depth:
            self.set_automine(True)  # a life before may have died without it

    def go_on(self) -> None:
        number = next(self.rounds)
        if self.each_round is not None:
            self.each_round(number)
        if self.chain.profile.finality_depth and self.automine:
            self.line.request("evm_mine", [])  # so that blocks become final

    def set_automine(self, on: bool) -> None:
        self.automine = on
        self.line.request("evm_setAutomine", [on])


@contextmanager
def refuse(scene: Scene) -> Iterator[None]:
    """A record comes in that the contract refuses."""
    unknown = subject(SubjectKind.ORDER, 1, bytes(32))
    terms = OrderTerms(operations=1, inspector=0, model=0, due_at=4_000_000_000, claims_root=bytes(32))
    record = ProposeRevision(unknown, terms)
    count = sum(scene.outbox.counts().values())
    entry = Entry(f"refused-{count}", record.contract.value, type(record).__name__, call_data(record))
    scene.outbox.enqueue(scene.site.signer.address, [entry])
    yield


@contextmanager
def overtake(scene: Scene) -> Iterator[None]:
    """Another program uses the key while a transaction is on its way."""
    node, signer = Node(scene.line), scene.site.signer
    before = scene.chain.node

    class Overtaking(Node):
        def send(self, raw: bytes) -> Reception:
            scene.chain.node = before
            nonce = node.transaction_count(signer.address)
            other = Transaction(scene.chain.chain_id, nonce, _HIGH_FEE_WEI, _HIGH_FEE_WEI, 21_000, signer.address, b"")
            node.send(sign_transaction(other, signer).raw)
            return before.send(raw)

    scene.chain.node = Overtaking(scene.line)
    yield


@contextmanager
def skip_nonce(scene: Scene) -> Iterator[None]:
    """The database counts further than the chain, as after a chain was set back."""
    with scene.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox_nonces SET next_nonce = next_nonce + 1")
    yield


@contextmanager
def reorganise(scene: Scene) -> Iterator[None]:
    """The latest blocks go away while what is in them is not final."""

    def each_round(number: int) -> None:
        if number % 3 == 2 and number < _HOLD_ROUNDS * 3:
            scene.line.request("anvil_reorg", [1, []])

    scene.each_round = each_round
    yield


@contextmanager
def give_up(scene: Scene) -> Iterator[None]:
    """Nothing is mined; the operator cancels a record that is under way; then blocks come again."""
    scene.set_automine(False)
    victim = Event(f"{VICTIM}{sum(scene.outbox.counts().values())}", -1, 0)
    cancelled = False

    def each_round(number: int) -> None:
        nonlocal cancelled
        if number == 0:
            _queue_victim(scene, victim)
        state = _state(scene, victim)
        if not cancelled and state is OutboxState.SENT:
            scene.outbox.cancel([victim.key])
            cancelled = True
        if number == _HOLD_ROUNDS * 3:
            scene.set_automine(True)
            scene.line.request("evm_mine", [])

    scene.each_round = each_round
    try:
        yield
    finally:
        scene.set_automine(True)


def _queue_victim(scene: Scene, victim: Event) -> None:
    record = scene.site.record(victim)
    entry = Entry(victim.key, record.contract.value, type(record).__name__, call_data(record))
    scene.outbox.enqueue(scene.site.signer.address, [entry])


def _state(scene: Scene, victim: Event) -> OutboxState | None:
    found = [record for record in scene.outbox.unfinished(10_000) if record.idempotency_key == victim.key]
    return found[0].state if found else None


@contextmanager
def hold_blocks(scene: Scene) -> Iterator[None]:
    """No block comes for some rounds."""
    scene.set_automine(False)

    def each_round(number: int) -> None:
        if number == _HOLD_ROUNDS:
            scene.set_automine(True)
            scene.line.request("evm_mine", [])

    scene.each_round = each_round
    try:
        yield
    finally:
        scene.set_automine(True)


@contextmanager
def jump(scene: Scene) -> Iterator[None]:
    """The wall clock jumps up to 26 hours either way, every round."""
    chance, real = random.Random(0), time.time  # noqa: S311 - a replay needs a seed, not secrecy

    def each_round(_: int) -> None:
        offset_s = chance.uniform(-_JUMP_S, _JUMP_S)
        time.time = lambda: real() + offset_s

    scene.each_round = each_round
    try:
        yield
    finally:
        time.time = real


MISCHIEF: Mapping[str, Callable[[Scene], AbstractContextManager[None]]] = {
    "refuse": refuse,
    "overtake": overtake,
    "skip nonce": skip_nonce,
    "reorganise": reorganise,
    "give up": give_up,
    "hold blocks": hold_blocks,
    "jump": jump,
}
