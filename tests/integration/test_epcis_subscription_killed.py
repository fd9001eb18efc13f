"""A gateway that is killed while it delivers a query's events, again and again: none is left out, none overtakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pytest

from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.epcis.named_queries import QUERIES
from millmark.services.store import open_store
from millmark.services.webhooks.dispatcher import DeliveryPolicy
from tests.support.epcis_events import capture, document, event
from tests.support.gateway_client import Caller
from tests.support.patience import MAX_S, wait_until
from tests.support.ports import pick_port
from tests.support.receiver import Receiver

pytestmark = pytest.mark.integration

TOKEN = "13df38d8275b13f05704629e5f1cf3d45d6132d5"


@contextmanager
def offline(home: Path) -> Iterator[Caller]:
    """The same gateway without its threads, on the same database."""
    with open_store(f"sqlite:///{home / 'millmark.sqlite'}") as store:
        policy = DeliveryPolicy(loopback=True)
        yield Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"), delivery_policy=policy)))


def start(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "millmark.services.cli", "--home", str(home), "gateway"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)


def numbers(receiver: Receiver) -> list[int]:
    lists = [one["epcisBody"]["queryResults"]["resultsBody"]["eventList"] for one in receiver.taken]
    return [int(event["eventID"][-12:]) for events in lists for event in events]


def test_killed_in_the_middle_and_started_again(tmp_path: Path) -> None:
    (tmp_path / "millmark.toml").write_text(f"webhook_loopback = true\ngateway_port = {pick_port()}\n")
    receiver = Receiver()
    # Many small parts, so that a kill falls between two of them.
    receiver.answer = lambda _: 413 if receiver.seen[-1][1].count(b'"eventID"') > 1 else 200
    with receiver:
        with offline(tmp_path) as caller:
            assert caller.ask(QUERIES, "POST", {"name": "q", "query": {"EQ_action": ["OBSERVE"]}}).status_code == 201
            body = {"dest": receiver.url, "signatureToken": TOKEN, "stream": True}
            place = caller.ask(f"{QUERIES}/q/subscriptions", "POST", body).headers["location"]
            capture(caller, document(*(event(number) for number in range(1, 41))))
        for number in (4, 21):
            process = start(tmp_path)
            try:
                wait_until(lambda number=number: len(receiver.taken) >= number)  # type: ignore[misc]  # bound early
            finally:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        with offline(tmp_path) as caller:
            capture(caller, document(event(41), event(42, action="ADD"), event(43)))
        process = start(tmp_path)
        try:
            wait_until(lambda: numbers(receiver)[-1:] == [43])
        finally:
            process.terminate()
            assert process.wait(MAX_S) in (0, -signal.SIGTERM)
    expected = [*range(1, 42), 43]
    assert [one for one, _ in groupby(numbers(receiver))] == expected
    assert len(numbers(receiver)) - len(expected) <= 2  # at most the delivery that was under way came twice
    with offline(tmp_path) as caller:
        shown = caller.ask(place).json()
    assert shown["state"] == "active"
    assert shown["lastNotifiedAt"]
