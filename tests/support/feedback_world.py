"""One machine, its owner's database, and records about what it makes, put straight into the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from millmark.ledger.canonical import sha256
from millmark.ledger.events import Event
from millmark.ledger.records import Contract, Gate, Item, Record, Statement, Verdict
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.rows import (
    AssignmentRow,
    CursorRow,
    LotRow,
    MachineRow,
    OrderRow,
    RecordHistoryRow,
    RecordRow,
    StreamRow,
    write_gates,
)
from millmark.services.planning.feedback.causes import Condition, MachineCause
from millmark.services.planning.feedback.repository import CauseRow, FeedbackRepository, StepRow
from millmark.services.planning.feedback.taking import Answer, Proposed, Unproposed
from millmark.services.planning.feedback.watching import Watcher
from millmark.services.planning.reading import PlanningTables, reading, writing
from tests.support.event_data import build, encode_event, event_of

__all__ = [
    "COORDINATOR",
    "INSPECTOR",
    "MACHINE",
    "ORDER",
    "OWNER",
    "STRANGER",
    "STREAM",
    "T0",
    "FeedbackWorld",
    "Setpoints",
]

OWNER, COORDINATOR, INSPECTOR, STRANGER = 3, 2, 5, 6
MACHINE, OTHERS_MACHINE = 17, 18
ORDER, STREAM = sha256(b"order"), sha256(b"stream")
T0 = 1_800_000_000


@dataclass
class Setpoints:
    """A proposer whose operator answers as told."""

    proposes: bool = True
    asked: list[bytes] = field(default_factory=list)
    answers: dict[bytes, Answer] = field(default_factory=dict)

    def search(self, _causes: Sequence[MachineCause], _now_s: int) -> None:
        pass

    def propose(self, _tables: PlanningTables, cause: MachineCause, _now_s: int) -> Proposed | Unproposed:
        self.asked.append(cause.id)
        return Proposed("feed 180 in place of 200") if self.proposes else Unproposed("the regime is unseen")

    def answer(self, _tables: PlanningTables, cause: bytes, _now_s: int) -> Answer | None:
        return self.answers.get(cause)


@dataclass
class FeedbackWorld:
    """The database of one company: by default the machine's owner."""

    store: Store
    me: int = OWNER
    setpoints: Setpoints = field(default_factory=Setpoints)
    queued: dict[str, Record] = field(default_factory=dict)
    """What was to be sent, by its key."""
    number: int = 0
    now_s: int = T0
    captured: bool = False
    drift_notes: bool = True
    logger: FilteringBoundLogger | None = None

    def found(self) -> None:
        with self.store.transaction() as connection:
            rows = Rows(connection)
            gates = write_gates((Gate(INSPECTOR, 1),))
            order = ORDER, 1, 1, COORDINATOR, gates, 1, 0, 0, 3, T0, 1, b"H87", T0, bytes(32)
            for machine, owner in ((MACHINE, OWNER), (OTHERS_MACHINE, STRANGER)):
                rows.put(MachineRow(machine, sha256(bytes([machine])), owner, T0, 0, bytes(32)))
            rows.put(OrderRow(*order))
            rows.put(StreamRow(STREAM, 9, MACHINE, OWNER, 0, bytes(32), T0, bytes(32)))
            rows.put(CursorRow(1, 10**6, bytes(32), T0, 0, 0, bytes(32)))
        self.look()

    # Records

    def make(self, *, machine: int = MACHINE, owner: int = OWNER, started_s: int | None = None) -> bytes:
        """A lot that a machine made, by default from now on. Returns its subject."""
        self.number += 1
        self.now_s += 1  # what begins in the very second of a step would not count
        lot, assignment = sha256(f"lot {self.number}".encode()), self.number
        began = self.now_s if started_s is None else started_s
        with self.store.transaction() as connection:
            rows = Rows(connection)
            times = T0, T0, began, began
            rows.put(AssignmentRow(assignment, ORDER, 0, machine, owner, 4, *times, STREAM, 0, 0, None, bytes(32)))
            fields = dict.fromkeys(LotRow.__dataclass_fields__, 0)
            given = {"subject": lot, "order": ORDER, "parent": None, "unit": b"H87", "claims_root": bytes(32)}
            rows.put(LotRow(**{**fields, **given, "assignment": assignment}))  # type: ignore[arg-type]  # as declared
        return lot

    def record(self, event: Event, participant: int, histories: tuple[bytes, ...]) -> int:
        """Puts a final record into the index. Returns its sequence."""
        self.number += 1
        self.now_s += 60
        data = encode_event(event, bytes(20), histories)
        row = RecordRow(
            Contract.LEDGER.value,
            self.number,
            event.kind,
            event.topic,
            participant,
            histories[0],
            bytes(20),
            self.number,
            bytes(32),
            self.now_s,
            bytes(32),
            0,
            data,
            bytes(32),
        )
        with self.store.transaction() as connection:
            Rows(connection).put(row)
            for place, subject in enumerate(histories):
                Rows(connection).put(RecordHistoryRow(self.number, place, subject, bytes(32)))
        return self.number

    def certify(self, lot: bytes, verdict: Verdict, by: int = INSPECTOR, more: tuple[bytes, ...] = ()) -> int:
        items = tuple(Item(one, ORDER) for one in (lot, *more))
        fields = {"items": items, "model": 1, "verdict": verdict, "expires_at": 2**33, "leaf_index": 0}
        statement = build(Statement, **fields)
        return self.record(event_of("CertificateIssued", statement=statement), by, (lot, *more))

    def note_drift(self, lot: bytes, by: int = INSPECTOR) -> int:
        return self.record(event_of("NoteRecorded", kind_=10, about=0, claims_root=bytes(32)), by, (lot,))

    # What the company does

    def look(self) -> int:
        """As the gateway's thread does."""
        with writing(self.store) as tables:
            found = self.watcher(tables).look()
        with reading(self.store) as tables:
            causes = self.watcher(tables).to_search()
        if causes:
            self.setpoints.search(causes, self.now_s)
            with writing(self.store) as tables:
                self.watcher(tables).look()
        return found

    def watcher(self, tables: PlanningTables) -> Watcher:
        given = self.me, self._queue, self.setpoints, self.now_s, self.captured
        return Watcher(tables, *given, self.drift_notes, self.logger)

    def is_idle(self) -> bool:
        with reading(self.store) as tables:
            return self.watcher(tables).is_idle()

    def dismiss(self, name: bytes, reason: str = "the sensor was being cleaned") -> CauseRow:
        with writing(self.store) as tables:
            return self.watcher(tables).dismiss(name, reason)

    def report(self, cause: MachineCause) -> CauseRow:
        with writing(self.store) as tables:
            return self.watcher(tables).report(cause)

    def _queue(self, _connection: Connection, key: str, record: Record) -> None:
        assert self.queued.setdefault(key, record) == record, f"{key} is queued with another record"

    # What came of it

    def causes(self) -> list[CauseRow]:
        with reading(self.store) as tables:
            return FeedbackRepository(tables.connection).causes(100)[::-1]

    def steps(self) -> list[StepRow]:
        """Of all causes, in the order in which they were taken."""
        with reading(self.store) as tables:
            kept = FeedbackRepository(tables.connection)
            return [step for cause in self.causes() for step in kept.steps(cause.id)]

    def condition(self, machine: int = MACHINE) -> Condition:
        with reading(self.store) as tables:
            return FeedbackRepository(tables.connection).condition(machine)

    def entries(self) -> list[dict[str, object]]:
        """Of the machine's stream."""
        with self.store.reading() as connection:
            return [one.entry for one in Book(connection).evidence(STREAM).entries]  # type: ignore[misc]  # objects all
