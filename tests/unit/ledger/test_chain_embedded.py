"""The embedded chain answers as a node does: every method, every refusal, from several threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from millmark.ledger.chain import EmbeddedChain, Node, RpcError, Transaction, call_data, sign_transaction
from millmark.ledger.chain.codec import encode_function
from millmark.ledger.chain.embedded import CHAIN_ID
from millmark.ledger.errors import ChainError, ContractRefusedError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Admit, Contract
from millmark.ledger.store.outbox import Outbox
from tests.support.ledger_world import LedgerWorld, build_world

ZERO = "0x" + "00" * 32
FEE_WEI = 10**10


@pytest.fixture
def world() -> LedgerWorld:
    return build_world()


def request(world: LedgerWorld, method: str, *params: Any) -> Any:
    return world.line.node.request(method, list(params))


def text(value: bytes) -> str:
    return "0x" + value.hex()


def sign(world: LedgerWorld, nonce: int, data: bytes = b"", gas_limit: int = 200_000, fee_wei: int = FEE_WEI) -> bytes:
    transaction = Transaction(CHAIN_ID, nonce, 1, fee_wei, gas_limit, world.chain.registry, data)
    return sign_transaction(transaction, world.owner).raw


def admission() -> bytes:
    return call_data(Admit(1, LocalSigner.generate().address, bytes(32)))


def test_every_method_answers(world: LedgerWorld) -> None:
    registry, owner = text(world.chain.registry), text(world.owner.address)
    head = request(world, "eth_getBlockByNumber", "latest", False)
    expected: dict[tuple[Any, ...], Any] = {
        ("web3_clientVersion",): "millmark-devchain",
        ("net_version",): str(CHAIN_ID),
        ("eth_chainId",): hex(CHAIN_ID),
        ("eth_blockNumber",): "0x6",
        ("eth_getBlockByNumber", "0x6", False): head,
        ("eth_getBlockByNumber", "pending", False): head,
        ("eth_getBlockByNumber", "finalized"): head,
        ("eth_getBlockByHash", head["hash"], False): head,
        ("eth_getBlockByNumber", "0x7", False): None,
        ("eth_getBlockByHash", ZERO, False): None,
        ("eth_getTransactionReceipt", ZERO): None,
        ("eth_getTransactionCount", owner): "0x5",
        ("eth_getTransactionCount", owner, "latest"): "0x5",
        ("eth_getBalance", registry, "latest"): "0x0",
        ("eth_getStorageAt", registry, "0x0", "latest"): "0x" + bytes(12).hex() + owner[2:],
        ("eth_getLogs", (("blockHash", head["hash"]),)): [],
        ("eth_maxPriorityFeePerGas",): "0x1",
        ("anvil_setBalance", ADDRESS, "0x5"): None,
    }
    for (method, *params), answer in expected.items():
        given = [dict(param) if isinstance(param, tuple) else param for param in params]
        assert request(world, method, *given) == answer, method
    assert request(world, "eth_getBalance", ADDRESS) == "0x5"
    assert int(request(world, "eth_gasPrice"), 16) == (world.chain.node.base_fee_wei() or 0) + 1
    assert request(world, "eth_getCode", registry, "latest") == text(world.chain.node.code(world.chain.registry))


def test_blocks_are_linked(world: LedgerWorld) -> None:
    genesis = request(world, "eth_getBlockByNumber", "earliest", False)
    assert (genesis["number"], genesis["parentHash"]) == ("0x0", ZERO)
    for number in range(1, 4):
        block = request(world, "eth_getBlockByNumber", hex(number), False)
        before = request(world, "eth_getBlockByNumber", hex(number - 1), False)
        assert block["parentHash"] == before["hash"]
        assert int(block["timestamp"], 16) >= int(before["timestamp"], 16)
        assert len(block["transactions"]) == 1


def test_a_call_sees_the_state_after_the_block_that_it_names(world: LedgerWorld, outbox: Outbox) -> None:
    before = world.chain.head_number()
    world.admit(outbox)
    counted = encode_function(Contract.REGISTRY, "sequence")
    found = [
        int.from_bytes(world.chain.node.call(world.chain.registry, counted, number=number))
        for number in (before, world.chain.head_number(), None)
    ]
    assert found[0] < found[1] == found[2]


@pytest.mark.parametrize("method", ["eth_mine", "", "eth_sendTransaction", "__class__", "debug_traceTransaction"])
def test_an_unknown_method_is_refused(world: LedgerWorld, method: str) -> None:
    with pytest.raises(RpcError, match="does not exist") as caught:
        request(world, method)
    assert caught.value.code == -32601


ADDRESS = "0x" + "11" * 20
TOO_MANY: tuple[list[Any], ...] = ([1], [None], [{}, {}])
NO_BLOCKS: tuple[Any, ...] = ("abc", "", "-0x1", "0x", 5, None, [], {})
NO_CALLS: tuple[Any, ...] = ("x", 5, None, [], {"to": ADDRESS, "data": "0xzz"}, {"to": "0x1"})
BAD: list[tuple[str, list[Any]]] = [
    *((method, params) for method in ("eth_chainId", "eth_blockNumber") for params in TOO_MANY),
    *(("eth_getBlockByNumber", [number, False]) for number in NO_BLOCKS),
    ("eth_getBlockByNumber", []),
    *(("eth_getBlockByHash", [block, False]) for block in ("0x12", "", 5, None, "latest")),
    *(("eth_getLogs", [query]) for query in ({}, 5, "x", None, {"blockHash": "0x12"}, {"blockHash": 5})),
    ("eth_getLogs", [{"blockHash": ZERO}]),
    *(("eth_getLogs", [{"fromBlock": number}]) for number in ("0xffff", "first", 5)),
    ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "0xffff"}]),
    ("eth_getLogs", [{"fromBlock": "0x0", "blockHash": ZERO}]),
    *(("eth_getLogs", [{"fromBlock": "0x0", "topics": topics}]) for topics in (5, [5], [[5]])),
    ("eth_getLogs", [{"blockHash": ZERO, "topics": [ZERO]}]),
    *((method, ["0x12"]) for method in ("eth_getCode", "eth_getBalance", "eth_getTransactionCount")),
    *((method, [None]) for method in ("eth_getCode", "eth_getBalance", "eth_getTransactionCount")),
    *((method, []) for method in ("eth_getCode", "eth_call", "eth_estimateGas", "eth_sendRawTransaction")),
    *((method, [ADDRESS, "earliest"]) for method in ("eth_getCode", "eth_getBalance")),
    *((method, [ADDRESS, "0x1"]) for method in ("eth_getCode", "eth_getBalance")),
    *(("eth_getTransactionCount", [ADDRESS, block]) for block in ("0x1", "0x", "first", 5)),
    *(("eth_getStorageAt", [ADDRESS, slot]) for slot in ("zz", 0, None, "latest")),
    *(("eth_getTransactionReceipt", [name]) for name in ("0x12", 5, None, "")),
    *(("eth_call", [call]) for call in NO_CALLS),
    ("eth_call", [{"to": ADDRESS, "gas": "lots"}]),
    ("eth_call", [{"to": ADDRESS}, "0x"]),
    ("eth_call", [{"to": ADDRESS}, "0x1"]),
    *(
        ("eth_sendRawTransaction", [raw])
        for raw in ("xx", "", "0x", "0x02", "0x0201", "0xff", None, 5, "0x" + "00" * 99)
    ),
    ("anvil_setBalance", [ADDRESS, "much"]),
    ("anvil_setBalance", ["nobody", "0x5"]),
]


@pytest.mark.parametrize(("method", "params"), BAD, ids=str)
def test_bad_parameters_are_refused(method: str, params: list[Any]) -> None:
    with pytest.raises(RpcError) as caught:
        SHARED.request(method, params)
    assert caught.value.code in (-32602, -32000)
    assert caught.value.data is None


SHARED = EmbeddedChain()


# Transactions


def test_a_transaction_is_mined_at_once_in_a_block_of_its_own(world: LedgerWorld) -> None:
    raw = sign(world, 5, admission())
    name = request(world, "eth_sendRawTransaction", text(raw))
    assert name == text(keccak(raw))
    receipt = request(world, "eth_getTransactionReceipt", name)
    block = request(world, "eth_getBlockByNumber", "latest", False)
    assert (receipt["status"], receipt["blockHash"], block["transactions"]) == ("0x1", block["hash"], [name])
    assert [log["topics"][1] for log in receipt["logs"]] == ["0x" + (1).to_bytes(32, "big").hex()]
    assert int(block["logsBloom"], 16)


def test_a_transaction_that_reverts_is_mined_with_status_0(world: LedgerWorld) -> None:
    name = request(world, "eth_sendRawTransaction", text(sign(world, 5, b"\1\2\3\4")))
    receipt = request(world, "eth_getTransactionReceipt", name)
    assert (receipt["status"], receipt["logs"], receipt["contractAddress"]) == ("0x0", [], None)
    assert world.nonces(world.owner) == 6


def test_logs_are_had_by_block_hash_and_address(world: LedgerWorld) -> None:
    request(world, "eth_sendRawTransaction", text(sign(world, 5, admission())))
    block = request(world, "eth_getBlockByNumber", "latest", False)["hash"]
    registry, ledger = text(world.chain.registry), text(world.chain.ledger)
    everything = request(world, "eth_getLogs", {"blockHash": block})
    assert [log["address"] for log in everything] == [registry]
    assert request(world, "eth_getLogs", {"blockHash": block, "address": registry}) == everything
    assert request(world, "eth_getLogs", {"blockHash": block, "address": [ledger, registry.upper().replace("X", "x")]})
    assert request(world, "eth_getLogs", {"blockHash": block, "address": [ledger]}) == []
    assert everything[0]["blockHash"] == block
    assert (
        everything[0]["data"]
        == request(world, "eth_getTransactionReceipt", everything[0]["transactionHash"])["logs"][0]["data"]
    )


def test_logs_are_had_by_range_and_topics(world: LedgerWorld) -> None:
    name = request(world, "eth_sendRawTransaction", text(sign(world, 5, admission())))
    [log] = request(world, "eth_getTransactionReceipt", name)["logs"]
    kind, sequence, participant, subject = log["topics"]
    before = hex(int(log["blockNumber"], 16) - 1)

    def ask(**query: object) -> list[Any]:
        return list(request(world, "eth_getLogs", query))

    assert log in ask(fromBlock="0x0")
    assert len(ask(fromBlock="0x0")) > len(ask(fromBlock="0x0", topics=[kind])) == 1
    assert ask(fromBlock="0x0", toBlock=before, topics=[kind]) == []
    assert ask(fromBlock=log["blockNumber"], toBlock="latest") == [log]
    for topics in (
        [],
        [kind],
        [None, sequence],
        [[ZERO, kind.upper().replace("X", "x")]],
        [[], None, participant, subject],
    ):
        assert ask(fromBlock=before, address=log["address"], topics=topics) == [log], topics
        assert ask(blockHash=log["blockHash"], topics=topics) == [log], topics
    for topics in ([ZERO], [None, ZERO], [kind, [ZERO]], [None, None, None, None, None]):
        assert ask(fromBlock=before, topics=topics) == [], topics


@pytest.mark.parametrize(
    ("transaction", "words"),
    [
        ({"nonce": 1}, "nonce too low: next nonce 5, transaction nonce 1"),
        ({"nonce": 9}, "nonce too high: next nonce 5, transaction nonce 9"),
        ({"nonce": 5, "gas_limit": 100}, "gas"),
        ({"nonce": 5, "fee_wei": 1}, "base fee"),
        ({"nonce": 5, "gas_limit": 100_000_000}, "gas"),
    ],
)
def test_a_refused_transaction_changes_nothing(world: LedgerWorld, transaction: dict[str, Any], words: str) -> None:
    raw = sign(world, **transaction)
    with pytest.raises(RpcError, match=words) as caught:
        request(world, "eth_sendRawTransaction", text(raw))
    assert caught.value.code == -32000
    assert request(world, "eth_blockNumber") == "0x6"


def test_to_send_the_same_bytes_again_is_tolerated(world: LedgerWorld) -> None:
    raw = sign(world, 5, admission())
    world.chain.node.send(raw)
    world.chain.node.send(raw)
    assert world.nonces(world.owner) == 6


def test_a_key_without_money_sends_nothing(world: LedgerWorld) -> None:
    transaction = Transaction(CHAIN_ID, 0, 1, FEE_WEI, 21_000, bytes(20), b"")
    raw = sign_transaction(transaction, LocalSigner.generate()).raw
    with pytest.raises(ChainError, match="insufficient funds"):
        world.chain.node.send(raw)


# Calls


def test_a_revert_carries_its_data(world: LedgerWorld) -> None:
    selector = keccak(text="machineOf(uint40)")[:4]
    with pytest.raises(RpcError, match="execution reverted") as caught:
        request(world, "eth_call", {"to": text(world.chain.registry), "data": text(selector + encode(["uint40"], [9]))})
    assert caught.value.code == 3
    assert caught.value.data == keccak(text="RegistryMachineUnknown(uint40)")[:4] + encode(["uint40"], [9])


def test_calls_and_estimates_agree_on_who_may_act(world: LedgerWorld) -> None:
    data = admission()
    world.chain.node.call(world.chain.registry, data, world.owner.address)
    assert world.chain.node.estimate_gas(world.chain.registry, data, world.owner.address) > 21_000
    stranger = world.fund(LocalSigner.generate()).address
    for ask in (world.chain.node.call, world.chain.node.estimate_gas):
        with pytest.raises(ContractRefusedError, match="OwnableUnauthorizedAccount"):
            ask(world.chain.registry, data, stranger)


def test_a_call_with_too_little_gas_is_refused(world: LedgerWorld) -> None:
    data = admission()
    world.chain.node.call(world.chain.registry, data, world.owner.address, gas_limit=300_000)
    with pytest.raises(ContractRefusedError, match=r"^OutOfGas\(\)"):
        world.chain.node.call(world.chain.registry, data, world.owner.address, gas_limit=40_000)


def test_a_call_changes_nothing(world: LedgerWorld) -> None:
    before = request(world, "eth_getBlockByNumber", "latest", False)
    world.chain.node.call(world.chain.registry, admission(), world.owner.address)
    assert request(world, "eth_getBlockByNumber", "latest", False) == before


# Threads


def test_threads_take_turns(world: LedgerWorld) -> None:
    """Eight keys send at once while others read."""
    signers = [world.fund(LocalSigner.generate()) for _ in range(8)]
    stop = threading.Event()

    def send(signer: LocalSigner) -> int:
        for nonce in range(3):
            raw = sign_transaction(Transaction(CHAIN_ID, nonce, 1, FEE_WEI, 21_000, bytes(20), b""), signer).raw
            Node(world.line.node).send(raw)
        return world.nonces(signer)

    def read() -> int:
        seen = 0
        while not stop.is_set():
            header = world.chain.node.header()
            assert world.chain.node.header(header.number) == header
            assert header.number >= seen
            seen = header.number
        return seen

    with ThreadPoolExecutor(12) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        assert list(pool.map(send, signers)) == [3] * 8
        stop.set()
        assert max(reader.result() for reader in readers) <= world.chain.node.block_number()
    assert world.chain.node.block_number() == 6 + 8 + 24
