"""Turns Sparkplug B messages (Eclipse Sparkplug 3.0.0, sections 4.1 and 6.4) into events.

A small decoder reads the few protobuf fields that carry values and skips unknown ones, as protobuf requires. Births are
stored as events too, since they define the aliases. A gap in the sequence numbers, a stale death or an unknown alias is
recorded in the event, which is stored anyway, and the edge node is asked to send its births again (section 5.8).
"""

from __future__ import annotations

import hashlib
import math
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json
from millmark.ledger.event_json import Parsed
from millmark.services.node.errors import EventRefusedError

_NAMESPACE = "spBv1.0"
_KINDS = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
_COMMANDS = ("NCMD", "DCMD")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
"""Width by data type, Int8 to Int64. They are sent as unsigned integers, in two's complement."""
_REBIRTH = b"Node Control/Rebirth"
_BOOLEAN = 11
_MAX_EDGES = 1000
_MAX_ALIASES = 10_000
_ASK_S = 10.0
"""Least number of seconds between two rebirth requests to an edge node."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a payload."""

    name: str | None
    alias: int | None
    at_ms: int | None
    value: Json
    """None for null, and for values that are not scalars: data sets and templates."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A decoded message. Times are milliseconds since 1970."""

    at_ms: int | None
    seq: int | None
    metrics: tuple[Metric, ...]


@dataclass(slots=True)
class _Edge:
    """State of one edge node since its birth."""

    seq: int | None = None
    session: Json = None
    """The `bdSeq` of the birth, which the death of the same session repeats."""
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    """Metric names by device ("" for the edge node itself) and alias."""
    asked_at_s: float = -math.inf


class SparkplugReader:
    """Turns messages into events. Tracks the aliases and sequence numbers of each edge node. `publish` sends a payload
    to a topic of the broker."""

    def __init__(self, publish: Callable[[str, bytes], None]) -> None:
        self._publish = publish
        self._edges: dict[tuple[str, str], _Edge] = {}

    def __call__(self, topic: str, payload: bytes) -> Sequence[Parsed]:
        """Parses a message: one event, or none for commands and host states. Raises EventRefusedError if it is not a
        Sparkplug B message."""
        parts = topic.split("/")
        if parts[0] != _NAMESPACE or len(parts) < 3:
            raise EventRefusedError("topic-unknown", "the topic is not a Sparkplug B topic")
        if parts[1] == "STATE" or parts[2] in _COMMANDS:
            return []
        if parts[2] not in _KINDS or len(parts) != (4 if parts[2][0] == "N" else 5):
            raise EventRefusedError("topic-unknown", "the topic is not a Sparkplug B topic")
        found = parse_payload(payload)
        group, kind, node, device = parts[1], parts[2], parts[3], parts[4] if len(parts) == 5 else ""
        edge = self._edge(group, node)
        notes = self._follow(edge, kind, found)
        values = self._name(edge, kind, device, found.metrics, notes)
        if notes:
            self._ask(edge, group, node)
        about: dict[str, Json] = {"group": group, "kind": kind, "node": node, "seq": found.seq, **notes}
        if device:
            about["device"] = device
        return [Parsed(_build_event(topic, payload, found, about, values))]

    def _edge(self, group: str, node: str) -> _Edge:
        # Bounded, because topics come from senders. A dropped edge node counts as unborn and is asked for its birth.
        if (group, node) not in self._edges and len(self._edges) >= _MAX_EDGES:
            self._edges.pop(next(iter(self._edges)))
        return self._edges.setdefault((group, node), _Edge())

    def _follow(self, edge: _Edge, kind: str, payload: Payload) -> dict[str, Json]:
        """Checks the message's place in the sequence, updates the state, and returns what is wrong, as event
        members."""
        session = next((metric.value for metric in payload.metrics if metric.name == "bdSeq"), None)
        if kind == "NDEATH":  # has no sequence number: the broker sends it, as the node's will
            stale = edge.session is not None and session != edge.session
            if not stale:  # the death of an earlier session may arrive after the birth of the next
                edge.seq = None
            return {"stale": True} if stale else {}
        if kind == "NBIRTH":
            edge.seq, edge.session, edge.names = payload.seq, session, {}
            return {}
        expected = None if edge.seq is None else (edge.seq + 1) % 256
        edge.seq = payload.seq
        if expected is None:
            return {"unborn": True}
        return {} if payload.seq == expected else {"expected_seq": expected}

    def _name(
        self, edge: _Edge, kind: str, device: str, metrics: Sequence[Metric], notes: dict[str, Json]
    ) -> dict[str, Json]:
        """Values by metric name. A metric with an alias that no birth defined is named `alias N`, and noted in
        `notes`."""
        values: dict[str, Json] = {}
        for metric in metrics:
            name = metric.name
            if name is None and metric.alias is not None:
                name = edge.names.get((device, metric.alias))
                if name is None:
                    name, notes["unknown_alias"] = f"alias {metric.alias}", True
            if name is None:
                continue
            if kind.endswith("BIRTH") and metric.alias is not None and len(edge.names) < _MAX_ALIASES:
                edge.names[device, metric.alias] = name
            values[name] = metric.value
        return values

    def _ask(self, edge: _Edge, group: str, node: str) -> None:
        if time.monotonic() - edge.asked_at_s >= _ASK_S:
            edge.asked_at_s = time.monotonic()
            self._publish(f"{_NAMESPACE}/{group}/NCMD/{node}", build_rebirth(time.time_ns() // 1_000_000))


def _build_event(
    topic: str, payload: bytes, found: Payload, about: dict[str, Json], values: dict[str, Json]
) -> dict[str, Json]:
    """Builds the event. Metrics `lot` and `order` with text become members of the event instead of its data."""
    # The payload has a time and a sequence number, so its hash is unique to the message; a message that the broker
    # delivers twice becomes the same event.
    identity = hashlib.sha256(topic.encode() + b"\0" + payload).hexdigest()
    members: dict[str, Json] = {
        name: values.pop(name) for name in ("lot", "order") if isinstance(values.get(name), str) and values[name]
    }
    if found.at_ms is not None:
        members["time"] = str(found.at_ms)
    return {"id": f"sparkplug-{identity}", **members, "data": {**values, "sparkplug": about}}


def build_rebirth(at_ms: int) -> bytes:
    """Payload of the command (NCMD) that asks an edge node to send its births again. `at_ms`: milliseconds since
    1970."""
    metric = _tag(1, _BYTES) + _varint(len(_REBIRTH)) + _REBIRTH + _tag(4, _VARINT) + _varint(_BOOLEAN)
    metric += _tag(14, _VARINT) + _varint(1)
    return _tag(1, _VARINT) + _varint(at_ms) + _tag(2, _BYTES) + _varint(len(metric)) + metric


def parse_payload(data: bytes) -> Payload:
    """Decodes an untrusted payload. Raises EventRefusedError if it is not a Sparkplug B protobuf message."""
    at_ms, seq, metrics = None, None, []
    for number, value in _fields(data):
        if number == 1:
            at_ms = _safe(_integer(value))
        elif number == 3:
            seq = _safe(_integer(value))
        elif number == 2:
            metrics.append(_parse_metric(_octets(value)))
    return Payload(at_ms, seq, tuple(metrics))


def _parse_metric(data: bytes) -> Metric:
    found = dict(_fields(data))
    name = _text(found[1]) if 1 in found else None
    alias = _integer(found[2]) if 2 in found else None
    at_ms = _safe(_integer(found[3])) if 3 in found else None
    return Metric(name, alias, at_ms, None if found.get(7) else _value(found))


def _value(found: dict[int, int | bytes]) -> Json:
    kind = _integer(found.get(4, 0))
    for number in (10, 11):
        if number in found:
            return _number(_integer(found[number]), kind)
    if 12 in found:
        return _real(found[12], "<f")
    if 13 in found:
        return _real(found[13], "<d")
    if 14 in found:
        return bool(found[14])
    if 15 in found:
        return _text(found[15])
    return "0x" + _octets(found[16]).hex() if 16 in found else None


def _number(value: int, kind: int) -> Json:
    bits = _SIGNED_BITS.get(kind)
    if bits is not None:
        value &= (1 << bits) - 1
        value -= (value >> (bits - 1)) << bits
    # Text beyond 2**53 - 1: I-JSON readers would round the integer.
    return value if abs(value) <= MAX_SAFE_INTEGER else str(value)


def _real(value: int | bytes, form: str) -> Json:
    octets = _octets(value)
    if len(octets) != struct.calcsize(form):
        raise _malformed()
    number: float = struct.unpack(form, octets)[0]
    return number if math.isfinite(number) else str(number)


# The protobuf wire format: a field is a tag (field number and wire type) followed by a value of that wire type.


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        if tag & 7 == _BYTES:
            size, at = _read_varint(data, at)
        elif tag & 7 in (_FIXED32, _FIXED64):
            size = 4 if tag & 7 == _FIXED32 else 8
        else:
            raise _malformed()
        if size > len(data) - at:  # before slicing, which would silently return less
            raise _malformed()
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):  # 64 bits take at most 10 octets of 7
        if at + place >= len(data):
            break
        octet = data[at + place]
        value |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + place + 1
    raise _malformed()


def _integer(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise _malformed()
    return value


def _octets(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _malformed()
    return value


def _text(value: int | bytes) -> str:
    try:
        return _octets(value).decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed() from None


def _safe(value: int) -> int | None:
    return value if value <= MAX_SAFE_INTEGER else None


def _malformed() -> EventRefusedError:
    return EventRefusedError("not-sparkplug", "the payload is not a Sparkplug B message")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)
