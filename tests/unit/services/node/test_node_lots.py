"""The order of a lot: asked of the contract at every door, and not in the way when nobody answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.records import Contract
from millmark.services.node.config import FolderSource, MqttSource
from millmark.services.node.events import EventRefusedError
from millmark.services.node.http_capture import create_capture
from millmark.services.node.intake import FolderCapture, Lots, OrderUnknownError
from millmark.services.node.mqtt_capture import MqttCapture
from millmark.services.node.submission import ChainHead, Health
from millmark.services.serving.logs import build_logger
from tests.support.gateway_client import client_of
from tests.support.node_parts import Parts, open_parts
from tests.support.patience import wait_until
from tests.support.stores import new_store

LOT, ORDER, OTHER, NOBODYS = ("0x" + digits * 32 for digits in ("1a", "2b", "3c", "00"))


class Ledger:
    """A lot in one order, beside another order."""

    def __init__(self) -> None:
        self.asked = 0
        self.silent = False
        self.sequence = 7
        self.takes: Callable[[], None] = lambda: None

    def read_struct(self, _: Contract, function: str, subject: bytes) -> dict[str, int]:
        self.asked += 1
        self.takes()
        if self.silent:
            raise ChainUnreachableError("the node does not answer")
        name = "0x" + subject.hex()
        if function == "orderOf":
            return {"sequence": {ORDER: 7, OTHER: 9}.get(name, 0)}
        return {"number": 64, "order": self.sequence} if name == LOT else {"number": 0, "order": 0}


@contextmanager
def opened(folder: Path, *, asks: bool = True) -> Iterator[tuple[Parts, Ledger, Lots]]:
    with new_store(folder) as store:
        lots, ledger = Lots(store, asks=asks), Ledger()
        if asks:
            lots.connect(cast(Chain, ledger))
        with open_parts(folder, "samples", lots) as parts:
            yield parts, ledger, lots


def event(number: int, **members: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "lot": LOT, "data": {"samples": [number]}, **members}


EVENTS = [
    event(0),
    event(1, order=OTHER),
    event(2, order=NOBODYS),
    event(3, order="0x" + "77" * 32),
    event(4, order=ORDER),
]
REFUSED = ["order-missing", "order-wrong", "order-wrong", "order-wrong"]


def test_http_refuses_the_wrong_order(tmp_path: Path) -> None:
    with opened(tmp_path) as (parts, ledger, _):
        app = create_capture(
            parts.intake, parts.metrics, lambda: Health([], True, ChainHead(), [], {}), None, build_logger()
        )
        answer = client_of(app).post("/v1/events", json=EVENTS).json()
        assert answer["accepted"] == 1
        assert [one["reason"] for one in answer["refused"]] == REFUSED
        assert (
            f"lot {LOT} belongs to the order of record 7, but the event does not name that order"
            in answer["refused"][0]["cause"]
        )
        assert f"lot {LOT} belongs to the order of record 7, and not to {OTHER}" in answer["refused"][1]["cause"]
        assert ledger.asked == 4, "each lot and order once; one that is not there is asked for again"
        metrics = client_of(app).get("/metrics").text
        assert 'millmark_node_refused_total{reason="order-wrong",source="http"} 3.0' in metrics


def test_a_folder_and_a_broker_refuse_it_too(tmp_path: Path) -> None:
    with opened(tmp_path) as (parts, _, _):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
        folder = FolderSource(path=tmp_path / "in", stream="press")
        FolderCapture(folder, parts.intake, tmp_path / "progress.json", build_logger()).step()
        message = mqtt.MQTTMessage(topic=b"press")
        message.payload = json.dumps([{**one, "id": "m" + one["id"]} for one in EVENTS]).encode()
        broker = MqttCapture(MqttSource(topic="press", stream="press"), parts.intake, build_logger())
        broker._on_message(mqtt.Client(CallbackAPIVersion.VERSION2), None, message)
        letters = [(one.source, one.reason) for one in parts.dead_letters()]
        assert letters == [("folder", reason) for reason in REFUSED] + [("mqtt", reason) for reason in REFUSED]
        wait_until(lambda: len(parts.contents()) == 2)
        assert [json.loads(content)["id"] for content in parts.contents()] == ["e4", "me4"]


def test_with_a_relay_the_order_has_to_be_named(tmp_path: Path) -> None:
    with opened(tmp_path, asks=False) as (_, _, lots):
        with pytest.raises(EventRefusedError, match="sends through a relay and cannot ask"):
            lots.verify_event(event(0))
        lots.verify_event(event(0, order=NOBODYS))
        assert lots.find_order(bytes(32), ORDER) == bytes.fromhex(ORDER[2:])


def test_nobody_is_kept_waiting_by_a_silent_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event is accepted, and judged before its certificate is made; the next one does not wait for a time-out."""
    now = [1000.0]
    monkeypatch.setattr("millmark.services.node.intake.time.monotonic", lambda: now[0])
    with opened(tmp_path) as (_, ledger, lots):
        ledger.silent = True
        for number in range(5):
            lots.verify_event(event(number))
        assert ledger.asked == 1
        with pytest.raises(OrderUnknownError):
            lots.find_order(bytes.fromhex(LOT[2:]), None)
        ledger.silent = False
        now[0] += 31
        with pytest.raises(EventRefusedError, match="does not name"):
            lots.verify_event(event(0))


def test_a_slow_chain_holds_up_no_batch_of_many_lots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("millmark.services.node.intake.time.monotonic", lambda: now[0])
    with opened(tmp_path) as (_, ledger, lots):
        ledger.takes = lambda: now.__setitem__(0, now[0] + 0.3)
        for number in range(50):
            lots.verify_event(event(number, lot=f"0x{number:064x}"))
        assert ledger.asked == 4
        now[0] += 11
        lots.verify_event(event(0, lot="0x" + "99" * 32))
        assert ledger.asked == 5


def test_an_answer_is_not_believed_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("millmark.services.node.intake.time.monotonic", lambda: now[0])
    with opened(tmp_path) as (_, ledger, lots):
        lots.verify_event(event(0, order=ORDER))
        ledger.sequence = 9
        lots.verify_event(event(0, order=ORDER))
        now[0] += 11
        with pytest.raises(EventRefusedError, match="belongs to the order of record 9"):
            lots.verify_event(event(0, order=ORDER))


def test_a_lot_that_is_not_known_yet_is_let_in(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, _, lots):
        lots.verify_event(event(0, lot="0x" + "99" * 32))
        lots.verify_event(event(0, lot="urn:example:part"))
