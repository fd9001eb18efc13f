"""Common path of all sources: validates an event and submits it to its stream's log, or lists its refusal.

The simplest source, a folder of files, is here too.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import FilteringBoundLogger

from millmark.ledger import event_json, ids, records
from millmark.ledger.canonical import Json
from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainError, MillmarkError, Retry, SettingsError
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import LotRow
from millmark.services.files import write_whole
from millmark.services.node import config, streamlog
from millmark.services.node import events as validation
from millmark.services.node.events import EventRefusedError
from millmark.services.serving.loop import Loop, Looped

# Prometheus metrics. Label values come from the configuration or from fixed lists, never from senders, so their number
# is bounded.

_ACK_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5)
_FRAME = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)


class Metrics:
    """Metrics of one node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = at = CollectorRegistry()
        self.events = Counter("millmark_node_events", "Events by outcome", ["stream", "fate"], registry=at)
        self.refused = Counter("millmark_node_refused", "Events refused", ["source", "reason"], registry=at)
        self.failures = Counter(
            "millmark_node_log_failures", "Batches that could not be made durable", ["stream"], registry=at
        )
        self.ack = Histogram(
            "millmark_node_ack_seconds",
            "Seconds from receiving a batch to its entries being durable",
            buckets=_ACK_S,
            registry=at,
        )
        self.frames = Histogram(
            "millmark_node_frame_entries", "Entries in one group commit", ["stream"], buckets=_FRAME, registry=at
        )
        self.entries = Gauge("millmark_node_log_entries", "Durable entries", ["stream"], registry=at)
        self.anchored = Gauge(
            "millmark_node_anchored_entries", "Entries under an anchor that is final", ["stream"], registry=at
        )
        self.waiting = Gauge(
            "millmark_node_waiting_windows",
            "Anchored windows whose certificates wait for the chain or for an earlier verdict",
            ["stream"],
            registry=at,
        )
        self.outbox = Gauge("millmark_node_outbox_records", "Records in the outbox", ["state"], registry=at)
        self.oldest = Gauge(
            "millmark_node_oldest_record_seconds", "Age in seconds of the oldest record that is not final", registry=at
        )
        self.head = Gauge("millmark_node_chain_head_block", "Latest block seen", registry=at)
        self.stalled = Gauge(
            "millmark_node_chain_stalled_seconds", "Seconds for which the chain has stalled", registry=at
        )
        self.chain_up = Gauge("millmark_node_chain_up", "1 if the last attempt reached the chain, else 0", registry=at)
        self.failed = Counter("millmark_node_failed_records", "Records that failed", ["kind"], registry=at)
        self.ready = Gauge("millmark_node_ready", "1 if all parts do their work, else 0", registry=at)
        self.troubles = Gauge(
            "millmark_node_troubles", "Parts that do not do their work, and alarms", ["where", "code"], registry=at
        )
        self.log_lost = Gauge("millmark_node_log_lines_lost", "Log lines that could not be written", registry=at)


# What a node asks about lots that it certifies: the subject, in its book, and the order, of the contract.
#
# A certificate names the lot's order, and the contract refuses it under any other. The sender's word alone is therefore
# not enough: a verdict that is refused later is a verdict lost.

_FRESH_S = 10.0
"""For how long an answer of the contract is used again."""
_QUIET_S = 30.0
"""For how long nobody is asked at the door after a failure: senders must not wait for time-outs one after another."""
_DOOR_S = 1.0
"""Seconds of every `_FRESH_S` that may be spent asking at the door. A batch may name thousands of lots."""
_MAX_KEPT = 10_000
_NONE = bytes(32)
K = TypeVar("K")
V = TypeVar("V")


class OrderUnknownError(MillmarkError):
    """Nobody can be asked for a lot's order at present."""

    code = "order-unknown"
    retry = Retry.UNCHANGED


class LotUnrecordedError(OrderUnknownError):
    """The lot is not on the ledger, or not yet."""


class Lots:
    """Lots as the ledger has them. Safe to share between threads: intake and certifier both ask."""

    def __init__(self, store: Store, *, asks: bool = True) -> None:
        """`asks`: whether the node reaches the contract; one that sends through a relay does not."""
        self._store, self._asks = store, asks
        self._chain: Chain | None = None
        self._answers: dict[tuple[str, bytes], tuple[float, Mapping[str, records.Value]]] = {}
        self._subjects: dict[str, tuple[float, bytes]] = {}
        self._quiet_until_s = 0.0
        self._door_s = (0.0, 0.0)
        """Beginning of the present span of `_FRESH_S`, and seconds spent in it."""

    def connect(self, chain: Chain) -> None:
        """Call with each chain that was checked against the configuration."""
        self._chain = chain

    def verify_event(self, event: Mapping[str, Json]) -> None:
        """Refuses an event with a lot that could only be certified for the wrong order. Raises EventRefusedError.

        What cannot be decided now passes: a lot that is not known yet, or a chain that does not answer, or not fast
        enough. It is decided before the certificate is made.
        """
        order = event.get("order")
        if not self._asks:
            self._choose_unasked(order)
        elif self._chain is not None and self._has_time():
            begun = time.monotonic()
            try:
                self.find_order(self.find_subject(str(event["lot"])), order if isinstance(order, str) else None)
            except LotUnrecordedError:
                return
            except OrderUnknownError:
                self._quiet_until_s = time.monotonic() + _QUIET_S
            except EventRefusedError as error:
                if error.reason != "lot-unknown":  # the book may learn of it until the certificate is made
                    raise
            finally:
                began, spent = self._door_s
                self._door_s = began, spent + time.monotonic() - begun

    def _has_time(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._door_s[0] > _FRESH_S:
            self._door_s = now_s, 0.0
        return now_s >= self._quiet_until_s and self._door_s[1] < _DOOR_S

    def find_subject(self, name: str) -> bytes:
        """The subject of the lot by a subject or an identifier. Raises EventRefusedError and StoreError."""
        if name.startswith("0x"):
            return bytes.fromhex(name[2:])
        at_s, subject = self._subjects.get(name, (0.0, b""))
        if not at_s or time.monotonic() - at_s > _FRESH_S:
            subject = self._look_up(name)
            _keep(self._subjects, name, (time.monotonic(), subject))
        return subject

    def _look_up(self, name: str) -> bytes:
        identifier = ids.canonical_identifier(name)
        with self._store.reading() as connection:
            found = [one for one in Book(connection).identities(identifier) if one.kind is ids.SubjectKind.LOT]
        # Several companies may use the same identifier: certifying any one of the lots would be a guess.
        if len(found) != 1:
            raise EventRefusedError(
                "lot-unknown",
                f"this node knows {len(found)} lots by that identifier",
                hint="add the lot to this node's book, or use its subject in the event",
            )
        return found[0].subject

    def find_order(self, lot: bytes, stated: str | None) -> bytes:
        """The subject of the order that the lot belongs to, zero bytes if there is none. `stated`: the event's word.
        Raises EventRefusedError if the event names another order, or none although the lot has one that this node's
        index does not show; LotUnrecordedError if the lot is not on the ledger; OrderUnknownError if nobody answers."""
        if not self._asks:
            return self._choose_unasked(stated)
        found = self._ask("lotOf", lot)
        if found["number"] == 0:
            raise LotUnrecordedError(f"lot 0x{lot.hex()} is not on the ledger")
        sequence = cast(int, found["order"])
        if stated is not None:
            return self._choose_stated(lot, bytes.fromhex(stated[2:]), sequence)
        order = self._indexed(lot) if sequence else _NONE
        if self._sequence(order) != sequence:
            raise EventRefusedError(
                "order-missing",
                f"lot 0x{lot.hex()} belongs to the order of record {sequence}, but the event does not name that order",
                hint="send the order's subject with the event",
            )
        return order

    def count_reworks(self, lot: bytes) -> int:
        """How often the lot was reworked, by the contract as it is now; through a relay 0, since nobody can be asked.
        Raises OrderUnknownError if nobody answers."""
        if not self._asks:
            return 0
        # An answer of some seconds ago would refuse for good what was measured right after the rework.
        self._answers.pop(("lotOf", lot), None)
        return cast(int, self._ask("lotOf", lot)["reworks"])

    @staticmethod
    def _choose_unasked(stated: object) -> bytes:
        if not isinstance(stated, str):
            raise EventRefusedError(
                "order-missing",
                "this node sends through a relay and cannot ask for the lot's order",
                hint=f"send the order's subject with the event, or 0x{_NONE.hex()} if the lot has none",
            )
        return bytes.fromhex(stated[2:])

    def _choose_stated(self, lot: bytes, order: bytes, sequence: int) -> bytes:
        if self._sequence(order) != sequence:
            place = f"to the order of record {sequence}" if sequence else "to no order"
            raise EventRefusedError(
                "order-wrong",
                f"lot 0x{lot.hex()} belongs {place}, and not to 0x{order.hex()}",
                hint="send the subject of the lot's order",
            )
        return order

    def _sequence(self, order: bytes) -> int:
        """Sequence of the order's first record; 0 for no order, -1 for one that is not on the ledger."""
        return 0 if order == _NONE else cast(int, self._ask("orderOf", order)["sequence"]) or -1

    def _indexed(self, lot: bytes) -> bytes:
        with self._store.reading() as connection:
            row = Rows(connection).get(LotRow, lot)
        return _NONE if row is None or row.order is None else row.order

    def _ask(self, function: str, subject: bytes) -> Mapping[str, records.Value]:
        at_s, found = self._answers.get((function, subject), (0.0, {}))
        if at_s and time.monotonic() - at_s <= _FRESH_S:
            return found
        if self._chain is None:
            raise OrderUnknownError("the chain was not reached yet")
        try:
            found = self._chain.read_struct(records.Contract.LEDGER, function, subject)
        except ChainError as error:
            raise OrderUnknownError(error.cause, hint=error.hint) from None
        # What is not there is asked again: it may be recorded at any moment.
        if found.get("number") or found.get("sequence"):
            _keep(self._answers, (function, subject), (time.monotonic(), found))
        return found


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[key] = value


_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class StreamIntake:
    """The committer of one stream, and the samples that its events must have."""

    committer: streamlog.Committer
    samples_field: str | None
    """Member of `data` that holds the samples of events with a lot; None if the stream is not inspected."""
    lots: Lots | None = None
    """Judges the orders of events with a lot; None if the stream is not inspected."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused event of a batch, at `position` from 0."""

    position: int
    reason: str
    cause: str


def choose_id(given: str) -> str:
    """The sender's request id if it is safe to log (1 to 64 of `A-Za-z0-9._-`), otherwise a random one."""
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def build_conflict() -> EventRefusedError:
    """The refusal of an event whose id belongs to an event with other content."""
    return EventRefusedError(
        "id-used", "the id belongs to an event with other content", hint="use a unique id for each event"
    )


class Intake:
    """Accepts events for all streams of a node."""

    def __init__(
        self, streams: Mapping[str, StreamIntake], dead_letters: validation.DeadLetters, metrics: Metrics
    ) -> None:
        self._streams = streams
        self._only = next(iter(streams)) if len(streams) == 1 else None
        """The default stream: the only one, if there is just one."""
        self._dead_letters, self._metrics = dead_letters, metrics
        self.asks = any(one.lots is not None for one in streams.values())
        """Whether `check` may ask the chain, and so take a while."""

    def check(self, parsed: event_json.Parsed, stream: str | None = None) -> tuple[str, validation.Event]:
        """Validates an event and finds its stream. `stream`: the source's configured stream, if any. Raises
        EventRefusedError."""
        event = validation.check_event(parsed)
        name = event.stream or stream or self._only
        if name is None:
            raise EventRefusedError(
                "stream-missing", "the node has several streams, so an event must name the one that it belongs to"
            )
        found = self._streams.get(name)
        # A source that is bound to a stream, such as one machine's folder, must not write evidence of another machine.
        if found is None or (stream is not None and name != stream):
            raise EventRefusedError("stream-unknown", "this source does not accept events for that stream")
        # Refused here, while the sender can still correct it: once stored, the event is evidence that gets no
        # certificate.
        if found.samples_field is not None and isinstance(parsed.value, Mapping) and "lot" in parsed.value:
            validation.read_samples(parsed.value, found.samples_field)
            if found.lots is not None:
                found.lots.verify_event(parsed.value)
        return name, event

    def submit(self, stream: str, events: Sequence[validation.Event]) -> Future[streamlog.Outcome]:
        """Submits validated events to a stream's log. Raises LogBusyError or LogError; the future raises LogError."""
        # Measured until the future is settled, which is the time that a sender waits for durability.
        begun = time.perf_counter()
        done = self._streams[stream].committer.submit(events)
        done.add_done_callback(lambda settled: self._count(stream, settled, time.perf_counter() - begun))
        return done

    def refuse(self, origin: validation.Origin, error: EventRefusedError, event: bytes) -> None:
        """Counts and lists a refusal. `event`: its bytes as received."""
        self._dead_letters.add(origin, error, event)

    def _count(self, stream: str, settled: Future[streamlog.Outcome], seconds: float) -> None:
        if settled.exception() is not None:
            self._metrics.failures.labels(stream).inc()
            return
        self._metrics.ack.observe(seconds)
        found = settled.result()
        fates = {"accepted": found.accepted, "duplicate": found.duplicates, "conflict": len(found.conflicts)}
        for fate, number in fates.items():
            if number:
                self._metrics.events.labels(stream, fate).inc(number)


# Captures events from files that machines write into a folder, one event per line: `*.jsonl` and `*.csv`.
#
# Progress is kept by a file's inode and the hash of its beginning: a renamed (rotated) file is resumed, a truncated or
# replaced one is read from its start. Progress is saved after the events are durable, so a crash in between repeats
# some events, which the log recognises as duplicates. A last line without a newline is left until it is complete.

_PACKED = (".gz", ".xz", ".zst", ".bz2", ".zip", ".tmp", ".part")
_HEAD_BYTES = 256
_MAX_BATCH = 2000
_MAX_LINE_BYTES = 2 * validation.MAX_EVENT_BYTES
_COMMIT_S = 60.0
_MEMBERS = ("id", "time", "lot", "order")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one file has been read."""

    offset: int
    head_bytes: int
    head: str
    """SHA-256 of the first `head_bytes` bytes, because a deleted file's inode is reused."""


class FolderCapture(Looped):
    """Watches one folder in a thread of its own."""

    def __init__(self, source: config.FolderSource, intake: Intake, state: Path, logger: FilteringBoundLogger) -> None:
        """`state`: file of the progress. Raises SettingsError if it cannot be read."""
        self._source, self._intake, self._state, self._logger = source, intake, state, logger
        self._progress = _read_progress(state)
        self._links: set[Path] = set()
        """Links that were logged, each once."""
        self.loop = Loop(
            "millmark-folder",
            self._round,
            logger.bind(stream=source.stream),
            failed="folder failed",
            retry_s=source.interval_s,
            stop_s=_COMMIT_S,
        )

    is_connected = True
    """Folders are always there, or the step says why they are not."""

    def step(self) -> int:
        """Reads the new lines of all files, oldest file first, and returns their number. Raises OSError, LogError,
        InputError or TimeoutError; the next step resumes after the last durable batch."""
        paths = {path for pattern in ("*.jsonl*", "*.csv*") for path in self._source.path.glob(pattern)}
        found = sorted((path for path in paths if path.suffix not in _PACKED and self._is_own(path)), key=_age)
        lines = sum(self._take_file(path) for path in found)
        self._forget({_key_of(path.lstat()) for path in found})
        self._links &= paths
        return lines

    def _round(self) -> float:
        self.step()
        return self._source.interval_s

    def _is_own(self, path: Path) -> bool:
        """Whether it is a file, and not a link: who may write here could otherwise have any file that the node may read
        listed among the refused lines."""
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # moved away since the folder was listed
            return False
        if stat.S_ISLNK(mode) and path not in self._links:
            self._links.add(path)
            self._logger.warning("link not followed", file=path.name)
        return stat.S_ISREG(mode)

    def _take_file(self, path: Path) -> int:
        taken = 0
        # Without following a link that took the file's place since.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            # From the open file, not the path, which may name another file by now.
            key, progress = _key_of(os.fstat(file.fileno())), self._resume(file)
            file.seek(progress.offset)
            header = _header(file) if ".csv" in path.name else None
            file.seek(max(progress.offset, file.tell() if header is not None and not progress.offset else 0))
            while (lines := _whole_lines(file)) and not self.loop.is_stopping:
                self._take(path, file.tell() - sum(map(len, lines)), lines, header)
                taken += len(lines)
                # After the batch is durable. In the other order a crash would lose events.
                self._save(key, _measure(file, file.tell()))
        return taken

    def _resume(self, file: BinaryIO) -> Progress:
        found = self._progress.get(_key_of(os.fstat(file.fileno())))
        if found is None or os.fstat(file.fileno()).st_size < found.offset:
            return Progress(0, 0, "")  # new, or truncated
        file.seek(0)
        same = hashlib.sha256(file.read(found.head_bytes)).hexdigest() == found.head
        return found if same else Progress(0, 0, "")

    def _take(self, path: Path, begin: int, lines: Sequence[bytes], header: Sequence[str] | None) -> None:
        """Returns once every line is durable or refused. `begin`: byte offset of the first line in the file."""
        events: list[validation.Event] = []
        offsets: list[int] = []
        for offset, line in zip(accumulate(map(len, lines), initial=begin), lines, strict=False):
            if not line.strip():
                continue
            try:
                parsed = validation.parse_event(line) if header is None else _parse_row(line, header)
                events.append(self._intake.check(parsed, self._source.stream)[1])
                offsets.append(offset)
            except EventRefusedError as error:
                self._refuse(path, offset, error, line)
        if not events:
            return
        found = self._intake.submit(self._source.stream, events).result(_COMMIT_S)
        for position in found.conflicts:
            self._refuse(path, offsets[position], build_conflict(), events[position].content)
        taken = {"request_id": f"{path.name}:{offsets[0]}", "last_line": offsets[-1], "duplicates": found.duplicates}
        self._logger.info("lines taken", leaves={self._source.stream: found.leaves()}, **taken)

    def _refuse(self, path: Path, offset: int, error: EventRefusedError, line: bytes) -> None:
        origin = validation.Origin("folder", f"{path.name}:{offset}", self._source.stream)
        self._intake.refuse(origin, error, line)
        self._logger.warning("line refused", request_id=origin.request_id, reason=error.reason)

    def _save(self, key: str, progress: Progress) -> None:
        self._progress[key] = progress
        self._write()

    def _forget(self, present: set[str]) -> None:
        """Drops the progress of files that no longer exist."""
        if gone := self._progress.keys() - present:
            for key in gone:
                del self._progress[key]
            self._write()

    def _write(self) -> None:
        rows = {key: [one.offset, one.head_bytes, one.head] for key, one in self._progress.items()}
        write_whole(self._state, json.dumps(rows).encode())


def _whole_lines(file: BinaryIO) -> list[bytes]:
    """Reads a bounded number of complete lines and leaves the file positioned after them. A line over the limit is
    returned in pieces, so the reader gets past it."""
    found: list[bytes] = []
    size = 0
    while len(found) < _MAX_BATCH and size < _MAX_LINE_BYTES * 8:
        line = file.readline(_MAX_LINE_BYTES)
        if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
            file.seek(-len(line), os.SEEK_CUR)  # the machine is still writing this line
            break
        found.append(line)
        size += len(line)
    return found


def _header(file: BinaryIO) -> list[str] | None:
    """The column names of a CSV file; empty if its first line is incomplete. Leaves the file positioned after that
    line."""
    file.seek(0)
    line = file.readline(_MAX_LINE_BYTES)
    return next(_rows(line), []) if line.endswith(b"\n") else []


def _parse_row(line: bytes, header: Sequence[str]) -> event_json.Parsed:
    """Builds an event from a CSV row: `id`, `time`, `lot` and `order` are its members, all other columns its data.
    Raises EventRefusedError."""
    cells = next(_rows(line), [])
    if "id" not in header or len(set(header)) != len(header):
        raise EventRefusedError(
            "columns-unusable", "a CSV file needs a column named id, and no two columns of the same name"
        )
    if len(cells) != len(header):
        raise EventRefusedError("cells-wrong", f"the row has {len(cells)} cells, but the header has {len(header)}")
    row = dict(zip(header, cells, strict=True))
    members: dict[str, Json] = {name: row[name] for name in _MEMBERS if row.get(name)}
    data: dict[str, Json] = {name: _cell(cell) for name, cell in row.items() if name not in _MEMBERS}
    return event_json.Parsed({**members, "data": data})


def _rows(line: bytes) -> Iterator[list[str]]:
    try:
        yield from csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True)
    except (csv.Error, UnicodeDecodeError):
        raise EventRefusedError("not-csv", "the line is not CSV in UTF-8") from None


def _cell(text: str) -> Json:
    """The cell as a number if it is a JSON number, as text otherwise."""
    try:
        value = validation.parse_event(text.encode()).value
    except EventRefusedError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def _measure(file: BinaryIO, offset: int) -> Progress:
    size = min(offset, _HEAD_BYTES)
    file.seek(0)
    head = hashlib.sha256(file.read(size)).hexdigest()
    file.seek(offset)
    return Progress(offset, size, head)


def _key_of(facts: os.stat_result) -> str:
    return f"{facts.st_dev}:{facts.st_ino}"


def _age(path: Path) -> tuple[int, str]:
    return path.lstat().st_mtime_ns, path.name


def _read_progress(path: Path) -> dict[str, Progress]:
    try:
        rows = json.loads(path.read_bytes())
        return {key: Progress(*row) for key, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        raise SettingsError(
            f"{path} cannot be read", hint="remove it; events that are read again count as duplicates"
        ) from None
