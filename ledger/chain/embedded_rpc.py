"""What eth-tester lacks of a node's JSON-RPC, for the embedded chain: `eth_getProof`, filters of `eth_getLogs`, and
transactions with all their fields.

State proofs (EIP-1186) come from py-evm's state trie, which keeps the state of all blocks. Of a filter, eth-tester
itself supports only the block numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth.chains.base import MiningChain
from eth.vm.forks.berlin.transactions import TypedTransaction
from eth_bloom.bloom import BloomFilter
from trie.hexary import HexaryTrie

from millmark.ledger.canonical import keccak256
from millmark.ledger.rlp import encode_rlp
from millmark.ledger.trie import EMPTY_ROOT, parse_account, parse_word

__all__ = ["LogQuery", "prove", "transaction_json"]

EMPTY_CODE_HASH = keccak256(b"")


def prove(chain: MiningChain, number: int, address: str, slots: list[str]) -> dict[str, Any]:
    """Return the result for one account at block `number`. Raises py-evm's HeaderNotFound if there is no such block."""
    database = chain.chaindb.db
    root = chain.get_canonical_block_header_by_number(number).state_root  # type: ignore[arg-type]  # its own int
    value, nodes = _walk(HexaryTrie(database, root), bytes.fromhex(address[2:]))
    account = None if value is None else parse_account(value)
    storage = HexaryTrie(database, account.storage_root if account else EMPTY_ROOT)
    return {
        "address": address,
        "accountProof": nodes,
        "nonce": hex(account.nonce if account else 0),
        "balance": hex(account.balance if account else 0),
        "storageHash": _hex(account.storage_root if account else EMPTY_ROOT),
        "codeHash": _hex(account.code_hash if account else EMPTY_CODE_HASH),
        "storageProof": [_storage(storage, slot) for slot in slots],
    }


def _storage(storage: HexaryTrie, slot: str) -> dict[str, Any]:
    value, nodes = _walk(storage, int(slot, 16).to_bytes(32, "big"))
    return {"key": slot, "value": hex(int.from_bytes(parse_word(value), "big")), "proof": nodes}


def _walk(trie: HexaryTrie, name: bytes) -> tuple[bytes | None, list[str]]:
    """Return the value under the hash of `name`, and the nodes of the proof that are not embedded in their parents."""
    key = keccak256(name)
    if trie.root_hash == EMPTY_ROOT:
        return None, []
    nodes = [encode_rlp(node) for node in trie.get_proof(key)]  # type: ignore[no-untyped-call]  # py-trie types it in part
    shown = [_hex(node) for place, node in enumerate(nodes) if place == 0 or len(node) >= 32]
    return trie[key] or None, shown


def transaction_json(transaction: Any) -> dict[str, Any]:
    """JSON form of py-evm's transaction, legacy or of type 2, as in a block."""
    shared = {
        "hash": _hex(transaction.hash),
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas),
        "to": _hex(transaction.to) if transaction.to else None,
        "value": hex(transaction.value),
        "input": _hex(transaction.data),
        "from": _hex(transaction.sender),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }
    if not isinstance(transaction, TypedTransaction):
        return {**shared, "type": "0x0", "gasPrice": hex(transaction.gas_price), "v": hex(transaction.v)}
    return {
        **shared,
        "type": hex(transaction.type_id or 0),
        "chainId": hex(transaction.chain_id),
        "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas),
        "maxFeePerGas": hex(transaction.max_fee_per_gas),
        "accessList": [
            {"address": _hex(address), "storageKeys": [f"0x{key:064x}" for key in keys]}
            for address, keys in transaction.access_list
        ],
        "yParity": hex(transaction.y_parity),
    }


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


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
