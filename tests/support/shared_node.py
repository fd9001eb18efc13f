"""A network in memory that several keys write to: a pool, blocks with everything that a follower and an outbox ask for
(roots, receipts, transactions), forks, and answers that are lost or late.

Its ledger takes a record as often as it is sent, so that what is sent twice is seen twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rlp
from eth_account import Account
from eth_utils.crypto import keccak
from trie.hexary import HexaryTrie

from millmark.ledger.chain import Deployment, EngineProfile, Node, RpcError
from millmark.ledger.chain import read_calls as parse_calls
from millmark.ledger.chain.profiles import FinalityDepth
from millmark.ledger.chain.transport import Call
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.events import Event, topic_of
from millmark.ledger.records import ALL_ROLES, Contract
from tests.support import fake_node
from tests.support.blocks import block
from tests.support.event_data import encode_event, event_of
from tests.support.fake_node import CHAIN_ID, FOUNDED, LEDGER

__all__ = ["SharedLedger", "SharedNode"]

_REGISTRY = b"\x11" * 20
_BLOOM = "0x" + "ff" * 256
"""Says that a block may hold anything."""


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
class SharedNode:
    """Key number i is that of participant i + 1. Every raw transaction is shown to `verify_sent` before it is taken."""

    keys: Sequence[bytes]
    chance: random.Random
    verify_sent: Callable[[bytes, bytes], None]
    most: int = 8
    """Transactions of a key that its pool keeps."""
    percent: int = 0
    """Requests and arrays with a fault."""
    blocks: list[_Block] = field(default_factory=list)
    pool: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
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
                self.pool[(self.sender_of(raw), fake_node.nonce_of(raw))] = raw
        for _ in range(depth + 1):
            self.mine(self.chance.randrange(4))

    def drop(self) -> None:
        """Loses a transaction of the pool."""
        if self.pool:
            del self.pool[self.chance.choice(sorted(self.pool))]

    def sender_of(self, raw: bytes) -> bytes:
        if raw not in self._senders:
            self._senders[raw] = bytes.fromhex(Account.recover_transaction(raw)[2:])
        return self._senders[raw]

    # What its contracts do

    def _founding(self) -> list[dict[str, Any]]:
        return [
            _log(
                _REGISTRY,
                event_of("ParticipantAdmitted", admitted=number, roles=int(ALL_ROLES), first_key=key),
                (number, 0, number),
                bytes(20),
                b"\x77" * 32,
            )
            for number, key in enumerate(self.keys, 1)
        ]

    def _execute(self, raw: bytes, made: list[bytes]) -> dict[str, Any]:
        sender, own, logs = self.sender_of(raw), keccak(raw), list[dict[str, Any]]()
        for _, payload in _calls(raw):
            made.append(payload[-32:])
            event = event_of("LotReceived", quantity=1, unit=b"H87")
            lot = keccak(payload[-32:])
            place = (len(made), self.keys.index(sender) + 1, int.from_bytes(lot, "big"))
            logs.append(_log(LEDGER, event, place, sender, own, (lot,)))
        return _receipt(own, True, logs)

    # What it answers

    def request(self, method: str, params: list[Any]) -> Any:
        [answer] = self.request_all([(method, params)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def request_all(self, calls: Sequence[Call]) -> list[Any]:
        faults = ("lost before", "lost after", "one is unanswered", "late")
        fault = self.chance.choice(faults) if self.chance.randrange(100) < self.percent else ""
        if fault == "lost before":
            raise ChainUnreachableError("the line is cut")
        late = self.chance.randrange(1, 4) if fault == "late" else 0
        answers = [self._answer(method, params, late) for method, params in calls]
        if fault == "lost after":
            raise ChainUnreachableError("the line is cut")
        if fault == "one is unanswered" and answers:
            answers[self.chance.randrange(len(answers))] = ChainUnreachableError("no answer")
        return answers

    def _answer(self, method: str, params: list[Any], late: int) -> Any:
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

    def call(self, known: list[_Block], _: dict[str, str], number: str) -> str:
        if number != "latest" and int(number, 16) >= len(known):
            raise RpcError(-32000, "header not found")
        return "0x01"

    def estimateGas(self, _known: list[_Block], _call: dict[str, str]) -> str:  # noqa: N802
        return hex(1_000_000)

    def sendRawTransaction(self, _: list[_Block], raw: str) -> str:  # noqa: N802
        data = bytes.fromhex(raw[2:])
        sender, nonce = self.sender_of(data), fake_node.nonce_of(data)
        self.verify_sent(sender, data)
        used, own = self.blocks[-1].counts.get(sender, 0), [one for key, one in self.pool if key == sender]
        if nonce < used:
            raise RpcError(-32000, "nonce too low")
        if (sender, nonce) in self.pool:
            raise RpcError(-32000, "already known")
        if len(own) >= self.most:
            if nonce > max(own):
                raise RpcError(-32000, "txpool is full")
            del self.pool[(sender, max(own))]  # as Besu's layered pool does: the nearer nonces stay
        self.pool[(sender, nonce)] = data
        return "0x" + keccak(data).hex()


class SharedLedger(fake_node.FakeLedger):
    """The ledger of a shared node: connected without the checks of its code, which it does not have."""

    def __init__(self, node: SharedNode, profile: EngineProfile) -> None:
        self.node = Node(node)
        self.profile = profile
        self._depth = FinalityDepth(self.node, profile)
        first, created = (bytes.fromhex(node.blocks[at].header["hash"][2:]) for at in (0, FOUNDED - 1))
        self.deployment = Deployment(
            CHAIN_ID, _REGISTRY, LEDGER, b"\x44" * 32, b"\x33" * 20, 0, first, FOUNDED - 1, created
        )
        self.chain_id, self.ledger, self.registry = CHAIN_ID, LEDGER, _REGISTRY
        self.ledger_id, self.forwarder = self.deployment.ledger_id, self.deployment.forwarder


def _calls(raw: bytes) -> Sequence[tuple[str, bytes]]:
    data: bytes = rlp.decode(raw[1:])[7]
    return parse_calls(Contract.LEDGER, data) if data else ()


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
    fields: list[Any] = rlp.decode(raw[1:])
    named = dict(zip(_FIELDS, fields, strict=True))
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
