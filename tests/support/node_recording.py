"""A stream's recorder at a node, with its log, database and drafts, that can be made to die at each step."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.chain import Chain, call_data
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.records import Anchor, Contract
from millmark.ledger.store import Book, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import QueuedRecord
from millmark.services.node.config import AnchorRule, ModelSource
from millmark.services.node.events import DeadLetters, Event, read_dead_letters
from millmark.services.node.evidence_recorder import StreamRecorder
from millmark.services.node.inspection import Certifier, load_inspector
from millmark.services.node.intake import Lots, Metrics
from millmark.services.node.streamlog import LogEntry, StreamLog
from millmark.services.node.windows import Drafts, is_window, parse_window
from millmark.services.serving.logs import build_logger
from tests.support.stores import new_store

STREAM, SIGNER = bytes(range(32)), b"k" * 20
WIDTH = 500
MODELS = Path(__file__).parents[2] / "quality" / "models"
MODEL = ModelSource(
    file=MODELS / "forda.bin", number=1, field="samples", width=WIDTH, hop=WIDTH, stream="bench", validity_days=1
)
LOTS = ["0x" + bytes([number] * 32).hex() for number in (1, 2, 3)]


class _Ledger:
    """What the contract says of lots and orders: by default, the lots are there, and belong to no order."""

    def __init__(self) -> None:
        self.orders: dict[str, int] = dict.fromkeys(LOTS, 0)
        """Sequence of each lot's order."""
        self.sequences: dict[str, int] = {}
        """Sequence of each order."""
        self.reworks: dict[str, int] = {}
        """How often each lot was reworked."""
        self.silent = False

    def read_struct(self, _: Contract, function: str, subject: bytes) -> dict[str, int]:
        if self.silent:
            raise ChainUnreachableError("the node does not answer")
        name = "0x" + subject.hex()
        if function == "orderOf":
            return {"sequence": self.sequences.get(name, 0)}
        number, order = 64 if name in self.orders else 0, self.orders.get(name, 0)
        return {"number": number, "order": order, "reworks": self.reworks.get(name, 0)}


class DiedError(Exception):
    pass


class _Drafts(Drafts):
    """Dies before or after it put something away, as often as it is told."""

    die: str = ""

    def put(self, name: str, drafts: object) -> None:
        if self.die == "before drafts":
            raise DiedError
        super().put(name, drafts)  # type: ignore[arg-type]  # as it came
        if self.die == "after drafts":
            raise DiedError


class _Store(Store):
    """Dies around the transaction in which an anchor is queued, or in it."""

    def __init__(self, store: Store, die: str) -> None:
        super().__init__(store._engine, None if store.evidence is None else store.evidence.folder)
        if self.evidence is not None:
            self.evidence.claim(store.reading, store.transaction)
        self.die = die

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        if self.die == "before queueing":
            raise DiedError
        with super().transaction() as connection:
            yield connection
            if self.die == "while queueing":
                raise DiedError
        if self.die == "after queueing":
            raise DiedError


class Site:
    """A log and a store; recorders come and go."""

    def __init__(self, folder: Path, evidence: Path | None = None) -> None:
        self.folder = folder
        self.store: Store = new_store(folder, evidence=evidence)
        self.log = StreamLog(folder / "log", STREAM)
        (folder / "drafts").mkdir()
        self.resume_path = folder / "resume"
        self.ledger = _Ledger()
        self.refused = Metrics().refused
        self.told: list[str] = []
        """Reasons why entries got no certificate."""

    def tell(self, _: int, reason: str) -> None:
        self.told.append(reason)

    def recorder(self, rule: AnchorRule, die: str = "") -> StreamRecorder:
        dead = DeadLetters(self.folder / "dead", self.refused)
        lots = Lots(self.store)
        lots.connect(cast(Chain, self.ledger))
        certifier = Certifier(
            STREAM, (1, b"l" * 20), MODEL, load_inspector(MODEL), self.store, self.folder, dead, lots, self.tell
        )
        drafts = _Drafts(self.folder / "drafts", self.store)
        drafts.drop_orphans()
        drafts.die = die
        logger = build_logger()
        store = _Store(self.store, die)
        return StreamRecorder(
            "bench", STREAM, self.log, store, SIGNER, rule, drafts, logger, certifier, self.resume_path, self.write
        )

    def write(self, windows: Sequence[Event]) -> None:
        self.log.append([LogEntry(10**12, b"w" * 32, window.content) for window in windows])

    def add(self, *contents: Json) -> None:
        self.log.append([LogEntry(10**12, b"s" * 32, canonical_json(content)) for content in contents])

    def windows(self) -> list[tuple[str, int]]:
        """Id and index of each window in the log."""
        entries = [entry for frame in self.log.frames(self.log.start) for entry in frame.entries]
        return [
            (parse_window(entry.content).id, index) for index, entry in enumerate(entries) if is_window(entry.content)
        ]

    def queued(self) -> list[QueuedRecord]:
        return Outbox(self.store).unfinished(1000)

    def certified(self) -> list[int]:
        """Leaf of each certificate's window's last event, in the order of the outbox, of all states."""
        found = reversed(Outbox(self.store).page(2**40, 1000, None))
        return [int(one.idempotency_key.split("/")[3]) for one in found if one.kind == "IssueCertificate"]

    def settle(self, leaf: int, state: str) -> None:
        """Lets the certificate of an event's window become final, or fail."""
        with self.store.transaction() as connection:
            connection.exec_driver_sql(
                f"UPDATE outbox_records SET state = '{state}' WHERE idempotency_key LIKE '%/{leaf:013d}/0000'"  # noqa: S608 - of this test
            )

    def letters(self) -> list[tuple[str, str]]:
        return [(one.reason, one.request_id) for one in read_dead_letters(self.folder / "dead", 100)]

    def anchors(self) -> list[bytes]:
        return [record.payload for record in self.queued() if record.kind == "Anchor"]

    def expected_anchors(self, *sizes: int) -> list[bytes]:
        entries = [entry for frame in self.log.frames(self.log.start) for entry in frame.entries]
        with self.store.reading() as connection:
            kept = Book(connection).evidence(STREAM)
        contents = [entry.content for entry in entries[: kept.tree.size]]
        plain = [parse_window(one).entry if is_window(one) else json.loads(one) for one in contents]
        assert plain == [one.entry for one in kept.entries]
        return [call_data(Anchor(STREAM, size, kept.tree.root(size))) for size in sizes]


def plain(number: int) -> Json:
    return {"data": {"n": number}, "id": f"e{number}"}


SOUND, FAULTY = 5, 35
"""Periods of a tone, in samples, that the model passes and fails."""


def part(number: int, lot: str, period: int = SOUND) -> Json:
    samples = [int(1_000_000 * math.sin(2 * math.pi * place / period)) for place in range(WIDTH)]
    return {"data": {"samples": samples}, "id": f"p{number}", "lot": lot}
