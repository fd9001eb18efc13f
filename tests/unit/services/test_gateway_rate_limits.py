"""Rate limits: each caller's own, refilled in time, in bounded memory, and what a refusal says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.store import Store
from millmark.services import access
from millmark.services.access import Principal, Scope, authenticate, new_api_key
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.http.authentication import BURST_S
from millmark.services.gateway.http.problems import RateLimitedError
from millmark.services.serving.connections import name_address
from millmark.services.settings import Auth
from tests.support.fake_world import build_world
from tests.support.gateway_client import Caller
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store

HOST = "gateway.example"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def taken(limiter: Limiter, caller: int | str, tries: int = 1000, cost: int = 1) -> int:
    """How many of `tries` get through."""
    passed = 0
    for _ in range(tries):
        try:
            limiter.take(caller, cost)
        except RateLimitedError:
            continue
        passed += 1
    return passed


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = Limiter(Rates(participant=10, anonymous=2), clock)
    assert taken(limiter, 1) == 10 * BURST_S
    assert taken(limiter, "192.0.2.1") == 2 * BURST_S
    clock.now += 1
    assert (taken(limiter, 1), taken(limiter, "192.0.2.1")) == (10, 2)
    clock.now += 3600
    assert taken(limiter, 1) == 10 * BURST_S


def test_one_caller_takes_nothing_from_another() -> None:
    limiter = Limiter(Rates(participant=10), Clock())
    taken(limiter, 1)
    assert taken(limiter, 2, 10) == 10


def test_a_refusal_says_when_to_come_back_and_is_right() -> None:
    clock = Clock()
    limiter = Limiter(Rates(participant=0.5), clock)
    taken(limiter, 1)
    with pytest.raises(RateLimitedError) as caught:
        limiter.take(1, 1)
    clock.now += caught.value.retry_after_s
    limiter.take(1, 1)


def test_what_costs_more_than_a_bucket_holds_gets_through_and_is_paid_off() -> None:
    clock = Clock()
    limiter = Limiter(Rates(participant=1), clock)
    assert taken(limiter, 1, 3, cost=20) == 1
    clock.now += 16
    assert taken(limiter, 1, 3) == 1


def test_memory_is_bounded() -> None:
    limiter = Limiter(Rates())
    for number in range(25_000):
        limiter.take(f"198.51.{number // 256}.{number % 256}", 1)
    assert len(limiter) == 10_000


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5)), max_size=60))
def test_never_more_than_burst_and_rate_allow(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    limiter = Limiter(Rates(participant=4), clock)
    spent = 0
    for wait, cost in steps:
        clock.now += wait
        spent += cost * taken(limiter, 1, 3, cost)
    assert spent <= 4 * BURST_S + 4 * clock.now + 1e-6


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (None, "unknown"),
        ("testclient", "testclient"),
    ],
)
def test_how_addresses_are_told_apart(host: str | None, name: str) -> None:
    assert name_address(host) == name


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        build_world(store)
        yield store


def ask_until_refused(caller: Caller, path: str, **headers: str) -> tuple[int, str]:
    """How many got through, and the refusal's Retry-After."""
    for count in range(1000):
        answer = caller.ask(path, Host=HOST, **headers)
        if answer.status_code == 429:
            assert answer.json()["type"] == "urn:millmark:problem:rate-limited"
            assert answer.headers["content-type"] == "application/problem+json"
            return count, answer.headers["retry-after"]
    raise AssertionError("never refused")


def test_participants_and_addresses_have_their_own_limits(store: Store) -> None:
    policy = build_policy(Auth.REQUIRED, url=ORIGIN)
    limiter = Limiter(Rates(participant=0.8, anonymous=0.6), Clock())
    caller = Caller(create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, limiter=limiter)))
    first, second = (
        new_api_key(store, number, [Scope.PROVENANCE], "ERP", now_s=NOW_S, life_s=900)[0] for number in (3, 4)
    )
    other = new_api_key(store, 3, [Scope.PROVENANCE], "MES", now_s=NOW_S, life_s=900)[0]
    assert ask_until_refused(caller, "/v1/session", Authorization=f"Bearer {first}") == (4, "2")
    assert caller.ask("/v1/session", Host=HOST, Authorization=f"Bearer {other}").status_code == 429
    assert caller.ask("/v1/session", Host=HOST, Authorization=f"Bearer {second}").status_code == 200
    assert ask_until_refused(caller, "/openapi.json") == (3, "2")
    assert caller.ask("/v1/session", Host=HOST, Authorization="Bearer wrong").status_code == 429
    assert caller.ask("/v1/session", Host=HOST, Authorization=f"Bearer {second}").status_code == 200
    assert caller.ask("/health", Host=HOST).status_code == 200


def test_an_address_with_an_empty_bucket_has_no_credential_looked_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it keep out those behind the same address whose credentials have worked."""
    limiter = Limiter(Rates(anonymous=0.6), Clock())
    policy = build_policy(Auth.REQUIRED, url=ORIGIN)
    caller = Caller(create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, limiter=limiter)))
    known = new_api_key(store, 3, [Scope.PROVENANCE], "ERP", now_s=NOW_S, life_s=900)[0]
    reads = [""][:0]

    def ask(token: str) -> int:
        return caller.ask("/v1/session", Host=HOST, Authorization=f"Bearer {token}").status_code

    assert ask(known) == 200
    monkeypatch.setattr(access, "authenticate", lambda store, text, **how: _counted(reads, store, text, how))
    forged = ["mmk_0123456789ab_" + f"{number:043d}" for number in range(9)]
    assert [ask(one) for one in forged] == [401] * 3 + [429] * 6
    assert len(reads) == 3
    assert ask(known) == 200


def _counted(reads: list[str], store: Store, text: str, how: dict[str, Any]) -> Principal:
    reads.append(text)
    return authenticate(store, text, **how)


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/nothing/here", HOST, 404),
        (f"/{'9' * 5000}/x", HOST, 404),
        (f"/passport/qr/{'9' * 5000}/x", HOST, 404),
        ("/v1/sessions", HOST, 405),
        ("/openapi.json", "evil.example", 421),
    ],
)
def test_what_no_route_serves_counts_too_and_is_never_a_failure(
    store: Store, path: str, host: str, status: int
) -> None:
    limiter = Limiter(Rates(anonymous=0.6), Clock())
    policy = build_policy(Auth.REQUIRED, url=ORIGIN)
    caller = Caller(create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, limiter=limiter)))
    assert [caller.ask(path, Host=host).status_code for _ in range(4)] == [status] * 3 + [429]
    assert caller.ask(path, Host=host, Authorization="Bearer x").status_code == 429
    assert caller.ask("/health", Host=HOST).status_code == 200


def test_a_debt_is_paid_off() -> None:
    clock = Clock()
    limiter = Limiter(Rates(participant=1), clock)
    limiter.charge(1, 0)
    limiter.charge(1, 15)
    assert taken(limiter, 1, 3) == 0
    clock.now += 12
    assert taken(limiter, 1, 3) == 2
