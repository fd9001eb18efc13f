"""A whole node of a network, in memory: a pool, blocks with several transactions, forks, and answers that are lost,
late, or fail one by one. Its ledger takes a record as often as it is sent, so that what is sent twice is seen twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import rlp
from eth_utils.crypto import keccak

from millmark.ledger.chain import Chain, Deployment, EngineProfile, Node, RpcError
from millmark.ledger.chain import read_calls as parse_calls
from millmark.ledger.chain.profiles import FinalityDepth
from millmark.ledger.chain.transport import Call
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.events import topic_of
from millmark.ledger.events.lots import LotReceived
from millmark.ledger.records import Contract, ReceiveLot
from tests.support.blocks import block
from tests.support.event_data import encode_event, event_of

CHAIN_ID, LEDGER = 4711, b"\x22" * 20
BAD = 13
"""A quantity that the ledger refuses."""
FOUNDED = 3
"""Blocks with which a network begins, in whose last one its ledger is created."""
_INDEX_BYTES = 16


def record_of(stream: int, index: int, *, bad: bool = False) -> ReceiveLot:
    """Record number `index` of a stream, which the ledger takes after those with lower numbers."""
    root = stream.to_bytes(32 - _INDEX_BYTES, "big") + index.to_bytes(_INDEX_BYTES, "big")
    return ReceiveLot(keccak(root), BAD if bad else 1, b"H87", root)


@dataclass(frozen=True)
class _Block:
    header: dict[str, Any]
    raws: tuple[bytes, ...]
    receipts: dict[str, dict[str, Any]]
    made: tuple[bytes, ...]
    """Claims roots of all records up to this block, in their order."""
    count: int
    """Nonces that the key used up to this block."""


@dataclass
class FakeNode:
    """Serves one key. Every raw transaction is shown to `verify_sent` before it is taken."""

    key: bytes
    chance: random.Random
    verify_sent: Callable[[bytes], None]
    most: int = 8
    """Transactions that its pool keeps."""
    percent: int = 0
    """Requests and arrays with a fault."""
    blocks: list[_Block] = field(default_factory=list)
    pool: dict[int, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    _numbers: int = 0

    def __post_init__(self) -> None:
        for _ in range(FOUNDED):
            self.mine()

    # What the network does

    def mine(self, most: int = 0) -> None:
        """Adds a block with up to `most` transactions of the pool."""
        before = self.blocks[-1] if self.blocks else _Block({"hash": "0x" + "00" * 32}, (), {}, (), 0)
        raws: list[bytes] = []
        while len(raws) < most and before.count + len(raws) in self.pool:
            raws.append(self.pool.pop(before.count + len(raws)))
        self._numbers += 1
        header = block(
            number=hex(len(self.blocks)), parentHash=before.header["hash"], extraData="0x" + f"{self._numbers:08x}"
        )
        made, receipts = list(before.made), {}
        for raw in raws:
            receipts["0x" + keccak(raw).hex()] = self._execute(raw, header, made)
        self.blocks.append(_Block(header, tuple(raws), receipts, tuple(made), before.count + len(raws)))

    def reorganise(self, depth: int) -> None:
        """Puts a longer fork in the place of the latest blocks. Of their transactions, a pool may lose some."""
        lost = [raw for gone in self.blocks[-depth:] for raw in gone.raws]
        del self.blocks[-depth:]
        for raw in lost:
            if self.chance.random() < 0.7:
                self.pool[nonce_of(raw)] = raw
        for _ in range(depth + 1):
            self.mine(self.chance.randrange(4))

    def drop(self) -> None:
        """Loses a transaction of the pool."""
        if self.pool:
            del self.pool[self.chance.choice(sorted(self.pool))]

    def _execute(self, raw: bytes, header: dict[str, Any], made: list[bytes]) -> dict[str, Any]:
        calls = _calls_of(_fields(raw)[7])
        accepted = _accepted(calls, made)
        logs: list[dict[str, Any]] = []
        for place, payload in enumerate(calls if accepted else []):
            made.append(payload[-32:])
            event = event_of("LotReceived")
            topics = [topic_of(LotReceived), *(word.to_bytes(32, "big") for word in (len(made), 1, 0))]
            logs.append(
                {
                    "address": "0x" + LEDGER.hex(),
                    "topics": ["0x" + topic.hex() for topic in topics],
                    "data": "0x" + encode_event(event, self.key).hex(),
                    "blockNumber": header["number"],
                    "blockHash": header["hash"],
                    "transactionHash": "0x" + keccak(raw).hex(),
                    "logIndex": hex(place),
                }
            )
        return {
            "transactionHash": "0x" + keccak(raw).hex(),
            "status": hex(int(accepted)),
            "blockNumber": header["number"],
            "blockHash": header["hash"],
            "gasUsed": hex(100_000),
            "logs": logs,
        }

    # What it answers

    def request(self, method: str, params: list[Any]) -> Any:
        [answer] = self.request_all([(method, params)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def request_all(self, calls: Sequence[Call]) -> list[Any]:
        fault = self._fault(("lost before", "lost after", "one fails", "one is unanswered", "one is late", "late"))
        if fault == "lost before":
            raise ChainUnreachableError("the line is cut")
        place = self.chance.randrange(len(calls)) if calls else 0
        answers: list[Any] = []
        for at, (method, params) in enumerate(calls):
            if fault == "one fails" and at == place:
                answers.append(RpcError(-32000, "request timed out"))
                continue
            late = fault == "late" or (fault == "one is late" and at == place)
            found = self._answer(method, params, self.chance.randrange(1, 4) if late else 0)
            answers.append(
                ChainUnreachableError("no answer") if fault == "one is unanswered" and at == place else found
            )
        if fault == "lost after":
            raise ChainUnreachableError("the line is cut")
        return answers

    def _fault(self, kinds: Sequence[str]) -> str:
        return self.chance.choice(kinds) if self.chance.randrange(100) < self.percent else ""

    def _answer(self, method: str, params: list[Any], late: int) -> Any:
        self.asked[method] += 1
        known = self.blocks[: max(len(self.blocks) - late, FOUNDED)]
        try:
            return getattr(self, method.removeprefix("eth_"))(known, *params)
        except RpcError as error:
            return error

    def getBlockByNumber(self, known: list[_Block], number: str, _: bool) -> Any:  # noqa: N802  # the method's name
        wanted = len(known) - 1 if number == "latest" else int(number, 16)
        return known[wanted].header if wanted < len(known) else None

    def blockNumber(self, known: list[_Block]) -> str:  # noqa: N802
        return hex(len(known) - 1)

    def getTransactionCount(self, known: list[_Block], _: str, number: str) -> str:  # noqa: N802
        return hex((known[-1] if number == "latest" else known[min(int(number, 16), len(known) - 1)]).count)

    def getTransactionReceipt(self, known: list[_Block], name: str) -> Any:  # noqa: N802
        return next((one.receipts[name] for one in reversed(known) if name in one.receipts), None)

    def call(self, known: list[_Block], call: dict[str, str], number: str) -> str:
        if number != "latest":
            if int(number, 16) >= len(known):
                raise RpcError(-32000, "header not found")
            known = known[: int(number, 16) + 1]
        if not _accepted(_calls_of(bytes.fromhex(call["data"][2:])), list(known[-1].made)):
            raise RpcError(3, "execution reverted", b"")
        return "0x01"

    def estimateGas(self, known: list[_Block], call: dict[str, str]) -> str:  # noqa: N802
        self.call(known, call, "latest")
        return hex(1_000_000)

    def sendRawTransaction(self, _: list[_Block], raw: str) -> str:  # noqa: N802
        data = bytes.fromhex(raw[2:])
        self.verify_sent(data)
        nonce, used = nonce_of(data), self.blocks[-1].count
        if nonce < used:
            raise RpcError(-32000, "nonce too low")
        if self.pool.get(nonce) == data:
            raise RpcError(-32000, "already known")
        if len(self.pool) >= self.most:
            if nonce > max(self.pool):
                raise RpcError(-32000, "txpool is full")
            del self.pool[max(self.pool)]  # as Besu's layered pool does: the nearer nonces stay
        if nonce >= used + 2 * self.most:
            raise RpcError(-32000, "Transaction nonce is too distant from current sender nonce")
        self.pool[nonce] = data
        return "0x" + keccak(data).hex()


class FakeLedger(Chain):
    """The ledger of a fake node: connected without the checks of its code, which it does not have."""

    def __init__(self, node: FakeNode, profile: EngineProfile) -> None:
        self.node = Node(node)
        self.profile = profile
        self._depth = FinalityDepth(self.node, profile)
        first, created = node.blocks[0].header["hash"], node.blocks[FOUNDED - 1].header["hash"]
        self.deployment = Deployment(
            CHAIN_ID, b"\x11" * 20, LEDGER, b"\x44" * 32, b"\x33" * 20, 0, _hash(first), FOUNDED - 1, _hash(created)
        )
        self.chain_id, self.ledger, self.registry = CHAIN_ID, LEDGER, self.deployment.registry
        self.ledger_id, self.forwarder = self.deployment.ledger_id, self.deployment.forwarder


def nonce_of(raw: bytes) -> int:
    return int.from_bytes(_fields(raw)[1], "big")


def _fields(raw: bytes) -> list[bytes]:
    found: list[bytes] = rlp.decode(raw[1:])
    return found


def _calls_of(data: bytes) -> list[bytes]:
    return [payload for _, payload in parse_calls(Contract.LEDGER, data)] if data else []


def _accepted(calls: Sequence[bytes], made: list[bytes]) -> bool:
    """Whether the ledger takes the records after those `made`: each after those of its stream with lower numbers."""
    have = set(made)
    for payload in calls:
        root, quantity = payload[-32:], int.from_bytes(payload[36:68], "big")
        index = int.from_bytes(root[-_INDEX_BYTES:], "big")
        before = root[:-_INDEX_BYTES] + (index - 1).to_bytes(_INDEX_BYTES, "big") if index else None
        if quantity == BAD or (before is not None and before not in have):
            return False
        have.add(root)
    return True


def _hash(value: str) -> bytes:
    return bytes.fromhex(value[2:])
