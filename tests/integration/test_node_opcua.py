"""Capture from a real OPC UA server: whole numbers by the declared scale, nothing doubled by a restart, bounded."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.server.server import Server
from cryptography.x509.oid import ExtendedKeyUsageOID

from millmark.ledger.errors import SettingsError
from millmark.services.node.config import OpcuaNode, OpcuaSource
from millmark.services.node.events import EventRefusedError
from millmark.services.node.opcua_capture import OpcuaCapture, scale_value
from millmark.services.serving.logs import build_logger
from tests.support.node_parts import Parts, open_parts
from tests.support.patience import MAX_S, wait_until
from tests.support.ports import pick_port

pytestmark = pytest.mark.integration

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOT = "0x" + "1a" * 32


def _id_of(name: str) -> ua.NodeId:
    return ua.NodeId(ua.String(name), ua.Int16(2))


class Machine:
    """A server of its own in a thread, and the values of a press in it."""

    def __init__(self, port: int, folder: Path) -> None:
        self.folder = folder
        self.url = f"opc.tcp://127.0.0.1:{port}/press"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._values: dict[str, ua.DataValue] = {}
        self.begin = BEGIN
        self._server: Server | None = None

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(MAX_S)

    def start(self) -> None:
        self.do(self._start())

    def stop(self) -> None:
        if self._server is not None:
            self.do(self._server.stop())
            self._server = None

    def close(self) -> None:
        self.stop()
        self.do(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(MAX_S)
        self._loop.close()

    def write(self, name: str, value: object, second: float, status: int = 0) -> None:
        at = ua.DateTime.fromisoformat((self.begin + timedelta(seconds=second)).replace(tzinfo=None).isoformat())
        self._values[name] = ua.DataValue(ua.Variant(value), ua.StatusCode(ua.UInt32(status)), at, at)
        if self._server is not None:
            self.do(self._put(name))

    async def _start(self) -> None:
        self._server = server = Server()
        await server.init()
        server.set_endpoint(self.url)
        both = [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        server.set_security_policy(both)
        await server.load_certificate(str(self.folder / "server.der"))
        await server.load_private_key(str(self.folder / "server.pem"))
        for name, value in self._values.items():
            assert value.Value is not None
            node = await server.nodes.objects.add_variable(_id_of(name), name, value.Value.Value)
            await node.write_value(value)
        await server.start()

    async def _put(self, name: str) -> None:
        assert self._server is not None
        await self._server.get_node(_id_of(name)).write_value(self._values[name])

    def reset(self) -> None:
        """The same values for each test, measured a day later."""
        self.begin += timedelta(days=1)
        for name, value in (("Force", 12.3456), ("Curve", [0.5, 1.5, -2.25]), ("Count", 7), ("Lot", "")):
            self.write(name, value, 0)


async def _cancel_all() -> None:
    """The server leaves tasks behind."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(pick_port(), tmp_path_factory.mktemp("server"))
    for name, use in (("server", ExtendedKeyUsageOID.SERVER_AUTH), ("node", ExtendedKeyUsageOID.CLIENT_AUTH)):
        key, certificate = (made.folder / f"{name}.{kind}" for kind in ("pem", "der"))
        uri, host = f"urn:example:{name}", socket.gethostname()
        made.do(setup_self_signed_certificate(key, certificate, uri, host, [use], {"commonName": name}))
    made.reset()
    made.start()
    yield made
    made.close()


@pytest.fixture
def machine(server: Machine) -> Machine:
    server.reset()
    return server


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with open_parts(tmp_path) as opened:
        yield opened


NODES = (
    OpcuaNode(node="ns=2;s=Force", name="force_mn", decimals=3),
    OpcuaNode(node="ns=2;s=Curve", name="samples", decimals=1),
    OpcuaNode(node="ns=2;s=Count", name="parts", with_lot=False),
)


@contextmanager
def capturing(parts: Parts, machine: Machine, nodes: tuple[OpcuaNode, ...] = NODES) -> Iterator[OpcuaCapture]:
    source = OpcuaSource(url=machine.url, stream="press", nodes=nodes, interval_ms=50, lot_node="ns=2;s=Lot")
    capture = OpcuaCapture(source, parts.intake, build_logger())
    capture.start()
    try:
        assert capture.connected.wait(MAX_S)
        yield capture
    finally:
        capture.stop()


def events(parts: Parts) -> list[dict[str, Any]]:
    return [json.loads(content) for content in parts.contents()]


def values(parts: Parts, name: str) -> list[object]:
    return [one["data"][name] for one in events(parts) if name in one["data"]]


def test_values_come_as_whole_numbers_with_their_scale_and_lot(parts: Parts, machine: Machine) -> None:
    with capturing(parts, machine):
        wait_until(lambda: len(events(parts)) == 3)
        machine.write("Lot", LOT, 1)
        machine.write("Force", 12.3456, 2)  # the same once more is another measurement
        wait_until(lambda: len(events(parts)) == 4)
        machine.write("Count", 8, 3)
        machine.write("Force", float("nan"), 4)
        machine.write("Force", 1e300, 5)
        machine.write("Force", 1.0, 6, status=0x80350000)  # bad
        machine.write("Force", 2.0, 7, status=0x40000000)  # uncertain
        wait_until(lambda: len(events(parts)) == 6)
    assert values(parts, "force_mn") == [12346, 12346, 2000]
    assert values(parts, "samples") == [[5, 15, -22]]
    assert values(parts, "parts") == [7, 8]
    assert all(b"." not in content.partition(b'"id"')[0] for content in parts.contents()), "no fraction in any data"
    last = events(parts)[-1]
    assert last == {
        "id": last["id"],
        "time": f"{machine.begin.date()}T12:00:07Z",
        "lot": LOT,
        "data": {"force_mn": 2000, "opcua": {"node": "ns=2;s=Force", "decimals": 3, "status": 0x40000000}},
    }
    assert ["lot" in one for one in events(parts)] == [False, False, False, True, False, True]
    assert [one.reason for one in parts.dead_letters()] == ["value-unusable", "value-unusable", "value-bad"]


def test_a_server_that_restarts_is_found_again_and_nothing_is_doubled(parts: Parts, machine: Machine) -> None:
    with capturing(parts, machine) as capture:
        wait_until(lambda: len(events(parts)) == 3)
        machine.write("Count", 8, 1)
        wait_until(lambda: values(parts, "parts") == [7, 8])
        machine.stop()
        wait_until(lambda: not capture.connected.is_set())
        machine.write("Force", 3.0, 2)  # while nobody is connected
        machine.start()
        assert capture.connected.wait(MAX_S)
        machine.write("Count", 9, 3)
        wait_until(lambda: values(parts, "parts") == [7, 8, 9])
        wait_until(lambda: values(parts, "force_mn") == [12346, 3000])
    with capturing(parts, machine):  # and the node restarts
        machine.write("Count", 10, 4)
        wait_until(lambda: values(parts, "parts") == [7, 8, 9, 10])
    assert len(events(parts)) == len({one["id"] for one in events(parts)}) == 7
    assert parts.dead_letters() == []


def test_what_the_log_does_not_take_is_tried_again(
    parts: Parts, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millmark.services.node.opcua_capture._RETRY_S", 0.1)
    failures = iter([OSError(5, "Input/output error")] * 2)

    def failing(descriptor: int) -> None:
        for error in failures:
            raise error

    monkeypatch.setattr(parts.log, "_sync", failing)
    with capturing(parts, machine):
        wait_until(lambda: len(events(parts)) == 3)


def test_more_changes_than_the_memory_has_room_for_are_told(
    parts: Parts, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millmark.services.node.opcua_capture._MAX_WAITING", 6)
    monkeypatch.setattr("millmark.services.node.opcua_capture._RETRY_S", 0.1)
    release = threading.Event()
    monkeypatch.setattr(parts.log, "_sync", lambda _: release.wait(MAX_S))
    with capturing(parts, machine):
        for second in range(1, 20):
            machine.write("Count", second, second)
        wait_until(lambda: [one.reason for one in parts.dead_letters()] == ["changes-lost"])
        release.set()
        wait_until(lambda: values(parts, "parts")[-1:] == [19])


def test_a_node_that_the_server_does_not_have_is_told(parts: Parts, machine: Machine) -> None:
    source = OpcuaSource(url=machine.url, stream="press", nodes=(OpcuaNode(node="ns=2;s=Missing", name="x"),))
    with pytest.raises(Exception, match=r"does not report ns=2;s=Missing: BadNodeIdUnknown"):
        OpcuaCapture(source, parts.intake, build_logger())._round()


def test_messages_are_encrypted_and_another_server_is_refused(parts: Parts, machine: Machine) -> None:
    source = OpcuaSource(
        url=machine.url,
        stream="press",
        nodes=NODES[:1],
        certificate_file=machine.folder / "node.der",
        key_file=machine.folder / "node.pem",
        server_certificate_file=machine.folder / "server.der",
        application_uri="urn:example:node",
    )
    capture = OpcuaCapture(source, parts.intake, build_logger())
    capture.start()
    try:
        wait_until(lambda: values(parts, "force_mn") == [12346])
    finally:
        capture.stop()
    other = source.model_copy(update={"server_certificate_file": machine.folder / "node.der"})
    refused = OpcuaCapture(other, parts.intake, build_logger())
    with pytest.raises(Exception):  # noqa: B017 - whatever the library makes of it
        refused._round()
    assert not refused.connected.is_set()


# What needs no server


@pytest.mark.parametrize(
    ("value", "decimals", "scaled"),
    [(1, 0, 1), (-3, 2, -300), (True, 3, 1), (0.1, 1, 1), (0.125, 2, 12), (0.375, 2, 38), (1e-9, 3, 0),
     ([0.25, 2], 2, [25, 200]), (9007199254740991, 0, 9007199254740991)],
)  # fmt: skip
def test_scales(value: object, decimals: int, scaled: object) -> None:
    found = scale_value(value, decimals)
    assert found == scaled
    assert not any(isinstance(one, float) for one in (found if isinstance(found, list) else [found]))


@pytest.mark.parametrize(
    "value", ["text", None, b"x", float("inf"), 2**53, [1.0, "x"], [[1]], [0] * 10_001, datetime.now(UTC)]
)
def test_values_that_are_no_numbers_are_refused(value: object) -> None:
    with pytest.raises(EventRefusedError):
        scale_value(value, 3)


def test_an_unusable_certificate_file_is_told(parts: Parts, tmp_path: Path) -> None:
    gone = tmp_path / "gone.der"
    source = OpcuaSource(
        url="opc.tcp://press.example:4840",
        stream="press",
        nodes=NODES,
        certificate_file=gone,
        key_file=gone,
        server_certificate_file=gone,
    )
    with pytest.raises(SettingsError, match=r"gone\.der cannot be read"):
        OpcuaCapture(source, parts.intake, build_logger())
