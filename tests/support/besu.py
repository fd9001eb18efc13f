"""A chain that answers as Hyperledger Besu 26.2.0 does on a QBFT network without fees, in all that was seen to differ
from Geth: which methods and tags there are, what an unknown block or account looks like, and its errors. The blocks are
those of an embedded chain."""

from __future__ import annotations

from typing import Any

from eth_utils.crypto import keccak

from millmark.ledger.chain import RpcError, Transport

__all__ = ["Besu"]

_NULL_BEYOND_HEAD = (
    "eth_getBalance",
    "eth_call",
    "eth_getTransactionCount",
    "eth_getCode",
    "eth_getProof",
    "eth_getBlockByNumber",
)
_SWITCHED_OFF = ("debug_", "admin_", "txpool_")
_NO_CODE = "0x" + keccak(b"").hex()
_MISSING = ("clique_", "anvil_", "evm_", "eth_getHeaderByNumber", "istanbul_")


class Besu:
    """Stands in front of another chain. `asked` are the requests that reached it."""

    def __init__(self, node: Transport) -> None:
        self._node = node
        self.asked: list[tuple[str, list[Any]]] = []

    def request(self, method: str, params: list[Any]) -> Any:
        self.asked.append((method, params))
        if method.startswith(_SWITCHED_OFF):
            raise RpcError(-32604, "Method not enabled")
        if method.startswith(_MISSING):
            raise RpcError(-32601, "Method not found")
        if "finalized" in params or "safe" in params:
            raise RpcError(-39001, "Unknown block")
        if method in _NULL_BEYOND_HEAD and self._is_beyond_head(params):
            return None
        if method == "eth_sendRawTransaction":
            return self._send(params)
        return self._changed(method, self._node.request(method, params))

    def _is_beyond_head(self, params: list[Any]) -> bool:
        numbers = [one for one in params if isinstance(one, str) and one.startswith("0x") and len(one) < 20]
        return any(int(one, 16) > int(self._node.request("eth_blockNumber", []), 16) for one in numbers)

    def _send(self, params: list[Any]) -> Any:
        try:
            return self._node.request("eth_sendRawTransaction", params)
        except RpcError as error:
            if "nonce too low" in error.message.lower():
                raise RpcError(-32001, "Nonce too low") from None
            raise

    def _changed(self, method: str, answer: Any) -> Any:
        if method == "eth_getProof" and isinstance(answer, dict):
            return self._proof(answer)
        if method in ("eth_getBlockByNumber", "eth_getBlockByHash") and isinstance(answer, dict):
            transactions = [self._transaction(answer, one) for one in answer["transactions"]]
            return {**answer, "totalDifficulty": "0x1", "transactions": transactions, "withdrawals": []}
        return answer

    def _proof(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Nothing for the slots of an account that does not exist; keys as quantities."""
        exists = any(int(answer[name], 16) for name in ("nonce", "balance")) or answer["codeHash"] != _NO_CODE
        slots = [{**one, "key": hex(int(one["key"], 16))} for one in answer["storageProof"]] if exists else []
        return {**answer, "storageProof": slots}

    def _transaction(self, block: dict[str, Any], shown: Any) -> Any:
        if not isinstance(shown, dict):
            return shown
        legacy = int(shown.get("type", "0x0"), 16) == 0
        kept = {name: value for name, value in shown.items() if not (legacy and name == "yParity")}
        return {**kept, "blockTimestamp": block["timestamp"]}
