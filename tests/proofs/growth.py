"""How a store answers as it grows: `python -m tests.proofs.growth 50000 500000`, on SQLite and on PostgreSQL.

One plant, whose machines stay the same few, makes part after part. Two stores follow its records: one stops at the
first number, the other goes on to the second. Then both are asked the same questions in turn, about parts of the same
size: trace, recalls, and how fast further records go through outbox and index. So load on the machine affects both
alike. Every answer must have as many lots, records and certificates there as here.

Exit code 1 if the median processor time of any is more than `_MOST` times that of the smaller store: the program's and,
on PostgreSQL, the server's. Times by the clock are printed beside it; they depend on what else the machine does.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert

from millmark.ledger.index import Follower
from millmark.ledger.provenance import OrderTrace, Recall, Trace, recall, trace
from millmark.ledger.records import Gate, TransformationKind, Verdict
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import (
    Entry,
    OutboxState,
    outbox_attempts,
    outbox_records,
    outbox_transactions,
)
from tests.support import cluster
from tests.support.fake_ledger import FakeLedger, digest
from tests.support.stores import copy_database, new_store, on_cluster, prepare_cluster

__all__ = ["Growth", "Plant", "Sender", "measure"]

_MOST = 1.2
_MACHINES, _SMITH, _BUYER, _COORDINATOR, _INSPECTOR, _AUDITOR, _CARRIER = 20, 3, 1, 2, 4, 5, 6
_PARTS_OF_MODEL = 20
"""Parts that one model certifies, so that a recall of a model is of one size."""
_BLOCK_PARTS = 2
_QUESTIONS = 60
_ROUNDS = 40
"""Rounds of further records: each is one batch in the outbox, and a few blocks in the index."""
_BATCH, _BLOCKS = 50, 2
_COMMITTED = 1_000
"""Records that are written to an outbox in one transaction when it is filled."""
_MARGIN = 100
"""Parts at either end that are not asked about: a period beyond the end holds fewer parts."""
_SPAN_S = 200
_PAYLOAD = bytes(range(250))
_KEY = b"\x07" * 20


@dataclass
class Plant:
    """A plant on a fake chain, which makes parts one after another, each with the same records."""

    fake: FakeLedger = field(default_factory=FakeLedger)
    machines: list[int] = field(default_factory=list)
    models: list[int] = field(default_factory=list)
    lots: list[tuple[bytes, bytes, int, bytes]] = field(default_factory=list)
    """Of each part: the bar that it is made of, itself, when its work began, in seconds since 1970, and its order."""
    kept: range = range(0)
    indexed_cpu_s: float = 0.0

    def __post_init__(self) -> None:
        for number in range(1, 7):
            self.fake.admit(number)
            self.fake.accept_key(number)
        self.machines = [self.fake.register_machine(_SMITH, f"mill {number}") for number in range(_MACHINES)]
        self.fake.chain.mine()
        for machine in self.machines:
            self.fake.open_stream(machine, f"stream {machine}")
        self.fake.chain.mine()

    @property
    def records(self) -> int:
        return sum(self.fake.chain.sequences.values())

    def make(self) -> None:
        """Makes one part: an order, an operation, two lots of material, a split, three certificates, a delivery."""
        fake, number = self.fake, len(self.lots)
        if number % _PARTS_OF_MODEL == 0:
            self.models.append(fake.register_model(_INSPECTOR, f"model {number}"))
            fake.approve_model(_AUDITOR, self.models[-1])
        machine, begun = self.machines[number % _MACHINES], fake.chain.now
        order = fake.place(f"order {number}", _BUYER, _COORDINATOR, Gate(_INSPECTOR, self.models[-1]))
        fake.accept_order(order)
        fake.begin(order, 0, machine)
        bar = fake.receive(f"bar {number}", _SMITH, 4)
        scrap = fake.receive(f"scrap {number}", _SMITH, 2)
        merged = fake.transform(TransformationKind.MERGE, {bar: 4, scrap: 2}, {f"billet {number}": 6})
        blank = fake.transform(TransformationKind.CONVERSION, {merged[0]: 6}, {f"blank {number}": 3}, order=order)
        names = {f"part {number} {place}": 1 for place in range(3)}
        parts = fake.transform(TransformationKind.SPLIT, {blank[0]: 3}, names, order=order)
        fake.finish(order, 0)
        stream = fake.gauges[machine]
        last = fake.streams[stream][0] - 1
        for part in parts:
            fake.certify(part, _INSPECTOR, self.models[-1], Verdict.PASS, stream, leaf_index=last)
        fake.offer(parts[0], _BUYER)
        fake.take(parts[0])
        self.lots.append((bar, parts[0], begun, order))
        if number % _BLOCK_PARTS == _BLOCK_PARTS - 1:
            fake.chain.mine()
            states = (fake.orders, fake.assignments, fake.lots, fake.certificates, fake.latest, fake.stated)
            for state in (*states, fake.behind, fake.reworked, fake.identities, fake.chain.heads):
                state.clear()  # nothing later refers to it; so memory stays level

    def questions(self) -> dict[str, Callable[[Store, int], Trace | OrderTrace | Recall]]:
        """What a store is asked about a part, by its number, in words."""

        def machine(store: Store, part: int) -> Recall:
            begun = datetime.fromtimestamp(self.lots[part][2], UTC)
            worked = self.machines[part % _MACHINES]
            return recall(store, machine=worked, since=begun, until=begun + timedelta(seconds=_SPAN_S))

        return {
            "trace of a part": lambda store, part: trace(store, self.lots[part][1]),
            "trace of a part for its buyer": lambda store, part: trace(store, self.lots[part][1], viewer=_BUYER),
            "trace of an order": lambda store, part: trace(store, self.lots[part][3]),
            "recall of a lot": lambda store, part: recall(store, lot=self.lots[part][0]),
            "recall of a model": lambda store, part: recall(store, model=self.models[part // _PARTS_OF_MODEL]),
            "recall of a machine": machine,
        }

    def keep(self, blocks: int) -> None:
        """Keeps the records of the next blocks, since a store will follow them later."""
        first = len(self.fake.chain.headers)
        self.kept = range(first, first + blocks)

    def grow(self, records: int, follower: Follower) -> None:
        """Makes parts until there are so many records; the follower indexes them as they come."""
        while self.records < records:
            for _ in range(20 * _BLOCK_PARTS):
                self.make()
            self._index(follower)

    def _index(self, follower: Follower) -> None:
        chain = self.fake.chain
        begun_s = time.process_time()
        follower.follow()
        self.indexed_cpu_s += time.process_time() - begun_s
        for number in chain.fetched:
            if number not in self.kept:
                chain.records[number] = ()  # so that memory stays level
        chain.fetched.clear()


@dataclass(slots=True)
class Growth:
    """Medians of one question in both stores, in milliseconds of the processor and by the clock."""

    question: str
    size: int
    """Lots in the answer, or records."""
    small: tuple[float, float]
    large: tuple[float, float]

    @property
    def ratio(self) -> float:
        return round(self.large[0] / self.small[0], 3)

    def to_json(self) -> dict[str, object]:
        names = ("cpu_ms", "clock_ms")
        took = {
            f"{side}_{name}": round(ms, 3)
            for side in ("small", "large")
            for name, ms in zip(names, getattr(self, side), strict=True)
        }
        return {"question": self.question, "size": self.size, **took, "ratio": self.ratio}


class _Stopwatch:
    """Times of one question in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._took: list[tuple[float, float]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        servers = _servers(self._store)
        clock, cpu = time.perf_counter(), time.thread_time() + _server_s(servers)
        yield
        self._took.append((time.thread_time() + _server_s(servers) - cpu, time.perf_counter() - clock))

    def medians(self) -> tuple[float, float]:
        cpu, clock = zip(*self._took, strict=True)
        return statistics.median(cpu) * 1_000, statistics.median(clock) * 1_000


def _servers(store: Store) -> list[int]:
    """The server's processes for connections to this database."""
    with store.reading() as connection:
        if connection.dialect.name != "postgresql":
            return []
        # Not those that clean up in between, and end.
        query = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return [int(pid) for (pid,) in connection.exec_driver_sql(query)]


def _server_s(pids: list[int]) -> float:
    """Their processor time in seconds; the kernel counts it in nanoseconds."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


@dataclass(slots=True)
class _Side:
    """One of the two stores."""

    store: Store
    parts: int
    """How many of the plant's parts are in it."""
    sender: Sender


def measure(folder: Path, few: int, many: int) -> tuple[list[Growth], dict[str, float]]:
    """Fills two stores of `new_store` and asks both. Returns the comparisons, and further figures of the larger one."""
    plant, figures = Plant(), dict[str, float]()
    with closing(new_store(folder, "small.db")) as small, closing(new_store(folder, "large.db")) as large:
        plant.grow(few, Follower(plant.fake.chain, small))
        copy_database(small, large)
        parts = len(plant.lots)
        plant.keep(_ROUNDS * _BLOCKS)  # in which the smaller store goes on at the end
        plant.indexed_cpu_s = 0.0
        plant.grow(many, Follower(plant.fake.chain, large))
        figures["index_cpu_s_per_100000"] = round(plant.indexed_cpu_s / (many - few) * 100_000, 1)
        figures["index_bytes_per_record"] = round(_bytes(large) / many)
        ours = _Side(small, parts, Sender(small, few))
        theirs = _Side(large, len(plant.lots), Sender(large, many))
        figures["outbox_bytes_per_record"] = round(_bytes(large) / many) - figures["index_bytes_per_record"]
        small.analyse()
        large.analyse()
        for _ in range(_ROUNDS * _BLOCKS * _BLOCK_PARTS):
            plant.make()
        return [*_ask(plant, ours, theirs), *_record(plant, ours, theirs)], figures


def size_of(found: Trace | OrderTrace | Recall) -> int:
    """Lots in an answer, and records and anchors in a trace of a lot."""
    if not isinstance(found, Trace):
        return len(found.lots)
    return len(found.upstream) + len(found.records) + sum(len(stream.anchors) for stream in found.streams)


def _bytes(store: Store) -> int:
    with store.reading() as connection:
        if connection.dialect.name == "postgresql":
            return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def _ask(plant: Plant, ours: _Side, theirs: _Side) -> Iterator[Growth]:
    dice = random.Random(1)  # noqa: S311 - a sample, not a secret
    for question, ask in plant.questions().items():
        sizes: set[int] = set()
        watches = _Stopwatch(ours.store), _Stopwatch(theirs.store)
        for _ in range(_QUESTIONS):
            for side, watch in zip((ours, theirs), watches, strict=True):
                part = dice.randrange(_MARGIN, side.parts - _MARGIN)
                with watch.running():
                    found = ask(side.store, part)
                sizes.add(size_of(found))
        assert len(sizes) == 1, f"{question}: answers of {sizes} lots"
        yield Growth(question, sizes.pop(), *(watch.medians() for watch in watches))


def _record(plant: Plant, ours: _Side, theirs: _Side) -> Iterator[Growth]:
    """Further records: blocks into the index, and batches through the outbox."""
    followed, sent = ((_Stopwatch(ours.store), _Stopwatch(theirs.store)) for _ in range(2))
    followers = Follower(plant.fake.chain, ours.store), Follower(plant.fake.chain, theirs.store)
    records = 0
    for _ in range(_ROUNDS):
        for place, side in enumerate((ours, theirs)):
            with followed[place].running():
                records = followers[place].follow(limit=_BLOCKS).records
            with sent[place].running():
                side.sender.send()
    yield Growth("records into the index", records, *(watch.medians() for watch in followed))
    yield Growth("records through the outbox", _BATCH, *(watch.medians() for watch in sent))


class Sender:
    """An outbox with many final records, through which further ones go as the submitter sends them."""

    def __init__(self, store: Store, records: int) -> None:
        self._outbox = Outbox(store)
        self._sent = records
        # Not all in one transaction: PostgreSQL keeps each version of a row that it counts in until the end of one.
        for begin in range(0, records, _COMMITTED):
            with store.transaction() as connection:
                for first in range(begin, min(begin + _COMMITTED, records), _BATCH):
                    _write_final(connection, first)
        with store.transaction() as connection:
            if connection.dialect.name == "postgresql":
                for table in ("outbox_records", "outbox_transactions"):
                    last = f"(SELECT max(id) FROM {table})"  # noqa: S608 - fixed names
                    connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})")
        self._writer = self._outbox.take_lease(_KEY, None, "growth", 1)

    def send(self) -> None:
        first, self._sent = self._sent, self._sent + _BATCH
        self._outbox.enqueue(
            _KEY, [Entry(f"key-{one}", "ledger", "NoteRecorded", _PAYLOAD) for one in range(first, self._sent)]
        )
        queued = self._outbox.queued(_KEY, _BATCH)
        self._outbox.open_transactions(_KEY)
        self._outbox.work(_KEY).open_transactions()
        self._outbox.count_unmined(_KEY)
        sent = self._writer.allocate(0, queued, bytes(20), _PAYLOAD * _BATCH, 1)
        self._writer.store_signed(sent.id, _PAYLOAD * _BATCH, digest("sent", first), 1, 1)
        self._writer.mark_sent(sent.id)
        self._outbox.open_transactions(_KEY)
        self._writer.mark_mined(sent.id, first, digest("block", first), 1, range(first, self._sent))
        self._writer.mark_final(sent.id)
        self._outbox.closed_nonce(_KEY)
        assert self._outbox.is_idle(_KEY)
        assert not self._outbox.unfinished(1)
        assert not self._outbox.failed(1)
        assert not self._outbox.oldest_at_s()


def _write_final(connection: Connection, first: int) -> None:
    """One transaction of a batch of records, as it is once it is final."""
    number = first // _BATCH + 1
    connection.execute(insert(outbox_records), [_final_record(one) for one in range(first, first + _BATCH)])
    connection.execute(insert(outbox_transactions), _final_transaction(number))
    attempts = [
        {"transaction_id": number, "position": place, "record_id": first + place + 1} for place in range(_BATCH)
    ]
    connection.execute(insert(outbox_attempts), attempts)


def _final_record(number: int) -> dict[str, object]:
    return {
        "idempotency_key": f"key-{number}",
        "signer": _KEY,
        "contract": "ledger",
        "kind": "NoteRecorded",
        "payload": _PAYLOAD,
        "payload_digest": digest("payload", number),
        "state": OutboxState.FINAL,
        "sequence": number + 1,
        "queued_at_s": 1.0,
        "changed_at_s": 1.0,
    }


def _final_transaction(number: int) -> dict[str, object]:
    return {
        "signer": _KEY,
        "nonce": number - 1,
        "recipient": bytes(20),
        "data": _PAYLOAD * _BATCH,
        "gas_limit": 1,
        "raw": _PAYLOAD * _BATCH,
        "hash": digest("transaction", number),
        "state": OutboxState.FINAL,
        "block_number": number,
        "block_hash": digest("block", number),
        "gas_used": 1,
        "changed_at_s": 1.0,
    }


@contextmanager
def _databases() -> Iterator[dict[str, str | None]]:
    found: dict[str, str | None] = {"SQLite": None}
    if cluster.describe_missing() is not None:
        yield found
        return
    with cluster.running_cluster() as url:
        prepare_cluster(url)
        yield found | {"PostgreSQL": url}


def main(arguments: list[str]) -> int:
    few, many = map(int, arguments[:2])
    worst = 0.0
    with _databases() as databases:
        for name, url in databases.items():
            if arguments[2:] and name not in arguments[2:]:
                continue
            with tempfile.TemporaryDirectory() as folder, nullcontext() if url is None else on_cluster(url):
                found, figures = measure(Path(folder), few, many)
            for one in found:
                sys.stdout.write(f"{name}: {json.dumps(one.to_json())}\n")
            sys.stdout.write(f"{name}: {json.dumps(figures)}\n")
            sys.stdout.flush()
            worst = max(worst, *(one.ratio for one in found))
    return 1 if worst > _MOST else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
