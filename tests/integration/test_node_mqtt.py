"""Capture from a real Eclipse Mosquitto: nothing is confirmed before it is durable, nothing is lost in between."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from millmark.ledger.errors import SettingsError
from millmark.services.node.config import MqttSource
from millmark.services.node.mqtt_capture import MqttCapture, build_rebirth
from millmark.services.serving.logs import build_logger
from tests.support.node_parts import Parts, open_parts
from tests.support.patience import MAX_S, wait_until
from tests.support.ports import pick_port

pytestmark = pytest.mark.integration

_FOUND = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
if _FOUND is None:
    pytest.skip("mosquitto is not installed", allow_module_level=True)
BROKER: str = _FOUND


@contextmanager
def _broker(folder: Path, port: int) -> Iterator[None]:
    """On loopback, its state in `folder`."""
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
        "max_queued_messages 0\nuser root\n"
    )
    with subprocess.Popen([BROKER, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(port))
            yield
        finally:
            process.terminate()
            process.wait(MAX_S)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=MAX_S).close()
    except OSError:
        return False
    return True


@pytest.fixture
def port() -> int:
    return pick_port()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with open_parts(tmp_path) as opened:
        yield opened


@contextmanager
def _capturing(parts: Parts, port: int, **options: str) -> Iterator[MqttCapture]:
    source = MqttSource(port=port, stream="press", **{"topic": "plant/#", **options})  # type: ignore[arg-type]  # texts
    capture = MqttCapture(source, parts.intake, build_logger())
    capture.start()
    try:
        assert capture.connected.wait(MAX_S)
        yield capture
    finally:
        capture.stop()


def _publish(port: int, messages: Sequence[tuple[str, bytes]], correlation: bytes | None = None) -> None:
    """Returns when the broker has them all."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it out
    if correlation is not None:
        properties.CorrelationData = correlation
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="machine", protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1, properties=properties).wait_for_publish(MAX_S)
    client.disconnect()
    client.loop_stop()


def _event(number: int) -> bytes:
    return json.dumps({"id": f"m{number}", "data": {"n": number}}).encode()


def _ids(parts: Parts) -> list[str]:
    return [json.loads(content)["id"] for content in parts.contents()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the death that is wanted
def test_a_client_that_dies_goes_on(parts: Parts, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the client itself ends its thread, without a word."""
    with _broker(tmp_path, port), _capturing(parts, port) as capture:
        monkeypatch.setattr(capture._client, "_handle_publish", lambda: [][1])
        _publish(port, [("plant/a", _event(1))])
        wait_until(lambda: capture._client._thread is None)
        monkeypatch.undo()
        capture.loop.wake()
        wait_until(lambda: _ids(parts) == ["m1"])  # delivered again, as it was not acknowledged


def test_messages_are_taken_and_bad_ones_listed(parts: Parts, port: int, tmp_path: Path) -> None:
    with _broker(tmp_path, port), _capturing(parts, port):
        both = b"[" + _event(2) + b"," + _event(3) + b"]"
        _publish(port, [("plant/a", _event(1)), ("plant/b", b"rubbish"), ("plant/a", both), ("plant/a", _event(1))])
        wait_until(lambda: len(_ids(parts)) == 3)
        assert [letter.reason for letter in parts.dead_letters()] == ["not-json"]
        assert _ids(parts) == ["m1", "m2", "m3"]


def test_what_comes_while_the_node_is_away_comes_later_and_in_order(parts: Parts, port: int, tmp_path: Path) -> None:
    with _broker(tmp_path, port):
        with _capturing(parts, port):
            _publish(port, [("plant/a", _event(0))])
            wait_until(lambda: _ids(parts) == ["m0"])
        _publish(port, [("plant/a", _event(number)) for number in range(1, 30)])
        assert _ids(parts) == ["m0"]
        with _capturing(parts, port):
            wait_until(lambda: len(_ids(parts)) == 30)
    assert _ids(parts) == [f"m{number}" for number in range(30)]


def test_a_message_that_the_log_did_not_take_comes_again(
    parts: Parts, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails twice; the broker was told nothing, and delivers again."""
    failures = iter([OSError(5, "Input/output error")] * 2)

    def failing(descriptor: int) -> None:
        for error in failures:
            raise error

    monkeypatch.setattr(parts.log, "_sync", failing)
    with _broker(tmp_path, port), _capturing(parts, port):
        _publish(port, [("plant/a", _event(number)) for number in range(5)])
        wait_until(lambda: len(_ids(parts)) == 5)
    assert sorted(_ids(parts)) == [f"m{number}" for number in range(5)]


def test_a_message_is_known_by_what_its_sender_calls_it(
    parts: Parts, port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _broker(tmp_path, port), _capturing(parts, port):
        _publish(port, [("plant/a", _event(1)), ("plant/a", b"rubbish")], b"shift-7.1")
        _publish(port, [("plant/a", _event(2)), ("plant/a", b"rubbish")], b"no \xff id")
        _publish(port, [("plant/a", b"rubbish")])
        wait_until(lambda: len(parts.dead_letters()) == 3 and len(_ids(parts)) == 2)
    first, *others = [letter.request_id for letter in parts.dead_letters()]
    assert first == "shift-7.1"
    assert all(re.fullmatch("[0-9a-f]{32}", other) for other in others)
    assert len(set(others)) == 2
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    refused = [one["request_id"] for one in told if one["event"] == "message refused"]
    assert refused == [first, *others]
    [taken] = [one for one in told if one["event"] == "message taken"]
    assert (taken["request_id"], taken["leaves"]) == (first, {"press": [0, 0]})


def test_a_broker_that_restarts_is_found_again(parts: Parts, port: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with _broker(tmp_path, port):
            capture = stack.enter_context(_capturing(parts, port))
        wait_until(lambda: not capture.connected.is_set())
        with _broker(tmp_path, port):
            assert capture.connected.wait(MAX_S)
            _publish(port, [("plant/a", _event(7))])
            wait_until(lambda: _ids(parts) == ["m7"])


def test_sparkplug_messages_are_events(parts: Parts, port: int, tmp_path: Path) -> None:
    with _broker(tmp_path, port), _capturing(parts, port, format="sparkplug", topic="spBv1.0/#"):
        _publish(port, [("spBv1.0/plant/NBIRTH/edge", build_rebirth(5)), ("spBv1.0/plant/NBIRTH/edge", b"\xff")])
        wait_until(lambda: len(parts.dead_letters()) == 1 and parts.contents() != [])
        [event] = [json.loads(content) for content in parts.contents()]
    assert event["data"]["Node Control/Rebirth"] is True
    assert event["data"]["sparkplug"]["kind"] == "NBIRTH"


def test_an_unusable_certificate_file_is_told(parts: Parts, tmp_path: Path) -> None:
    source = MqttSource(topic="t", stream="press", ca_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match="name a file of PEM certificates"):
        MqttCapture(source, parts.intake, build_logger())
