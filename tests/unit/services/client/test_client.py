"""The typed client: what is retried and for how long, what keeps its key, and how failures are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from millmark.ledger.records import LotState
from millmark.services.client import (
    GatewayUnreachableError,
    ProblemError,
    RecordRefusedError,
    RecordWaitingError,
)
from millmark.services.gateway.api.status import Health
from millmark.services.gateway.http import example_values as examples
from millmark.services.views import GatewayStatus, IndexState, RecordStatus
from tests.support.gateway_client import Pauses, scripted_client

PROBLEM = {
    "type": "urn:millmark:problem:busy",
    "title": "Busy",
    "status": 503,
    "detail": "too many\nrequests",
    "hint": "wait",
    "request_id": "r-1",
}
QUEUED = RecordStatus(17, "AcceptOrder", "ledger", "queued", False, None, (), None, None, None)


def problem(status: int, **headers: str) -> httpx.Response:
    kind = {"content-type": "application/problem+json", **headers}
    return httpx.Response(status, content=json.dumps(PROBLEM | {"status": status}), headers=kind)


def script(*steps: httpx.Response | Exception) -> tuple[list[httpx.Request], Callable[[httpx.Request], httpx.Response]]:
    """A gateway that answers each request with the next step, and the requests that it saw."""
    seen: list[httpx.Request] = []
    rest: Iterator[httpx.Response | Exception] = iter(steps)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        step = next(rest)
        if isinstance(step, Exception):
            raise step
        return step

    return seen, answer


def status(**changed: Any) -> httpx.Response:
    return httpx.Response(202, json=QUEUED.to_json() | changed)


def _following(sequence: int) -> dict[str, object]:
    """The status of a gateway whose index has so many records of the ledger."""
    index = IndexState(31337, b"r" * 20, b"l" * 20, 987, b"b" * 32, None, 31, sequence, b"d" * 32)
    return GatewayStatus(index, None, None, None, None, {}).to_json()


LOST = httpx.ReadError("the connection broke")


def test_a_record_is_sent_again_with_the_same_key_until_it_is_answered() -> None:
    later = {"Retry-After": "3"}
    steps = (LOST, problem(503, **later), problem(429, **later), problem(409, **later), httpx.ConnectError(""))
    seen, answer = script(*steps, status())
    pauses = Pauses()
    assert scripted_client(pauses, answer).accept_order(b"+" * 32).id == 17
    assert len({request.headers["idempotency-key"] for request in seen}) == 1
    assert len({request.content for request in seen}) == 1
    assert pauses.slept[1:4] == [3, 3, 3], "as long as the gateway asks"
    assert seen[0].headers["authorization"] == "Bearer key"


def test_two_calls_have_two_keys_and_a_given_key_is_used() -> None:
    seen, answer = script(status(), status(), status())
    client = scripted_client(Pauses(), answer)
    client.accept_order(b"+" * 32)
    client.accept_order(b"+" * 32)
    client.accept_order(b"+" * 32, key="my-own-key")
    keys = [request.headers["idempotency-key"] for request in seen]
    assert keys[0] != keys[1]
    assert keys[2] == "my-own-key"


def test_attempts_and_time_are_bounded() -> None:
    pauses = Pauses()
    _, answer = script(*[LOST] * 99)
    with pytest.raises(GatewayUnreachableError, match="no gateway answers at http://localhost; check its URL"):
        scripted_client(pauses, answer).get_status()
    assert len(pauses.slept) == 5
    assert pauses.slept == sorted(pauses.slept), "each pause is longer"
    pauses = Pauses()
    _, answer = script(*[problem(503, **{"Retry-After": "40"})] * 99)
    with pytest.raises(ProblemError):
        scripted_client(pauses, answer).get_status()
    assert pauses.slept == [40.0], "a second pause would end too late"


def test_what_may_have_been_done_is_not_sent_twice_without_a_key() -> None:
    seen, answer = script(LOST, httpx.Response(200, json={}))
    with pytest.raises(GatewayUnreachableError):
        scripted_client(Pauses(), answer).post(dict, "/v1/names", kind="lot", identifier="urn:example:a")
    assert len(seen) == 1
    seen, answer = script(httpx.ConnectError("refused"), httpx.Response(200, json={"subject": "0x"}))
    made = scripted_client(Pauses(), answer).post(dict, "/v1/names", kind="lot", identifier="urn:example:a")
    assert made["subject"] == "0x"


def test_a_refusal_is_not_repeated_and_is_typed() -> None:
    seen, answer = script(problem(404))
    with pytest.raises(ProblemError, match=r"^too many requests; wait$") as refused:
        scripted_client(Pauses(), answer).get_lot("0x" + "1a" * 32)
    assert (refused.value.problem, refused.value.status, refused.value.request_id) == ("busy", 404, "r-1")
    assert len(seen) == 1
    for code, exit_code in ((400, 2), (422, 2), (404, 1), (503, 1)):
        _, answer = script(problem(code))
        with pytest.raises(ProblemError) as refused:
            scripted_client(Pauses(), answer).get_status()
        assert refused.value.exit_code == exit_code


@pytest.mark.parametrize("answered", [{}, {"id": "17"}, {"subjects": "0x"}, {"queued_at": 17}, []])
def test_an_answer_that_is_not_the_view_is_told_in_one_line(answered: Any) -> None:
    found = {**QUEUED.to_json(), **answered} if answered else answered
    _, answer = script(httpx.Response(200, json=found))
    with pytest.raises(GatewayUnreachableError, match="of this version: these are not the members of RecordStatus"):
        scripted_client(Pauses(), answer).get_record(17)


def test_a_newer_gateway_may_say_more() -> None:
    _, answer = script(httpx.Response(200, json=QUEUED.to_json() | {"colour": "blue"}))
    assert scripted_client(Pauses(), answer).get_record(17) == QUEUED


@pytest.mark.parametrize("content", [b"<html>", b"", b'{"a": NaN}', b"[" * 200])
def test_what_is_not_a_gateway_is_told_in_one_line(content: bytes) -> None:
    _, answer = script(httpx.Response(200, content=content))
    with pytest.raises(GatewayUnreachableError, match="is not a gateway"):
        scripted_client(Pauses(), answer).get_status()


def test_a_proxy_without_its_gateway_is_asked_again() -> None:
    seen, answer = script(httpx.Response(502), httpx.Response(503), httpx.Response(200, json={"status": "ok"}))
    assert scripted_client(Pauses(), answer).get(Health, "/health") == Health("ok")
    assert len(seen) == 3


def test_pages_are_followed_to_the_end_and_parameters_left_out() -> None:
    lots = [replace(examples.lot(), sequence=number).to_json() for number in (1, 2, 3)]
    pages = [{"items": lots[:2], "next": "c1"}, {"items": [], "next": "c2"}, {"items": lots[2:], "next": None}]
    seen, answer = script(*(httpx.Response(200, json=page) for page in pages))
    found = list(scripted_client(Pauses(), answer).iterate_lots(state=LotState.HELD, limit=2))
    assert [lot.sequence for lot in found] == [1, 2, 3]
    assert [dict(request.url.params) for request in seen] == [
        {"state": "held", "limit": "2"},
        {"state": "held", "limit": "2", "cursor": "c1"},
        {"state": "held", "limit": "2", "cursor": "c2"},
    ]


def test_an_identifier_is_one_part_of_a_path() -> None:
    seen, answer = script(httpx.Response(200, json={}))
    scripted_client(Pauses(), answer).get(dict, "/v1/trace/{}", "https://id.gs1.org/01/09506000013459/21/A%2F1")
    assert seen[0].url.raw_path == b"/v1/trace/https%3A%2F%2Fid.gs1.org%2F01%2F09506000013459%2F21%2FA%252F1"


def test_waiting_ends_when_the_index_has_the_final_record() -> None:
    final = {"state": "final", "done": True, "sequence": 641}
    index = [_following(640), _following(641)]
    seen, answer = script(
        status(state="sent"),
        status(**final),
        httpx.Response(200, json=index[0]),
        status(**final),
        httpx.Response(200, json=index[1]),
    )
    client = scripted_client(Pauses(), answer)
    assert client.wait(QUEUED).sequence == 641
    assert [request.url.path for request in seen] == ["/v1/records/17"] * 2 + [
        "/v1/status",
        "/v1/records/17",
        "/v1/status",
    ]


def test_who_may_not_read_the_index_does_not_wait_for_it() -> None:
    final = status(state="final", done=True, sequence=641)
    _, answer = script(final, problem(403))
    assert scripted_client(Pauses(), answer).wait(QUEUED).state == "final"


def test_a_refused_record_raises_the_contracts_error_with_its_hint() -> None:
    detail = "OrderStateWrong(order=0x2b, state=delivered); see the order's state with `millmark trace`"
    refusal = {"name": "OrderStateWrong", "values": {"order": "0x2b", "state": 6}, "detail": detail}
    _, answer = script(status(state="failed", done=True, refusal=refusal))
    with pytest.raises(RecordRefusedError) as refused:
        scripted_client(Pauses(), answer).wait(QUEUED)
    assert str(refused.value) == detail
    assert refused.value.hint == "see the order's state with `millmark trace`"
    assert (refused.value.record, refused.value.name, refused.value.values["state"]) == (17, "OrderStateWrong", 6)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("paused", r"is paused; an operator paused it: `millmark outbox resume`"),
        ("blocked", r"is blocked; an earlier record of the company failed"),
        ("cancelled", r"is cancelled; nothing was recorded"),
    ],
)
def test_a_record_that_waits_for_a_person_is_not_waited_for(state: str, words: str) -> None:
    _, answer = script(*[status(state=state, done=state == "cancelled")] * 2)
    with pytest.raises(RecordWaitingError, match=words):
        scripted_client(Pauses(), answer).wait(QUEUED)


def test_waiting_is_bounded() -> None:
    pauses = Pauses()
    _, answer = script(*[status(state="sent")] * 99)
    with pytest.raises(RecordWaitingError, match="is sent after 10 s; it is stored and will be sent"):
        scripted_client(pauses, answer).wait(QUEUED, timeout_s=10)
    assert 10 < pauses.clock() < 13
