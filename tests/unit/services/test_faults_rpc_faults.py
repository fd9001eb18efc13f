"""The faults themselves: a seed gives the same ones again, and each spoils what it says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.proxy import UNFORWARDED, Fault, Schedule, corrupt, corrupt_array

SEND, HEAD = "eth_sendRawTransaction", "eth_blockNumber"


def answer(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 3, "result": result}


def test_the_same_seed_gives_the_same_faults() -> None:
    first, again, other = ([Schedule(seed, 50).fault(number, SEND) for number in range(200)] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("percent", [0, 35, 100])
def test_the_share_of_faults_is_as_asked(percent: int) -> None:
    count = sum(Schedule(7, percent).fault(number, HEAD) is not None for number in range(4000))
    assert abs(count - 40 * percent) < 150


def test_every_fault_happens() -> None:
    state = ("eth_getTransactionCount", "eth_getBlockReceipts", "eth_getBlockByNumber", "eth_getTransactionReceipt")
    methods = [SEND, HEAD, *state]
    found = {Schedule(1, 100).fault(number, method, 2) for method in methods for number in range(500)}
    assert found == set(Fault)


@pytest.mark.parametrize(
    ("fault", "result", "spoilt"),
    [
        (Fault.STALE_HEAD, "0x10", "0xd"),
        (Fault.STALE_HEAD, "0x1", "0x0"),
        (Fault.STALE_NONCE, "0x4", "0x1"),
        (Fault.EMPTY_LOGS, [{}], []),
        (Fault.WRONG_BLOCK_HASH, {"hash": "0x1", "number": "0x2"}, {"hash": "0x" + "5a" * 32, "number": "0x2"}),
        (Fault.WRONG_BLOCK_HASH, {"blockHash": "0x1"}, {"blockHash": "0x" + "5a" * 32}),
        (Fault.WRONG_BLOCK_HASH, None, None),
        (Fault.NOTHING, {"blockHash": "0x1"}, None),
        (None, "0x10", "0x10"),
        (Fault.DELAY, "0x10", "0x10"),
    ],
)
def test_a_lie_is_the_answer_but_for_one_thing(fault: Fault | None, result: Any, spoilt: Any) -> None:
    assert corrupt(fault, {"id": 3}, answer(result)) == answer(spoilt)


@pytest.mark.parametrize("fault", [Fault.ALREADY_KNOWN, Fault.NONCE_TOO_LOW, Fault.UNDERPRICED])
def test_a_refusal_hides_what_the_node_says(fault: Fault) -> None:
    given = None if fault in UNFORWARDED else answer("0x1")
    assert corrupt(fault, {"id": 3}, given)["error"]["message"].endswith(fault.value)


def test_what_is_dropped_is_answered_as_if_it_were_taken() -> None:
    assert Fault.DROPPED in UNFORWARDED
    assert corrupt(Fault.DROPPED, {"id": 3}, None) == answer("0x" + "00" * 32)
    assert corrupt(Fault.WRONG_ID, {"id": 3}, answer("0x1"))["id"] != 3


def test_of_an_array_one_request_has_the_fault() -> None:
    requests = [{"id": number, "method": HEAD} for number in range(3)]
    answers = {number: {**answer("0x10"), "id": number} for number in range(3)}

    def spoilt(fault: Fault | None) -> Any:
        forwarded = answers if fault not in UNFORWARDED else {0: answers[0], 2: answers[2]}
        return corrupt_array(fault, requests, forwarded, 1)

    assert spoilt(None) == [answers[0], answers[1], answers[2]]
    assert spoilt(Fault.DISORDERED) == [answers[2], answers[1], answers[0]]
    assert spoilt(Fault.UNANSWERED) == [answers[0], answers[2]]
    assert spoilt(Fault.STALE_HEAD)[1]["result"] == "0xd"
    assert [("error" in one) for one in spoilt(Fault.FAILED_ALONE)] == [False, True, False]
    assert "error" in spoilt(Fault.ARRAY_REFUSED)
