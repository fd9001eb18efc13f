"""The node's answers are untrusted: each is a value, a named refusal, or no answer at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.chain import Node, RpcError
from ledger.errors import ChainError, ChainUnreachableError, ContractRefusedError
from tests.support.rpc import ScriptedNode, lost

A, H, H2 = "0x" + "11" * 20, "0x" + "22" * 32, "0x" + "33" * 32
LOG: dict[str, Any] = {
    "address": A,
    "topics": [H, H2],
    "data": "0x0102",
    "blockNumber": "0x5",
    "blockHash": H,
    "transactionHash": H2,
    "logIndex": "0x0",
}
BLOCK: dict[str, Any] = {
    "number": "0x5",
    "hash": H,
    "parentHash": H2,
    "timestamp": "0x64",
    "logsBloom": "0x" + "00" * 256,
    "gasLimit": "0x1c9c380",
    "baseFeePerGas": "0x7",
}
RECEIPT: dict[str, Any] = {
    "transactionHash": H2,
    "status": "0x1",
    "blockNumber": "0x5",
    "blockHash": H,
    "gasUsed": "0x5208",
    "contractAddress": None,
    "logs": [LOG],
}
Question = Callable[[Node], Any]
QUESTIONS: dict[str, tuple[str, Question]] = {
    "chain_id": ("eth_chainId", lambda node: node.chain_id()),
    "block_number": ("eth_blockNumber", lambda node: node.block_number()),
    "header": ("eth_getBlockByNumber", lambda node: node.header(5)),
    "base_fee": ("eth_getBlockByNumber", lambda node: node.base_fee_wei()),
    "gas_limit": ("eth_getBlockByNumber", lambda node: node.gas_limit()),
    "logs": ("eth_getLogs", lambda node: node.logs(bytes.fromhex(H[2:]), [bytes.fromhex(A[2:])])),
    "code": ("eth_getCode", lambda node: node.code(bytes(20))),
    "balance": ("eth_getBalance", lambda node: node.balance_wei(bytes(20))),
    "count": ("eth_getTransactionCount", lambda node: node.transaction_count(bytes(20))),
    "call": ("eth_call", lambda node: node.call(bytes(20), b"")),
    "estimate": ("eth_estimateGas", lambda node: node.estimate_gas(bytes(20), b"", bytes(20))),
    "receipt": ("eth_getTransactionReceipt", lambda node: node.receipt(bytes.fromhex(H2[2:]))),
}
NUMBERS = ("chain_id", "block_number", "count", "estimate", "balance")
NO_NUMBERS: list[Any] = [
    None,
    5,
    True,
    "",
    "0x",
    "5",
    "0xg",
    "-0x5",
    "0x-5",
    " 0x5",
    "0x5 ",
    "0x5\n",
    "0x_5",
    [],
    {},
    1.5,
    "0x" + "f" * 65,
]
NO_BYTES: list[Any] = [None, 5, "", "00", "0x0", "0xzz", "0x 00", "0x00 ", [], {}, True]


def ask(name: str, answer: Any) -> Any:
    method, question = QUESTIONS[name]
    return question(Node(ScriptedNode({method: answer})))


def test_answers_become_values() -> None:
    assert ask("chain_id", "0x539") == 1337
    assert ask("balance", hex(2**255)) == 2**255
    assert ask("code", "0x") == b""
    assert ask("call", "0xAb01") == b"\xab\x01"
    header = ask("header", BLOCK)
    assert (header.number, header.hash.hex(), header.timestamp) == (5, "22" * 32, 100)
    assert (ask("base_fee", BLOCK), ask("gas_limit", BLOCK)) == (7, 30_000_000)
    [log] = ask("logs", [LOG])
    assert (log.data, len(log.topics), log.log_index) == (b"\1\2", 2, 0)
    receipt = ask("receipt", RECEIPT)
    assert (receipt.succeeded, receipt.gas_used, receipt.contract_address) == (True, 21_000, None)
    assert ask("receipt", {**RECEIPT, "status": "0x0"}).succeeded is False


def test_a_network_without_fees_has_no_base_fee() -> None:
    assert ask("base_fee", {"number": "0x1"}) == 0


def test_a_transaction_that_is_in_no_block_has_no_receipt() -> None:
    assert ask("receipt", None) is None


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("answer", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_no_answer(name: str, answer: Any) -> None:
    with pytest.raises(ChainUnreachableError, match=f"the node's answer to {QUESTIONS[name][0]} cannot be used"):
        ask(name, answer)


@pytest.mark.parametrize("name", ["chain_id", "block_number", "count", "estimate"])
def test_a_number_that_no_column_holds_is_no_answer(name: str) -> None:
    assert ask(name, hex(2**63 - 1)) == 2**63 - 1
    with pytest.raises(ChainUnreachableError):
        ask(name, hex(2**63))


@pytest.mark.parametrize("name", ["code", "call"])
@pytest.mark.parametrize("answer", NO_BYTES, ids=repr)
def test_what_are_no_bytes_is_no_answer(name: str, answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask(name, answer)


def spoilt(whole: dict[str, Any], keep: tuple[str, ...] = ()) -> list[Any]:
    """Each field missing, and of each kind of wrong type."""
    cases: list[Any] = [5, "0x", [], True, [[]]]
    for field in whole.keys() - set(keep):
        cases.append({name: value for name, value in whole.items() if name != field})
        cases += [{**whole, field: wrong} for wrong in (5, "zz", "0x", {"a": 1}, [5], None)]
    return cases


@pytest.mark.parametrize("answer", spoilt(BLOCK, ("gasLimit", "baseFeePerGas")), ids=repr)
def test_a_malformed_header_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("header", answer)


@pytest.mark.parametrize("answer", spoilt(LOG, ("data", "blockNumber", "logIndex")), ids=repr)
def test_a_malformed_log_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("logs", [answer])


@pytest.mark.parametrize("field", ["hash", "parentHash", "logsBloom"])
@pytest.mark.parametrize("size", [0, 31, 33, 255, 257])
def test_a_hash_of_another_length_is_no_answer(field: str, size: int) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("header", {**BLOCK, field: "0x" + "00" * size})


@pytest.mark.parametrize("answer", [None, 5, {"a": 1}, "0x12", [None], [[]]], ids=repr)
def test_what_is_no_list_of_logs_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("logs", answer)


@pytest.mark.parametrize("field", ["blockHash", "address"])
def test_logs_that_were_not_asked_for_are_no_answer(field: str) -> None:
    other = {"blockHash": H2, "address": "0x" + "44" * 20}[field]
    with pytest.raises(ChainUnreachableError, match="not asked for"):
        ask("logs", [{**LOG, field: other}])


@pytest.mark.parametrize("field", [*RECEIPT.keys() - {"contractAddress"}])
@pytest.mark.parametrize("wrong", [None, 5, "zz", {"a": 1}], ids=repr)
def test_a_malformed_receipt_is_no_answer(field: str, wrong: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("receipt", {**RECEIPT, field: wrong})


@pytest.mark.parametrize("answer", [False, 0, "", {}, []], ids=repr)
def test_only_null_says_that_there_is_no_receipt(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("receipt", answer)


def test_the_receipt_of_another_transaction_is_no_answer() -> None:
    with pytest.raises(ChainUnreachableError, match="another transaction"):
        ask("receipt", {**RECEIPT, "transactionHash": H})


@pytest.mark.parametrize("address", ["0x11", "zz", 5, [1]], ids=repr)
def test_a_malformed_contract_address_is_no_answer(address: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("receipt", {**RECEIPT, "contractAddress": address})


# Refusals


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_refusal_is_named(name: str) -> None:
    with pytest.raises(ChainError, match=r"the node refuses eth_.*: the method is not there") as caught:
        ask(name, RpcError(-32601, "the method is not there"))
    assert not isinstance(caught.value, (ChainUnreachableError, ContractRefusedError))


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_answer_stays_no_answer(name: str) -> None:
    with pytest.raises(ChainUnreachableError, match="the line is cut"):
        ask(name, lost())


@pytest.mark.parametrize("name", ["call", "estimate"])
def test_a_revert_carries_the_contracts_error(name: str) -> None:
    data = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"no".ljust(32, b"\0")
    with pytest.raises(ContractRefusedError) as caught:
        ask(name, RpcError(3, "execution reverted", data))
    assert (caught.value.name, caught.value.values) == ("Error", {"reason": "no"})


@pytest.mark.parametrize("message", ["execution reverted", "VM Exception: Revert", "Reverted 0x"])
def test_a_revert_without_data_is_a_revert(message: str) -> None:
    with pytest.raises(ContractRefusedError, match=r"^Reverted\(\)"):
        ask("call", RpcError(-32000, message))


@pytest.mark.parametrize(
    "message", ["out of gas", "EVM error OutOfGas", "gas required exceeds allowance (30000000)", "Out of gas"]
)
def test_to_run_out_of_gas_is_a_revert(message: str) -> None:
    with pytest.raises(ContractRefusedError, match=r"^OutOfGas\(\); send less in one transaction"):
        ask("call", RpcError(-32000, message))


# Sending


@pytest.mark.parametrize(
    "message",
    [
        "already known",
        "AlreadyKnown",
        "Known transaction",
        "known transaction: 0x12",
        "transaction already imported",
        "Transaction with the same hash was already imported.",
        "nonce too low",
        "Nonce too low: next nonce 5, tx nonce 4",
        "OldNonce",
    ],
)
def test_a_node_that_has_it_is_as_good_as_one_that_takes_it(message: str) -> None:
    Node(ScriptedNode({"eth_sendRawTransaction": RpcError(-32000, message)})).send(b"\1")


@pytest.mark.parametrize(
    "message",
    [
        "unknown transaction",
        "nonce too high",
        "insufficient funds for gas * price + value",
        "transaction underpriced",
        "exceeds block gas limit",
        "invalid sender",
    ],
)
def test_a_refused_transaction_is_an_error(message: str) -> None:
    with pytest.raises(ChainError, match="the node refuses the transaction: ") as caught:
        Node(ScriptedNode({"eth_sendRawTransaction": RpcError(-32000, message)})).send(b"\1")
    assert not isinstance(caught.value, ChainUnreachableError)


def test_nobody_knows_what_became_of_a_lost_transaction() -> None:
    with pytest.raises(ChainUnreachableError):
        Node(ScriptedNode({"eth_sendRawTransaction": lost()})).send(b"\1")


def test_a_node_that_gives_no_money_says_so() -> None:
    with pytest.raises(ChainError, match="the node refuses anvil_setBalance"):
        Node(ScriptedNode({"anvil_setBalance": RpcError(-32601, "no such method")})).fund(bytes(20), 1)


# Questions


def test_blocks_are_asked_for_by_number_and_logs_by_hash() -> None:
    script = ScriptedNode({"eth_getBlockByNumber": BLOCK, "eth_getLogs": []})
    node = Node(script)
    node.header(255)
    node.header()
    node.logs(bytes(32), [bytes(20)])
    assert script.asked == [
        ("eth_getBlockByNumber", ["0xff", False]),
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_getLogs", [{"blockHash": "0x" + "00" * 32, "address": ["0x" + "00" * 20]}]),
    ]


def test_a_call_says_who_calls_and_with_how_much_gas() -> None:
    script = ScriptedNode({"eth_call": "0x", "eth_estimateGas": "0x1"})
    Node(script).call(bytes(20), b"\1", b"\2" * 20, gas_limit=255)
    Node(script).estimate_gas(None, b"\1", b"\2" * 20)
    (_, [call, block]), (_, [estimate]) = script.asked
    assert block == "latest"
    assert call == {"to": "0x" + "00" * 20, "from": "0x" + "02" * 20, "data": "0x01", "input": "0x01", "gas": "0xff"}
    assert "to" not in estimate
