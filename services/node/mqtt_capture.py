"""Captures events over MQTT 5 (OASIS, QoS 1): a message is acknowledged to the broker once its events are durable.

The session outlives the connection, so the broker keeps messages while the node is not running. If the log fails, the
connection is closed: on the next one the broker delivers unacknowledged messages again.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json
from millmark.ledger.errors import MillmarkError, SettingsError
from millmark.ledger.event_json import Parsed
from millmark.services.node import config, streamlog
from millmark.services.node.events import Event, EventRefusedError, Origin, parse_events
from millmark.services.node.intake import Intake, build_conflict, choose_id
from millmark.services.serving.loop import Loop

# Turns Sparkplug B messages (Eclipse Sparkplug 3.0.0, sections 4.1 and 6.4) into events.
#
# A small decoder reads the few protobuf fields that carry values and skips unknown ones, as protobuf requires. Births
# are stored as events too, since they define the aliases. A gap in the sequence numbers, a stale death or an unknown
# alias is recorded in the event, which is stored anyway, and the edge node is asked to send its births again (section
# 5.8).

_NAMESPACE = "spBv1.0"
_KINDS = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
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
        if parts[1] == "STATE" or parts[2] in ("NCMD", "DCMD"):
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


Reader = Callable[[str, bytes], Sequence[Parsed]]
"""Parses the events of a message, given its topic and payload. Raises EventRefusedError."""

_QOS = 1
_KEEPALIVE_S = 30
_SESSION_S = 7 * 24 * 3600
_RETRY_S = (1, 30)
_WATCH_S = 5.0
_MAX_UNCONFIRMED = 1000


def read_plain(_: str, payload: bytes) -> Sequence[Parsed]:
    """Parses a JSON payload: one event or an array of events, as over HTTP."""
    return parse_events(payload)


@dataclass(frozen=True, slots=True)
class _Message:
    """A received message that may have to be acknowledged."""

    message: mqtt.MQTTMessage
    connection: int
    """Number of the connection on which it was received."""
    origin: Origin
    named: bool
    """Whether the sender chose its request id; then the message is logged."""


class MqttCapture:
    """Captures the messages of one subscription."""

    def __init__(self, source: config.MqttSource, intake: Intake, logger: FilteringBoundLogger) -> None:
        """Raises SettingsError if the password or CA file cannot be used."""
        self._source, self._intake = source, intake
        self._read: Reader = read_plain if source.format == "json" else SparkplugReader(self._publish)
        self._logger = logger
        self.connected = threading.Event()
        """Set while the broker has confirmed the subscription."""
        self._connection = 0
        """Number of the latest connection. A message is acknowledged only on the one on which it was received."""
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=source.client_id, protocol=mqtt.MQTTv5, manual_ack=True
        )
        if source.username is not None:
            password = None if source.password_file is None else config.read_secret(source.password_file)
            self._client.username_pw_set(source.username, password)
        if source.ca_file is not None:
            try:
                self._client.tls_set(ca_certs=str(source.ca_file))
            except OSError as error:
                raise SettingsError(
                    f"{source.ca_file} cannot be used: {error.strerror}", hint="name a file of PEM certificates"
                ) from None
        self._client.reconnect_delay_set(*_RETRY_S)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self.loop = Loop("millmark-mqtt", self._watch, logger, failed="broker failed", retry_s=_WATCH_S)
        """Watches the client's own thread."""

    @property
    def is_connected(self) -> bool:
        """Whether the broker has confirmed the subscription."""
        return self.connected.is_set()

    def start(self) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it out
        properties.SessionExpiryInterval = _SESSION_S
        # Bounds what a broker may send before it is acknowledged, and so the node's memory.
        properties.ReceiveMaximum = _MAX_UNCONFIRMED
        source = self._source
        self._client.connect_async(source.host, source.port, _KEEPALIVE_S, clean_start=False, properties=properties)
        self._client.loop_start()
        self.loop.start()

    def stop(self) -> None:
        """Disconnects. The broker delivers unacknowledged messages again when the node reconnects."""
        self.loop.stop()
        self._client.disconnect()
        self._client.loop_stop()

    def _watch(self) -> float:
        """Starts the client's thread again if it has ended. The client ends it on any error of its own, such as a
        packet that it cannot read, and tells nobody."""
        # paho has no public way to ask.
        thread: threading.Thread | None = getattr(self._client, "_thread", None)
        if thread is None or not thread.is_alive():
            self.connected.clear()
            self._logger.critical("broker's thread died and goes on", stream=self._source.stream)
            self._break_connection()  # its input may end in the middle of a packet
            self._client._reset_sockets(sockpair_only=True)  # the thread's wake-up pair, which a new start would leak
            self._client.loop_start()
        return _WATCH_S

    def _publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=0)

    def _on_connect(
        self, client: mqtt.Client, _: Any, flags: mqtt.ConnectFlags, reason: ReasonCode, __: Properties | None
    ) -> None:
        if reason.is_failure:
            self._logger.error("broker refused", stream=self._source.stream, reason=str(reason))
            return
        self._connection += 1
        # Also when the broker still has the session: the configured topic may have changed since.
        client.subscribe(self._source.topic, qos=_QOS)
        self._logger.info("broker connected", stream=self._source.stream, session=flags.session_present)

    def _on_subscribe(
        self, _: mqtt.Client, __: Any, ___: int, reasons: Sequence[ReasonCode], ____: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._logger.error("broker refused", stream=self._source.stream, reason=", ".join(map(str, reasons)))
            return
        self.connected.set()

    def _on_disconnect(
        self, _: mqtt.Client, __: Any, ___: mqtt.DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self.connected.clear()
        self._logger.warning("broker disconnected", stream=self._source.stream, reason=str(reason))

    def _on_message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        """Runs in the client's thread, which an exception would end."""
        given = _correlation(message)
        origin = Origin("mqtt", choose_id(given), self._source.stream)
        came = _Message(message, self._connection, origin, given == origin.request_id)
        try:
            events = self._parse(came)
            if events:
                done = self._intake.submit(origin.stream, events)
                done.add_done_callback(lambda settled: self._settle(came, events, settled))
            else:  # acknowledged although refused: the broker would deliver it again and again
                self._confirm(came)
        except MillmarkError as error:
            self._back_off(error, origin)
        except Exception as error:  # would end the thread; the message stays unacknowledged
            self._logger.error("message failed", stream=origin.stream, request_id=origin.request_id, exc_info=error)

    def _parse(self, came: _Message) -> list[Event]:
        """Parses and validates a message. Lists its refused events and returns the valid ones."""
        payload, events = bytes(came.message.payload), []
        try:
            values = self._read(came.message.topic, payload)
        except EventRefusedError as error:
            self._refuse(came.origin, error, payload)
            return []
        for value in values:
            try:
                events.append(self._intake.check(value, came.origin.stream)[1])
            except EventRefusedError as error:
                self._refuse(came.origin, error, payload)
        return events

    def _settle(self, came: _Message, events: Sequence[Event], settled: Future[streamlog.Outcome]) -> None:
        """Acknowledges a message, or closes the connection if the log failed. Runs in the log's thread."""
        failure, origin = settled.exception(), came.origin
        if failure is not None:
            self._back_off(failure, origin)
            return
        found = settled.result()
        for position in found.conflicts:
            self._refuse(origin, build_conflict(), events[position].content)
        if came.named:
            leaves = {origin.stream: found.leaves()}
            self._logger.info("message taken", request_id=origin.request_id, leaves=leaves, duplicates=found.duplicates)
        self._confirm(came)

    def _confirm(self, came: _Message) -> None:
        # Message ids are reused on a new connection, so a late acknowledgement could be for another message.
        if came.connection == self._connection:
            self._client.ack(came.message.mid, came.message.qos)

    def _back_off(self, error: BaseException, origin: Origin) -> None:
        """Breaks the connection, so that the client reconnects after its delay."""
        self._logger.error("message not taken", stream=origin.stream, request_id=origin.request_id, cause=str(error))
        self._break_connection()

    def _break_connection(self) -> None:
        # Not `disconnect()`, after which the client would not reconnect.
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, origin: Origin, error: EventRefusedError, event: bytes) -> None:
        self._intake.refuse(origin, error, event)
        self._logger.warning("message refused", stream=origin.stream, request_id=origin.request_id, reason=error.reason)


def _correlation(message: mqtt.MQTTMessage) -> str:
    """The message's correlation data (MQTT 5 section 3.3.2.3.6) as text; empty if there is none."""
    data = getattr(message.properties, "CorrelationData", b"")
    return data.decode("ascii", "replace") if isinstance(data, bytes) else ""
