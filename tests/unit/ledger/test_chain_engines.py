"""What engines answer, and what is made of it: Besu's answers as they were seen, and a block of electroneum-sc as four
validators of it sealed it (tests/vectors/engines)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import Chain, Node, Reception, RpcError, Transport, fetch_proofs, find_profile
from millmark.ledger.errors import (
    ChainError,
    ChainUnreachableError,
    ContractRefusedError,
    FundsError,
    MethodMissingError,
    MillmarkError,
)
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.ledger.trie import verify_proof
from tests.support.ledger_world import LedgerWorld, verify_once
from tests.support.rpc import ScriptedNode

_NULL_BEYOND_HEAD = (
    "eth_getBalance",
    "eth_call",
    "eth_getTransactionCount",
    "eth_getCode",
    "eth_getProof",
    "eth_getBlockByNumber",
)
_SWITCHED_OFF = ("debug_", "admin_", "txpool_")
_NO_CODE = "0x" + keccak(b"").hex()
_MISSING = ("clique_", "anvil_", "evm_", "eth_getHeaderByNumber", "istanbul_")


class Besu:
    """Answers as Hyperledger Besu 26.2.0 does on a QBFT network without fees, in all that was seen to differ from Geth:
    methods and tags, unknown blocks and accounts, and errors. The blocks are those of the chain behind it, and `asked`
    the requests that reached that."""

    def __init__(self, node: Transport) -> None:
        self._node = node
        self.asked: list[tuple[str, list[Any]]] = []

    def request(self, method: str, params: list[Any]) -> Any:
        self.asked.append((method, params))
        if method.startswith(_SWITCHED_OFF):
            raise RpcError(-32604, "Method not enabled")
        if method.startswith(_MISSING):
            raise RpcError(-32601, "Method not found")
        if "finalized" in params or "safe" in params:
            raise RpcError(-39001, "Unknown block")
        if method in _NULL_BEYOND_HEAD and self._is_beyond_head(params):
            return None
        if method == "eth_sendRawTransaction":
            return self._send(params)
        return self._changed(method, self._node.request(method, params))

    def _is_beyond_head(self, params: list[Any]) -> bool:
        numbers = [one for one in params if isinstance(one, str) and one.startswith("0x") and len(one) < 20]
        return any(int(one, 16) > int(self._node.request("eth_blockNumber", []), 16) for one in numbers)

    def _send(self, params: list[Any]) -> Any:
        try:
            return self._node.request("eth_sendRawTransaction", params)
        except RpcError as error:
            if "nonce too low" in error.message.lower():
                raise RpcError(-32001, "Nonce too low") from None
            raise

    def _changed(self, method: str, answer: Any) -> Any:
        if method == "eth_getProof" and isinstance(answer, dict):
            return self._proof(answer)
        if method in ("eth_getBlockByNumber", "eth_getBlockByHash") and isinstance(answer, dict):
            transactions = [self._transaction(answer, one) for one in answer["transactions"]]
            return {**answer, "totalDifficulty": "0x1", "transactions": transactions, "withdrawals": []}
        return answer

    def _proof(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Nothing for the slots of an account that does not exist; keys as quantities."""
        exists = any(int(answer[name], 16) for name in ("nonce", "balance")) or answer["codeHash"] != _NO_CODE
        slots = [{**one, "key": hex(int(one["key"], 16))} for one in answer["storageProof"]] if exists else []
        return {**answer, "storageProof": slots}

    def _transaction(self, block: dict[str, Any], shown: Any) -> Any:
        if not isinstance(shown, dict):
            return shown
        legacy = int(shown.get("type", "0x0"), 16) == 0
        kept = {name: value for name, value in shown.items() if not (legacy and name == "yParity")}
        return {**kept, "blockTimestamp": block["timestamp"]}


RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "engines" / "electroneum.json").read_text()
)
NOBODY = b"\x11" * 20
SLOT = bytes(32)


# Besu, as a node of a whole chain


@pytest.fixture
def besu(world: LedgerWorld) -> Besu:
    return Besu(world.line)


def test_records_are_made_and_followed_through_besu(
    world: LedgerWorld, besu: Besu, store: Store, outbox: Outbox
) -> None:
    """Nothing on the way asks for a method, a tag or a form of answer that Besu does not have."""
    signer, before = world.admit(outbox), world.count()
    chain = Chain(Node(besu), find_profile("embedded"), world.chain.deployment)
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=0.2)
    ids = submitter.submit(world.lots(5))
    submitter.drain()
    verify_once(world, store, signer, ids, before)
    assert Follower(chain, store).follow().block_number == chain.final_number()
    refused = ("debug_", "txpool_", "clique_", "eth_getLogs", "eth_getHeaderByNumber")
    assert not [method for method, _ in besu.asked if method.startswith(refused)]


@pytest.mark.parametrize(
    "ask",
    [
        lambda node: node.header(10**6),
        lambda node: node.balance_wei(NOBODY) if node.find_header(10**6) else node.transaction_count(NOBODY, 10**6),
        lambda node: node.call(NOBODY, b"", number=10**6),
        lambda node: node.proof(NOBODY, [SLOT], 10**6),
        lambda node: node.transactions(10**6),
    ],
    ids=["header", "count", "call", "proof", "transactions"],
)
def test_an_unknown_block_is_null_and_no_answer(besu: Besu, ask: Any) -> None:
    """Not zero, empty, or a refusal that would count as the contract's."""
    with pytest.raises(ChainUnreachableError):
        ask(Node(besu))


def test_an_unknown_block_is_none_where_that_is_asked(besu: Besu) -> None:
    assert Node(besu).find_header(10**6) is None


def test_an_absent_account_is_proved_without_an_entry_for_its_slots(world: LedgerWorld, besu: Besu) -> None:
    node = Node(besu)
    number = node.block_number()
    found = fetch_proofs(node, {NOBODY: [SLOT, b"\1" * 32]}, number)
    assert found.accounts[NOBODY] is None
    assert found.words == {(NOBODY, SLOT): SLOT, (NOBODY, b"\1" * 32): SLOT}


def test_the_slots_of_an_account_that_exists_cannot_be_left_out(world: LedgerWorld, besu: Besu) -> None:
    """Where it has any: an account without storage needs no proof of a slot, such as a ledger without records."""
    number = Node(besu).block_number()
    shown = besu.request("eth_getProof", ["0x" + world.chain.registry.hex(), ["0x" + SLOT.hex()], hex(number)])
    assert shown["storageProof"][0]["key"] == "0x0", "a quantity"
    world.line.handlers["eth_getProof"] = lambda _: {**shown, "storageProof": []}
    with pytest.raises(ChainUnreachableError, match="proof at block"):
        fetch_proofs(Node(world.line), {world.chain.registry: [SLOT]}, number)


def test_slots_are_proved_whatever_form_their_keys_come_back_in(world: LedgerWorld, besu: Besu) -> None:
    node = Node(besu)
    number = node.block_number()
    slots = [number.to_bytes(32, "big") for number in range(4)]
    assert fetch_proofs(node, {world.chain.ledger: slots}, number).words == (
        fetch_proofs(world.chain.node, {world.chain.ledger: slots}, number).words
    )


def test_an_api_that_is_off_is_told_apart_from_an_answer(besu: Besu) -> None:
    node = Node(besu)
    assert node.signer_count() is None
    with pytest.raises(MethodMissingError, match="switch on the APIs"):
        node.fund(NOBODY)


# Besu's errors

SENT: list[tuple[RpcError, Reception | type[MillmarkError]]] = [
    (RpcError(-32000, "Known transaction"), Reception.TAKEN),
    (RpcError(-32001, "Nonce too low"), Reception.TAKEN),
    (RpcError(-32000, "Transaction nonce is too distant from current sender nonce"), Reception.FULL),
    (RpcError(-32000, "Replacement transaction underpriced"), Reception.UNDERPRICED),
    (RpcError(-32009, "Gas price below configured minimum gas price"), Reception.BELOW_MINIMUM),
    (RpcError(-32005, "Transaction gas limit exceeds block gas limit"), Reception.OVERSIZED),
    (RpcError(-32004, "Upfront cost exceeds account balance"), FundsError),
    (RpcError(-32003, "Intrinsic gas exceeds gas limit"), ChainError),
    (RpcError(-32000, "Transaction was meant for chain id 5 and not this chain"), ChainError),
    (RpcError(-32602, "Invalid transaction params"), ChainError),
    (RpcError(-32603, "Initcode size exceeds maximum size"), ChainError),
]


@pytest.mark.parametrize(("error", "expected"), SENT, ids=lambda value: getattr(value, "message", ""))
def test_each_answer_to_a_transaction(error: RpcError, expected: Reception | type[MillmarkError]) -> None:
    node = Node(ScriptedNode({"eth_sendRawTransaction": error}))
    if isinstance(expected, Reception):
        assert node.send(b"\1") is expected
        return
    with pytest.raises(expected) as caught:
        node.send(b"\1")
    assert type(caught.value) is expected
    assert not isinstance(caught.value, ChainUnreachableError), "it would be sent again and again"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RpcError(3, "Execution reverted", bytes.fromhex("118cdaa7") + NOBODY.rjust(32, b"\0")), ContractRefusedError),
        (RpcError(-32000, "Transaction processing could not be completed due to an exception: Out of gas"),
         ContractRefusedError),
        (RpcError(-32004, "Upfront cost exceeds account balance"), ChainError),
        (RpcError(-32603, "Internal error: java.lang.IllegalStateException at org.example.Evm.run(Evm.java:5)"),
         ChainError),
    ],
    ids=["revert", "out of gas", "a call without balance", "an estimate without balance"],
)  # fmt: skip
def test_each_answer_to_a_call(error: RpcError, expected: type[ChainError]) -> None:
    node = Node(ScriptedNode({"eth_call": error, "eth_estimateGas": error}))
    for ask in (lambda: node.call(NOBODY, b""), lambda: node.estimate_gas(NOBODY, b"", NOBODY)):
        with pytest.raises(expected) as caught:
            ask()
        assert type(caught.value) is expected


def test_a_revert_keeps_its_name_and_values() -> None:
    data = bytes.fromhex("118cdaa7") + NOBODY.rjust(32, b"\0")
    node = Node(ScriptedNode({"eth_call": RpcError(3, "Execution reverted", data)}))
    with pytest.raises(ContractRefusedError, match="OwnableUnauthorizedAccount"):
        node.call(NOBODY, b"")


# electroneum-sc, as it answered


class Recorded:
    """The node that gave these answers, with or without its debug API."""

    def __init__(self, *, debug: bool) -> None:
        self._blocks = {one["block"]["hash"]: one for one in RECORDED["blocks"]}
        self._receipts = {
            receipt["transactionHash"]: receipt for one in RECORDED["blocks"] for receipt in one["receipts"]
        }
        self._debug = debug

    def request(self, method: str, params: list[Any]) -> Any:
        if method == "eth_getBlockByHash":
            return self._blocks[params[0]]["block"]
        if method == "eth_getBlockByNumber":
            return next((one["block"] for one in self._blocks.values() if one["block"]["number"] == params[0]), None)
        if method == "debug_getRawReceipts" and self._debug:
            return self._blocks[params[0]]["raw"]
        if method == "eth_getTransactionReceipt":
            return self._receipts.get(params[0])
        if method == "eth_getProof":
            return RECORDED["absent"]
        raise RpcError(RECORDED["missing"]["code"], RECORDED["missing"]["message"])


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("recorded", RECORDED["blocks"], ids=["logs", "transfers"])
def test_a_sealed_block_is_read_with_and_without_its_debug_api(debug: bool, recorded: dict[str, Any]) -> None:
    node = Node(Recorded(debug=debug))
    header = node.header(int(recorded["block"]["number"], 16))
    assert "0x" + header.hash.hex() == recorded["block"]["hash"], "of the header without its seals"
    receipts = node.receipts(header)
    assert ["0x" + one.transaction_hash.hex() for one in receipts] == [
        one["transactionHash"] for one in recorded["receipts"]
    ]
    assert [one.gas_used for one in receipts] == [int(one["gasUsed"], 16) for one in recorded["receipts"]]
    assert [len(one.logs) for one in receipts] == [len(one["logs"]) for one in recorded["receipts"]]
    for receipt, shown in zip(receipts, recorded["receipts"], strict=True):
        for log, raw in zip(receipt.logs, shown["logs"], strict=True):
            assert ("0x" + log.data.hex(), log.log_index) == (raw["data"], int(raw["logIndex"], 16))
            assert ["0x" + topic.hex() for topic in log.topics] == raw["topics"]


def test_the_absence_of_an_account_is_proved() -> None:
    node = Node(Recorded(debug=True))
    block = RECORDED["blocks"][1]["block"]
    answer = node.proof(NOBODY, [SLOT], int(block["number"], 16))
    root = bytes.fromhex(block["stateRoot"][2:])
    assert verify_proof(root, keccak256(NOBODY), answer.account) is None
    assert answer.storage == ((),)


def test_there_is_no_final_block_to_ask_for() -> None:
    """`finalized` is null there: finality follows from the profile."""
    assert RECORDED["finalized"]["result"] is None
    assert find_profile("qbft").finality_depth == 0


def test_a_state_it_does_not_have_is_refused() -> None:
    error = RECORDED["unknown_state"]["error"]
    node = Node(ScriptedNode({"eth_getBalance": RpcError(error["code"], error["message"])}))
    with pytest.raises(ChainError, match="header not found"):
        node.balance_wei(NOBODY)
