"""The embedded chain's virtual machine: py-evm's, with the parts replaced that it spends most of its time in.

py-evm is written to be read beside Ethereum's specification, not to be fast: of the demonstration's 27 s of processor
time its execution took 15; with these parts it takes 4 (tests/integration/test_interpreter.py compares both). It
offers classes to replace, so nothing of it is patched; the private members used here are those of the locked version.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from eth.db.account import AccountDB
from eth.db.storage import AccountStorageDB, StorageLookup
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.state import PragueState
from trie.constants import BLANK_NODE_HASH
from trie.hexary import HexaryTrie
from trie.utils.nodes import decode_node

from millmark.ledger.chain.interpreter import FastComputation
from millmark.ledger.headers import MAX_HEADER_BYTES

__all__ = ["FastVM", "SealedVM"]

_HASH_SIZE = 32
_KEPT_NODES = 1 << 13

_decode_node = lru_cache(_KEPT_NODES)(decode_node)
"""Nodes are read again for every call and every transaction, and most of the time for it went into decoding them."""


class _ReadTrie(HexaryTrie):
    """A trie that is only read: writing would change the nodes, which all tries share."""

    def get_node(self, node_hash: Any) -> Any:
        if len(node_hash) == _HASH_SIZE and node_hash != BLANK_NODE_HASH:
            return _decode_node(self.db[node_hash])
        return super().get_node(node_hash)  # type: ignore[no-untyped-call]  # py-trie types it in part


class _Lookup(StorageLookup):
    def _get_read_trie(self) -> HexaryTrie:
        if self.has_changed_root:
            return super()._get_read_trie()
        return _ReadTrie(self._db, root_hash=self._starting_root_hash)


class _Storage(AccountStorageDB):
    def __init__(self, db: Any, storage_root: Any, address: Any) -> None:
        super().__init__(db, storage_root, address)
        self._storage_lookup = self._storage_cache._db = _Lookup(db, storage_root, address)


class _Accounts(AccountDB):
    def _get_address_store(self, address: Any) -> Any:
        if address not in self._account_stores:
            root = self._get_storage_root(address)
            self._account_stores[address] = _Storage(self._raw_store_db, root, address)
        return self._account_stores[address]


class _State(PragueState):
    computation_class = FastComputation
    account_db_class = _Accounts


class FastVM(PragueVM):
    """The rules of the Prague fork: the same results, gas, logs and errors as with py-evm's own parts."""

    _state_class = _State


class SealedVM(FastVM):
    """The same rules, but for blocks whose `extraData` lists validators."""

    extra_data_max_bytes = MAX_HEADER_BYTES
