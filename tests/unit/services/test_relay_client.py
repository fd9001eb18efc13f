"""What a gateway answers to its relay's users: typed, or no answer."""

from __future__ import annotations

import httpx
import pytest

from millmark.ledger.errors import ChainError, ChainUnreachableError, RequestError
from millmark.services.relay import HttpRelay

ORIGIN = "https://gateway.example"


def relay(answer: httpx.Response) -> HttpRelay:
    return HttpRelay(ORIGIN, None, httpx.Client(base_url=ORIGIN, transport=httpx.MockTransport(lambda _: answer)))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="no"),
        httpx.Response(200, text="no"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"chain_id": "1"}),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(429, json={"detail": "later", "type": "urn:millmark:problem:rate-limited"}),
        httpx.Response(503, json={"detail": "later", "type": "urn:millmark:problem:chain-unreachable"}),
    ],
)
def test_an_answer_that_cannot_be_used_is_no_answer(answer: httpx.Response) -> None:
    with pytest.raises(ChainUnreachableError):
        relay(answer).terms(b"\x01" * 20)


def test_a_refused_caller_is_told() -> None:
    problem = {"detail": "the credential lacks the scope relay", "type": "urn:millmark:problem:forbidden"}
    refusals: list[tuple[int, type[Exception]]] = [(403, ChainError), (401, ChainError), (400, RequestError)]
    for status, kind in refusals:
        with pytest.raises(kind, match="lacks the scope"):
            relay(httpx.Response(status, json=problem)).send(b"{}")
