"""Parses and evaluates filters of `eth_getLogs` for the embedded chain: eth-tester's filters support only block
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_bloom.bloom import BloomFilter

__all__ = ["LogQuery"]

_MEMBERS = {"blockHash", "fromBlock", "toBlock", "address", "topics"}


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A filter for logs of one block, by its hash, or of a range of blocks."""

    block_hash: str | None
    first: str
    last: str
    """`first` and `last` are a number or tag of JSON-RPC, and both are included. Ignored if there is a block hash."""
    addresses: frozenset[str]
    """Lower case; empty for any."""
    topics: Sequence[frozenset[str]]
    """Accepted topics by position; empty for any."""

    @classmethod
    def parse(cls, query: dict[str, Any]) -> LogQuery:
        """Parse a filter. Raises ValueError, TypeError or KeyError when it has no block or an unknown member."""
        if not query.keys() <= _MEMBERS or ("blockHash" in query) == ("fromBlock" in query):
            raise ValueError("a filter for logs needs either blockHash or fromBlock")
        return cls(
            query.get("blockHash"),
            query.get("fromBlock", "latest"),
            query.get("toBlock", "latest"),
            _any_of(query.get("address")),
            [_any_of(topic) for topic in query.get("topics") or []],
        )

    def may_match(self, bloom: int) -> bool:
        """Whether a block with this bloom can contain a matching log."""
        # Checked before the receipts are read, which takes far longer.
        seen = BloomFilter(bloom)
        groups = (self.addresses, *self.topics)
        return all(not wanted or any(bytes.fromhex(one[2:]) in seen for one in wanted) for wanted in groups)

    def wants(self, log: dict[str, Any]) -> bool:
        """Whether a log matches; its block is not checked."""
        if self.addresses and log["address"] not in self.addresses:
            return False
        if len(self.topics) > len(log["topics"]):
            return False
        return all(not wanted or topic in wanted for wanted, topic in zip(self.topics, log["topics"], strict=False))


def _any_of(wanted: Any) -> frozenset[str]:
    values = [wanted] if isinstance(wanted, str) else wanted or []
    return frozenset(value.lower() for value in values)
