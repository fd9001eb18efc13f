"""The node's answers are untrusted: each is a value, a named refusal, or no answer at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import rlp

from millmark.ledger.chain import Node, Reception, RpcError
from millmark.ledger.errors import ChainError, ChainUnreachableError, ContractRefusedError
from tests.support.blocks import block
from tests.support.rpc import ScriptedNode, lost

BLOOM = "0x" + "00" * 256
A, H2 = "0x" + "11" * 20, "0x" + "33" * 32


def log_of(block_hash: str) -> dict[str, Any]:
    return {
        "address": A,
        "topics": [H2, "0x" + "22" * 32],
        "data": "0x0102",
        "blockNumber": "0x5",
        "blockHash": block_hash,
        "transactionHash": H2,
        "logIndex": "0x0",
    }


def receipt_of(block_hash: str) -> dict[str, Any]:
    return {
        "transactionHash": H2,
        "type": "0x2",
        "status": "0x1",
        "blockNumber": "0x5",
        "blockHash": block_hash,
        "gasUsed": "0x5208",
        "cumulativeGasUsed": "0x5208",
        "contractAddress": None,
        "logsBloom": BLOOM,
        "logs": [log_of(block_hash)],
    }


BLOCK = block([receipt_of("0x")])  # neither a log's block nor its place is in the root
H = BLOCK["hash"]
RECEIPT, LOG = receipt_of(H), log_of(H)
HEADER = Node(ScriptedNode({"eth_getBlockByNumber": BLOCK})).header()
Question = Callable[[Node], Any]
QUESTIONS: dict[str, tuple[str, Question]] = {
    "chain_id": ("eth_chainId", lambda node: node.chain_id()),
    "block_number": ("eth_blockNumber", lambda node: node.block_number()),
    "header": ("eth_getBlockByNumber", lambda node: node.header(5)),
    "base_fee": ("eth_getBlockByNumber", lambda node: node.base_fee_wei()),
    "gas_limit": ("eth_getBlockByNumber", lambda node: node.gas_limit()),
    "logs": ("eth_getBlockReceipts", lambda node: node.logs(HEADER, [bytes.fromhex(A[2:])])),
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
    assert (header.number, header.hash.hex(), header.timestamp) == (5, H[2:], 100)
    assert (ask("base_fee", BLOCK), ask("gas_limit", BLOCK)) == (7, 30_000_000)
    [log] = ask("logs", [RECEIPT])
    assert (log.data, len(log.topics), log.log_index) == (b"\1\2", 2, 0)
    receipt = ask("receipt", RECEIPT)
    assert (receipt.succeeded, receipt.gas_used, receipt.contract_address) == (True, 21_000, None)
    assert ask("receipt", {**RECEIPT, "status": "0x0"}).succeeded is False


def test_a_chain_from_before_london_has_no_base_fee() -> None:
    assert ask("base_fee", {"number": "0x1"}) is None
    assert ask("base_fee", {"number": "0x1", "baseFeePerGas": None}) is None
    assert ask("base_fee", {"number": "0x1", "baseFeePerGas": "0x0"}) == 0


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
    for field in sorted(whole.keys() - set(keep)):
        cases.append({name: value for name, value in whole.items() if name != field})
        cases += [{**whole, field: wrong} for wrong in (5, "zz", "0x", {"a": 1}, [5], None)]
    return cases


@pytest.mark.parametrize("answer", spoilt(BLOCK, ("extraData",)), ids=repr)
def test_a_malformed_header_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("header", answer)


@pytest.mark.parametrize("field", [name for name in BLOCK if name != "hash"])
def test_a_header_with_another_hash_is_no_answer(field: str) -> None:
    last = "1" if BLOCK[field][-1] == "0" else "0"
    with pytest.raises(ChainUnreachableError):
        ask("header", {**BLOCK, field: BLOCK[field][:-1] + last})
    with pytest.raises(ChainUnreachableError):
        ask("header", {**BLOCK, "hash": H2})


def test_a_header_whose_seals_are_not_hashed_is_taken() -> None:
    """QBFT: the round and the committed seals in `extraData` are no part of the hash."""
    sealed, hashed = (
        "0x" + rlp.encode([bytes(32), [bytes(20)], [], *rest]).hex() for rest in ([5, [bytes(65)]], [0, []])
    )
    shown = {**block(extraData=hashed), "extraData": sealed}
    assert ask("header", shown).hash.hex() == shown["hash"][2:]
    with pytest.raises(ChainUnreachableError):
        ask("header", {**shown, "gasUsed": "0x1"})


@pytest.mark.parametrize("answer", spoilt(LOG), ids=repr)
def test_a_malformed_log_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("logs", [{**RECEIPT, "logs": [answer]}])


@pytest.mark.parametrize("answer", spoilt(RECEIPT, ("contractAddress", "gasUsed")), ids=repr)
def test_a_malformed_receipt_of_a_block_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("logs", [answer])


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [RECEIPT, RECEIPT],
        [{**RECEIPT, "logs": []}],
        [{**RECEIPT, "logs": [LOG, LOG]}],
        [{**RECEIPT, "status": "0x0"}],
        [{**RECEIPT, "type": "0x0"}],
        [{**RECEIPT, "cumulativeGasUsed": "0x5209"}],
        [{**RECEIPT, "logsBloom": "0x" + "01" * 256}],
        *([{**RECEIPT, "logs": [{**LOG, field: value}]}] for field, value in (
            ("address", "0x" + "44" * 20),
            ("topics", [H2]),
            ("data", "0x0103"),
            ("blockNumber", "0x6"),
            ("blockHash", H2),
            ("transactionHash", H),
            ("logIndex", "0x1"),
        )),
    ],
)  # fmt: skip
def test_receipts_that_are_not_the_whole_block_are_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError, match="the node's answer to eth_getBlockReceipts cannot be used"):
        ask("logs", answer)


@pytest.mark.parametrize("field", ["hash", "parentHash", "logsBloom"])
@pytest.mark.parametrize("size", [0, 31, 33, 255, 257])
def test_a_hash_of_another_length_is_no_answer(field: str, size: int) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("header", {**BLOCK, field: "0x" + "00" * size})


@pytest.mark.parametrize("answer", [None, 5, {"a": 1}, "0x12", [None], [[]]], ids=repr)
def test_what_is_no_list_of_logs_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("logs", answer)


@pytest.mark.parametrize(
    "field", sorted(RECEIPT.keys() - {"contractAddress", "type", "cumulativeGasUsed", "logsBloom"})
)
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
        ask("receipt", {**RECEIPT, "transactionHash": H, "logs": []})


@pytest.mark.parametrize("address", ["0x11", "zz", 5, [1]], ids=repr)
def test_a_malformed_contract_address_is_no_answer(address: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        ask("receipt", {**RECEIPT, "contractAddress": address})


# Refusals


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_refusal_is_named(name: str) -> None:
    with pytest.raises(ChainError, match=r"the node refuses eth_.*: the method is not there") as caught:
        # Whatever is asked: logs are asked for in several ways.
        QUESTIONS[name][1](Node(ScriptedNode(defaultdict(lambda: RpcError(-32601, "the method is not there")))))
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
    node = Node(ScriptedNode({"eth_sendRawTransaction": RpcError(-32000, message)}))
    assert node.send(b"\1") is Reception.TAKEN


@pytest.mark.parametrize(
    ("message", "reception"),
    [
        ("transaction underpriced", Reception.UNDERPRICED),
        ("replacement transaction underpriced", Reception.UNDERPRICED),
        ("FeeTooLow, effective priority fee too low", Reception.UNDERPRICED),
        ("max fee per gas less than block base fee: fee cap less than block base fee", Reception.UNDERPRICED),
        ("Nonce too high: next nonce 5, tx nonce 9", Reception.GAPPED),
        ("Transaction nonce is too distant from current sender nonce", Reception.FULL),
        ("txpool is full", Reception.FULL),
        ("nonce too far in the future", Reception.GAPPED),
    ],
)
def test_what_may_be_taken_later_is_no_error(message: str, reception: Reception) -> None:
    assert Node(ScriptedNode({"eth_sendRawTransaction": RpcError(-32000, message)})).send(b"\1") is reception


@pytest.mark.parametrize(
    "message",
    [
        "unknown transaction",
        "insufficient funds for gas * price + value",
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
    script = ScriptedNode({"eth_getBlockByNumber": BLOCK, "eth_getBlockReceipts": [RECEIPT]})
    node = Node(script)
    node.header(255)
    node.header()
    assert node.logs(HEADER, [bytes(20)]) == (), "of others"
    assert script.asked == [
        ("eth_getBlockByNumber", ["0xff", False]),
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_getBlockReceipts", [H]),
    ]


def test_a_call_says_who_calls_and_with_how_much_gas() -> None:
    script = ScriptedNode({"eth_call": "0x", "eth_estimateGas": "0x1"})
    Node(script).call(bytes(20), b"\1", b"\2" * 20, gas_limit=255)
    Node(script).estimate_gas(None, b"\1", b"\2" * 20)
    (_, [call, block]), (_, [estimate]) = script.asked
    assert block == "latest"
    assert call == {"to": "0x" + "00" * 20, "from": "0x" + "02" * 20, "data": "0x01", "input": "0x01", "gas": "0xff"}
    assert "to" not in estimate
