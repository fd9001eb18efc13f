"""`eth_getProof` (EIP-1186) for the embedded chain, from py-evm's state trie, which keeps the state of all blocks."""

from __future__ import annotations

from typing import Any

from eth.chains.base import MiningChain
from trie.hexary import HexaryTrie

from ledger.canonical import keccak256
from ledger.rlp import encode_rlp
from ledger.trie import EMPTY_ROOT, parse_account, parse_word

__all__ = ["prove"]

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


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
