"""Sparkplug B: births explain aliases, gaps are noted, nothing that comes in makes the reader fail."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.services.node.events import EventRefusedError
from millmark.services.node.mqtt_capture import SparkplugReader, parse_payload

NODE = "spBv1.0/plant/{}/edge"
DEVICE = "spBv1.0/plant/{}/edge/press"


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _field(number: int, value: int | bytes | float) -> bytes:
    if isinstance(value, float):
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & 2**64 - 1)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _metric(name: str | None, alias: int | None, kind: int, number: int, value: int | bytes | float) -> bytes:
    parts = [] if name is None else [_field(1, name.encode())]
    parts += [] if alias is None else [_field(2, alias)]
    return _field(2, b"".join([*parts, _field(4, kind), _field(number, value)]))


def _payload(seq: int | None, *metrics: bytes, at_ms: int = 1_700_000_000_000) -> bytes:
    return _field(1, at_ms) + b"".join(metrics) + (b"" if seq is None else _field(3, seq))


class _Broker:
    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.reader = SparkplugReader(lambda topic, payload: self.sent.append((topic, payload)))

    def __call__(self, topic: str, payload: bytes) -> Any:
        [(event, _)] = self.reader(topic, payload)
        return event


BD = _metric("bdSeq", None, 8, 11, 5)


def test_aliases_are_named_once_their_birth_was_seen() -> None:
    broker = _Broker()
    broker(NODE.format("NBIRTH"), _payload(0, BD))
    broker(DEVICE.format("DBIRTH"), _payload(1, _metric("force", 7, 3, 10, 0)))
    event = broker(DEVICE.format("DDATA"), _payload(2, _metric(None, 7, 3, 10, 2**32 - 5)))
    assert event["data"]["force"] == -5
    assert event["data"]["sparkplug"] == {
        "group": "plant",
        "kind": "DDATA",
        "node": "edge",
        "device": "press",
        "seq": 2,
    }
    assert event["time"] == "1700000000000"
    assert broker.sent == []


def test_an_unknown_alias_is_kept_by_its_number_and_the_births_are_asked_for_once() -> None:
    broker = _Broker()
    broker(NODE.format("NBIRTH"), _payload(0, BD))
    for seq in (1, 2):
        event = broker(NODE.format("NDATA"), _payload(seq, _metric(None, 9, 10, 13, 1.5)))
        assert event["data"]["alias 9"] == 1.5
        assert event["data"]["sparkplug"]["unknown_alias"] is True
    [(topic, payload)] = broker.sent
    assert topic == "spBv1.0/plant/NCMD/edge"
    [metric] = parse_payload(payload).metrics
    assert (metric.name, metric.value) == ("Node Control/Rebirth", True)


def test_a_new_birth_forgets_what_aliases_meant() -> None:
    broker = _Broker()
    broker(NODE.format("NBIRTH"), _payload(0, BD, _metric("heat", 1, 3, 10, 0)))
    broker(NODE.format("NBIRTH"), _payload(0, BD))
    event = broker(NODE.format("NDATA"), _payload(1, _metric(None, 1, 3, 10, 4)))
    assert "heat" not in event["data"]


@pytest.mark.parametrize(("seqs", "noted"), [([0, 1, 2], None), ([0, 2], 1), ([0, 1, 1], 2), ([255, 0], None)])
def test_a_gap_in_the_sequence_is_noted(seqs: list[int], noted: int | None) -> None:
    broker = _Broker()
    broker(NODE.format("NBIRTH"), _payload(seqs[0], BD))
    events = [broker(NODE.format("NDATA"), _payload(seq, at_ms=place)) for place, seq in enumerate(seqs[1:])]
    assert events[-1]["data"]["sparkplug"].get("expected_seq") == noted
    assert bool(broker.sent) == (noted is not None)


def test_data_before_any_birth_is_kept_and_noted() -> None:
    assert _Broker()(NODE.format("NDATA"), _payload(3))["data"]["sparkplug"]["unborn"] is True


@pytest.mark.parametrize(("session", "stale"), [(5, False), (4, True)])
def test_the_death_of_an_earlier_session_is_stale(session: int, stale: bool) -> None:
    broker = _Broker()
    broker(NODE.format("NBIRTH"), _payload(0, BD))
    event = broker(NODE.format("NDEATH"), _payload(None, _metric("bdSeq", None, 8, 11, session)))
    assert event["data"]["sparkplug"].get("stale", False) is stale


def test_what_the_broker_sends_twice_has_one_id() -> None:
    broker, payload = _Broker(), _payload(0, BD)
    first, second = (broker(NODE.format("NBIRTH"), payload) for _ in range(2))
    assert first["id"] == second["id"]
    assert broker(NODE.format("NBIRTH"), _payload(0, BD, at_ms=1))["id"] != first["id"]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (_metric("v", None, 1, 10, 255), -1),
        (_metric("v", None, 4, 11, 2**64 - 2), -2),
        (_metric("v", None, 8, 11, 2**63), str(2**63)),
        (_metric("v", None, 11, 14, 1), True),
        (_metric("v", None, 12, 15, b"text"), "text"),
        (_metric("v", None, 17, 16, b"\x01\x02"), "0x0102"),
        (_metric("v", None, 10, 13, float("nan")), "nan"),
        (_metric("v", None, 3, 7, 1), None),
        (_field(2, _field(1, b"v") + _varint(12 << 3 | 5) + struct.pack("<f", 0.5)), 0.5),
    ],
)
def test_values_are_those_of_their_types(metric: bytes, value: object) -> None:
    assert _Broker()(NODE.format("NBIRTH"), _payload(0, metric))["data"]["v"] == value


def test_a_lot_is_the_events_own() -> None:
    lot = "0x" + "ab" * 32
    metric = _metric("lot", None, 12, 15, lot.encode())
    event = _Broker()(NODE.format("NBIRTH"), _payload(0, metric))
    assert event["lot"] == lot
    assert "lot" not in event["data"]


@pytest.mark.parametrize("topic", ["", "x/y/z", "spBv1.0/plant/NDATA", "spBv1.0/plant/DDATA/edge", "spBv1.0/p/X/edge"])
def test_a_topic_of_something_else_is_refused(topic: str) -> None:
    with pytest.raises(EventRefusedError):
        _Broker().reader(topic, b"")


@pytest.mark.parametrize("topic", ["spBv1.0/STATE/host", "spBv1.0/plant/NCMD/edge", "spBv1.0/plant/DCMD/edge/press"])
def test_commands_and_hosts_are_no_events(topic: str) -> None:
    assert _Broker().reader(topic, b"anything") == []


@pytest.mark.parametrize("payload", [b"\xff", b"\x0a\x05a", b"\x0b", b"\x12\x02\x6a\x00", b"\x09" + b"\0" * 8])
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(EventRefusedError):
        _Broker().reader(NODE.format("NBIRTH"), payload)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(payload: bytes) -> None:
    with contextlib.suppress(EventRefusedError):
        _Broker().reader(DEVICE.format("DDATA"), payload)
