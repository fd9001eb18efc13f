"""Records a second that one key gets onto a network of validators, beside transactions that were signed beforehand.

Both sides send equal batches of equal records to the same node, with as many transactions pending at most, in turns on
the same network. The pre-signed side does what no product can: it knows its nonces, simulates nothing, stores nothing,
and never looks at a receipt. Ours also indexes what it wrote.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import structlog

from millmark.ledger.chain import (
    Chain,
    HttpTransport,
    Transaction,
    call_data,
    find_profile,
    first_fees,
    sign_transaction,
)
from millmark.ledger.chain.deploying import ask_until
from millmark.ledger.errors import ChainError, ChainUnreachableError, MillmarkError
from millmark.ledger.index import ChainReader, fetch_status
from millmark.ledger.records import Contract
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from millmark.services.gateway.follower import FollowerThread
from millmark.services.network import Consensus, NodeProgram
from millmark.services.store import open_store
from tests.faults.workload import Site, build_events, found_site, founding_keys
from tests.support.local_network import LocalNetwork
from tests.support.processor import cpu_s

WINDOW, BATCH, GAS_LIMIT = 60, 50, 30_000_000
FIREFLY_PER_S = 117
"""Published by Hyperledger FireFly: records a second pinned in batches over 141 hours, on four cores (firefly#1751)."""
LEAST_SHARE, MOST_BEHIND = 0.35, 2
_QUEUED = 3_500
_GROUP = 500
_PAUSE_S = 0.05
_END_S = 120.0
_SEED = 17
_MONEY_WEI = 10**24
_FULL = 0.8


_INTERVAL_S = 1.0
"""Between the follower's steps: the gateway's default."""
_LOOK_S = 0.2
_CATCH_UP_S = 300.0
_WARNING = 30
"""Level of the lines that the follower may write; it tells each step that indexed records."""


@dataclass(slots=True)
class IndexLag:
    """What was seen so far."""

    most: int = 0
    """Most blocks by which the index was behind the last final block."""
    looks: int = 0
    """How often that was looked at."""
    errors: list[str] = field(default_factory=list)
    """Why a step of the follower, or a look, failed."""

    def look(self, chain: ChainReader, store: Store) -> int:
        """Look once, and return how many blocks the index is behind now; below 0 if it has blocks that are not final.

        The index first: what comes to be final in between counts as missing. Raises ChainError, StoreError.
        """
        status = fetch_status(store)
        indexed = chain.first_block - 1 if status is None else status.block_number
        behind = chain.final_number() - indexed
        self.most, self.looks = max(self.most, behind), self.looks + 1
        return behind


@contextmanager
def following(followed: Chain, looked_at: Chain, store: Store, lag: IndexLag) -> Iterator[None]:
    """Follow the chain into the store, and keep looking at it once it has caught up. Two connections to one node, for
    one thread each.

    Raises ChainError, ChainUnreachableError if it does not catch up in time.
    """
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger(_WARNING)
    )
    thread = FollowerThread(followed, store, _INTERVAL_S, logger)
    thread.start()
    try:
        _catch_up(looked_at, store)
        with _looking(looked_at, store, lag, thread):
            yield
    finally:
        thread.stop()


def _catch_up(chain: Chain, store: Store) -> None:
    deadline = time.monotonic() + _CATCH_UP_S
    while not _is_caught_up(chain, store):
        if time.monotonic() > deadline:
            raise ChainUnreachableError("the index does not catch up with the chain", hint="see the log above")
        time.sleep(_LOOK_S)


def _is_caught_up(chain: Chain, store: Store) -> bool:
    try:
        return IndexLag().look(chain, store) <= 0
    except ChainUnreachableError:  # one answer that failed; the caller asks again
        return False


@contextmanager
def _looking(chain: Chain, store: Store, lag: IndexLag, thread: FollowerThread) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(_LOOK_S):
            try:
                lag.look(chain, store)
            except MillmarkError as error:  # of the node or of the database; the next look may succeed
                lag.errors.append(str(error))
            failing = thread.seen().failing
            if failing is not None and failing.cause not in lag.errors:
                lag.errors.append(failing.cause)

    looking = threading.Thread(target=run, name="index-lag")
    looking.start()
    try:
        yield
    finally:
        stop.set()
        looking.join()


@dataclass(slots=True)
class Side:
    """What one side did, over all its turns."""

    records: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """CPU time of this process."""
    nodes_cpu_s: float = 0.0
    """CPU time of all validators meanwhile."""
    blocks: int = 0
    gas: int = 0
    """Used in those blocks."""

    @property
    def per_s(self) -> float:
        return self.records / self.wall_s if self.wall_s else 0.0

    def to_json(self) -> dict[str, float]:
        shown = {name: round(value, 2) for name, value in asdict(self).items()}
        return {"records_per_s": round(self.per_s, 1), **shown}


@dataclass(slots=True)
class NetworkRates:
    """The result."""

    network: str
    own: Side = field(default_factory=Side)
    presigned: Side = field(default_factory=Side)
    index: IndexLag = field(default_factory=IndexLag)
    errors: list[str] = field(default_factory=list)
    """What steps of the submitter raised; the next one went on."""

    @property
    def share(self) -> float:
        return self.own.per_s / self.presigned.per_s if self.presigned.per_s else 0.0

    @property
    def all_errors(self) -> list[str]:
        """The errors of submitter and index."""
        return [*self.errors, *self.index.errors]

    @property
    def is_enough(self) -> bool:
        # An index that was never looked at shows nothing.
        return self.share >= LEAST_SHARE and self.index.looks > 0 and self.index.most <= MOST_BEHIND

    def bound_by(self) -> str:
        """What most limits our side, by what was measured."""
        own = self.own
        if own.blocks and own.gas / own.blocks >= _FULL * GAS_LIMIT:
            return "gas of a block"
        if (own.cpu_s + own.nodes_cpu_s) / own.wall_s >= _FULL * (os.cpu_count() or 1):
            return "processor, shared with all validators"
        return "one process at work" if own.cpu_s / own.wall_s >= _FULL else "processor that others use, or waiting"

    def to_json(self) -> dict[str, object]:
        return {
            "network": self.network,
            "cores": os.cpu_count(),
            "pending": WINDOW,
            "batch": BATCH,
            "gas_limit": GAS_LIMIT,
            "own": self.own.to_json(),
            "presigned": self.presigned.to_json(),
            "share": round(self.share, 3),
            "cpu_ms_per_record": round(1000 * self.own.cpu_s / max(self.own.records, 1), 3),
            "index_blocks_behind": self.index.most,
            "index_looks": self.index.looks,
            "bound_by": self.bound_by(),
            "firefly_published_per_s": FIREFLY_PER_S,
            "times_firefly": round(self.own.per_s / FIREFLY_PER_S, 2),
            "errors": self.all_errors[:5],
        }


def measure_network(program: NodeProgram, seconds: float, rounds: int, tell: Callable[[str], None]) -> NetworkRates:
    """Starts validators of the program on the loopback, and has each side send for `seconds`, in `rounds` turns.

    Raises NetworkError, ChainError.
    """
    count = 5 if program.kind.consensus is Consensus.CLIQUE else 4
    money = {key.address: _MONEY_WEI for key in founding_keys(_SEED)}
    rates = NetworkRates(f"{count} validators of {program.kind.name} {program.version}")
    with (
        tempfile.TemporaryDirectory() as name,
        LocalNetwork.create(Path(name) / "network", program, count, gas_limit=GAS_LIMIT, balances_wei=money) as network,
    ):
        network.start()
        transport = HttpTransport(network.urls[0])
        tell(f"deploying on {rates.network}")
        site = found_site(Path(name), transport, find_profile(program.kind.engine), _SEED)
        with open_store(f"sqlite:///{name}/own.sqlite") as store:
            for number in range(rounds):
                tell(f"pre-signed, turn {number + 1} of {rounds}")
                _send_presigned(network, site, rates.presigned, seconds / rounds, f"presigned-{number}")
                tell(f"own, turn {number + 1} of {rounds}")
                _submit(network, site, store, rates, seconds / rounds, f"own-{number}")
    return rates


@contextmanager
def _counted(network: LocalNetwork, chain: Chain, side: Side) -> Iterator[None]:
    """Adds what happens meanwhile to a side."""
    records, head, wall = chain.sequence(Contract.LEDGER), chain.head_number(), time.monotonic()
    cpu, nodes = time.process_time(), _nodes_cpu_s(network)
    yield
    side.cpu_s += time.process_time() - cpu
    side.nodes_cpu_s += _nodes_cpu_s(network) - nodes
    side.records += chain.sequence(Contract.LEDGER) - records
    side.wall_s += time.monotonic() - wall
    last = chain.head_number()
    side.blocks += last - head
    for number in range(head + 1, last + 1):
        # Clique may take the latest block back, and have no other in its place for a moment.
        side.gas += ask_until(partial(chain.node.gas_used, number), _END_S)


def _nodes_cpu_s(network: LocalNetwork) -> float:
    return sum(cpu_s(node.pid) for node in network.nodes)


def _send_presigned(network: LocalNetwork, site: Site, side: Side, seconds: float, prefix: str) -> None:
    chain = site.connect(HttpTransport(network.urls[0]))
    raws = _sign(chain, site, int(seconds * 2_000 / BATCH) + WINDOW, prefix)
    first, sent = chain.node.transaction_count(site.signer.address), 0
    with _counted(network, chain, side):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            mined = chain.node.transaction_count(site.signer.address) - first
            part = raws[sent : mined + WINDOW]
            chain.node.send_all(part)
            sent += len(part)
            time.sleep(_PAUSE_S)
    _await(lambda: chain.node.transaction_count(site.signer.address) - first >= sent)


def _sign(chain: Chain, site: Site, count: int, prefix: str) -> list[bytes]:
    """Signs transactions with batches of records, from the key's next nonce on."""
    records = [call_data(site.record(event)) for event in build_events(count * BATCH, prefix)]
    calls = [
        chain.join_calls(Contract.LEDGER, records[start : start + BATCH]) for start in range(0, len(records), BATCH)
    ]
    gas = chain.simulate(Contract.LEDGER, calls[0], site.signer.address)
    first, fees = chain.node.transaction_count(site.signer.address), first_fees(chain.node, chain.profile)
    return [
        sign_transaction(
            Transaction(
                chain.chain_id,
                first + place,
                fees.priority_fee_wei,
                # The base fee rises by up to an eighth with each full block.
                10 * fees.max_fee_wei,
                gas,
                chain.ledger,
                data,
                legacy=fees.legacy,
            ),
            site.signer,
        ).raw
        for place, data in enumerate(calls)
    ]


def _submit(network: LocalNetwork, site: Site, store: Store, rates: NetworkRates, seconds: float, prefix: str) -> None:
    """Keeps the outbox full, and submits and indexes as a gateway does."""
    chain, outbox = site.connect(HttpTransport(network.urls[0])), Outbox(store)
    submitter = Submitter(chain, outbox, site.signer, batch_size=BATCH, pending=WINDOW)
    events = iter(build_events(int(seconds * 3_000) + _QUEUED, prefix))

    def fill() -> None:
        if outbox.counts().get(OutboxState.QUEUED, 0) < _QUEUED:
            submitter.submit([(event.key, site.record(event)) for event in itertools.islice(events, _GROUP)])

    for _ in range(_QUEUED // _GROUP):
        fill()
    followed, looked_at = (site.connect(HttpTransport(network.urls[0])) for _ in range(2))
    with following(followed, looked_at, store, rates.index), _counted(network, chain, rates.own):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fill()
            _step(submitter, rates)
            time.sleep(_PAUSE_S)
    left = outbox.unfinished(2 * _QUEUED + WINDOW * BATCH)
    outbox.cancel([record.idempotency_key for record in left if record.state is OutboxState.QUEUED])
    _await(lambda: _step(submitter, rates))


def _step(submitter: Submitter, rates: NetworkRates) -> bool:
    try:
        return submitter.step()
    except ChainError as error:  # as in a gateway's loop: the next step goes on
        rates.errors.append(str(error))
        return False


def _await(holds: Callable[[], bool]) -> None:
    """Raises ChainUnreachableError if it takes too long."""
    deadline = time.monotonic() + _END_S
    while not holds():
        if time.monotonic() > deadline:
            raise ChainUnreachableError("the network does not mine what it was sent", hint="see the validators' logs")
        time.sleep(_PAUSE_S)
