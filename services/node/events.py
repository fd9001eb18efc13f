"""Validates the events that machines report, before they are stored (services/node/EVENTS.md).

    {"id": "...", "time": "...", "lot": "...", "order": "0x...", "data": {...}}

`id` and `data` are required. The sender chooses the id, which must be unique within the stream: the same id with the
same content is a duplicate, with other content a conflict. `stream` may name the stream; it is not stored.

What is refused is kept in the list of dead letters.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Counter

from millmark.ledger import canonical, files, ids, merkle
from millmark.ledger.errors import CanonicalError, IdentifierError, InputError, MillmarkError, Retry
from millmark.ledger.event_json import Parsed, parse_value, parse_values, write_canonical
from millmark.ledger.evidence import EVIDENCE_TAG, WINDOW_ID, LeafKind


class EventRefusedError(InputError):
    """An event is invalid, or its stream is not accepted here. `reason` is a stable code for programs and metrics."""

    code = "event-refused"

    def __init__(self, reason: str, cause: str, *, hint: str = "") -> None:
        self.reason = reason
        super().__init__(cause, hint=hint)


class LogError(MillmarkError):
    """A batch could not be made durable. It is safe to send it again: events already in the log count as duplicates."""

    code = "log-failed"
    retry = Retry.UNCHANGED


class LogFullError(LogError):
    """The disk or the quota is full."""

    code = "disk-full"


class LogBusyError(LogError):
    """The limit of bytes waiting for the disk is reached, or one batch exceeds it."""

    code = "log-busy"


MAX_EVENT_BYTES = 64 << 10
"""Length of the canonical form."""
MAX_DEPTH = 16
_MAX_TEXT = {"id": 128, "stream": 128, "time": 64, "lot": 2048, "order": 66}
"""Maximum number of characters of each member but `data`."""
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")
_MAX_SAMPLE = 2**53 - 1
_SUBJECT = re.compile(r"0x[0-9a-f]{64}")
_LEAF_TAG = EVIDENCE_TAG + bytes([LeafKind.EVENT])


class Event(NamedTuple):
    """A validated event."""

    id: str
    stream: str | None
    """The stream's name in the configuration; None if the sender gave none."""
    content: bytes
    """Canonical JSON of all members but `stream`."""


def parse_event(line: bytes) -> Parsed:
    """Parses one untrusted JSON value, without validating the event. Raises EventRefusedError."""
    try:
        # Twice the limit of the canonical form, which is checked later: white space and escapes may make the input
        # longer.
        return parse_value(line, max_bytes=2 * MAX_EVENT_BYTES, max_depth=MAX_DEPTH)
    except CanonicalError as error:
        raise EventRefusedError("not-json", error.cause, hint=error.hint) from None


def parse_events(data: bytes, *, max_bytes: int = 2 * MAX_EVENT_BYTES, max_depth: int = MAX_DEPTH) -> list[Parsed]:
    """Like `parse_event`, but for a single event or an array of events."""
    try:
        return parse_values(data, max_bytes=max_bytes, max_depth=max_depth)
    except CanonicalError as error:
        raise EventRefusedError("not-json", error.cause, hint=error.hint) from None


def check_event(parsed: Parsed) -> Event:
    """Validates parsed JSON as an event. Raises EventRefusedError."""
    value = parsed.value
    if not isinstance(value, dict):
        raise EventRefusedError("not-an-object", "an event must be a JSON object")
    for name, member in value.items():
        if name == "data":
            continue
        most = _MAX_TEXT.get(name)
        if most is None:
            # Refused rather than dropped: the sender would believe that the member became evidence.
            raise EventRefusedError("unknown-member", f"unknown member {name[:40]!a} in an event")
        # The first test of the characters decides almost every text, faster than the pattern.
        if (
            type(member) is not str
            or not 0 < len(member) <= most
            or not ((member.isascii() and member.isprintable()) or _PRINTABLE.fullmatch(member))
        ):
            raise EventRefusedError(f"{name}-malformed", f"{name} must be a string of 1 to {most} printable characters")
    if "id" not in value:
        raise EventRefusedError("id-missing", "an event needs an id")
    if value["id"].startswith(WINDOW_ID):
        raise EventRefusedError("id-reserved", f"ids that begin with {WINDOW_ID} are those of windows")
    if not isinstance(value.get("data"), dict):
        raise EventRefusedError("data-missing", "an event needs data, a JSON object")
    if "lot" in value:
        _verify_lot(value["lot"])
    if "order" in value and not _SUBJECT.fullmatch(value["order"]):
        raise EventRefusedError("order-malformed", "order must be 0x and 64 lower-case hexadecimal digits")
    stream = value.get("stream")
    # The log's header names the stream already. Without it, an event is the same event whether or not it names its
    # stream.
    kept = value if stream is None else {name: member for name, member in value.items() if name != "stream"}
    return Event(value["id"], stream, _write(kept, parsed.plain))


def leaf_of_event(salt: bytes, content: bytes) -> bytes:
    """The leaf hash of an event by its content in the log. Same result as `build_leaf_data`, without parsing it."""
    return merkle.leaf_hash(_LEAF_TAG + salt + content)


def leaves_of_events(events: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """As `leaf_of_event`, of many events: salt and content of each."""
    return merkle.hash_leaves([_LEAF_TAG + salt + content for salt, content in events])


def _write(kept: canonical.Json, plain: bool) -> bytes:
    try:
        content = write_canonical(kept, plain)
    except CanonicalError as error:
        raise EventRefusedError("not-canonical", error.cause, hint=error.hint) from None
    if len(content) > MAX_EVENT_BYTES:
        raise EventRefusedError("too-large", f"an event may have at most {MAX_EVENT_BYTES} bytes")
    return content


def _verify_lot(lot: str) -> None:
    # Only the form is checked: the lot is looked up at inspection, since the book may not know it yet.
    if _SUBJECT.fullmatch(lot):
        return
    try:
        ids.canonical_identifier(lot)
    except IdentifierError as error:
        raise EventRefusedError("lot-malformed", error.cause, hint=error.hint) from None


def read_samples(value: Mapping[str, canonical.Json], field: str) -> list[int]:
    """The samples in the `data` of an event that `check_event` accepted. Raises EventRefusedError if there are none, or
    not only integers within ±(2**53 - 1)."""
    data = value["data"]
    found = data.get(field) if isinstance(data, Mapping) else None
    samples = [found] if isinstance(found, int) else found
    if not isinstance(samples, list) or not samples or not all(_is_sample(sample) for sample in samples):
        raise EventRefusedError(
            "samples-malformed",
            f"an event with a lot needs samples in data.{field[:64]}",
            hint="send one integer or an array of integers, in the model's unit",
        )
    return samples


def _is_sample(value: object) -> bool:
    # bool is a subclass of int: without the second check, true would count as a sample of 1.
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_SAMPLE


# Refused events and the reason for each, for the operator to read. Bounded, so refused events cannot fill the disk.

_MAX_BYTES = 8 << 20
"""Bytes per file. The previous file is kept as well."""
_MAX_SHOWN = 2048
_ALL = 2 * _MAX_BYTES


@dataclass(frozen=True, slots=True)
class Origin:
    """The source and the request that an event came with."""

    source: str
    """`http`, `folder`, `mqtt` or `opcua`; `certificate` for an entry that is kept but cannot be certified."""
    request_id: str
    stream: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused event."""

    refused_at_s: float
    stream: str
    source: str
    reason: str
    """The stable reason of the EventRefusedError."""
    cause: str
    event: str
    """The beginning of the event, with bytes that are not UTF-8 escaped."""
    request_id: str = ""
    """Finds the refusal in the node's log: the id of the HTTP request or message, file name and byte offset of a line,
    or the leaf that got no certificate."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class DeadLetters:
    """Appends to one file and rotates it when it is full. Not synchronised to disk: a power cut may lose the latest
    lines, but never an accepted event."""

    def __init__(self, path: Path, refused: Counter | None = None) -> None:
        """`refused` counts each refusal by source and reason, here and nowhere else: what is listed is counted."""
        self._path, self._refused = path, refused
        self._lock = threading.Lock()
        self.failed = 0
        """Number of refusals that could not be written."""

    def add(self, origin: Origin, error: EventRefusedError, event: bytes) -> None:
        """Counts and writes one refusal. `event`: its bytes as received. Raises no OSError: the event stays refused
        even if it cannot be listed."""
        if self._refused is not None:
            self._refused.labels(origin.source, error.reason).inc()
        shown = event[:_MAX_SHOWN].decode("utf-8", "backslashreplace")
        at_s, stream, source = round(time.time(), 3), origin.stream, origin.source
        letter = DeadLetter(at_s, stream, source, error.reason, str(error)[:500], shown, origin.request_id)
        line = json.dumps(letter.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        try:
            # The threads of several sources add refusals. The size is checked under the lock, or two of them could
            # rotate at once.
            with self._lock:
                if self._path.exists() and self._path.stat().st_size + len(line) > _MAX_BYTES:
                    # Replaces the file before it, so two files are the most that refusals can take.
                    files.replace_file(self._path, _older(self._path))
                # Opened for each refusal, since the rotation above may just have renamed the file.
                with self._path.open("ab") as file:
                    file.write(line)
        except OSError:
            self.failed += 1

    def uncertified(self, stream: str) -> set[tuple[str, str]]:
        """Request id and reason of the refusals of certificates that are listed for a stream."""
        letters = read_dead_letters(self._path, _ALL)
        return {(one.request_id, one.reason) for one in letters if (one.source, one.stream) == ("certificate", stream)}


def read_dead_letters(path: Path, most: int) -> Sequence[DeadLetter]:
    """The latest refusals, `most` at most, oldest first. Skips a line that a crash cut off."""
    lines: list[bytes] = []
    for file in (_older(path), path):
        if file.exists():
            lines += file.read_bytes().splitlines()
    found = []
    for line in lines[-most:]:
        try:
            found.append(DeadLetter(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")
