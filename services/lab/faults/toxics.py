"""The faults of a JSON-RPC line, and which of them a request can suffer.

A fault is chosen by seed and number of the request alone, so the same seed gives the same faults in the same places.
Most are honest failures; the last group are lies: answers that parse, and are wrong.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Fault", "Schedule", "spoil"]

_STALE_BLOCKS = 3
_SEND = "eth_sendRawTransaction"


class Fault(enum.StrEnum):
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
    """The node takes the transaction, and says that it had it."""
    STALE_HEAD = "stale head"
    STALE_NONCE = "stale nonce"
    EMPTY_LOGS = "empty logs"
    WRONG_BLOCK_HASH = "wrong block hash"
    NONCE_TOO_LOW = "nonce too low"
    """The node takes nothing, and says so wrongly; so with the next one."""
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
"""Beside `_ANY`. Each is as likely as all of `_ANY` together: few requests can suffer them."""
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
"""Faults whose request never reaches the node."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which request suffers what. `percent`: of requests that suffer anything."""

    seed: int
    percent: int

    def fault(self, number: int, method: str) -> Fault | None:
        """What the request `number` suffers."""
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311 - a replay needs a seed, not secrecy
        if chance.randrange(100) >= self.percent:
            return None
        own = _OF.get(method, ())
        return chance.choice(own) if own and chance.randrange(2) else chance.choice(_ANY)


def spoil(fault: Fault | None, request: Mapping[str, Any], answer: dict[str, Any] | None) -> dict[str, Any]:
    """The answer that the client gets instead of the node's; `answer` is None when the node was never asked."""
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
