"""Captures events over MQTT 5 (OASIS, QoS 1): a message is acknowledged to the broker once its events are durable.

The session outlives the connection, so the broker keeps messages while the node is not running. If the log fails, the
connection is closed: on the next one the broker delivers unacknowledged messages again.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from millmark.ledger.errors import MillmarkError, SettingsError
from millmark.ledger.event_json import Parsed
from millmark.services.node.config import MqttSource, read_secret
from millmark.services.node.dead_letters import Origin
from millmark.services.node.errors import EventRefusedError
from millmark.services.node.events import Event, parse_events
from millmark.services.node.group_commit import Outcome
from millmark.services.node.intake import Intake, build_conflict, choose_id
from millmark.services.node.sparkplug import SparkplugReader
from millmark.services.serving.loop import Loop

Reader = Callable[[str, bytes], Sequence[Parsed]]
"""Parses the events of a message, given its topic and payload. Raises EventRefusedError."""

_SOURCE = "mqtt"
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

    def __init__(self, source: MqttSource, intake: Intake, logger: FilteringBoundLogger) -> None:
        """Raises SettingsError if the password or CA file cannot be used."""
        self._source = source
        self._intake = intake
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
            password = None if source.password_file is None else read_secret(source.password_file)
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
        origin = Origin(_SOURCE, choose_id(given), self._source.stream)
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

    def _settle(self, came: _Message, events: Sequence[Event], settled: Future[Outcome]) -> None:
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
