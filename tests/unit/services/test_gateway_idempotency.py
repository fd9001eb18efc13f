"""Writes that are done once: repetition, other bodies, two at a time, crashes, restarts, and time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Response
from pydantic import BaseModel

from millmark.ledger.errors import InputError, StoreBusyError, StoreError
from millmark.ledger.store import Store
from millmark.services.access.rules import Rule, Without
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.http.middleware import KEEP_S, Idempotent
from millmark.services.gateway.http.route_table import Route
from millmark.services.idempotency.repository import AnswerRepository, AnswerRow
from tests.support.gateway_client import Caller
from tests.support.patience import MAX_S
from tests.support.stores import new_store

KEY = "4f2c7c1e-9d0b"
PATH = "/v1/things"


class Thing(BaseModel):
    name: str


@dataclass
class Site:
    """A gateway with a route that counts what it does by token, and fails where it is told to."""

    store: Store
    now_s: int = 1_800_000_000
    done: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def start(self) -> Caller:
        app: FastAPI = create_gateway(GatewayParts(self.store, build_policy("loopback-open"), clock=lambda: self.now_s))

        def make(body: Thing, idempotent: Idempotent) -> Response:
            return idempotent.respond(lambda token: self._work(token, body))

        def put(name: str, body: Thing, idempotent: Idempotent) -> Response:
            return idempotent.respond(lambda token: self._work(token, body))

        app.state.routes.add(Route("POST", PATH, Rule(Without.SCOPE)), make)
        app.state.routes.add(Route("PUT", PATH + "/{name}", Rule(Without.SCOPE)), put)
        return Caller(app)

    def _work(self, token: str, body: Thing) -> Response:
        self.done.append(token)
        self.entered.set()
        assert self.gate.wait(MAX_S)
        if self.failure is not None:
            raise self.failure
        return Response(f'{{"made": "{body.name}", "time": {len(self.done)}}}', 201, {"Location": "/v1/things/1"})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with new_store(tmp_path) as store:
        yield Site(store)


def send(caller: Caller, name: str = "a", key: str = KEY, path: str = PATH, method: str = "POST") -> httpx.Response:
    return caller.ask(path, method, {"name": name}, Idempotency_Key=key)


def test_a_repetition_is_answered_the_same_and_done_once(site: Site) -> None:
    caller = site.start()
    first, second, other = send(caller), send(caller), send(caller, key="another-key")
    assert (first.status_code, first.headers["location"]) == (201, "/v1/things/1")
    assert (second.status_code, second.content, second.headers["location"]) == (201, first.content, "/v1/things/1")
    assert (second.headers["idempotent-replayed"], "idempotent-replayed" in first.headers) == ("true", False)
    assert other.json()["time"] == len(site.done) == 2
    assert len(set(site.done)) == 2


def test_another_request_under_the_key_is_refused(site: Site) -> None:
    caller = site.start()
    send(caller)
    answer = send(caller, "b")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:millmark:problem:idempotency-key-reused")
    assert send(caller, path=PATH + "?x=1").status_code == 422
    assert len(site.done) == 1


def test_a_key_is_of_one_route_and_its_path(site: Site) -> None:
    caller = site.start()
    assert send(caller).status_code == 201
    assert send(caller, path=PATH + "/one", method="PUT").status_code == 201
    assert send(caller, path=PATH + "/two", method="PUT").status_code == 422


@pytest.mark.parametrize("key", ["", "short", "a" * 129, "with a blank", "semi;colon", '"quoted-key"', "a\tb\tc\td\te"])
def test_keys_that_are_none(site: Site, key: str) -> None:
    caller = site.start()
    answer = caller.ask(PATH, "POST", {"name": "a"}, Idempotency_Key=key)
    assert answer.status_code == 422
    assert caller.ask(PATH, "POST", {"name": "a"}).status_code == 422
    assert site.done == []


def test_what_is_refused_is_not_kept(site: Site) -> None:
    caller = site.start()
    site.failure = InputError("no")
    assert send(caller, "wrong").status_code == 400
    site.failure = None
    assert send(caller, "right").status_code == 201


def test_a_busy_database_asks_to_come_again(site: Site) -> None:
    caller = site.start()
    site.failure = StoreBusyError("all connections are in use")
    answer = send(caller)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "urn:millmark:problem:store-busy"


def test_while_one_is_under_way_the_other_waits(site: Site) -> None:
    caller = site.start()
    site.gate.clear()
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(send(caller)))
    thread.start()
    assert site.entered.wait(MAX_S)
    answer = send(caller)
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert answer.json()["type"] == "urn:millmark:problem:request-in-flight"
    site.gate.set()
    thread.join()
    assert [one.status_code for one in answers] == [201]
    assert send(caller).headers["idempotent-replayed"] == "true"


def test_fifty_at_once_are_one(site: Site) -> None:
    caller = site.start()
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(send(caller))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.status_code for one in answers} <= {201, 409}
    assert len(site.done) == 1
    assert len({one.content for one in answers if one.status_code == 201}) == 1


def test_another_process_at_work_is_waited_for_and_one_that_died_is_not(site: Site) -> None:
    caller = site.start()
    send(caller)
    with site.store.reading() as connection:
        row = AnswerRepository(connection).find(0, f"POST {PATH}", KEY)
    assert row is not None
    alive = replace(row, status=0, body=b"", holder="elsewhere/1/2")
    for holder, now_s, status in ((alive.holder, 0, 409), (alive.holder, 120, 201), ("gone", 0, 201)):
        begin(site.store, alive if holder != "gone" else replace(alive, holder=dead(row.holder)))
        site.now_s = row.begun_at + now_s
        assert send(caller).status_code == status
    assert len(site.done) == 3
    assert len(set(site.done)) == 1  # under the token of the first try


def begin(store: Store, row: AnswerRow) -> None:
    with store.transaction() as connection:
        AnswerRepository(connection).begin(row)


def dead(holder: str) -> str:
    host, number, began = holder.rsplit("/", 2)
    return f"{host}/{number}/{int(began) - 1}"


def test_a_crash_before_the_answer_is_kept_lets_the_next_try_do_it_again_under_the_same_token(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = site.start()
    with monkeypatch.context() as broken:
        broken.setattr(AnswerRepository, "finish", lambda *_: (_ for _ in ()).throw(StoreError("the disk is full")))
        assert send(caller).status_code == 503
    assert send(site.start()).status_code == 201
    assert len(site.done) == 2
    assert len(set(site.done)) == 1


def test_after_a_restart_the_answer_is_still_there_and_after_a_week_it_is_not(site: Site) -> None:
    first = send(site.start())
    site.now_s += KEEP_S
    assert send(site.start()).content == first.content
    site.now_s += 1
    assert send(site.start()).json()["time"] == 2
