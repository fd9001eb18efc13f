"""Telling receivers, over real sockets: each record at least once, in order, whatever a receiver or the chain does."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.events.lots import LotReceived
from millmark.ledger.index import Follower
from millmark.ledger.records import ALL_ROLES
from millmark.ledger.store import Feed, Position, Rows, Store
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import CredentialKind, Scope, new_api_key, revoke
from millmark.services.serving.logs import build_logger
from millmark.services.webhooks.dispatcher import DeliveryPolicy, Dispatcher
from millmark.services.webhooks.http_post import Mode, verify_webhook
from millmark.services.webhooks.repository import WebhookRepository
from millmark.services.webhooks.subscriptions import Filter, RecordFeed, State, Subscriber, Subscriptions
from tests.support.fake_ledger import NONE, PIECE, digest
from tests.support.fake_world import CARRIER, SMITH, World, build_world
from tests.support.patience import MAX_S, wait_until
from tests.support.receiver import Receiver
from tests.support.stores import new_store

ROOT = Path(__file__).parents[3]
START = Position(0, 0)
QUICK = DeliveryPolicy(loopback=True, timeout_s=MAX_S, retry_waits_s=(0.05, 0.05, 0.05), interval_s=0.02)
OWNER = Subscriber(20, owner=True)
STRANGER = 21
"""Has nothing to do with anything."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        told = build_world(store)
        with store.transaction() as connection:
            Rows(connection).insert(
                [
                    ParticipantRow(one, one, int(ALL_ROLES), 1, False, False, 0, 0, 1, bytes(32))
                    for one in (20, STRANGER)
                ]
            )
        yield told


@contextmanager
def telling(store: Store, delivery_policy: DeliveryPolicy = QUICK) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(store, delivery_policy, build_logger())
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()


def all_of(store: Store, viewer: int | None = None) -> list[tuple[str, int]]:
    """What the feed has, read at once."""
    feed, place, found = RecordFeed(store), START, []
    while True:
        some, end = feed.after(place, 7, viewer, Filter())
        found += [(one.event["data"]["contract"], one.event["data"]["sequence"]) for one in some]  # type: ignore[index,call-overload]
        if end == place:
            return found  # type: ignore[return-value]
        place = end


def record(world: World, name: str) -> None:
    lot = digest("lot", name)
    world.fake.chain.record(LotReceived(1, PIECE, NONE), SMITH, lot, (lot,))
    world.follow()


def test_all_records_in_the_order_of_the_chain(world: World) -> None:
    with Receiver() as receiver, telling(world.store):
        made = Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, after=START, now_ms=1)
        expected = all_of(world.store)
        wait_until(lambda: len(receiver.taken) >= len(expected))
        record(world, "one more")
        wait_until(lambda: len(receiver.taken) > len(expected))
    assert receiver.sequences == all_of(world.store)
    for contract in ("registry", "ledger"):
        numbers = [number for name, number in receiver.sequences if name == contract]
        assert numbers == list(range(1, len(numbers) + 1))
    headers, body = receiver.seen[0]
    event = json.loads(body)
    assert verify_webhook(made.secret, headers, body, now_s=int(headers["webhook-timestamp"])).endswith(event["id"])
    assert len({headers["webhook-id"] for headers, _ in receiver.seen}) == len(receiver.seen)


def test_one_that_rests_tells_what_is_new_once_it_is_woken(world: World) -> None:
    with Receiver() as receiver, telling(world.store) as dispatcher:
        dispatcher.loop.rest_s = 3600.0
        Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, after=START, now_ms=1)
        dispatcher.loop.wake()
        wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
        for number in range(3):
            record(world, f"more {number}")
            dispatcher.loop.wake()
            wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
    assert receiver.sequences == all_of(world.store)


def test_one_that_rests_is_in_time_for_the_next_attempt(world: World) -> None:
    """Nobody writes into the database then."""
    with Receiver(lambda number: 503 if number == 1 else 200) as receiver, telling(world.store) as dispatcher:
        dispatcher.loop.rest_s = 3600.0
        Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, after=START, now_ms=1)
        dispatcher.loop.wake()
        wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
    assert len(receiver.seen) == len(receiver.taken) + 1


def test_nothing_is_delivered_while_a_suspension_may_be_missing(world: World) -> None:
    fresh: list[bool] = [False]
    dispatcher = Dispatcher(world.store, QUICK, build_logger(), is_fresh=lambda: fresh[0])
    Subscriptions(world.store, loopback=True).add(OWNER, "https://erp.example/hook", after=START, now_ms=1)
    assert asyncio.run(dispatcher._due()) == []
    fresh[0] = True
    with ThreadPoolExecutor(1) as dispatcher._database:
        assert len(asyncio.run(dispatcher._due())) == 1


def test_a_backlog_stops_once_a_suspension_may_be_missing(world: World) -> None:
    with Receiver() as receiver:
        Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, after=START, now_ms=1)
        stale: list[None] = []

        def is_fresh() -> bool:
            if len(receiver.seen) >= 2:
                stale.append(None)
            return not stale

        dispatcher = Dispatcher(world.store, QUICK, build_logger(), is_fresh=is_fresh)
        dispatcher.start()
        wait_until(lambda: len(stale) > 5 or len(receiver.seen) > 2)
        dispatcher.stop()
        assert len(receiver.seen) == 2


def test_a_failure_that_is_over_is_no_trouble_any_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = Dispatcher(world.store, QUICK, build_logger())
    serve, mended = dispatcher._serve, threading.Event()

    async def fail_first() -> None:
        if not mended.is_set():
            raise RuntimeError
        await serve()

    monkeypatch.setattr(dispatcher, "_serve", fail_first)
    monkeypatch.setattr(dispatcher.loop, "_retry_s", 0.05)
    dispatcher.start()
    try:
        wait_until(lambda: dispatcher.loop.trouble() is not None)
        mended.set()
        wait_until(lambda: dispatcher.loop.trouble() is None)
    finally:
        dispatcher.stop()


def test_a_new_subscription_begins_with_what_is_recorded_next(world: World) -> None:
    with Receiver() as receiver, telling(world.store):
        Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, now_ms=1)
        record(world, "next")
        wait_until(lambda: bool(receiver.taken))
    assert len(receiver.taken) == 1


def test_binary_mode(world: World) -> None:
    with Receiver() as receiver, telling(world.store):
        made = Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, mode=Mode.BINARY, now_ms=1)
        record(world, "next")
        wait_until(lambda: bool(receiver.seen))
    headers, body = receiver.seen[0]
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-type"] == "millmark.ledger.LotReceived"
    assert json.loads(body)["sequence"] == int(headers["ce-id"].removeprefix("ledger-"))
    verify_webhook(made.secret, headers, body, now_s=int(headers["webhook-timestamp"]))


def test_filters(world: World) -> None:
    lot = world.lots["bar"]
    with Receiver() as kinds, Receiver() as subjects, telling(world.store):
        subscriptions = Subscriptions(world.store, loopback=True)
        subscriptions.add(OWNER, kinds.url, kinds=["LotReceived"], after=START, now_ms=1)
        subscriptions.add(OWNER, subjects.url, subjects=["0x" + lot.hex()], after=START, now_ms=2)
        end = RecordFeed(world.store).end()
        where = f"{end.registry}.{end.ledger}"
        wait_until(lambda: {one.position for one in subscriptions.list(OWNER)} == {where})
    assert {one["data"]["kind"] for one in kinds.taken} == {"LotReceived"}
    assert subjects.taken
    assert all("0x" + lot.hex() in [*one["data"]["histories"], one["subject"]] for one in subjects.taken)


def test_each_participant_is_told_what_there_is_for_it(world: World) -> None:
    receivers = {one: Receiver() for one in (SMITH, CARRIER, STRANGER)}
    subscriptions = Subscriptions(world.store, loopback=True)
    with telling(world.store):
        for participant, receiver in receivers.items():
            subscriptions.add(Subscriber(participant, owner=False), receiver.url, after=START, now_ms=1)
        end = RecordFeed(world.store).end()
        where = f"{end.registry}.{end.ledger}"
        wait_until(lambda: {one.position for one in subscriptions.list(OWNER)} == {where})
    everything = all_of(world.store)
    for participant, receiver in receivers.items():
        assert receiver.sequences == all_of(world.store, participant)
        receiver.close()
    told = {participant: len(receiver.taken) for participant, receiver in receivers.items()}
    assert told[STRANGER] < told[CARRIER] < len(everything)
    assert {one["data"]["contract"] for one in receivers[STRANGER].taken} == {"registry"}
    assert all("Machine" not in one["data"]["kind"] for one in receivers[STRANGER].taken)


@pytest.mark.parametrize("status", [500, 404, 302, 429])
def test_a_delivery_that_does_not_go_through_is_sent_again_and_nothing_overtakes_it(world: World, status: int) -> None:
    with Receiver(lambda number: status if number in (2, 3, 6) else 200) as receiver, telling(world.store):
        Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, after=START, now_ms=1)
        wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
    assert receiver.sequences == all_of(world.store)
    ids = [headers["webhook-id"] for headers, _ in receiver.seen]
    assert ids[1] == ids[2] == ids[3]
    assert len(ids) == len(receiver.taken) + 3


def test_after_the_last_try_it_is_parked_with_the_reason_and_goes_on_when_resumed(world: World) -> None:
    with Receiver(lambda number: 200 if number < 3 or number > 6 else 503) as receiver, telling(world.store):
        subscriptions = Subscriptions(world.store, loopback=True)
        id_ = subscriptions.add(OWNER, receiver.url, after=START, now_ms=1).webhook.id
        wait_until(lambda: subscriptions.get(OWNER, id_).state == State.PARKED)
        parked = subscriptions.get(OWNER, id_)
        assert (parked.reason, parked.attempts, len(receiver.taken)) == ("answered 503", 4, 2)
        record(world, "while parked")
        assert len(receiver.seen) == 6
        subscriptions.resume(OWNER, id_)
        wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
        assert subscriptions.get(OWNER, id_).reason is None
    assert receiver.sequences == all_of(world.store)


def test_a_receiver_ends_its_subscription_by_410(world: World) -> None:
    with Receiver(lambda _: 410) as receiver, telling(world.store):
        subscriptions = Subscriptions(world.store, loopback=True)
        id_ = subscriptions.add(OWNER, receiver.url, after=START, now_ms=1).webhook.id
        wait_until(lambda: subscriptions.get(OWNER, id_).state == State.PARKED)
    assert len(receiver.seen) == 1


def test_receivers_that_hang_or_are_dead_hold_up_nobody(world: World) -> None:
    hanging = [Receiver(lambda _: None) for _ in range(3)]
    with Receiver() as dead:
        pass
    with Receiver() as receiver, telling(world.store) as dispatcher:
        subscriptions = Subscriptions(world.store, loopback=True)
        for one in (*hanging, dead, receiver):
            subscriptions.add(OWNER, one.url, after=START, now_ms=1)
        wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
        assert all(len(one.seen) == 1 and not one.taken for one in hanging)
        dispatcher.stop()  # while three deliveries hang
    for one in hanging:
        one.close()


def test_a_receiver_that_restarts_misses_nothing(world: World) -> None:
    patient = replace(QUICK, retry_waits_s=(0.05,) * 200)
    with Receiver(lambda number: 200 if number < 4 else 500) as receiver, telling(world.store, patient):
        Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, after=START, now_ms=1)
        wait_until(lambda: len(receiver.seen) >= 4)
        receiver.close()
        with Receiver(port=receiver.port) as again:
            wait_until(lambda: len(again.taken) + len(receiver.taken) >= len(all_of(world.store)))
            assert receiver.sequences + again.sequences == all_of(world.store)


def test_a_dispatcher_that_restarts_goes_on_where_it_was(world: World) -> None:
    with Receiver(lambda number: 200 if number != 5 else 500) as receiver:
        with telling(world.store, replace(QUICK, retry_waits_s=(0.3,))):
            Subscriptions(world.store, loopback=True).add(OWNER, receiver.url, after=START, now_ms=1)
            wait_until(lambda: len(receiver.seen) >= 5)
        with telling(world.store):
            wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
    assert receiver.sequences == all_of(world.store)


def test_two_dispatchers_do_not_tell_the_same_receiver(world: World) -> None:
    with Receiver() as receiver, telling(world.store):
        subscriptions = Subscriptions(world.store, loopback=True)
        id_ = subscriptions.add(OWNER, receiver.url, now_ms=1).webhook.id
        with world.store.transaction() as connection:
            WebhookRepository(connection).change(id_, holder="elsewhere/1/1", held_until_ms=2**50)
        record(world, "held elsewhere")
        with Receiver() as other:
            subscriptions.add(OWNER, other.url, after=START, now_ms=2)
            wait_until(lambda: len(other.taken) >= len(all_of(world.store)))
        assert receiver.seen == []
        with world.store.transaction() as connection:
            WebhookRepository(connection).change(id_, held_until_ms=1)
        wait_until(lambda: len(receiver.taken) == 1)


def test_who_slept_past_its_hold_changes_nothing(world: World) -> None:
    """While a receiver takes the first delivery, another process takes over and delivers the rest."""
    ids: list[str] = []

    def answer(number: int) -> int:
        if number == 1:
            with world.store.transaction() as connection:
                end = Feed(connection).end()
                place = {"registry_sequence": end.registry, "ledger_sequence": end.ledger}
                WebhookRepository(connection).change(ids[0], holder="elsewhere/1/1", held_until_ms=2**50, **place)
        return 200

    with Receiver(answer) as receiver:
        subscriptions = Subscriptions(world.store, loopback=True)
        ids.append(subscriptions.add(OWNER, receiver.url, after=START, now_ms=1).webhook.id)
        with telling(world.store):
            wait_until(lambda: len(receiver.taken) == 1)
            with world.store.transaction() as connection:
                WebhookRepository(connection).change(ids[0], held_until_ms=1)
            record(world, "later")
            everything = all_of(world.store)
            wait_until(lambda: everything[-1] in receiver.sequences)
    assert receiver.sequences == [everything[0], everything[-1]]


def test_a_suspended_participant_is_told_nothing_more(world: World) -> None:
    with world.store.transaction() as connection:
        rows = Rows(connection)
        [smith] = rows.find(ParticipantRow, number=SMITH)
        rows.update([replace(smith, suspended=True)])
    with Receiver() as receiver, telling(world.store):
        subscriptions = Subscriptions(world.store, loopback=True)
        id_ = subscriptions.add(Subscriber(SMITH, owner=False), receiver.url, after=START, now_ms=1).webhook.id
        wait_until(lambda: subscriptions.get(OWNER, id_).state == State.PARKED)
        assert subscriptions.get(OWNER, id_).reason == "its participant is suspended"
    assert receiver.seen == []


def api_key(store: Store, age_s: int = 0) -> str:
    """Its public part; it lives for an hour."""
    return new_api_key(store, SMITH, [Scope.EVENTS], "erp", now_s=now_s() - age_s, life_s=3600)[1].id


def now_s() -> int:
    return int(time.time())


@pytest.mark.parametrize("how", ["revoked", "expired", "forgotten"])
def test_a_webhook_ends_with_the_api_key_that_it_was_made_with(world: World, how: str) -> None:
    """Nothing is sent from then on, and nothing is lost: who resumes it answers for it."""
    key = api_key(world.store, age_s=3600 if how == "expired" else 0)
    subscriptions = Subscriptions(world.store, loopback=True)
    with Receiver() as receiver:
        made = subscriptions.add(Subscriber(SMITH, owner=False, credential=key), receiver.url, after=START, now_ms=1)
        assert made.webhook.api_key == key
        if how == "revoked":
            revoke(world.store, key, CredentialKind.API_KEY, now_s=now_s())
        if how == "forgotten":
            with world.store.transaction() as connection:
                connection.exec_driver_sql("DELETE FROM credentials")
        with telling(world.store):
            wait_until(lambda: subscriptions.get(OWNER, made.webhook.id).state == State.PARKED)
            found = subscriptions.get(OWNER, made.webhook.id)
            assert (found.reason, found.position) == (f"API key {key} was revoked, or has expired", "0.0")
            assert receiver.seen == []
            person = Subscriber(SMITH, owner=False, credential="5e5510n00000")
            assert subscriptions.resume(person, made.webhook.id).api_key is None
            expected = all_of(world.store, SMITH)
            wait_until(lambda: len(receiver.taken) == len(expected))


def test_a_key_that_is_revoked_in_the_middle_stops_after_the_delivery_under_way(world: World) -> None:
    key, subscriptions = api_key(world.store), Subscriptions(world.store, loopback=True)

    def take(number: int) -> int:
        if number == 3:
            revoke(world.store, key, CredentialKind.API_KEY, now_s=now_s())
        return 204

    with Receiver(take) as receiver, telling(world.store):
        made = subscriptions.add(Subscriber(SMITH, owner=False, credential=key), receiver.url, after=START, now_ms=1)
        wait_until(lambda: subscriptions.get(OWNER, made.webhook.id).state == State.PARKED)
        assert len(receiver.seen) == 3
        again = api_key(world.store)
        assert subscriptions.resume(Subscriber(SMITH, owner=False, credential=again), made.webhook.id).api_key == again
        wait_until(lambda: len(receiver.taken) == len(all_of(world.store, SMITH)))


def test_a_target_that_is_no_longer_allowed_is_not_sent_to(world: World) -> None:
    with Receiver() as receiver, telling(world.store, replace(QUICK, loopback=False)):
        subscriptions = Subscriptions(world.store, loopback=True)
        id_ = subscriptions.add(OWNER, receiver.url, after=START, now_ms=1).webhook.id
        wait_until(lambda: subscriptions.get(OWNER, id_).state == State.PARKED)
        assert "https" in str(subscriptions.get(OWNER, id_).reason)
    assert receiver.seen == []


def test_what_is_not_final_is_not_told_until_it_is(world: World) -> None:
    before, chain = all_of(world.store), world.fake.chain
    chain.finality_depth = 3
    record(world, "not final yet")
    assert all_of(world.store) == before
    chain.mine(3)
    Follower(chain, world.store).follow()
    assert len(all_of(world.store)) == len(before) + 1


def test_an_index_that_is_read_anew_tells_nothing_twice(world: World) -> None:
    with Receiver() as receiver, telling(world.store):
        operator = Subscriber(0, owner=True)
        Subscriptions(world.store, loopback=True).add(operator, receiver.url, after=START, now_ms=1)
        wait_until(lambda: len(receiver.taken) >= len(all_of(world.store)))
        Follower(world.fake.chain, world.store).rebuild()
        record(world, "after the rebuild")
        wait_until(lambda: receiver.sequences == all_of(world.store))


def test_how_often_a_delivery_is_retried_is_as_documented() -> None:
    waits_s = DeliveryPolicy().retry_waits_s
    assert list(waits_s) == sorted(waits_s)
    tries = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"][1 + len(waits_s)]
    hours = {5: "five"}[math.ceil(sum(waits_s) / 3600)]
    text = " ".join((ROOT / "services" / "gateway" / "ACCESS.md").read_text().split())
    assert f"is retried, {tries} tries within {hours} hours" in text
