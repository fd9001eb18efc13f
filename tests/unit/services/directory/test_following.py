"""Gateways serve the directory to participants, follow it, and keep what they have when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.store import Book, Store
from millmark.services.access.siwe import SignInMessage
from millmark.services.directory import (
    DirectoryError,
    DirectoryRepository,
    DirectoryUnreachableError,
    SignedDirectory,
    take_directory,
)
from millmark.services.directory.client import fetch_directory
from millmark.services.gateway import GatewayParts, build_policy, create_gateway, follower
from millmark.services.gateway.follower import DirectoryFollower, DirectorySource
from millmark.services.serving.logs import build_logger
from tests.support.directories import ALDER, BASE, CHAIN, OPERATOR, OPERATORS, fill_index, publish, signed
from tests.support.gateway_client import Caller
from tests.support.sign_in import NOW_S, ORIGIN, signer_of
from tests.support.stores import new_store

LATER = signed(replace(BASE, issued_at=NOW_S + 1))
HOST = {"Host": "gateway.example"}


@pytest.fixture
def operators(tmp_path: Path) -> Iterator[Store]:
    """The operator's store."""
    with new_store(tmp_path, "operator.db") as store:
        fill_index(store)
        yield store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as made:
        fill_index(made)
        yield made


def put(store: Store, one: SignedDirectory) -> None:
    publish(store, one)
    with store.transaction() as connection:
        take_directory(connection, one, OPERATORS)


def client_of(store: Store) -> httpx.Client:
    """Reaches a gateway on a store without a socket."""
    caller = Caller(create_gateway(GatewayParts(store, build_policy(url=ORIGIN), clock=lambda: NOW_S)))

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"Host": "gateway.example"}
        if "authorization" in request.headers:
            headers["Authorization"] = request.headers["authorization"]
        found = caller.ask(request.url.raw_path.decode(), request.method, _json(request), **headers)
        return httpx.Response(found.status_code, content=found.content)

    return httpx.Client(transport=httpx.MockTransport(answer), base_url=ORIGIN)


def _json(request: httpx.Request) -> Any:
    content = request.read()
    return json.loads(content) if content else None


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer), base_url=ORIGIN)


def test_a_participant_fetches_the_directory_byte_for_byte(operators: Store) -> None:
    put(operators, signed())
    assert fetch_directory(ORIGIN, signer_of(ALDER), CHAIN, client_of(operators)) == signed()


def test_nobody_else_is_served_a_directory(operators: Store) -> None:
    put(operators, signed())
    caller = Caller(create_gateway(GatewayParts(operators, build_policy(url=ORIGIN), clock=lambda: NOW_S)))
    assert caller.ask("/v1/directory", **HOST).status_code == 401
    with pytest.raises(DirectoryUnreachableError, match=r"cannot be fetched from https://gateway\.example"):
        fetch_directory(ORIGIN, signer_of(OPERATOR), CHAIN, client_of(operators))  # it owns the registry, and is none


def test_a_gateway_without_a_directory_says_so(operators: Store) -> None:
    with pytest.raises(DirectoryUnreachableError, match="has no directory yet"):
        fetch_directory(ORIGIN, signer_of(ALDER), CHAIN, client_of(operators))


def message(uri: str = f"{ORIGIN}/v1/sessions", domain: str = "gateway.example", chain_id: int = CHAIN) -> str:
    address = signer_of(ALDER).address
    return SignInMessage(domain, address, "Sign in", uri, chain_id, "a" * 16, NOW_S, NOW_S + 300).to_text()


REFUSED: list[tuple[Callable[[httpx.Request], httpx.Response], str]] = [
    (lambda _: httpx.Response(200, json={"message": message(domain="other.example")}), "meant for another"),
    (
        lambda _: httpx.Response(200, json={"message": message(uri="https://other.example/v1/sessions")}),
        "meant for another",
    ),
    (lambda _: httpx.Response(200, json={"message": message(chain_id=1)}), "meant for another"),
    (lambda _: httpx.Response(200, json={"message": "transfer everything"}), "not a sign-in message"),
    (lambda _: httpx.Response(200, content=b"<html>"), "its answer is malformed"),
    (lambda _: httpx.Response(200, content=b"[" * 1000), "its answer is malformed"),
    (lambda _: httpx.Response(200, content=b" " * (1 << 17)), "its answer exceeds 65536 bytes"),
    (lambda _: httpx.Response(503, json={"detail": "the index\n\x1b[31mis stale"}), r"the index \\x1b\[31mis stale"),
    (lambda _: httpx.Response(302, headers={"Location": "http://127.0.0.1/"}), "malformed"),
]


@pytest.mark.parametrize(("answer", "why"), REFUSED)
def test_what_a_hostile_gateway_answers_is_one_line_and_nothing_is_signed(
    answer: Callable[[httpx.Request], httpx.Response], why: str
) -> None:
    sent: list[httpx.Request] = []

    def recorded(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answer(request)

    with pytest.raises(Exception, match=why) as refused:
        fetch_directory(ORIGIN, signer_of(ALDER), CHAIN, answering(recorded))
    assert "\n" not in str(refused.value)
    assert [request.method for request in sent] == ["GET"]  # no signature was sent


def test_a_gateway_that_does_not_answer_is_named() -> None:
    def closed(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(DirectoryUnreachableError, match="no connection to its gateway: ConnectError"):
        fetch_directory(ORIGIN, signer_of(ALDER), CHAIN, answering(closed))


class Following:
    """A follower whose operator serves `served`, and what it asked for."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.served: SignedDirectory | Exception = signed()
        self.fetched = 0
        monkeypatch.setattr(follower, "fetch_directory", self._fetch)
        monkeypatch.setattr(follower, "fetch_operators", lambda _: OPERATORS)
        source = DirectorySource(ORIGIN, signer_of(ALDER), _ChainId())  # type: ignore[arg-type]  # its id is all that is read
        self.follower = DirectoryFollower(store, source, build_logger())
        self.step = self.follower.step

    def _fetch(self, *_: object, **__: object) -> SignedDirectory:
        self.fetched += 1
        if isinstance(self.served, Exception):
            raise self.served
        return self.served


class _ChainId:
    chain_id = CHAIN


def in_force(store: Store) -> SignedDirectory | None:
    with store.reading() as connection:
        return DirectoryRepository(connection).signed()


def test_a_gateway_fetches_what_is_published_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    following = Following(store, monkeypatch)
    assert (following.step(), following.fetched) == (False, 0)  # nothing is published
    publish(store, signed())
    assert (following.step(), following.fetched) == (True, 1)
    assert (following.step(), following.fetched) == (False, 1)
    publish(store, LATER)
    following.served = LATER
    assert (following.step(), following.fetched) == (True, 2)
    assert in_force(store) == LATER
    with store.reading() as connection:
        assert Book(connection).names()[ALDER] == "Alder Forge"


@pytest.mark.parametrize(
    "served",
    [signed(), signed(BASE, by=ALDER), DirectoryError("malformed"), DirectoryUnreachableError("does not answer")],
    ids=["older", "another signer", "malformed", "unreachable"],
)
def test_what_is_refused_leaves_the_directory_in_force_and_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, served: SignedDirectory | Exception
) -> None:
    middle = signed(replace(BASE, issued_at=NOW_S + 1))
    last = signed(replace(BASE, issued_at=NOW_S + 2))
    put(store, middle)
    publish(store, last)
    following = Following(store, monkeypatch)
    following.served = served
    for _ in range(2):
        with pytest.raises((DirectoryError, DirectoryUnreachableError)):
            following.step()
    assert (in_force(store), following.fetched) == (middle, 2)
    following.served = last
    assert following.step()
    assert in_force(store) == last
