"""Several requests at once: what is sent in an array, and what a node may make of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.chain import transport
from millmark.ledger.chain.transport import ArrayRefusedError, Arrays, Call, RpcClient, RpcError, request_each
from millmark.ledger.errors import ChainUnreachableError
from tests.support.rpc import ScriptedNode


class Client(RpcClient):
    """A node that echoes each call's parameters, and takes arrays of at most `most`."""

    def __init__(self, most: int = 1000, change: Callable[[list[Any]], list[Any]] = list) -> None:
        super().__init__("http://unused", 1.0)
        self.most = most
        self.change = change
        self.sizes: list[int] = []

    def ask(self, method: str, params: list[Any]) -> Any:
        self.sizes.append(1)
        return {"result": [method, params]}

    def ask_all(self, calls: Sequence[Call]) -> list[Any]:
        self.sizes.append(len(calls))
        if len(calls) > self.most:
            raise ArrayRefusedError("too many")
        return self.change([{"result": [*call]} for call in calls])


def calls_of(count: int, characters: int = 1) -> list[Call]:
    return [(f"m{place}", ["x" * characters]) for place in range(count)]


@given(count=st.integers(0, 350), most=st.integers(1, 150))
def test_each_call_is_answered_once_and_in_order_whatever_the_node_takes(count: int, most: int) -> None:
    calls, client = calls_of(count), Client(most)
    assert Arrays(client).ask_all(calls) == [{"result": [*call]} for call in calls]


def test_a_node_that_refuses_arrays_is_asked_singly_from_then_on() -> None:
    client = Client(most=1)
    sender = Arrays(client)
    sender.ask_all(calls_of(8))
    assert client.sizes == [8, 4, 2, *[1] * 8]
    client.sizes.clear()
    sender.ask_all(calls_of(3))
    assert client.sizes == [1, 1, 1]


def test_a_refused_array_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    client, now = Client(most=1), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sender = Arrays(client)
    sender.ask_all(calls_of(4))
    client.most, now[0] = 100, transport._SMALL_S + 1
    client.sizes.clear()
    sender.ask_all(calls_of(4))
    assert client.sizes == [4]


def test_an_array_is_bounded_in_calls_and_characters() -> None:
    client = Client()
    Arrays(client).ask_all(calls_of(250))
    assert client.sizes == [100, 100, 50]
    client.sizes.clear()
    Arrays(client).ask_all(calls_of(5, transport._MAX_CHARACTERS // 2))
    assert client.sizes == [2, 2, 1]


def test_what_is_answered_too_late_is_asked_in_shorter_arrays_next_time() -> None:
    client = Client()

    def late(_: list[Any]) -> list[Any]:
        raise TimeoutError

    client.change = late
    sender = Arrays(client)
    with pytest.raises(TimeoutError):
        sender.ask_all(calls_of(40))
    client.change = list
    client.sizes.clear()
    sender.ask_all(calls_of(40))
    assert client.sizes == [20, 20]


def test_an_answer_that_the_node_left_out_for_its_size_is_asked_for_alone() -> None:
    def shorten(answers: list[Any]) -> list[Any]:
        return [answers[0], {"error": {"code": -32003, "message": "response too large"}}, None]

    first, second, third = calls_of(3)
    assert Arrays(Client(change=shorten)).ask_all([first, second, third]) == [
        {"result": [*first]},
        {"result": [*second]},
        None,
    ]


def test_a_transport_without_arrays_asks_one_by_one_and_an_error_is_its_requests_own() -> None:
    node = ScriptedNode({"a": 1, "b": RpcError(-1, "no"), "c": 3})
    one, two, three = request_each(node, [("a", []), ("b", []), ("c", [])])
    assert (one, three) == (1, 3)
    assert isinstance(two, RpcError)
    dead = ScriptedNode({"a": ChainUnreachableError("the line is cut")})
    with pytest.raises(ChainUnreachableError):
        request_each(dead, [("a", [])])
