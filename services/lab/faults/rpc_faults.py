"""The faults of a JSON-RPC connection, and the schedule that assigns them to requests.

A fault depends only on the seed and the number of the request, so the same seed injects the same faults in the same
places. Most faults are plain failures; the others are false answers, which parse but are wrong.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Fault", "Schedule", "corrupt"]

_STALE_BLOCKS = 3
_SEND = "eth_sendRawTransaction"


class Fault(enum.StrEnum):
    """Kinds of faults."""

    REFUSE = "refuse"
    """The connection is reset before the request is read."""
    CUT_BEFORE = "cut before forward"
    CUT_AFTER = "cut after forward"
    DELAY = "delay"
    STATUS_429 = "status 429"
    STATUS_503 = "status 503"
    TRUNCATED = "truncated"
    NOT_JSON = "not JSON"
    WRONG_ID = "wrong id"
    ALREADY_KNOWN = "already known"
    """The node accepts the transaction but claims to have had it already."""
    STALE_HEAD = "stale head"
    STALE_NONCE = "stale nonce"
    EMPTY_LOGS = "empty logs"
    WRONG_BLOCK_HASH = "wrong block hash"
    NONCE_TOO_LOW = "nonce too low"
    """The node accepts nothing, and gives a false reason; the same holds for UNDERPRICED."""
    UNDERPRICED = "underpriced"
    DROPPED = "accepted and dropped"


_ANY = (
    Fault.REFUSE,
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Fault.DELAY,
    Fault.STATUS_429,
    Fault.STATUS_503,
    Fault.TRUNCATED,
    Fault.NOT_JSON,
    Fault.WRONG_ID,
)
_OF: Mapping[str, tuple[Fault, ...]] = {
    _SEND: (Fault.ALREADY_KNOWN, Fault.NONCE_TOO_LOW, Fault.UNDERPRICED, Fault.DROPPED, Fault.CUT_AFTER),
    "eth_blockNumber": (Fault.STALE_HEAD,),
    "eth_getTransactionCount": (Fault.STALE_NONCE,),
    "eth_getLogs": (Fault.EMPTY_LOGS,),
    "eth_getBlockReceipts": (Fault.EMPTY_LOGS,),
    "eth_getBlockByNumber": (Fault.WRONG_BLOCK_HASH,),
    "eth_getTransactionReceipt": (Fault.WRONG_BLOCK_HASH,),
}
"""Faults of single methods, in addition to `_ANY`. They are half of these methods' faults, because such requests are
rare."""
_REFUSALS = {
    Fault.ALREADY_KNOWN: "already known",
    Fault.NONCE_TOO_LOW: "nonce too low",
    Fault.UNDERPRICED: "replacement transaction underpriced",
}
UNFORWARDED = frozenset(
    {
        Fault.REFUSE,
        Fault.CUT_BEFORE,
        Fault.STATUS_429,
        Fault.STATUS_503,
        Fault.NONCE_TOO_LOW,
        Fault.UNDERPRICED,
        Fault.DROPPED,
    }
)
"""Faults whose requests never reach the node."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Assigns faults to requests. `percent` of the requests have a fault."""

    seed: int
    percent: int

    def fault(self, number: int, method: str) -> Fault | None:
        """The fault of request `number`; None for most requests."""
        # A generator per request, so that no fault depends on the faults before it.
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311 - a replay needs a seed, not secrecy
        if chance.randrange(100) >= self.percent:
            return None
        own = _OF.get(method, ())
        return chance.choice(own) if own and chance.randrange(2) else chance.choice(_ANY)


def corrupt(fault: Fault | None, request: Mapping[str, Any], answer: dict[str, Any] | None) -> dict[str, Any]:
    """The answer that the client receives. `answer` is the node's, or None if the request was not forwarded."""
    identity = request.get("id")
    if fault in _REFUSALS:
        return {"jsonrpc": "2.0", "id": identity, "error": {"code": -32000, "message": _REFUSALS[fault]}}
    if fault is Fault.DROPPED or answer is None:
        return {"jsonrpc": "2.0", "id": identity, "result": "0x" + "00" * 32}
    if fault is Fault.WRONG_ID:
        return {**answer, "id": f"not {identity}"}
    if "result" not in answer:
        return answer
    return {**answer, "result": _lie(fault, answer["result"])}


def _lie(fault: Fault | None, result: Any) -> Any:
    if fault in (Fault.STALE_HEAD, Fault.STALE_NONCE) and isinstance(result, str):
        return hex(max(int(result, 16) - _STALE_BLOCKS, 0))
    if fault is Fault.EMPTY_LOGS:
        return []
    if fault is Fault.WRONG_BLOCK_HASH and isinstance(result, dict):
        name = "hash" if "hash" in result else "blockHash"
        return {**result, name: "0x" + "5a" * 32}
    return result
