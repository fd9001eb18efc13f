"""The follower thread, and what /v1/status says of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.events.registry import ParticipantAdmitted
from millmark.ledger.records import Contract
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.follower import FollowerThread
from millmark.services.gateway.http.problems import StaleIndexError
from millmark.services.serving.logs import build_logger
from tests.support.fake_ledger import FakeLedger
from tests.support.gateway_client import Caller, ServedChain, build_caller
from tests.support.patience import MAX_S
from tests.support.stores import new_store

Status = dict[str, Any]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path, "index.db") as opened:
        yield opened


@pytest.fixture
def chain() -> ServedChain:
    """Blocks in more than one step, records in some."""
    made = FakeLedger(ServedChain())
    made.admit(1)
    made.receive("a", 1, 10)
    made.chain.mine(150)
    made.receive("b", 1, 10)
    made.chain.mine()
    assert isinstance(made.chain, ServedChain)
    return made.chain


def during(store: Store, chain: ServedChain, script: Callable[[Callable[[], Status]], None]) -> None:
    """Runs `script` while the application is up; it is given a way to ask for the status."""
    app = create_gateway(GatewayParts(store, build_policy("loopback-open"), chain=chain, follow_interval_s=0.01))

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.to_thread(script, lambda: Caller(app).ask("/v1/status").json())

    asyncio.run(run())


def until(ask: Callable[[], Status], holds: Callable[[Status], object]) -> Status:
    """Steps of the thread cannot be counted from outside, so the status is asked until it says so."""
    end = time.monotonic() + MAX_S
    while not holds(found := ask()):
        assert time.monotonic() < end, found
        time.sleep(0.005)
    return found


def test_a_chain_that_ends_before_the_index_is_said(store: Store, chain: ServedChain) -> None:
    def script(ask: Callable[[], Status]) -> None:
        indexed = until(ask, lambda now: now["equal"])["index"]["block_number"]
        del chain.headers[-3:]
        failure = until(ask, lambda now: now["follower"]["last_failure"])["follower"]["last_failure"]
        assert failure["code"] == "chain-behind"
        assert f"latest block is {indexed - 3}, the index is at block {indexed}" in failure["detail"]

    during(store, chain, script)


def test_follows_to_the_head_and_on(store: Store, chain: ServedChain) -> None:
    def script(ask: Callable[[], Status]) -> None:
        found = until(ask, lambda now: now["equal"])
        header = chain.headers[-1]
        assert found["chain"]["block_number"] == found["index"]["block_number"] == header.number
        assert found["chain"]["block_hash"] == "0x" + header.hash.hex()
        assert (found["chain"]["ledger_sequence"], found["chain"]["registry_sequence"]) == (2, 1)
        assert found["chain_failure"] is found["follower"]["last_failure"] is None
        chain.record(ParticipantAdmitted(2, 1, b"\x02" * 20, bytes(32)), 0, bytes(32))
        chain.mine()
        until(ask, lambda now: now["index"]["registry_sequence"] == 2 and now["equal"])

    during(store, chain, script)
    assert not [thread for thread in threading.enumerate() if thread.name == "millmark-follower"]


def test_a_node_that_is_down_comes_back(store: Store, chain: ServedChain, capfd: pytest.CaptureFixture[str]) -> None:
    def script(ask: Callable[[], Status]) -> None:
        until(ask, lambda now: now["equal"])
        chain.broken = ChainUnreachableError("the chain at http://key@node does not answer", hint="try again")
        down = until(ask, lambda now: now["chain"] is None)
        until(ask, lambda now: now["follower"]["last_failure"])
        assert (down["equal"], down["chain_failure"]["code"]) == (None, "chain-unreachable")
        assert down["chain_failure"]["detail"] == "the chain at (address withheld) does not answer"
        assert down["index"]["ledger_sequence"] == 2
        chain.broken = None
        back = until(ask, lambda now: now["equal"])
        assert back["chain_failure"] is None
        assert back["follower"]["last_failure"]["hint"] == "try again"

    during(store, chain, script)
    assert capfd.readouterr().err.count("indexing failed") == 1


def test_a_halted_index_is_served_and_says_so(store: Store, chain: ServedChain) -> None:
    def script(ask: Callable[[], Status]) -> None:
        until(ask, lambda now: now["equal"])
        other = ServedChain(genesis="other")
        other.mine(len(chain.headers))
        chain.headers[1:] = other.headers[1:]
        halted = until(ask, lambda now: now["follower"]["last_failure"])
        assert halted["follower"]["last_failure"]["code"] == "index-halted"
        assert halted["index"]["ledger_sequence"] == 2

    during(store, chain, script)


def test_any_failure_is_outlived_and_logged_once(
    store: Store, chain: ServedChain, capfd: pytest.CaptureFixture[str]
) -> None:
    chain.broken = RuntimeError("secret of the house")
    following = FollowerThread(chain, store, 1.0, build_logger())
    assert not following.step()
    first = following.seen().failing
    assert not following.step()
    failure = following.seen().failing
    assert first is not None
    assert failure is not None
    assert failure.since_s == first.since_s, "of the first, not of the latest"
    assert (failure.code, "secret" in failure.cause) == ("unexpected", False)
    assert capfd.readouterr().err.count("secret of the house") == 1
    chain.broken = None
    assert following.step()
    assert following.seen().failure is failure
    assert following.seen().failing is None


class _SlowChain(ServedChain):
    """Answers late how long it is."""

    def head_number(self) -> int:
        time.sleep(0.02)
        return super().head_number()


def _pause_s(store: Store, chain: ServedChain, interval_s: float) -> float:
    """How long the thread waits after a step that indexes all that the chain has."""
    following = FollowerThread(chain, store, interval_s, build_logger())
    while following.step():
        pass
    return following._round()  # what it tells its loop shows nowhere else


def test_the_interval_runs_from_the_begin_of_a_step(store: Store) -> None:
    chain = _SlowChain()
    chain.mine(3)
    assert _pause_s(store, chain, 0.01) == 0, "the step took longer"
    assert 0 < _pause_s(store, chain, 3600.0) < 3600.0
    chain.broken = ChainUnreachableError("the chain does not answer", hint="try again")
    assert _pause_s(store, chain, 0.01) == 0.01, "a node that fails is not asked without a pause"


class _CountedChain(ServedChain):
    """Notes what it is asked for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked: list[str] = []

    def head_number(self) -> int:
        self.asked.append("number")
        self._verify_up()
        return super().head_number()

    def sequence(self, contract: Contract) -> int:
        self.asked.append(contract.value)
        return super().sequence(contract)


def test_while_nothing_changes_the_node_is_asked_one_question_and_the_index_is_fresh(store: Store) -> None:
    chain = _CountedChain()
    chain.mine(3)
    following = FollowerThread(chain, store, 1.0, build_logger())

    def ask(*, is_woken: bool = False, rest_s: float = 3600.0) -> tuple[bool, int | None]:
        """Whether it asked one question alone, and the block up to which it looked."""
        following.loop.is_woken, following.loop.rest_s = is_woken, rest_s
        chain.asked.clear()
        following._round()  # what it tells its loop shows nowhere else
        head = following.seen().head
        return chain.asked == ["number"], None if head is None else head.header.number

    assert ask() == (False, 3), "it has not looked yet"
    assert ask() == (False, 3), "the head may have come after the blocks were read"
    before = following.seen()
    assert ask() == (True, 3)
    after = following.seen()
    assert (before.looked_s, before.followed_at) < (after.looked_s, after.followed_at)
    following.verify_fresh()
    assert ask(is_woken=True) == (False, 3), "something was written into the database"
    assert ask(rest_s=0.0) == (False, 3), "nothing would wake it"
    chain.mine()
    assert [ask() for _ in range(3)] == [(False, 4), (False, 4), (True, 4)]
    chain.broken = ChainUnreachableError("the chain does not answer", hint="try again")
    assert ask() == (False, None)
    assert following.seen().failing is not None
    assert ask() == (False, None), "until it answers again"
    chain.broken = None
    assert ask() == (False, 4)


def test_while_the_index_is_built_again_beside_a_gateway_no_credential_is_judged_by_it(
    store: Store, chain: ServedChain
) -> None:
    """Its participants and keys seem not to exist meanwhile, so that valid credentials would be refused as unknown."""
    following = FollowerThread(chain, store, 1.0, build_logger())
    while following.step():
        pass
    following.verify_fresh()
    with store.transaction() as connection:
        Rows(connection).clear_index()  # as `millmark rebuild` does before it follows
    for _ in range(2):
        with pytest.raises(StaleIndexError):
            following.verify_fresh()
        assert following.step(), "the first blocks are not enough"
    assert not following.step()
    following.verify_fresh()


def test_status_without_a_chain(store: Store) -> None:
    Outbox(store).enqueue(b"\x01" * 20, [Entry("k", Contract.LEDGER.value, "PlaceOrder", b"x")])
    found = build_caller(store).ask("/v1/status").json()
    assert (found["index"], found["chain"], found["equal"], found["follower"]) == (None, None, None, None)
    assert found["chain_failure"]["code"] == "chain-not-configured"
    assert (found["outbox"]["queued"], found["outbox"]["failed"]) == (1, 0)


def test_status_before_the_node_was_asked(store: Store, chain: ServedChain) -> None:
    found = build_caller(store, chain=chain).ask("/v1/status").json()
    assert (found["chain"], found["chain_failure"]["code"]) == (None, "chain-not-asked")


def test_an_idle_application_stops_at_once(store: Store, chain: ServedChain) -> None:
    app = create_gateway(GatewayParts(store, build_policy("loopback-open"), chain=chain, follow_interval_s=3600))

    async def run() -> httpx.Response:
        async with app.router.lifespan_context(app):
            return await httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost").get(
                "/health"
            )

    start = time.monotonic()
    assert asyncio.run(run()).status_code == 200
    assert time.monotonic() - start < MAX_S
