"""Costly requests take turns, however many there are, and cost what they cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from millmark.ledger import provenance
from millmark.ledger.store import Store
from millmark.services.access import Principal, new_api_key
from millmark.services.access import Scope as Permission
from millmark.services.access.rules import Rule, Without
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.http.authentication import BYTES_PER_TOKEN, PER_CALLER, CostlyRequests
from millmark.services.gateway.http.problems import BusyError, RateLimitedError
from tests.support.fake_world import build_world
from tests.support.patience import MAX_S, wait_until
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store

TRACE = "/v1/trace/urn:example:hip-1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        build_world(store)
        yield store


def test_the_cost_follows_the_limits_that_a_request_asks_for() -> None:
    rule = Rule(Without.SCOPE, cost=10, limits=(64, 1000))
    assert [rule.cost_of(query) for query in ({}, {"lots": "10000"}, {"lots": "10000", "depth": "256"})] == [10, 19, 22]
    assert [rule.cost_of({"lots": text}) for text in ("1", "0", "", "-5", "²", "9" * 5000)] == [10] * 6
    assert Rule(Without.SCOPE, cost=4).cost_of({"lots": "10000"}) == 4


class Blocked:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.working, self.go = 0, asyncio.Event()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.working += 1
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(3 * BYTES_PER_TOKEN), "more_body": False})


async def nothing() -> Message:
    raise NotImplementedError


async def swallow(_: Message) -> None:
    pass


def caller(number: int | None) -> Principal:
    return Principal(number, 0, frozenset(), "", owner=False, expires_at=0)


def test_one_caller_has_few_under_way_and_all_together_have_some() -> None:
    async def scenario() -> None:
        limiter = Limiter(Rates(participant=1), lambda: 0.0)
        costly, app = CostlyRequests(limiter), Blocked()

        def ask(number: int | None) -> asyncio.Task[None]:
            return asyncio.ensure_future(costly.serve(caller(number), app, {}, nothing, swallow))

        running = [ask(number) for number in range(1, 17) for _ in range(PER_CALLER)]
        await asyncio.sleep(0)
        assert app.working == 4, "the others wait, and hold no thread"
        with pytest.raises(RateLimitedError):
            await ask(1)
        with pytest.raises(BusyError):
            await ask(None)
        app.go.set()
        await asyncio.gather(*running)
        await ask(None)
        with pytest.raises(RateLimitedError):
            limiter.take(1, 1)  # four answers at three tokens each, of the five that there were

    asyncio.run(scenario())


def test_traces_of_one_caller_do_not_keep_another_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    go, traced, build_trace = threading.Event(), [], provenance.build_trace

    def slow(*arguments: Any) -> Any:
        traced.append(arguments)
        assert go.wait(MAX_S)
        return build_trace(*arguments)

    monkeypatch.setattr(provenance, "build_trace", slow)
    app = create_gateway(GatewayParts(store, build_policy("required", url=ORIGIN, owner=3), clock=lambda: NOW_S))
    keys = [new_api_key(store, one, [Permission.PROVENANCE], "ERP", now_s=NOW_S, life_s=900)[0] for one in (3, 4)]
    first, second = ({"Authorization": f"Bearer {key}", "Host": "gateway.example"} for key in keys)

    async def scenario() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=MAX_S) as client:
            asked = [
                asyncio.ensure_future(client.get(f"{TRACE}?lots={number + 1}", headers=first)) for number in range(100)
            ]
            while not traced:
                await asyncio.sleep(0.01)
            lots = await client.get("/v1/lots?limit=1", headers=second)
            assert lots.status_code == 200
            assert not go.is_set()
            go.set()
            return [(await one).status_code for one in asked]

    statuses = asyncio.run(scenario())
    assert statuses.count(200) == PER_CALLER
    assert statuses.count(429) == 100 - PER_CALLER
    wait_until(lambda: len(traced) == PER_CALLER)
