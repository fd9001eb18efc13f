"""Captures values from an OPC UA server (IEC 62541) by subscription: each change of a node's value is one event.

Values become whole numbers by the scale that the configuration declares, so that no float is ever hashed. An event's id
is made of node, source timestamp and value: what a server reports again after a new connection is a duplicate. What
changes while no connection stands is not reported afterwards; only the latest value is (EVENTS.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from millmark.ledger import errors, event_json
from millmark.ledger.canonical import Json, canonical_json
from millmark.services.node.config import OpcuaNode, OpcuaSource, read_secret
from millmark.services.node.events import Event, EventRefusedError, Origin
from millmark.services.node.intake import Intake, build_conflict
from millmark.services.serving.loop import Loop, Looped

try:
    from asyncua import ua
    from asyncua.client.client import Client
    from asyncua.common.subscription import DataChangeEvent, OverflowPolicy, StatusChangeEvent, Subscription
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
    from asyncua.ua.attribute_ids import AttributeIds
except ModuleNotFoundError as missing:
    raise errors.NotInstalledError("OPC UA capture", "asyncua", "opcua") from missing

_SOURCE = "opcua"
_TIMEOUT_S = 10.0
_LOOK_S = 0.25
"""Time between looks at whether the connection stands, and whether to stop."""
_MORE_S = 0.005
"""How long a batch waits for one more change: not at all would find none, whatever waits."""
_RETRY_S = 2.0
_STOP_S = 30.0
_MAX_WAITING = 10_000
"""Changes in memory that are not durable yet."""
_MAX_BATCH = 500
_MAX_MESSAGE_BYTES = 16 << 20
_MAX_ITEMS = 10_000
"""Elements of an array."""
_MAX_NUMBER = 2**53 - 1
_OVERFLOW = 0x480
"""Info bits of a status code: the server dropped earlier values of this node (Part 4, 7.39.2)."""


class _LostError(Exception):
    """The connection does not stand any more."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What a server reported of one node."""

    node: str
    value: object
    status: int
    at: datetime | None
    """Source timestamp, or else the server's."""


class OpcuaCapture(Looped):
    """Captures the nodes of one server in a thread of its own."""

    def __init__(self, source: OpcuaSource, intake: Intake, logger: FilteringBoundLogger) -> None:
        """Raises SettingsError if a password or certificate file cannot be used."""
        self._source, self._intake = source, intake
        self._logger = logger.bind(stream=source.stream)
        self._nodes = {node.node: node for node in source.nodes}
        self._password = None if source.password_file is None else read_secret(source.password_file)
        for path in (source.certificate_file, source.key_file, source.server_certificate_file):
            _verify_readable(path)
        # Its warnings would come as plain text among the JSON lines of the log, which has them in other words.
        logging.getLogger("asyncua").addHandler(logging.NullHandler())
        self._about: dict[str, str | None] = {}
        """Lot and order as last reported, by node; None while the server cannot tell."""
        self.connected = threading.Event()
        """Set while the server has confirmed the subscription."""
        self.loop = Loop(
            "millmark-opcua",
            self._round,
            self._logger,
            failed="server failed",
            retry_s=_RETRY_S,
            stop_s=_STOP_S,
            late_s=None,  # a round is a connection, which may last for months
        )

    @property
    def is_connected(self) -> bool:
        """Whether the server has confirmed the subscription."""
        return self.connected.is_set()

    def _round(self) -> float:
        """One connection, from beginning to end. Raises what ended it, unless it was `stop`."""
        try:
            asyncio.run(self._capture())
        finally:
            if self.connected.is_set():
                self.connected.clear()
                self._logger.warning("server disconnected")
        return 0.0

    async def _capture(self) -> None:
        client = Client(self._source.url, timeout=_TIMEOUT_S)
        client.max_messagesize = _MAX_MESSAGE_BYTES
        await self._secure(client)
        lost = asyncio.Event()

        async def lose(_: Exception) -> None:
            lost.set()

        client.connection_lost_callback = lose
        async with asyncio.timeout(_TIMEOUT_S * 3):
            await client.connect()
        try:
            subscription = await self._subscribe(client, lost)
            self.connected.set()
            self.loop.recover()
            self._logger.info("server connected", nodes=len(self._nodes))
            while not self.loop.is_stopping:
                await self._commit(await _collect(subscription))
                if lost.is_set() or subscription.is_stale(3):
                    raise _LostError("the connection to the server was lost")
        finally:
            # A server that is gone cannot be told. What it would answer does not matter.
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.disconnect(), _TIMEOUT_S / 2)

    async def _secure(self, client: Client) -> None:
        source = self._source
        if source.certificate_file is not None and source.key_file is not None:
            if source.application_uri is not None:
                client.application_uri = source.application_uri
            await client.set_security(
                SecurityPolicyBasic256Sha256,
                str(source.certificate_file),
                str(source.key_file),
                server_certificate=None
                if source.server_certificate_file is None
                else str(source.server_certificate_file),
            )
        if source.username is not None and self._password is not None:
            client.set_user(source.username)
            client.set_password(self._password)

    async def _subscribe(self, client: Client, lost: asyncio.Event) -> Subscription:
        about = [name for name in (self._source.lot_node, self._source.order_node) if name is not None]
        # Read first: which of the nodes a server reports first is not defined.
        self._about = {}
        for name in about:
            value = await client.get_node(name).read_data_value(raise_on_bad_status=False)
            self._note(_read_change(name, value))
        subscription = await client.create_subscription(
            self._source.interval_ms, queue_maxsize=_MAX_WAITING, overflow=OverflowPolicy.DISCONNECT
        )

        subscription.set_overflow_disconnect_handler(lambda: self._overflow(lost))
        names = (*about, *self._nodes)
        items = [self._build_item(client, name, place) for place, name in enumerate(names, 1)]
        for name, result in zip(names, await subscription.create_monitored_items(items), strict=True):
            if isinstance(result, ua.StatusCode):
                raise _LostError(f"the server does not report {name}: {result.name}")
        return subscription

    def _overflow(self, lost: asyncio.Event) -> None:
        """The memory is full: breaks the connection, and says once that changes were lost."""
        if not lost.is_set():
            lost.set()
            cause = f"{_MAX_WAITING} changes wait for the log; those after them were lost"
            self._refuse(
                Origin(_SOURCE, self._source.url, self._source.stream), EventRefusedError("changes-lost", cause), b""
            )

    def _build_item(self, client: Client, name: str, handle: int) -> ua.MonitoredItemCreateRequest:
        # Also when only the timestamp changed: equal measurements are measurements.
        trigger = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        about = ua.MonitoringParameters(
            ClientHandle=handle,
            SamplingInterval=float(self._source.interval_ms),
            Filter=trigger,
            QueueSize=self._source.queue,
            DiscardOldest=True,
        )
        what = ua.ReadValueId(NodeId=client.get_node(name).nodeid, AttributeId=AttributeIds.Value)
        return ua.MonitoredItemCreateRequest(what, ua.MonitoringMode.Reporting, about)

    async def _commit(self, changes: Sequence[_Change]) -> None:
        """Returns once every change is durable or refused; while the log fails, it tries again."""
        events: list[Event] = []
        origins: list[Origin] = []
        for change in changes:
            if change.node not in self._nodes:
                self._note(change)
                continue
            origin = Origin(_SOURCE, _name_change(change), self._source.stream)
            try:
                value = self._describe(change)
                events.append(await asyncio.to_thread(self._check, value))
                origins.append(origin)
            except EventRefusedError as error:
                self._refuse(origin, error, repr(change.value)[:2048].encode())
        while events and not self.loop.is_stopping:
            try:
                found = await asyncio.wrap_future(self._intake.submit(self._source.stream, events))
            except errors.MillmarkError as error:
                self._logger.error("changes not taken", cause=str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            for position in found.conflicts:
                self._refuse(origins[position], build_conflict(), events[position].content)
            return

    def _check(self, value: Json) -> Event:
        return self._intake.check(event_json.Parsed(value), self._source.stream)[1]

    def _describe(self, change: _Change) -> Json:
        """The event of a change. Raises EventRefusedError."""
        node = self._nodes[change.node]
        if change.status >> 30 == 2:
            raise EventRefusedError("value-bad", f"the server reports {change.node} with status 0x{change.status:08x}")
        if change.at is None:
            raise EventRefusedError("time-missing", f"the server reports {change.node} without a timestamp")
        value = scale_value(change.value, node.decimals)
        about: dict[str, Json] = {"node": change.node, "decimals": node.decimals}
        if change.status & ~_OVERFLOW:
            about["status"] = change.status & ~_OVERFLOW
        if change.status & _OVERFLOW == _OVERFLOW:
            about["overflow"] = True
        event: dict[str, Json] = {"time": f"{change.at.replace(tzinfo=None).isoformat()}Z"}
        # Not of lot and order: reported again after the next part came, it is still the same measurement.
        digest = hashlib.sha256(canonical_json([change.node, event["time"], value])).hexdigest()
        event |= {"id": f"opcua-{digest}", "data": {node.name: value, "opcua": about}}
        return {**event, **self._find_about(node)}

    def _find_about(self, node: OpcuaNode) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for member, name in (("lot", self._source.lot_node), ("order", self._source.order_node)):
            if name is None or not node.with_lot:
                continue
            text = self._about.get(name)
            if text is None:
                raise EventRefusedError(f"{member}-unreadable", f"the server does not tell the {member} in {name}")
            if text:
                found[member] = text
        return found

    def _note(self, change: _Change) -> None:
        is_text = isinstance(change.value, str) and change.status >> 30 != 2
        self._about[change.node] = str(change.value).strip() if is_text else None

    def _refuse(self, origin: Origin, error: EventRefusedError, event: bytes) -> None:
        self._intake.refuse(origin, error, event)
        self._logger.warning("change refused", request_id=origin.request_id, reason=error.reason)


def scale_value(value: object, decimals: int) -> Json:
    """A number, or an array of numbers, as whole numbers of 10**-decimals: half of one goes to the even neighbour.

    Booleans become 0 and 1. Raises EventRefusedError for other types, for values that are not finite, and for numbers
    beyond ±(2**53 - 1).
    """
    if isinstance(value, list):
        if len(value) > _MAX_ITEMS:
            raise EventRefusedError("value-unusable", f"the array has more than {_MAX_ITEMS} elements")
        return [_scale(one, decimals) for one in value]
    return _scale(value, decimals)


def _scale(value: object, decimals: int) -> int:
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise EventRefusedError("value-unusable", f"{str(value)[:40]!a} is not a finite number")
    # By the shortest decimal that denotes the float: what a display of the machine would show.
    found = value * 10**decimals if isinstance(value, int) else round(Decimal(repr(value)).scaleb(decimals))
    if abs(found) > _MAX_NUMBER:
        raise EventRefusedError("value-unusable", f"{value} with {decimals} decimals is beyond 2^53 - 1")
    return found


async def _collect(subscription: Subscription) -> list[_Change]:
    """The changes that wait, at most a batch; empty if none came in time. Raises _LostError if there will be none."""
    found: list[_Change] = []
    try:
        while len(found) < _MAX_BATCH:
            event = await subscription.next_event(_LOOK_S if not found else _MORE_S)
            if event is None:
                break
            if isinstance(event, StatusChangeEvent):
                raise _LostError("the server ended the subscription")
            if isinstance(event, DataChangeEvent):
                found.append(_read_change(event.node.nodeid.to_string(), event.data.monitored_item.Value))
    except StopAsyncIteration:
        raise _LostError("the subscription was closed") from None
    return found


def _read_change(node: str, value: ua.DataValue) -> _Change:
    held = None if value.Value is None else value.Value.Value
    status = 0 if value.StatusCode is None else int(value.StatusCode.value)
    return _Change(node, held, status, value.SourceTimestamp or value.ServerTimestamp)


def _name_change(change: _Change) -> str:
    return f"{change.node} {'' if change.at is None else change.at.isoformat()}".strip()


def _verify_readable(path: Path | None) -> None:
    try:
        if path is not None:
            path.read_bytes()
    except OSError as error:
        raise errors.SettingsError(f"{path} cannot be read: {error.strerror}", hint="name a readable file") from None
