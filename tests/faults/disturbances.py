"""Disturbances of a running node, which make it reach its rarer steps; `nonce` and `reorg` consist of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.chain import Chain, HttpTransport, Node, Reception, Transaction, call_data, sign_transaction
from millmark.ledger.errors import ChainError, ChainUnreachableError, SubmitError
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.index import Follower
from millmark.ledger.records import OrderTerms, ProposeRevision
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry, OutboxState
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess, running_chain
from tests.faults.ledger_check import LedgerCheck, Outcome, check_ledger
from tests.faults.workload import Event, Site, build_events, found_site

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


_EVENTS = 6
"""Events per round, each in a transaction of its own."""
_RESEND_S = 0.0
"""Every step sends again what is pending, so that resend intervals are counted in steps, whatever the load."""
_MOST_STEPS = 2
"""Resend intervals that a gap may last."""
_GAPS_EVERY = 5
"""In one round of this many, a nonce is skipped as well."""
_STUCK_STEPS = 100
_PATIENCE_S = 600.0
"""For what the chain does by itself, on a machine under any load."""


def run_nonce(folder: Path, count: int, seed: int) -> Outcome:
    """Drops at least `count` transactions. A nonce gap may not last longer than two resend intervals."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    drops: Counter[str] = Counter()
    lasted: list[int] = []
    rounds = -(-count * 2 // _EVENTS)
    events = build_events(rounds * _EVENTS)
    with (
        running_chain(folder, need_anvil=True) as process,
        open_store(f"sqlite:///{folder / 'node.sqlite'}") as store,
    ):
        site = found_site(folder, process.transport, process.profile, seed)
        chain = site.connect(process.transport)
        outbox = Outbox(store)
        submitter = Submitter(chain, outbox, site.signer, batch_size=1, receipt_grace_s=_PATIENCE_S, resend_s=_RESEND_S)
        for number in range(rounds):
            process.transport.request("evm_setAutomine", [False])
            if number % _GAPS_EVERY == 0 and number:
                _skip_nonce(store)
                drops["skipped nonce"] += 1
            sent = events[number * _EVENTS : (number + 1) * _EVENTS]
            submitter.submit([(event.key, site.record(event)) for event in sent])
            submitter.step()  # all are sent while nothing is mined, so that a dropped one leaves a gap
            drops["dropped"] += _drop(process, site, outbox, chance)
            lasted.append(_refill(process, submitter, outbox))
        process.transport.request("evm_setAutomine", [True])
        Follower(chain, store).follow()
        check = check_ledger(site, chain, store, folder, events, {event.key for event in events})
    lasted.sort()
    slow = sum(steps > _MOST_STEPS for steps in lasted)
    broken = (f"{slow} gaps lasted longer than {_MOST_STEPS} resend intervals",) if slow else ()
    figures = {"gap_p50_steps": lasted[len(lasted) // 2], "gap_max_steps": lasted[-1]}
    return Outcome(process.engine, drops, check, figures, broken)


def _skip_nonce(store: Store) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox_nonces SET next_nonce = next_nonce + 1")


def _drop(process: ChainProcess, site: Site, outbox: Outbox, chance: random.Random) -> int:
    """Drops a random half of the pending transactions; returns their number."""
    pending = [each for each in outbox.open_transactions(site.signer.address) if each.hash is not None]
    dropped = chance.sample(pending, max(len(pending) // 2, 1)) if pending else []
    for transaction in dropped:
        process.transport.request("anvil_dropTransaction", ["0x" + (transaction.hash or b"").hex()])
    return len(dropped)


def _refill(process: ChainProcess, submitter: Submitter, outbox: Outbox) -> int:
    """Runs the submitter until no nonce gap is left; returns the steps that took. Then resumes mining and drains."""
    steps, key = 0, submitter.key
    last = max(transaction.nonce for transaction in outbox.open_transactions(key))
    while int(process.transport.request("eth_getTransactionCount", ["0x" + key.hex(), "pending"]), 16) <= last:
        if steps == _STUCK_STEPS:
            raise SubmitError("a gap was never filled", hint="report this, with the seed")
        submitter.step()
        steps += 1
    process.transport.request("evm_setAutomine", [True])
    process.transport.request("evm_mine", [])
    submitter.drain(_PATIENCE_S)
    return steps


_DEPTH = 12
_EVENTS_A_REORGANISATION = 4
"""Events submitted before each reorganisation."""
_MAX_BLOCKS = 6
_STUCK_S = 120.0
_PAUSE_S = 0.005
_MAX_A_CHAIN = 50
"""Reorganisations per chain: anvil 1.7.1 itself loses contract code after a few hundred."""


def run_reorg(folder: Path, count: int, seed: int) -> Outcome:
    """Causes `count` reorganisations, on as many chains as needed. The index is updated after each, and before a random
    half of them as well."""
    parts = []
    for number, start in enumerate(range(0, count, _MAX_A_CHAIN)):
        part = folder / str(number)
        part.mkdir()
        parts.append(_run_part(part, min(count - start, _MAX_A_CHAIN), seed + number))
    depths = sum((Counter(part.injected) for part in parts), Counter[str]())
    undone = sum(part.figures["undone_blocks"] for part in parts)
    check = functools.reduce(LedgerCheck.join, (part.check for part in parts))
    return Outcome(parts[0].engine, depths, check, {"undone_blocks": undone, "chains": len(parts)})


def _run_part(folder: Path, count: int, seed: int) -> Outcome:
    events = build_events(count * _EVENTS_A_REORGANISATION)
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    depths: Counter[str] = Counter()
    undone = 0
    with (
        running_chain(folder, need_anvil=True) as process,
        open_store(f"sqlite:///{folder / 'node.sqlite'}") as store,
    ):
        founded = found_site(folder, process.transport, process.profile, seed)
        _mine(process, _DEPTH)  # the founding records are final before any block is replaced
        site = dataclasses.replace(founded, profile=dataclasses.replace(process.profile, finality_depth=_DEPTH))
        chain = site.connect(process.transport)
        submitter = Submitter(chain, Outbox(store), site.signer, batch_size=2, receipt_grace_s=_STUCK_S, resend_s=0.05)
        for number in range(count):
            sent = events[number * _EVENTS_A_REORGANISATION : (number + 1) * _EVENTS_A_REORGANISATION]
            submitter.submit([(event.key, site.record(event)) for event in sent])
            _step(submitter)
            _await_empty_pool(process)
            _mine(process, chance.randint(0, _MAX_BLOCKS))
            if chance.randrange(2):
                undone += _follow(chain, store)
            depth = chance.randint(1, _DEPTH)
            process.transport.request("anvil_reorg", [depth, []])
            depths[f"depth {depth}"] += 1
            _step(submitter)
            undone += _follow(chain, store)
        _settle(process, submitter)
        keys = {event.key for event in events}
        check = check_ledger(site, chain, store, folder, events, keys)
    return Outcome(process.engine, depths, check, {"undone_blocks": undone})


def _step(submitter: Submitter) -> None:
    """One round of the submitter. Anvil may fail to answer during a reorganisation; the next round retries."""
    with contextlib.suppress(ChainUnreachableError):
        submitter.step()


def _follow(chain: Chain, store: Store) -> int:
    """Updates the index; returns the number of blocks that it undid."""
    with contextlib.suppress(ChainUnreachableError):
        return Follower(chain, store).follow().undone
    return 0


def _mine(process: ChainProcess, blocks: int) -> None:
    if blocks:
        process.transport.request("anvil_mine", [hex(blocks)])


def _await_empty_pool(process: ChainProcess) -> None:
    """Anvil mines in a task of its own. One that is at it while blocks are replaced leaves a state without what is in
    blocks that stay: it then counts fewer transactions of a key than it has in them."""
    deadline = time.monotonic() + _STUCK_S
    while int(process.transport.request("txpool_status", [])["pending"], 16):
        if time.monotonic() > deadline:
            raise SubmitError("anvil mines nothing any more", hint="report this, with the seed")
        time.sleep(_PAUSE_S)


def _settle(process: ChainProcess, submitter: Submitter) -> None:
    deadline, done = time.monotonic() + _STUCK_S, False
    while not done:
        if time.monotonic() > deadline:
            raise SubmitError("records are still queued after the last reorg", hint="report this, with the seed")
        _mine(process, 1)
        with contextlib.suppress(ChainError):
            done = submitter.step()
    _mine(process, _DEPTH)
