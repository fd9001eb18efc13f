"""A chain like a Clique network: blocks come by themselves, with what waits in a pool, and the latest ones may give way
to others, with the same transactions in another order. Contracts and states are the embedded chain's."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth.constants import GENESIS_PARENT_HASH
from eth.vm.forks.prague.transactions import PragueTransactionBuilder

from millmark.ledger.chain import EmbeddedChain, EngineProfile, Node, RpcError, find_profile
from millmark.services.demo.given import ExistingChain

__all__ = ["DEPTH", "FORKING", "Forking", "ForkingChain"]

DEPTH = 6
"""Later blocks after which a block is final, as with five signers."""
FORKING = replace(find_profile("clique"), finality_depth=DEPTH, depth_by_signers=False, faucet=True)
_MONEY_WEI = 10**24
_PATIENCE = 3


class ForkingChain(EmbeddedChain):
    """Makes a block when it was asked for news a few times, and was sent nothing meanwhile: so blocks come while
    somebody waits, however fast the machine is. `on_block` is called with the chain after each
    that is not made by a reorganisation, and may reorganise it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
        self.on_block: Callable[[ForkingChain], None] = lambda _: None
        self.reorganised = 0
        """How often it was."""
        self._pool: dict[tuple[bytes, int], bytes] = {}
        """Raw transactions by sender and nonce."""
        self._waiting: set[str] = set()
        """Hashes of those in the pool."""
        self._asked = 0
        self._receipt_of = self._build_receipt_in_block  # type: ignore[assignment]  # none is kept: blocks change

    def request(self, method: str, params: list[Any]) -> Any:
        with self._lock:
            self._asked += method == "eth_blockNumber" or params[:1] in (["latest"], *([one] for one in self._waiting))
            if self._asked >= _PATIENCE:
                self._asked = 0
                self._make(self.chance.choice)
                self.on_block(self)
        return super().request(method, params)

    @property
    def height(self) -> int:
        return int(self._head().block_number)

    def latest_senders(self) -> list[bytes]:
        """Who sent the transactions of the latest block."""
        return [one.sender for one in self._block_of(self.height).transactions]

    def reorganise(self, depth: int, *, backwards: bool = False) -> None:
        """Puts one more block in the place of the latest ones. All that was in them is in the first of these, in any
        order that the nonces allow, or `backwards`: whose transactions came first comes last."""
        assert depth < DEPTH, "a final block is not replaced"
        dropped = [self._block_of(self.height - back) for back in range(depth)]
        for block in dropped:
            for one in block.transactions:
                self._keep(one.encode())
        head = self._chain.get_canonical_block_header_by_number(self.height - depth)
        self._chain.chaindb._set_as_canonical_chain_head(self._chain.chaindb.db, head, GENESIS_PARENT_HASH)
        self._chain.header = self._chain.create_header_from_parent(head)
        self.reorganised += 1
        senders = [one.sender for block in reversed(dropped) for one in block.transactions]
        for _ in range(depth + 1):
            self._make((lambda ready: max(ready, key=senders.index)) if backwards else self.chance.choice)

    def _block_of(self, number: int) -> Any:
        return self._chain.get_canonical_block_by_number(number)

    def _make(self, choose: Callable[[Sequence[bytes]], bytes]) -> None:
        """`choose`: whose transaction comes next into the block, of those that could."""
        self._set_time()
        counts: dict[bytes, int] = {}
        while True:
            for sender, _ in self._pool:
                counts.setdefault(sender, self._chain.get_vm().state.get_nonce(sender))
            ready = sorted({sender for sender, nonce in self._pool if nonce == counts[sender]})
            if not ready:
                break
            sender = choose(ready)
            raw = self._pool.pop((sender, counts[sender]))
            counts[sender] += 1
            self._waiting.discard(_hash(raw))
            self._tester.backend.send_raw_transaction(raw)
        self._tester.backend.mine_blocks(1)

    def _keep(self, raw: bytes) -> str:
        one = PragueTransactionBuilder.decode(raw)
        self._asked = 0  # what is sent together comes into the same block
        self._pool[one.sender, one.nonce] = raw
        self._waiting.add(_hash(raw))
        return _hash(raw)

    def _send(self, raw: str) -> str:
        data = bytes.fromhex(raw[2:])
        one = PragueTransactionBuilder.decode(data)
        if one.nonce < self._tester.get_nonce("0x" + one.sender.hex()):
            raise RpcError(-32000, "nonce too low")
        if _hash(data) in self._waiting:
            raise RpcError(-32000, "already known")
        return self._keep(data)

    def _receipt(self, transaction_hash: str) -> Any:
        return None if transaction_hash in self._waiting else super()._receipt(transaction_hash)

    def _build_receipt_in_block(self, transaction_hash: str) -> Any:
        """Its logs are counted from the first one of the block, which may have several transactions."""
        found = self._build_receipt(transaction_hash)
        number, place = self._chain.get_canonical_transaction_index(bytes.fromhex(transaction_hash[2:]))
        before = self._block_of(number).get_receipts(self._chain.chaindb)[:place]
        first = sum(len(one.logs) for one in before)
        return {**found, "logs": [{**log, "logIndex": hex(first + at)} for at, log in enumerate(found["logs"])]}


def _hash(raw: bytes) -> str:
    return "0x" + PragueTransactionBuilder.decode(raw).hash.hex()


@dataclass(frozen=True, slots=True)
class Forking(ExistingChain):
    """The demonstration's way to such a chain."""

    url: str = "http://127.0.0.1:1"
    profile: EngineProfile = FORKING
    chain: ForkingChain = field(default_factory=ForkingChain)

    def node(self) -> Node:
        return Node(self.chain)

    def endow(self, keys: Sequence[bytes], *, deploys: bool = False) -> None:  # noqa: ARG002  # as the original
        for key in keys:
            self.node().fund(key)
