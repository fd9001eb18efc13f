"""`eth_getLogs` over the embedded chain's receipts: eth-tester's own filter knows block numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_bloom.bloom import BloomFilter

__all__ = ["LogQuery"]

_MEMBERS = {"blockHash", "fromBlock", "toBlock", "address", "topics"}


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which logs are asked for: of one block by its hash, or of a range."""

    block_hash: str | None
    first: str
    last: str
    """Both as JSON-RPC names blocks, and both included."""
    addresses: frozenset[str]
    """Empty for any."""
    topics: Sequence[frozenset[str]]
    """Place for place; empty for any."""

    @classmethod
    def parse(cls, query: dict[str, Any]) -> LogQuery:
        """Raises ValueError, TypeError or KeyError when it asks for no block, or for what is not known here."""
        if not query.keys() <= _MEMBERS or ("blockHash" in query) == ("fromBlock" in query):
            raise ValueError("ask for logs by block hash, or from a block")
        return cls(
            query.get("blockHash"),
            query.get("fromBlock", "latest"),
            query.get("toBlock", "latest"),
            _any_of(query.get("address")),
            [_any_of(topic) for topic in query.get("topics") or []],
        )

    def may_match(self, bloom: int) -> bool:
        """Whether the block of this bloom can hold a wanted log: reading a block's receipts takes far longer."""
        seen = BloomFilter(bloom)
        groups = (self.addresses, *self.topics)
        return all(not wanted or any(bytes.fromhex(one[2:]) in seen for one in wanted) for wanted in groups)

    def wants(self, log: dict[str, Any]) -> bool:
        if self.addresses and log["address"] not in self.addresses:
            return False
        if len(self.topics) > len(log["topics"]):
            return False
        return all(not wanted or topic in wanted for wanted, topic in zip(self.topics, log["topics"], strict=False))


def _any_of(wanted: Any) -> frozenset[str]:
    values = [wanted] if isinstance(wanted, str) else wanted or []
    return frozenset(value.lower() for value in values)
