"""Events: what a machine reports, checked before it is kept (services/node/EVENTS.md).

    {"id": "...", "time": "...", "lot": "...", "order": "0x...", "data": {...}}

`id` and `data` are needed. An id is the sender's, never used twice for different contents in one stream; whoever sends
the same event again is told so. `stream` may name the stream; it is not part of what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.canonical import Json, canonical_json, parse_json
from ledger.errors import CanonicalError, IdentifierError
from ledger.ids import canonical_identifier
from services.node.errors import EventRefusedError

__all__ = ["MOST_DEPTH", "MOST_EVENT_BYTES", "Event", "check_event", "parse_value", "read_samples"]

MOST_EVENT_BYTES = 64 << 10
"""Of the canonical form."""
MOST_DEPTH = 16
_MEMBERS = frozenset({"id", "stream", "time", "lot", "order", "data"})
_MOST_ID = 128
_MOST_TIME = 64
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")
_MOST_SAMPLE = 2**53 - 1
_SUBJECT = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Event:
    """An event that can be kept as it is."""

    id: str
    stream: str | None
    """Name in the configuration; None when the sender named none."""
    content: bytes
    """Canonical JSON of all members but `stream`."""


def parse_value(line: bytes) -> Json:
    """JSON from untrusted bytes, of one event. Raises EventRefusedError."""
    try:
        return parse_json(line, max_bytes=2 * MOST_EVENT_BYTES, max_depth=MOST_DEPTH)
    except CanonicalError as error:
        raise EventRefusedError("not-json", error.cause, mend=error.mend) from None


def check_event(value: Json) -> Event:
    """An event from parsed JSON. Raises EventRefusedError."""
    if not isinstance(value, Mapping):
        raise EventRefusedError("not-an-object", "an event is a JSON object")
    unknown = value.keys() - _MEMBERS
    if unknown:
        raise EventRefusedError("unknown-member", f"an event has no member {min(unknown)[:40]!a}")
    identity = _text(value, "id", _MOST_ID)
    if identity is None:
        raise EventRefusedError("id-missing", "an event needs an id")
    if not isinstance(value.get("data"), Mapping):
        raise EventRefusedError("data-missing", "an event needs data, a JSON object")
    stream = _text(value, "stream", _MOST_ID)
    _text(value, "time", _MOST_TIME)
    _check_lot(_text(value, "lot", 2048))
    order = _text(value, "order", 66)
    if order is not None and not _SUBJECT.fullmatch(order):
        raise EventRefusedError("order-malformed", "an order is 0x and 64 lower-case hexadecimal digits")
    kept = value if stream is None else {name: member for name, member in value.items() if name != "stream"}
    try:
        content = canonical_json(kept)
    except CanonicalError as error:
        raise EventRefusedError("not-canonical", error.cause, mend=error.mend) from None
    if len(content) > MOST_EVENT_BYTES:
        raise EventRefusedError("too-large", f"an event has at most {MOST_EVENT_BYTES} bytes")
    return Event(identity, stream, content)


def _text(value: Mapping[str, Json], name: str, most: int) -> str | None:
    text = value.get(name)
    if text is None and name not in value:
        return None
    if not isinstance(text, str) or not len(text) <= most or not _PRINTABLE.fullmatch(text):
        raise EventRefusedError(f"{name}-malformed", f"{name} is text of 1 to {most} printable characters")
    return text


def _check_lot(lot: str | None) -> None:
    if lot is None or _SUBJECT.fullmatch(lot):
        return
    try:
        canonical_identifier(lot)
    except IdentifierError as error:
        raise EventRefusedError("lot-malformed", error.cause, mend=error.mend) from None


def read_samples(value: Mapping[str, Json], field: str) -> list[int]:
    """The samples in a checked event's data. Raises EventRefusedError when there are none that a model reads."""
    data = value["data"]
    found = data.get(field) if isinstance(data, Mapping) else None
    samples = [found] if isinstance(found, int) else found
    if not isinstance(samples, list) or not samples or not all(_is_sample(sample) for sample in samples):
        raise EventRefusedError(
            "samples-malformed",
            f"an event of a lot has samples in data.{field[:64]}",
            mend="give one whole number or an array of them, in the model's unit",
        )
    return samples


def _is_sample(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_SAMPLE
