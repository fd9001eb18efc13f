"""Hand-overs at a gateway: what it answers to companies and to strangers, and what its loop and its pages tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import structlog

from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.http.authentication import Limiter, Rates
from millmark.services.handover import delivering as module
from millmark.services.handover.content import Content, parse_envelope
from millmark.services.handover.delivering import LATE_S, Answer, HandoverDispatcher, State
from millmark.services.handover.repository import HandoverRepository, count_handovers
from tests.support.apart import Home
from tests.support.gateway_client import Caller
from tests.support.stores import copy_database, new_store
from tests.unit.services.handover.conftest import BAD_OFFERS, Delivered
from tests.unit.services.handover.test_deliveries import collect, row_of
from tests.unit.services.handover.test_receiving import dump, forge

BUYER = "nordwind"


@pytest.fixture
def buyer(told: Delivered, tmp_path: Path) -> Iterator[Home]:
    """The buyer with its index, to whom nothing has been handed over."""
    home = told.home(BUYER)
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        with store.transaction() as connection:
            for table in ("handovers_kept", "identities", "documents", "inferences"):
                connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - fixed names
        yield replace(home, store=store)


@pytest.fixture
def caller(buyer: Home) -> Caller:
    limiter = Limiter(Rates(1e9, 1e9))
    parts = GatewayParts(
        buyer.store, build_policy("required"), receiver=buyer.receiver, limiter=limiter, absent_every_s=0
    )
    return Caller(create_gateway(parts))


def put(caller: Caller, text: bytes, digest: str = "") -> httpx.Response:
    digest = digest or parse_envelope(text).head.digest.hex()
    return caller.ask(f"/v1/handovers/{digest}", "PUT", text)


def test_a_hand_over_is_kept_once(told: Delivered, buyer: Home, caller: Caller) -> None:
    text = told.texts["offer to buyer", BUYER]
    first, second = put(caller, text), put(caller, text)
    assert (first.status_code, first.json()["again"]) == (200, False)
    assert (second.status_code, second.json()) == (200, first.json() | {"again": True})
    assert buyer.name_of(told.apart.world.lots["hip-1"]) == "urn:example:hip-1"


def test_strangers_are_answered_as_if_there_were_nothing(told: Delivered, buyer: Home, caller: Caller) -> None:
    """The same answer to what is malformed, unsigned, for another company, or somebody else's."""
    text, before = told.texts["offer to buyer", BUYER], dump(buyer)
    other = told.texts["offer to carrier", "swift"]
    unsigned = text.replace(b'"sender":8', b'"sender":3', 1)
    answers = [
        put(caller, b"", "5e" * 32),
        put(caller, b"\n", "5e" * 32),
        put(caller, b"x" * 5000, "5e" * 32),
        put(caller, text, "5e" * 32),
        put(caller, other),
        put(caller, unsigned),
        Caller(create_gateway(GatewayParts(buyer.store, build_policy("required")))).ask(
            f"/v1/handovers/{parse_envelope(text).head.digest.hex()}", "PUT", text
        ),
    ]
    told_apart = {(one.status_code, one.json()["type"], one.json()["detail"], one.json()["hint"]) for one in answers}
    assert told_apart == {
        (404, "urn:millmark:problem:not-found", "there is nothing here for this request", "see HANDOVER.md")
    }
    assert dump(buyer) == before


def test_what_a_company_sends_in_vain_is_explained(told: Delivered, buyer: Home, caller: Caller) -> None:
    text, sequence = told.texts["offer to buyer", BUYER], told.apart.records["offer to buyer"]
    bad = put(caller, forge(told, Content(), sequence=1))
    assert (bad.status_code, bad.json()["type"]) == (422, "urn:millmark:problem:handover-refused")
    early = put(caller, forge(told, Content(), sequence=10**6))
    assert (early.status_code, early.json()["type"]) == (409, "urn:millmark:problem:handover-early")
    cut = put(caller, text[:-5] + b"\n", parse_envelope(text).head.digest.hex())
    assert cut.status_code == 422
    assert sequence
    assert buyer.kept() == 0


def test_a_stranger_gets_no_further_than_the_first_line(told: Delivered, caller: Caller) -> None:
    """Nothing more of the body is read."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 700

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(caller.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.put(f"/v1/handovers/{'5e' * 32}", content=endless())

    assert asyncio.run(run()).status_code == 404
    assert read <= 4


# The loop


class Gateways:
    """Stands for the other companies' gateways."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(module, "send", self._send)

    async def _send(self, gateway: str, *_: object) -> Answer:
        self.asked.append(gateway)
        return self.answers.get(gateway, Answer(200, ""))


@pytest.fixture
def maker(told: Delivered, tmp_path: Path) -> Iterator[Home]:
    (tmp_path / "maker").mkdir()
    with new_store(tmp_path / "maker") as store:
        copy_database(told.home("alder").store, store)
        with store.transaction() as connection:
            for table in ("handover_deliveries", "handover_cursor"):
                connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - fixed names
        yield replace(told.home("alder"), store=store)


def dispatcher_of(home: Home, *, fresh: bool = True) -> HandoverDispatcher:
    logger = structlog.get_logger()
    return HandoverDispatcher(home.store, home.deliveries, logger, is_fresh=lambda: fresh)


def test_a_gateway_that_is_away_delays_only_what_is_for_it(
    told: Delivered, maker: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways = Gateways(monkeypatch)
    gateways.answers["https://gateway-8.invalid"] = Answer(0, "no connection to its gateway: Connection refused")
    dispatcher = dispatcher_of(maker)
    dispatcher.step()
    states = {key: row.state for key, row in maker.queue().items()}
    waiting = {recipient for (_, recipient), state in states.items() if state == State.WAITING}
    assert waiting == {8}
    assert gateways.asked.count("https://gateway-8.invalid") == 1, "the others for it were not tried"
    assert count_handovers(maker.store)["delivered"] == 5 + 2 * (2 + len(BAD_OFFERS))
    assert dispatcher.trouble() is None
    gateways.answers.clear()
    maker.clock_ms += 10_000
    dispatcher.step()
    assert set(count_handovers(maker.store)) == {"delivered", "over"}


def test_it_rests_only_while_none_waits(told: Delivered, maker: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    gateways = Gateways(monkeypatch)
    gateways.answers["https://gateway-8.invalid"] = Answer(0, "no connection to its gateway: Connection refused")
    dispatcher = dispatcher_of(maker)
    dispatcher.loop.rest_s = 9.0
    assert [dispatcher.step() for _ in range(3)] == [1.0] * 3, "one waits for its next attempt, which nothing tells"
    gateways.answers.clear()
    maker.clock_ms += 10_000
    assert (dispatcher.step(), dispatcher.step()) == (1.0, 9.0)


def test_one_that_waits_for_an_hour_is_an_alarm(told: Delivered, maker: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Answer(404, "its gateway answered 404")
    Gateways(monkeypatch).answers = {f"https://gateway-{number}.invalid": away for number in range(9)}
    dispatcher = dispatcher_of(maker)
    maker.clock_ms = int((time.time() - LATE_S - 5) * 1000)
    dispatcher.step()
    found = dispatcher.trouble()
    assert found is not None
    assert (found.where, found.code) == ("handovers", "handovers-waiting")
    assert "404" not in found.cause, "/ready is public"


def test_nothing_is_sent_while_the_index_is_stale(
    told: Delivered, maker: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways = Gateways(monkeypatch)
    dispatcher_of(maker, fresh=False).step()
    assert (gateways.asked, maker.queue()) == ([], {})


def test_a_refused_one_is_made_again(told: Delivered, maker: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    gateways = Gateways(monkeypatch)
    gateways.answers["https://gateway-1.invalid"] = Answer(422, "its gateway answered 422: its bundle is not verified")
    dispatcher_of(maker).step()
    row = row_of(told, maker, "make hip", 1)
    assert (row.text, row.attempts, row.state) == (b"", 1, State.WAITING)


def test_one_that_cannot_be_made_does_not_stop_the_others(
    told: Delivered, maker: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gateways(monkeypatch)
    collect(maker)
    with maker.store.transaction() as connection:
        # A document that cannot be read: the hand-over that would have it fails, and says so.
        root = told.apart.roots["hip-1"]
        connection.exec_driver_sql("UPDATE documents SET document = '{}' WHERE root = ?", (root,))
    dispatcher_of(maker).step()
    with maker.store.reading() as connection:
        waiting = HandoverRepository(connection).all(State.WAITING)
    assert waiting
    assert all(row.reason for row in waiting)
    assert count_handovers(maker.store)["delivered"] > 0
