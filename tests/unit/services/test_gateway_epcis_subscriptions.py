"""Subscriptions to queries: made, listed, shown, ended; whose they are, what is refused, and what is delivered."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.store import Store
from millmark.services.access import CredentialKind, Scope, SignIn, new_api_key, revoke
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.epcis import QuerySource, standing_queries
from millmark.services.gateway.epcis.named_queries import QUERIES
from millmark.services.gateway.epcis.standing_queries import MAX_PER_COMPANY, MAX_PER_QUERY
from millmark.services.interop.epcis.schema import document_faults
from millmark.services.serving.logs import build_logger
from millmark.services.settings import Auth
from millmark.services.webhooks.dispatcher import DeliveryPolicy, Dispatcher
from millmark.services.webhooks.repository import WebhookRepository
from millmark.services.webhooks.subscriptions import State, Subscriber, Subscriptions
from tests.support.epcis_events import capture, document, event
from tests.support.fake_world import COORDINATOR, SMITH, build_world
from tests.support.gateway_client import Caller
from tests.support.patience import MAX_S, wait_until
from tests.support.receiver import Receiver
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign_in
from tests.support.stores import new_store

Json = dict[str, Any]
POLICY = DeliveryPolicy(loopback=True, timeout_s=MAX_S, retry_waits_s=(0.01, 0.01), interval_s=0.01)
TOKEN = "13df38d8275b13f05704629e5f1cf3d45d6132d5"
MINE = f"{QUERIES}/mine/subscriptions"
DEST = "https://client.example.com/queryCallback"
OPERATOR = Subscriber(0, owner=True)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        yield store


@pytest.fixture
def caller(store: Store) -> Caller:
    """There is one query, for what was observed, and no event."""
    caller = Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"), delivery_policy=POLICY)))
    make(caller)
    return caller


def make(caller: Caller, name: str = "mine", **query: object) -> None:
    definition = {"name": name, "query": query or {"EQ_action": ["OBSERVE"]}}
    assert caller.ask(QUERIES, "POST", definition).status_code == 201


def subscribe(caller: Caller, dest: str = DEST, path: str = MINE, **members: object) -> Json:
    body = {"dest": dest, "signatureToken": TOKEN, **(members or {"stream": True})}
    answer = caller.ask(path, "POST", {name: one for name, one in body.items() if one is not None})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    assert answer.headers["location"] == f"{path}/{made['subscriptionID']}"
    assert TOKEN not in answer.text
    return made


@contextmanager
def delivering(store: Store, clock_ms: Callable[[], int] = now_ms) -> Iterator[None]:
    dispatcher = Dispatcher(store, POLICY, build_logger(), clock_ms, queries=QuerySource(store))
    dispatcher.start()
    try:
        yield
    finally:
        dispatcher.stop()


def numbers(receiver: Receiver) -> list[int]:
    """The last part of the id of each event that was accepted, in order of arrival."""
    return [int(one["eventID"][-12:]) for body in receiver.taken for one in events_of(body)]


def events_of(body: Json) -> list[Json]:
    found: list[Json] = body["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return found


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).removeprefix("epcisException:")


def test_made_listed_shown_and_ended(caller: Caller) -> None:
    made = subscribe(caller, schedule={"hour": "1", "minute": "5"}, reportIfEmpty=True)
    assert (made["queryName"], made["dest"], made["state"]) == ("mine", DEST, "active")
    assert (made["schedule"], made["reportIfEmpty"]) == ({"hour": "1", "minute": "5"}, True)
    other = subscribe(caller)
    assert other["stream"] is True
    assert caller.ask(MINE).json() == [made, other]
    first = caller.ask(f"{MINE}?perPage=1")
    assert first.json() == [made]
    rest = caller.ask(first.headers["link"].partition(">")[0].removeprefix("<"))
    assert (rest.json(), "link" in rest.headers) == ([other], False)
    place = f"{MINE}/{made['subscriptionID']}"
    assert caller.ask(place).json() == made
    assert TOKEN not in caller.ask("/v1/webhooks").text
    assert caller.ask(place, "DELETE").status_code == 204
    assert problem(caller.ask(place)) == problem(caller.ask(place, "DELETE")) == (404, "NoSuchResourceException")
    assert caller.ask(MINE).json() == [other]


def test_a_query_takes_its_subscriptions_with_it(caller: Caller) -> None:
    subscribe(caller)
    make(caller, "other")
    kept = subscribe(caller, path=f"{QUERIES}/other/subscriptions")
    assert caller.ask(f"{QUERIES}/mine", "DELETE").status_code == 204
    assert problem(caller.ask(MINE)) == (404, "NoSuchNameException")
    make(caller)
    assert caller.ask(MINE).json() == []
    assert caller.ask(f"{QUERIES}/other/subscriptions").json() == [kept]


@pytest.mark.parametrize(
    "members",
    [
        {"stream": None}, {"stream": False}, {"stream": "true"}, {"stream": 1}, {"schedule": {"minute": "5"}},
        {"stream": None, "schedule": {"second": "0,30"}}, {"stream": None, "schedule": {}},
        {"reportIfEmpty": True}, {"reportIfEmpty": "no"}, {"initialRecordTime": "2026-03-02"},
        {"initialRecordTime": "2999-03-02T00:00:00Z"}, {"initialRecordTime": 5}, {"signatureToken": "short"},
        {"signatureToken": "a b" * 10}, {"signatureToken": 7}, {"dest": None}, {"dest": "wss://client.example.com/"},
        {"epcFormat": "Always_EPC_URN"}, {"secret": TOKEN},
    ],
)  # fmt: skip
def test_controls_that_are_refused(caller: Caller, members: Json) -> None:
    body = {"dest": DEST, "signatureToken": TOKEN, "stream": True, **members}
    answer = caller.ask(MINE, "POST", {name: one for name, one in body.items() if one is not None})
    assert problem(answer) == (400, "SubscriptionControlsException")
    assert TOKEN not in answer.text
    assert caller.ask(MINE).json() == []


@pytest.mark.parametrize("dest", ["http://client.example.com/", "https://10.0.0.1/", "https://client.example.com:22/"])
def test_targets_that_are_refused(caller: Caller, dest: str) -> None:
    answer = caller.ask(MINE, "POST", {"dest": dest, "stream": True})
    assert problem(answer) == (400, "ValidationException")


def test_bodies_that_are_refused(caller: Caller) -> None:
    for body in (b"", b"[]", b"{", b'{"dest": "' + b"a" * 9000 + b'"}'):
        assert caller.ask(MINE, "POST", body, Content_Type="application/json").status_code == 400
    assert caller.ask(MINE, "POST", b"{}", Content_Type="text/plain").status_code == 415
    assert caller.ask(MINE, Accept="application/xml").status_code == 406
    assert problem(caller.ask(f"{QUERIES}/none/subscriptions", "POST", {"dest": DEST, "stream": True})) == (
        404,
        "NoSuchNameException",
    )


@pytest.mark.parametrize("query", [{"eventCountLimit": 5}, {"maxEventCount": 5}, {"orderBy": "eventTime"}])
def test_a_query_with_limits_or_an_order_is_not_subscribed_to(caller: Caller, query: Json) -> None:
    make(caller, "limited", EQ_action=["ADD"], **query)
    answer = caller.ask(f"{QUERIES}/limited/subscriptions", "POST", {"dest": DEST, "stream": True})
    assert problem(answer) == (400, "SubscriptionControlsException")


def test_there_are_not_too_many(caller: Caller) -> None:
    for number in range(MAX_PER_COMPANY // MAX_PER_QUERY):
        make(caller, f"q{number}")
        for _ in range(MAX_PER_QUERY):
            subscribe(caller, path=f"{QUERIES}/q{number}/subscriptions")
        more = caller.ask(f"{QUERIES}/q{number}/subscriptions", "POST", {"dest": DEST, "stream": True})
        assert problem(more) == (400, "SubscriptionControlsException")
    assert problem(caller.ask(MINE, "POST", {"dest": DEST, "stream": True}))[0] == 400
    # Webhooks for records are counted apart.
    assert caller.ask("/v1/webhooks", "POST", {"url": "https://erp.cedar.example/hook"}).status_code == 201


def test_a_stream_has_what_matches_signed_and_in_order(caller: Caller, store: Store) -> None:
    capture(caller, document(event(1)))
    with Receiver() as receiver, delivering(store):
        made = subscribe(caller, receiver.url)
        capture(caller, document(event(3), event(2, action="ADD"), event(4)))
        capture(caller, document(event(5)))
        wait_until(lambda: numbers(receiver) == [3, 4, 5])
        headers, body = receiver.seen[0]
        wait_until(lambda: "lastNotifiedAt" in caller.ask(f"{MINE}/{made['subscriptionID']}").json())
    assert headers["gs1-signature"] == hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
    assert headers["content-type"] == "application/json"
    for told in receiver.taken:
        assert document_faults(told) == []
        results = told["epcisBody"]["queryResults"]
        assert (results["queryName"], results["subscriptionID"]) == ("mine", made["subscriptionID"])


def test_without_a_token_nothing_is_signed(caller: Caller, store: Store) -> None:
    with Receiver() as receiver, delivering(store):
        subscribe(caller, receiver.url, stream=True, signatureToken=None)
        capture(caller, document(event(1)))
        wait_until(lambda: numbers(receiver) == [1])
    assert "gs1-signature" not in receiver.seen[0][0]


def test_events_from_an_initial_time_on(caller: Caller, store: Store) -> None:
    capture(caller, document(event(1)))
    before_ms = now_ms()
    wait_until(lambda: now_ms() > before_ms)  # the two differ in the times at which they were recorded
    capture(caller, document(event(2), event(3)))
    [second, *_] = [one["recordTime"] for one in events_of(caller.ask(f"{QUERIES}/mine/events").json())]
    with Receiver() as receiver, delivering(store):
        made = subscribe(caller, receiver.url, stream=True, initialRecordTime=second)
        assert made["initialRecordTime"] == made["minRecordTime"] == second
        wait_until(lambda: numbers(receiver) == [2, 3])


def test_a_receiver_that_asks_for_smaller_parts_gets_them(
    caller: Caller, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    receiver.answer = lambda _: 413 if receiver.seen[-1][1].count(b'"eventID"') > 2 else 200
    with receiver:
        subscribe(caller, receiver.url)
        capture(caller, document(*(event(number) for number in range(1, 8))))
        with delivering(store):
            wait_until(lambda: numbers(receiver) == [*range(1, 8)])
            assert {len(events_of(one)) for one in receiver.taken} <= {1, 2}
            # No delivery has more bytes than it may, unless a single event has.
            monkeypatch.setattr(standing_queries, "_MOST_BYTES", 10)
            capture(caller, document(event(8), event(9)))
            wait_until(lambda: numbers(receiver) == [*range(1, 10)])
    assert [len(events_of(one)) for one in receiver.taken[-2:]] == [1, 1]


def test_nothing_is_lost_when_deliveries_fail_and_the_dispatcher_restarts(caller: Caller, store: Store) -> None:
    with Receiver(lambda number: 503 if number % 2 else 200) as receiver:
        made = subscribe(caller, receiver.url)
        for number in range(1, 7):
            capture(caller, document(event(number)))
            with delivering(store):
                wait_until(lambda number=number: numbers(receiver)[-1:] == [number])  # type: ignore[misc]  # bound early
    # What was accepted just before a stop may come again, but nothing is left out or overtakes.
    assert [one for one, _ in groupby(numbers(receiver))] == [*range(1, 7)]
    assert caller.ask(f"{MINE}/{made['subscriptionID']}").json()["state"] == "active"


def test_a_parked_subscription_goes_on_where_it_stopped(caller: Caller, store: Store) -> None:
    with Receiver(lambda _: 410) as receiver, delivering(store):
        made = subscribe(caller, receiver.url)
        place = f"{MINE}/{made['subscriptionID']}"
        capture(caller, document(event(1)))
        wait_until(lambda: caller.ask(place).json()["state"] == "parked")
        assert caller.ask(place).json()["reason"] == "answered 410"
        receiver.answer = lambda _: 200
        capture(caller, document(event(2)))
        resumed = caller.ask(f"/v1/webhooks/{made['subscriptionID']}/resume", "POST").json()
        assert (resumed["mode"], resumed["query"]) == ("epcis", "mine")
        wait_until(lambda: numbers(receiver) == [1, 2])
    renewed = caller.ask(f"/v1/webhooks/{made['subscriptionID']}/secret", "POST")
    assert renewed.status_code in (400, 422)


class Clock:
    """A minute of the schedule passes when the test says so."""

    def __init__(self) -> None:
        self.ms = now_ms()

    def __call__(self) -> int:
        return self.ms

    def pass_minute(self) -> None:
        self.ms += 61_000


def test_a_schedule_reports_what_came_since_the_last_time(caller: Caller, store: Store) -> None:
    clock = Clock()
    with Receiver() as receiver, delivering(store, clock):
        subscribe(caller, receiver.url, schedule={"second": "0"})
        reported = subscribe(caller, receiver.url.replace("hook", "all"), schedule={"second": "0"}, reportIfEmpty=True)
        capture(caller, document(event(1), event(2)))
        assert receiver.seen == []
        clock.pass_minute()
        wait_until(lambda: sorted(numbers(receiver)) == [1, 1, 2, 2])
        wait_until(lambda: all(row.due_ms > clock.ms for row in rows(store)))
        clock.pass_minute()
        wait_until(lambda: len(receiver.taken) == 3)
        wait_until(lambda: all(row.due_ms > clock.ms for row in rows(store)))
        empty = receiver.taken[2]["epcisBody"]["queryResults"]
        assert (events_of(receiver.taken[2]), empty["subscriptionID"]) == ([], reported["subscriptionID"])
        assert document_faults(receiver.taken[2]) == []


def test_an_execution_in_parts_is_not_reported_as_empty(caller: Caller, store: Store) -> None:
    """It was delivered before a restart, which forgot that it was the last part."""
    with Receiver() as receiver:
        made = subscribe(caller, receiver.url, schedule={"second": "0"}, reportIfEmpty=True)
        with store.transaction() as connection:
            webhooks = WebhookRepository(connection)
            webhooks.change(made["subscriptionID"], due_ms=1000, next_try_ms=1000, delivered_ms=1001)
        with delivering(store):
            wait_until(lambda: all(row.due_ms > 1000 for row in rows(store)))
    assert receiver.seen == []


def rows(store: Store) -> list[Any]:
    with store.reading() as connection:
        return list(WebhookRepository(connection).all())


@pytest.fixture
def site(store: Store) -> Callable[..., httpx.Response]:
    """Requests of companies that have nothing to do with each other's events."""
    build_world(store)
    add_keys(store, SMITH, COORDINATOR)
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=20)
    app = create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, delivery_policy=POLICY))

    def ask(who: int | str, path: str, method: str = "GET", body: object = None) -> httpx.Response:
        token = who if isinstance(who, str) else sign_in(SignIn(store, ORIGIN), who).token
        return Caller(app).ask(path, method, body, Host="gateway.example", Authorization=f"Bearer {token}")

    return ask


def test_only_what_the_company_may_see_is_delivered(store: Store, site: Callable[..., httpx.Response]) -> None:
    with Receiver() as receiver, Receiver() as other:
        for who, one in ((SMITH, receiver), (COORDINATOR, other)):
            assert site(who, QUERIES, "POST", {"name": "mine", "query": {}}).status_code == 201
            body = {"dest": one.url, "stream": True, "signatureToken": TOKEN}
            assert site(who, MINE, "POST", body).status_code == 201
        for number, who in ((1, SMITH), (2, COORDINATOR), (3, SMITH), (4, COORDINATOR)):
            assert site(who, "/epcis/v2/capture", "POST", document(event(number))).status_code == 202
        with delivering(store):
            wait_until(lambda: len(numbers(receiver)) >= 2 and len(numbers(other)) >= 2)
    assert (numbers(receiver), numbers(other)) == ([1, 3], [2, 4])


def test_another_company_does_not_learn_of_it(site: Callable[..., httpx.Response]) -> None:
    for who in (SMITH, COORDINATOR):
        assert site(who, QUERIES, "POST", {"name": "mine", "query": {}}).status_code == 201
    made = site(SMITH, MINE, "POST", {"dest": DEST, "stream": True}).json()["subscriptionID"]
    assert site(COORDINATOR, MINE).json() == []
    for method in ("GET", "DELETE"):
        foreign, unknown = (site(COORDINATOR, f"{MINE}/{one}", method) for one in (made, "0" * 16))
        assert problem(foreign) == problem(unknown) == (404, "NoSuchResourceException")
    assert [one["subscriptionID"] for one in site(SMITH, MINE).json()] == [made]


@pytest.mark.parametrize("how", ["revoked", "without the scope"])
def test_it_ends_with_its_api_key(store: Store, site: Callable[..., httpx.Response], how: str) -> None:
    now_s = int(time.time())
    token, key = new_api_key(store, SMITH, [Scope.PROVENANCE, Scope.CAPTURE], "erp", now_s=NOW_S, life_s=86_400)
    assert site(token, QUERIES, "POST", {"name": "mine", "query": {}}).status_code == 201
    with Receiver() as receiver:
        made = site(token, MINE, "POST", {"dest": receiver.url, "stream": True}).json()["subscriptionID"]
        if how == "revoked":
            revoke(store, key.id, CredentialKind.API_KEY, now_s=now_s)
        else:
            other = new_api_key(store, SMITH, [Scope.EVENTS], "erp", now_s=NOW_S, life_s=86_400)[1]
            subscriber = Subscriber(SMITH, owner=False, credential=other.id)
            assert Subscriptions(store).resume(subscriber, made).api_key == other.id
        assert site(SMITH, "/epcis/v2/capture", "POST", document(event(1))).status_code == 202
        with delivering(store):
            wait_until(lambda: Subscriptions(store).get(OPERATOR, made).state == State.PARKED)
        assert receiver.seen == []
    reason = Subscriptions(store).get(OPERATOR, made).reason
    assert reason is not None
    assert ("was revoked" if how == "revoked" else "lacks the scope") in reason
