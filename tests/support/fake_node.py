"""A network in memory that one or several keys write to: a pool, blocks with everything that an outbox and a follower
ask for (roots, receipts, transactions), forks, and answers that are lost, late, or fail one by one.

Its ledger takes a record as often as it is sent, so that what is sent twice is seen twice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rlp
from eth_account import Account
from eth_utils.crypto import keccak
from trie.hexary import HexaryTrie

from millmark.ledger.chain import Chain, Deployment, EngineProfile, Node, RpcError
from millmark.ledger.chain import read_calls as parse_calls
from millmark.ledger.chain.profiles import FinalityDepth
from millmark.ledger.chain.transport import Call
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.events import Event, topic_of
from millmark.ledger.records import ALL_ROLES, Contract, ReceiveLot
from tests.support.blocks import block
from tests.support.event_data import encode_event, event_of

__all__ = ["FOUNDED", "FakeLedger", "FakeNode", "nonce_of", "record_of"]

CHAIN_ID, LEDGER, REGISTRY = 4711, b"\x22" * 20, b"\x11" * 20
BAD = 13
"""A quantity that the ledger refuses."""
FOUNDED = 3
"""Blocks with which a network begins, in whose last one its ledger is created and the keys' companies are admitted."""
_INDEX_BYTES = 16
_BLOOM = "0x" + "ff" * 256
"""Says that a block may hold anything."""


def record_of(stream: int, index: int, *, bad: bool = False) -> ReceiveLot:
    """Record number `index` of a stream, which the ledger takes after those with lower numbers."""
    root = stream.to_bytes(32 - _INDEX_BYTES, "big") + index.to_bytes(_INDEX_BYTES, "big")
    return ReceiveLot(keccak(root), BAD if bad else 1, b"H87", root)


@dataclass(frozen=True)
class _Block:
    header: dict[str, Any]
    raws: tuple[bytes, ...]
    receipts: tuple[dict[str, Any], ...]
    made: tuple[bytes, ...]
    """Claims roots of all records up to this block, in their order."""
    counts: Mapping[bytes, int]
    """Nonces that each key used up to this block."""


@dataclass
class FakeNode:
    """Key number i is that of participant i + 1. Every raw transaction is shown to `verify_sent`, after its sender,
    before it is taken."""

    keys: Sequence[bytes]
    chance: random.Random
    verify_sent: Callable[[bytes, bytes], None]
    most: int = 8
    """Transactions of a key that its pool keeps."""
    percent: int = 0
    """Requests and arrays with a fault."""
    one_fails: bool = True
    """Whether a request alone may fail or be late, in an array whose others are answered."""
    in_order: bool = True
    """Whether the ledger refuses `BAD` ones, and records whose stream lacks those with lower numbers."""
    blocks: list[_Block] = field(default_factory=list)
    pool: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    _numbers: int = 0
    _senders: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for _ in range(FOUNDED):
            self.mine()

    # What the network does

    def mine(self, most: int = 0) -> None:
        """Adds a block with up to `most` transactions of the pool, those of all keys in turn."""
        before = self.blocks[-1] if self.blocks else _Block({"hash": "0x" + "00" * 32}, (), (), (), {})
        counts, raws = dict(before.counts), list[bytes]()
        while len(raws) < most:
            ready = [key for key in self.keys if (key, counts.get(key, 0)) in self.pool]
            if not ready:
                break
            key = self.chance.choice(ready)
            raws.append(self.pool.pop((key, counts.get(key, 0))))
            counts[key] = counts.get(key, 0) + 1
        self._add(before, raws, counts)

    def _add(self, before: _Block, raws: Sequence[bytes], counts: Mapping[bytes, int]) -> None:
        self._numbers += 1
        number = len(self.blocks)
        made, receipts = list(before.made), list[dict[str, Any]]()
        if number == FOUNDED - 1:
            receipts.append(_receipt(b"\x77" * 32, True, self._founding()))
        for raw in raws:
            receipts.append(self._execute(raw, made))
        logs = [log for receipt in receipts for log in receipt["logs"]]
        header = block(
            receipts,
            number=hex(number),
            parentHash=before.header["hash"],
            timestamp=hex(1_760_000_000 + 5 * number),
            extraData=f"0x{self._numbers:08x}",  # tells the block from one that was in its place
            transactionsRoot=_root(raws),
            logsBloom=_BLOOM if logs else "0x" + "00" * 256,
        )
        for place, log in enumerate(logs):
            log |= {"logIndex": hex(place)}
        for one in (*logs, *receipts):
            one |= {"blockNumber": header["number"], "blockHash": header["hash"]}
        self.blocks.append(_Block(header, tuple(raws), tuple(receipts), tuple(made), dict(counts)))

    def reorganise(self, depth: int) -> None:
        """Puts a longer fork in the place of the latest blocks. Of their transactions, a pool may lose some."""
        lost = [raw for gone in self.blocks[-depth:] for raw in gone.raws]
        del self.blocks[-depth:]
        for raw in lost:
            if self.chance.random() < 0.7:
                self.pool[self.sender_of(raw), nonce_of(raw)] = raw
        for _ in range(depth + 1):
            self.mine(self.chance.randrange(4))

    def drop(self) -> None:
        """Loses a transaction of the pool."""
        if self.pool:
            del self.pool[self.chance.choice(sorted(self.pool))]

    def sender_of(self, raw: bytes) -> bytes:
        if len(self.keys) == 1:
            return self.keys[0]
        if raw not in self._senders:
            self._senders[raw] = bytes.fromhex(Account.recover_transaction(raw)[2:])
        return self._senders[raw]

    # What its contracts do

    def _founding(self) -> list[dict[str, Any]]:
        return [
            _log(
                REGISTRY,
                event_of("ParticipantAdmitted", admitted=number, roles=int(ALL_ROLES), first_key=key),
                (number, 0, number),
                bytes(20),
                b"\x77" * 32,
            )
            for number, key in enumerate(self.keys, 1)
        ]

    def _execute(self, raw: bytes, made: list[bytes]) -> dict[str, Any]:
        sender, own, logs = self.sender_of(raw), keccak(raw), list[dict[str, Any]]()
        data = _fields(raw)[7]
        accepted = self._accepts(data, made)
        for payload in _calls_of(data) if accepted else []:
            made.append(payload[-32:])
            event = event_of("LotReceived", quantity=1, unit=b"H87")
            lot = keccak(payload[-32:])
            place = (len(made), self.keys.index(sender) + 1, int.from_bytes(lot, "big"))
            logs.append(_log(LEDGER, event, place, sender, own, (lot,)))
        return _receipt(own, accepted, logs)

    def _accepts(self, data: bytes, made: Sequence[bytes]) -> bool:
        """Whether the ledger takes the records of a call after those `made`."""
        have = set(made)
        for payload in _calls_of(data) if self.in_order else ():
            root, quantity = payload[-32:], int.from_bytes(payload[36:68], "big")
            index = int.from_bytes(root[-_INDEX_BYTES:], "big")
            before = root[:-_INDEX_BYTES] + (index - 1).to_bytes(_INDEX_BYTES, "big") if index else None
            if quantity == BAD or (before is not None and before not in have):
                return False
            have.add(root)
        return True

    # What it answers

    def request(self, method: str, params: list[Any]) -> Any:
        [answer] = self.request_all([(method, params)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def request_all(self, calls: Sequence[Call]) -> list[Any]:
        fault = self._fault()
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

    def _fault(self) -> str:
        kinds = ["lost before", "lost after", "one is unanswered", "late"]
        kinds += ["one fails", "one is late"] if self.one_fails else []
        return self.chance.choice(kinds) if self.chance.randrange(100) < self.percent else ""

    def _answer(self, method: str, params: list[Any], late: int) -> Any:
        self.asked[method] += 1
        known = self.blocks[: max(len(self.blocks) - late, FOUNDED)]
        try:
            return getattr(self, method.removeprefix("eth_"))(known, *params)
        except RpcError as error:
            return error

    def getBlockByNumber(self, known: list[_Block], number: str, full: bool) -> Any:  # noqa: N802  # the method's name
        wanted = len(known) - 1 if number == "latest" else int(number, 16)
        if wanted >= len(known):
            return None
        found = known[wanted]
        return {**found.header, "transactions": [_transaction(raw) for raw in found.raws]} if full else found.header

    def getBlockReceipts(self, known: list[_Block], name: str) -> Any:  # noqa: N802
        return next((list(one.receipts) for one in reversed(known) if one.header["hash"] == name), None)

    def blockNumber(self, known: list[_Block]) -> str:  # noqa: N802
        return hex(len(known) - 1)

    def getTransactionCount(self, known: list[_Block], key: str, number: str) -> str:  # noqa: N802
        at = known[-1] if number == "latest" else known[min(int(number, 16), len(known) - 1)]
        return hex(at.counts.get(bytes.fromhex(key[2:]), 0))

    def getTransactionReceipt(self, known: list[_Block], name: str) -> Any:  # noqa: N802
        every = (receipt for one in reversed(known) for receipt in one.receipts)
        return next((receipt for receipt in every if receipt["transactionHash"] == name), None)

    def call(self, known: list[_Block], call: dict[str, str], number: str) -> str:
        if number != "latest":
            if int(number, 16) >= len(known):
                raise RpcError(-32000, "header not found")
            known = known[: int(number, 16) + 1]
        if not self._accepts(bytes.fromhex(call["data"][2:]), known[-1].made):
            raise RpcError(3, "execution reverted", b"")
        return "0x01"

    def estimateGas(self, known: list[_Block], call: dict[str, str]) -> str:  # noqa: N802
        self.call(known, call, "latest")
        return hex(1_000_000)

    def sendRawTransaction(self, _: list[_Block], raw: str) -> str:  # noqa: N802
        data = bytes.fromhex(raw[2:])
        sender, nonce = self.sender_of(data), nonce_of(data)
        self.verify_sent(sender, data)
        used, own = self.blocks[-1].counts.get(sender, 0), [one for key, one in self.pool if key == sender]
        if nonce < used:
            raise RpcError(-32000, "nonce too low")
        if self.pool.get((sender, nonce)) == data:
            raise RpcError(-32000, "already known")
        if len(own) >= self.most:
            if nonce > max(own):
                raise RpcError(-32000, "txpool is full")
            del self.pool[sender, max(own)]  # as Besu's layered pool does: the nearer nonces stay
        if nonce >= used + 2 * self.most:
            raise RpcError(-32000, "Transaction nonce is too distant from current sender nonce")
        self.pool[sender, nonce] = data
        return "0x" + keccak(data).hex()


class FakeLedger(Chain):
    """The ledger of a fake node: connected without the checks of its code, which it does not have."""

    def __init__(self, node: FakeNode, profile: EngineProfile) -> None:
        self.node = Node(node)
        self.profile = profile
        self._depth = FinalityDepth(self.node, profile)
        first, created = node.blocks[0].header["hash"], node.blocks[FOUNDED - 1].header["hash"]
        self.deployment = Deployment(
            CHAIN_ID, REGISTRY, LEDGER, b"\x44" * 32, b"\x33" * 20, 0, _hash(first), FOUNDED - 1, _hash(created)
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


def _receipt(own: bytes, succeeded: bool, logs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "transactionHash": "0x" + own.hex(),
        "status": hex(int(succeeded)),
        "gasUsed": hex(100_000),
        "cumulativeGasUsed": hex(100_000),
        "logsBloom": _BLOOM,
        "logs": logs,
    }


def _log(
    address: bytes,
    event: Event,
    numbers: tuple[int, int, int],
    key: bytes,
    own: bytes,
    histories: tuple[bytes, ...] = (),
) -> dict[str, Any]:
    """`numbers`: sequence, participant and subject of the record."""
    topics = [topic_of(type(event)), *(word.to_bytes(32, "big") for word in numbers)]
    return {
        "address": "0x" + address.hex(),
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + encode_event(event, key, histories).hex(),
        "transactionHash": "0x" + own.hex(),
    }


def _root(raws: Sequence[bytes]) -> str:
    trie = HexaryTrie({})
    for place, raw in enumerate(raws):
        trie[rlp.encode(place)] = raw
    return "0x" + trie.root_hash.hex()


def _transaction(raw: bytes) -> dict[str, Any]:
    named = dict(zip(_FIELDS, _fields(raw), strict=True))
    return {
        **{
            name: hex(int.from_bytes(named[name], "big"))
            for name in _FIELDS
            if name not in ("to", "input", "accessList")
        },
        "type": hex(raw[0]),
        "to": "0x" + named["to"].hex(),
        "input": "0x" + named["input"].hex(),
        "accessList": [],
        "hash": "0x" + keccak(raw).hex(),
    }


_FIELDS = (
    *("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList"),
    *("yParity", "r", "s"),
)


def _hash(value: str) -> bytes:
    return bytes.fromhex(value[2:])
