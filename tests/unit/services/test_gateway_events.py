"""The feed over HTTP: pages, streams that go on where they ended, and webhooks by whose they are."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.events.lots import LotReceived
from millmark.ledger.store import Store
from millmark.services.access import Scope, SignIn
from millmark.services.access.credentials import CredentialKind, new_api_key, revoke
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.api import events as events_module
from millmark.services.serving.server import build_server, listen, serve_on
from millmark.services.settings import Auth
from millmark.services.webhooks.repository import WebhookRepository
from millmark.services.webhooks.subscriptions import MAX_WEBHOOKS
from tests.support.fake_ledger import NONE, PIECE, digest
from tests.support.fake_world import CARRIER, COORDINATOR, SMITH, World, build_world
from tests.support.gateway_client import Caller, build_caller
from tests.support.patience import MAX_S, wait_until
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign_in
from tests.support.stores import new_store

Json = dict[str, Any]
HOST = "gateway.example"
URL = "https://erp.example/hook"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        told = build_world(store)
        add_keys(store, SMITH, COORDINATOR, CARRIER)
        yield told


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A gateway for all requests that are refused, since they leave nothing behind."""
    with new_store(tmp_path_factory.mktemp("refusing")) as store:
        build_world(store)
        limiter = Limiter(Rates(1e9, 1e9))
        yield build_caller(store, limiter=limiter)


def guarded(store: Store) -> Caller:
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=COORDINATOR)
    return Caller(create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S)))


class Person:
    """A participant that has signed in."""

    def __init__(self, caller: Caller, store: Store, participant: int) -> None:
        self._caller = caller
        self.session = sign_in(SignIn(store, ORIGIN), participant)
        self.bearer = f"Bearer {self.session.token}"

    def ask(self, path: str, method: str = "GET", body: object = None) -> httpx.Response:
        return self._caller.ask(path, method, body, Host=HOST, Authorization=self.bearer)


def record(world: World, name: str, participant: int = SMITH) -> None:
    lot = digest("lot", name)
    world.fake.chain.record(LotReceived(1, PIECE, NONE), participant, lot, (lot,))
    world.follow()


# Pages


def test_pages_from_the_beginning_to_what_is_recorded_next(world: World) -> None:
    caller, place, seen = build_caller(world.store), "0.0", []
    while True:
        page = caller.ask(f"/v1/events?after={place}").json()
        seen += page["items"]
        if page["next"] == place:
            break
        place = page["next"]
    assert place == seen[-1]["position"]
    record(world, "next")
    [one] = caller.ask(f"/v1/events?after={place}").json()["items"]
    assert (one["type"], one["specversion"]) == ("millmark.ledger.LotReceived", "1.0")
    assert caller.ask(f"/v1/events?after={place}&kinds=LotScrapped").json()["items"] == []
    assert caller.ask(f"/v1/events?after={place}&subjects=0x{digest('lot', 'next').hex()}").json()["items"] == [one]


@pytest.mark.parametrize("query", ["after=x", "after=1", "after=01.1", "after=1.-1", "kinds=lot", "subjects=0x12"])
def test_pages_that_are_refused(refusing: Caller, query: str) -> None:
    assert refusing.ask(f"/v1/events?{query}").status_code in (400, 422)


def test_a_page_has_what_there_is_for_the_caller(world: World) -> None:
    caller = guarded(world.store)
    owner, carrier = (Person(caller, world.store, one) for one in (COORDINATOR, CARRIER))
    everything, some = (one.ask("/v1/events?after=0.0").json() for one in (owner, carrier))
    assert everything["next"] == some["next"]
    assert 0 < len(some["items"]) < len(everything["items"])
    positions = [one["position"] for one in everything["items"]]
    assert [one["position"] for one in some["items"]] == [
        one for one in positions if one in {item["position"] for item in some["items"]}
    ]


# Streams


@contextmanager
def served(world: World, *, required: bool = False) -> Iterator[str]:
    """A gateway on a real socket."""
    policy = build_policy("required", owner=COORDINATOR) if required else build_policy("loopback-open")
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = build_server(create_gateway(GatewayParts(world.store, policy)), "127.0.0.1", port)
    server.config.app.state.connections.stopping = lambda: server.should_exit  # type: ignore[union-attr]
    thread = threading.Thread(target=serve_on, args=([listener], server), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/v1/events"
    finally:
        server.should_exit = True
        thread.join(MAX_S)
        assert not thread.is_alive()  # although streams were open


def follow(lines: Iterator[str]) -> Iterator[tuple[str, Json]]:
    """Id and CloudEvent of each event."""
    id_ = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            id_ = value
        elif name == "data":
            yield id_, json.loads(value)


SSE = {"Accept": "text/event-stream"}


def test_a_stream_goes_on_where_the_last_one_ended(world: World) -> None:
    with served(world) as url, httpx.Client(timeout=MAX_S) as client:
        whole = client.get(f"{url}?after=0.0").json()["items"]
        with client.stream("GET", f"{url}?after=0.0", headers=SSE) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            events = follow(answer.iter_lines())
            first = [next(events) for _ in range(5)]
        with client.stream("GET", url, headers={**SSE, "Last-Event-ID": first[-1][0]}) as answer:
            events = follow(answer.iter_lines())
            rest = [next(events) for _ in range(len(whole) - 5)]
            record(world, "while it is open")
            id_, last = next(events)
        assert [event for _, event in first + rest] == whole
        assert [one for one, _ in first + rest] == [event["position"] for event in whole]
        assert (last["data"]["kind"], id_) == ("LotReceived", last["position"])


def test_a_stream_begins_with_what_is_recorded_next_and_ends_with_the_gateway(world: World) -> None:
    with ExitStack() as open_, httpx.Client(timeout=MAX_S) as client:
        url = open_.enter_context(served(world))
        with client.stream("GET", url, headers=SSE) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("retry: ")
            record(world, "one")
            assert next(follow(lines))[1]["data"]["kind"] == "LotReceived"
            open_.close()
            assert [line for line in lines if line.startswith("data")] == []


def test_a_head_request_does_not_open_a_stream(world: World) -> None:
    with served(world) as url:
        assert httpx.head(url, headers=SSE, timeout=MAX_S).status_code == 200


def test_streams_are_few(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_MAX_OPEN_EACH", 1)
    with served(world) as url, httpx.Client(timeout=MAX_S) as client:
        with client.stream("GET", url, headers=SSE) as answer:
            lines = answer.iter_lines()
            next(lines)
            refused = client.get(url, headers=SSE)
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:millmark:problem:busy")
            assert refused.headers["retry-after"] == "30"
        wait_until(lambda: _opens(client, url))


def test_a_stream_whose_head_does_not_go_out_holds_no_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_MAX_OPEN_EACH", 1)
    app = create_gateway(GatewayParts(world.store, build_policy("loopback-open")))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},  # as uvicorn says
        "method": "GET",
        "path": "/v1/events",
        "raw_path": b"/v1/events",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"accept", b"text/event-stream")],
    }

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def refuse(message: object) -> None:
        raise OSError(f"{message} is not sent")

    with pytest.raises(OSError, match="is not sent"):
        asyncio.run(app(scope, gone, refuse))
    connections: events_module.SseConnections = app.state.connections
    connections.enter(0)


def _opens(client: httpx.Client, url: str) -> bool:
    with client.stream("GET", url, headers=SSE) as answer:
        return answer.status_code == 200


def test_a_stream_ends_with_its_credential(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_HEARTBEAT_S", 0.05)
    with served(world, required=True) as url, httpx.Client(timeout=MAX_S) as client:
        origin = url.removesuffix("/v1/events")
        session = sign_in(SignIn(world.store, origin), SMITH, now_s=_now_s())
        headers = {**SSE, "Authorization": f"Bearer {session.token}"}
        with client.stream("GET", url, headers=headers) as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith(": alive"))
            revoke(world.store, session.row.id, CredentialKind.SESSION, now_s=_now_s())
            assert list(lines) is not None  # it ends
        assert client.get(url, headers=headers).status_code == 401


def _now_s() -> int:
    return int(time.time())


# Webhooks


def test_a_webhook_from_beginning_to_end(world: World) -> None:
    smith = Person(guarded(world.store), world.store, SMITH)
    made = smith.ask("/v1/webhooks", "POST", {"url": URL, "kinds": ["LotReceived"], "after": "0.0"})
    assert made.status_code == 201
    secret, webhook = made.json()["secret"], made.json()["webhook"]
    assert (webhook["participant"], webhook["state"], webhook["position"]) == (SMITH, "active", "0.0")
    path = made.headers["location"]
    assert smith.ask(path).json() == webhook
    assert smith.ask("/v1/webhooks").json() == {"items": [webhook]}
    assert secret not in smith.ask("/v1/webhooks").text
    renewed = smith.ask(f"{path}/secret", "POST")
    assert (renewed.status_code, renewed.json()["secret"] != secret) == (201, True)
    with world.store.transaction() as connection:
        WebhookRepository(connection).change(webhook["id"], state="parked", attempts=9, reason="answered 500")
    assert smith.ask(path).json()["reason"] == "answered 500"
    assert smith.ask(f"{path}/resume", "POST").json()["state"] == "active"
    assert smith.ask(path, "DELETE").status_code == 204
    assert smith.ask(path).status_code == 404


def test_a_webhook_is_bound_to_the_api_key_that_makes_or_resumes_it(world: World) -> None:
    caller = guarded(world.store)
    smith = Person(caller, world.store, SMITH)
    texts, keys = [], []
    for _ in range(2):
        text, row = new_api_key(world.store, SMITH, [Scope.EVENTS], "erp", now_s=NOW_S, life_s=3600)
        texts.append(text)
        keys.append(row.id)

    def by_key(number: int, path: str, method: str = "GET", body: object = None) -> httpx.Response:
        return caller.ask(path, method, body, Host=HOST, Authorization=f"Bearer {texts[number]}")

    made = by_key(0, "/v1/webhooks", "POST", {"url": URL})
    path = made.headers["location"]
    assert made.json()["webhook"]["api_key"] == keys[0]
    assert by_key(1, f"{path}/resume", "POST").json()["api_key"] == keys[1]
    assert by_key(0, f"{path}/secret", "POST").json()["webhook"]["api_key"] == keys[1], "a new secret binds nothing"
    assert smith.ask(f"{path}/resume", "POST").json()["api_key"] is None


def test_webhooks_of_others_are_not_there(world: World) -> None:
    caller = guarded(world.store)
    smith, carrier, owner = (Person(caller, world.store, one) for one in (SMITH, CARRIER, COORDINATOR))
    path = smith.ask("/v1/webhooks", "POST", {"url": URL}).headers["location"]
    unknown = f"/v1/webhooks/{'0' * 16}"
    for method, end in (("GET", ""), ("DELETE", ""), ("POST", "/resume"), ("POST", "/secret")):
        answers = [carrier.ask(one + end, method) for one in (path, unknown)]
        assert [one.status_code for one in answers] == [404, 404]
        assert len({one.json()["title"] for one in answers}) == 1
    assert carrier.ask("/v1/webhooks").json() == {"items": []}
    assert len(owner.ask("/v1/webhooks").json()["items"]) == 1
    assert owner.ask(path).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "http://erp.example/"},
        {"url": "https://127.0.0.1/"},
        {"url": URL, "mode": "both"},
        {"url": URL, "kinds": ["lot"]},
        {"url": URL, "subjects": ["urn:example:hip-1"]},
        {"url": URL, "after": "now"},
        {"url": URL, "secret": "mine"},
        {"url": URL, "kinds": ["LotReceived"] * 51},
    ],
)
def test_webhooks_that_are_refused(refusing: Caller, body: Json) -> None:
    assert refusing.ask("/v1/webhooks", "POST", body).status_code in (400, 422)
    assert refusing.ask("/v1/webhooks").json() == {"items": []}


def test_webhooks_are_few(world: World) -> None:
    smith = Person(guarded(world.store), world.store, SMITH)
    answers = [smith.ask("/v1/webhooks", "POST", {"url": URL}).status_code for _ in range(MAX_WEBHOOKS + 1)]
    assert answers == [201] * MAX_WEBHOOKS + [400]
