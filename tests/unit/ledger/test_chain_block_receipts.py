"""All receipts of a block, by each of the calls that a node may have. Blocks and receipts are an embedded chain's."""

from __future__ import annotations

from typing import Any

import pytest
import rlp

from millmark.ledger.chain import Node, Receipt, RpcError
from millmark.ledger.errors import ChainUnreachableError, MethodMissingError
from millmark.ledger.events import Header
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.rpc import lost

BY_BLOCK, BY_ENCODING, BY_TRANSACTION = "eth_getBlockReceipts", "debug_getRawReceipts", "eth_getTransactionReceipt"


class Engine:
    """A node of the chain that has only some of the calls."""

    def __init__(self, world: LedgerWorld, *calls: str) -> None:
        self._node, self.calls = world.line.node, set(calls)
        self.asked: list[str] = []
        self.changed: dict[str, Any] = {}

    def request(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        if method in (BY_BLOCK, BY_ENCODING, BY_TRANSACTION) and method not in self.calls:
            raise RpcError(-32601, f"the method {method} does not exist/is not available")
        if method in self.changed:
            change = self.changed[method]
            if isinstance(change, Exception):
                raise change
            return change(self._answer(method, params))
        return self._answer(method, params)

    def _answer(self, method: str, params: list[Any]) -> Any:
        if method == BY_ENCODING:
            return [encode(each) for each in self._node.request(BY_BLOCK, params)]
        return self._node.request(method, params)


def encode(receipt: dict[str, Any]) -> str:
    logs = [[raw(log["address"]), [raw(topic) for topic in log["topics"]], raw(log["data"])] for log in receipt["logs"]]
    numbers = [int(receipt[name], 16) for name in ("status", "cumulativeGasUsed")]
    kind = int(receipt["type"], 16)
    encoded: bytes = (bytes([kind]) if kind else b"") + rlp.encode([*numbers, raw(receipt["logsBloom"]), logs])
    return "0x" + encoded.hex()


def raw(value: str) -> bytes:
    return bytes.fromhex(value[2:])


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return build_world()


@pytest.fixture(scope="module")
def header(world: LedgerWorld) -> Header:
    """Of a block with logs."""
    node = Node(world.line.node)
    headers = [node.header(number) for number in range(node.block_number() + 1)]
    return next(one for one in reversed(headers) if any(receipt.logs for receipt in node.receipts(one)))


def without_address(receipts: tuple[Receipt, ...]) -> list[Receipt]:
    return [
        Receipt(one.transaction_hash, one.succeeded, one.block_number, one.block_hash, one.gas_used, None, one.logs)
        for one in receipts
    ]


@pytest.mark.parametrize("call", [BY_BLOCK, BY_ENCODING, BY_TRANSACTION])
def test_each_call_shows_the_same_receipts(world: LedgerWorld, header: Header, call: str) -> None:
    expected = Node(world.line.node).receipts(header)
    assert expected[0].logs
    found = Node(Engine(world, call)).receipts(header)
    assert without_address(found) == without_address(expected)


def test_every_block_of_a_chain_is_read_by_each_call(world: LedgerWorld) -> None:
    node = Node(world.line.node)
    others = [Node(Engine(world, call)) for call in (BY_ENCODING, BY_TRANSACTION)]
    for number in range(node.block_number() + 1):
        header = node.header(number)
        for other in others:
            assert without_address(other.receipts(header)) == without_address(node.receipts(header))


def test_a_call_that_is_missing_is_asked_for_once(world: LedgerWorld, header: Header) -> None:
    engine = Engine(world, BY_TRANSACTION)
    node = Node(engine)
    for _ in range(3):
        node.receipts(header)
    assert (engine.asked.count(BY_BLOCK), engine.asked.count(BY_ENCODING)) == (1, 1)
    assert engine.asked.count(BY_TRANSACTION) == 3 * len(node.transactions(header.number)[1])


@pytest.mark.parametrize("code", [-32601, -32604])
def test_a_call_whose_api_is_off_is_missing(world: LedgerWorld, header: Header, code: int) -> None:
    """Besu has a code of its own for it."""
    engine = Engine(world, BY_BLOCK, BY_ENCODING)
    engine.changed[BY_BLOCK] = RpcError(code, "Method not enabled")
    assert Node(engine).receipts(header)
    assert engine.asked.count(BY_ENCODING) == 1


def test_another_node_behind_the_address_is_asked_anew(world: LedgerWorld, header: Header) -> None:
    engine = Engine(world, BY_ENCODING)
    node = Node(engine)
    node.receipts(header)
    engine.calls = {BY_BLOCK}
    node.receipts(header)
    engine.asked.clear()
    node.receipts(header)
    assert engine.asked == [BY_BLOCK]


def test_after_a_node_did_not_answer_it_may_be_a_newer_one(world: LedgerWorld, header: Header) -> None:
    engine = Engine(world, BY_ENCODING)
    node = Node(engine)
    node.receipts(header)
    engine.calls.add(BY_BLOCK)
    engine.changed[BY_ENCODING] = lost()
    with pytest.raises(ChainUnreachableError):
        node.receipts(header)
    engine.asked.clear()
    node.receipts(header)
    assert engine.asked == [BY_BLOCK]


def test_a_block_without_transactions_is_not_asked_for(world: LedgerWorld) -> None:
    engine = Engine(world)
    genesis = Node(world.line.node).header(0)
    assert Node(engine).receipts(genesis) == ()
    assert engine.asked == []


def test_a_node_without_any_of_the_calls_is_named(world: LedgerWorld, header: Header) -> None:
    with pytest.raises(MethodMissingError, match=r"refuses eth_getTransactionReceipt.*switch on the APIs"):
        Node(Engine(world)).receipts(header)


WRONG: list[tuple[str, Any]] = [
    (BY_BLOCK, lambda _: None),
    (BY_BLOCK, lambda found: [{**found[0], "blockHash": "0x" + "11" * 32}, *found[1:]]),
    (BY_BLOCK, lambda found: [{**found[0], "blockNumber": "0x1"}, *found[1:]]),
    (BY_ENCODING, lambda _: None),
    (BY_ENCODING, lambda found: found[:-1]),
    (BY_ENCODING, lambda found: [*found, found[-1]]),
    (BY_ENCODING, lambda found: [*found[:-1], "0x"]),
    (BY_ENCODING, lambda found: [*found[:-1], found[-1][:-1] + ("0" if found[-1][-1] != "0" else "1")]),
    (
        BY_ENCODING,
        lambda found: [*found[:-1], found[-1][:100] + ("0" if found[-1][100] != "0" else "1") + found[-1][101:]],
    ),
    (BY_TRANSACTION, lambda _: None),
    (BY_TRANSACTION, lambda found: {**found, "logs": found["logs"][:-1]}),
    (BY_TRANSACTION, lambda found: {**found, "status": "0x0"}),
    (BY_TRANSACTION, lambda found: {**found, "blockHash": "0x" + "11" * 32}),
    (BY_TRANSACTION, lambda found: {**found, "transactionHash": "0x" + "11" * 32}),
]


@pytest.mark.parametrize(("call", "change"), WRONG)
def test_receipts_that_are_not_the_whole_block_are_no_answer(
    world: LedgerWorld, header: Header, call: str, change: Any
) -> None:
    engine = Engine(world, call)
    engine.changed[call] = change
    with pytest.raises(ChainUnreachableError, match=f"the node's answer to {call} cannot be used"):
        Node(engine).receipts(header)


@pytest.mark.parametrize("call", [BY_ENCODING, BY_TRANSACTION])
def test_the_transactions_of_another_block_are_no_answer(world: LedgerWorld, header: Header, call: str) -> None:
    engine = Engine(world, call)
    other = world.line.node.request("eth_getBlockByNumber", [hex(header.number - 1), True])
    engine.changed["eth_getBlockByHash"] = lambda _: other
    with pytest.raises(ChainUnreachableError, match="another block"):
        Node(engine).receipts(header)


@pytest.mark.parametrize("call", [BY_ENCODING, BY_TRANSACTION])
def test_a_block_that_hides_a_transaction_is_no_answer(world: LedgerWorld, header: Header, call: str) -> None:
    engine = Engine(world, call)
    engine.changed["eth_getBlockByHash"] = lambda found: {**found, "transactions": found["transactions"][:-1]}
    with pytest.raises(ChainUnreachableError, match="eth_getBlockByHash cannot be used"):
        Node(engine).receipts(header)


def with_logs(world: LedgerWorld) -> list[Header]:
    node = Node(world.line.node)
    return list(node.headers(range(node.block_number() + 1)))


@pytest.mark.parametrize("call", [BY_BLOCK, BY_ENCODING, BY_TRANSACTION])
def test_several_blocks_have_the_receipts_of_each(world: LedgerWorld, call: str) -> None:
    headers = with_logs(world)
    node, addresses = Node(Engine(world, call)), [world.chain.ledger, world.chain.registry]
    expected = [node.logs(header, addresses) for header in headers]
    assert any(expected)
    assert list(node.logs_of_each(headers, addresses)) == expected


def test_of_several_blocks_one_that_fails_is_raised_in_its_place(world: LedgerWorld) -> None:
    headers = [one for one in with_logs(world) if Node(world.line.node).receipts(one)]
    engine = Engine(world, BY_BLOCK)
    node = Node(engine)
    node.receipts(headers[0])
    bad = "0x" + headers[2].hash.hex()
    engine.changed[BY_BLOCK] = lambda answer: answer[:-1] if answer and answer[0]["blockHash"] == bad else answer
    found = node.logs_of_each(headers, [])
    assert [next(found), next(found)] == [(), ()]
    with pytest.raises(ChainUnreachableError):
        next(found)


def test_a_node_that_lost_the_call_is_asked_by_another(world: LedgerWorld) -> None:
    """Behind one address there may be another node from one request to the next."""
    headers = with_logs(world)
    engine = Engine(world, BY_BLOCK, BY_ENCODING)
    node, addresses = Node(engine), [world.chain.ledger]
    expected = list(node.logs_of_each(headers, addresses))
    engine.calls.remove(BY_BLOCK)
    assert list(node.logs_of_each(headers, addresses)) == expected
    assert BY_ENCODING in engine.asked
