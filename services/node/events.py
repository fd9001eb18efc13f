"""Validates the events that machines report, before they are stored (services/node/EVENTS.md).

    {"id": "...", "time": "...", "lot": "...", "order": "0x...", "data": {...}}

`id` and `data` are required. The sender chooses the id, which must be unique within the stream: the same id with the
same content is a duplicate, with other content a conflict. `stream` may name the stream; it is not stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from millmark.ledger.canonical import Json
from millmark.ledger.errors import CanonicalError, IdentifierError
from millmark.ledger.event_json import Parsed, parse_value, parse_values, write_canonical
from millmark.ledger.evidence import EVIDENCE_TAG, WINDOW_ID, LeafKind
from millmark.ledger.ids import canonical_identifier
from millmark.ledger.merkle import hash_leaves, leaf_hash
from millmark.services.node.errors import EventRefusedError

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
    return leaf_hash(_LEAF_TAG + salt + content)


def leaves_of_events(events: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """As `leaf_of_event`, of many events: salt and content of each."""
    return hash_leaves([_LEAF_TAG + salt + content for salt, content in events])


def _write(kept: Json, plain: bool) -> bytes:
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
        canonical_identifier(lot)
    except IdentifierError as error:
        raise EventRefusedError("lot-malformed", error.cause, hint=error.hint) from None


def read_samples(value: Mapping[str, Json], field: str) -> list[int]:
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
