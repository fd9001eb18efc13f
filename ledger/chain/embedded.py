"""The embedded chain: eth-tester with py-evm, answering JSON-RPC requests in process.

`millmark.services.devchain` serves the same object over HTTP, so that clients cannot tell the two apart. Each
transaction is mined at once, in a block of its own.
"""

from __future__ import annotations

import ast
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, cast

from eth.chains.base import MiningChain
from eth.db.account import AccountDB
from eth.db.storage import AccountStorageDB, StorageLookup
from eth.exceptions import HeaderNotFound, PyEVMError
from eth.exceptions import TransactionNotFound as NotMinedError
from eth.vm.forks.berlin.transactions import TypedTransaction
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.state import PragueState
from eth_bloom.bloom import BloomFilter
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.backends.pyevm.main import EVMSpoofTransaction
from eth_tester.backends.pyevm.serializers import serialize_transaction_receipt
from eth_tester.exceptions import BlockNotFound, TransactionFailed, TransactionNotFound, ValidationError
from eth_utils.exceptions import ValidationError as EvmValidationError
from rlp import RLPException
from trie.constants import BLANK_NODE_HASH
from trie.hexary import HexaryTrie
from trie.utils.nodes import decode_node

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain.transport import RpcError
from millmark.ledger.errors import InputError, SealsError
from millmark.ledger.headers import FIELDS, MAX_HEADER_BYTES, encode_rlp
from millmark.ledger.lazy import bound_recursion
from millmark.ledger.seals import QbftExtra, encode_seal, verify_order
from millmark.ledger.signatures import Signer
from millmark.ledger.trie import EMPTY_ROOT, parse_account, parse_word

# The embedded chain's virtual machine: py-evm's, which reads each node of a trie again for every call.
#
# It offers classes to replace, so nothing of it is patched; the private members used here are those of the locked
# version. tests/integration/test_embedded_tries.py compares both.

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
    account_db_class = _Accounts


class CachingVM(PragueVM):
    """The rules of the Prague fork, with the latest nodes of tries kept."""

    _state_class = _State


class SealedVM(CachingVM):
    """The same rules, but for blocks whose `extraData` lists validators."""

    extra_data_max_bytes = MAX_HEADER_BYTES


# Seals the embedded chain's blocks with validators' keys, as a QBFT network does. See ledger/SEALS.md.
#
# All keys are in one process. On a network, each is in another company's.

QBFT_MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
"""`mixHash` of every QBFT block: the end of "practical byzantine fault tolerance" in ASCII."""
_VANITY = b"millmark-devchain".ljust(32, b"\0")
_KEPT = 1 << 14


class Sealing:
    """The validators of a chain, with their keys. Raises InputError if they are none, too many, or one is doubled."""

    def __init__(self, signers: Sequence[Signer]) -> None:
        self._signers = sorted(signers, key=lambda one: one.address)
        try:
            verify_order([one.address for one in self._signers])
        except SealsError as error:
            raise InputError(f"the chain cannot have these validators: {error.cause}") from None
        self._extra = QbftExtra(_VANITY, tuple(one.address for one in self._signers), None, 0, ())
        self._sealed: OrderedDict[bytes, bytes] = OrderedDict()

    @property
    def extra_data(self) -> bytes:
        """`extraData` of every block in the form that is hashed."""
        return self._extra.to_bytes()

    def seal(self, block_hash: bytes) -> bytes:
        """`extraData` of a block as a node holds it: with a seal of every validator, committed in round 0.

        The digest of round 0 is the block's hash. Signatures are deterministic (RFC 6979), so a block always gets the
        same ones, and the latest are kept.
        """
        found = self._sealed.get(block_hash)
        if found is None:
            seals = tuple(encode_seal(one.sign_digest(block_hash)) for one in self._signers)
            found = self._sealed[block_hash] = replace(self._extra, seals=seals).to_bytes()
            if len(self._sealed) > _KEPT:
                self._sealed.popitem(last=False)
        return found


# What eth-tester lacks of a node's JSON-RPC, for the embedded chain: `eth_getProof`, filters of `eth_getLogs`, and
# transactions with all their fields.
#
# State proofs (EIP-1186) come from py-evm's state trie, which keeps the state of all blocks. Of a filter, eth-tester
# itself supports only the block numbers.

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


bound_recursion()  # after the imports above, which raised the limit

CHAIN_ID = 131277322940537
"""eth-tester's, which cannot be configured."""
_SERVER_ERROR, _INVALID_PARAMS, _UNKNOWN_METHOD, _REVERTED = -32000, -32602, -32601, 3
_BLOOM_BYTES = 256
_EXTRA_BYTES = 32
_GAS_LIMIT = 60_000_000
"""Gas limit of a block: enough for the largest batch with every engine profile."""

_KEPT_RECEIPTS = 1 << 12
_CALL_STIPEND = 2300

_BLOCKS = {"earliest": 0, "latest": "latest", "pending": "latest", "safe": "latest", "finalized": "latest"}
"""Block tags. Each transaction is mined at once and is final, so all tags but the first mean the latest block."""

Json = Any  # any JSON value: each method of JSON-RPC has its own types
Header = Any  # py-evm's types lack the members of the forks


class _Backend(PyEVMBackend):  # type: ignore[misc]  # eth-tester ships no types
    """eth-tester's backend, with blocks that depend only on transactions and times, so that a chain is reproducible."""

    extra_data = b""
    """`extraData` of every block: the validators, on a chain that has any."""
    _state: Any = None
    _state_of: Header = None
    """The header after whose block `_state` is."""

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = bytes(20)) -> tuple[bytes, ...]:
        """Mine blocks with the parent's hash as `mixHash`, which eth-tester would draw at random."""
        return tuple(self._mine(coinbase) for _ in range(num_blocks))

    def call(self, transaction: dict[str, Any], block_number: int | str = "latest") -> bytes:
        """Execute a call after a block. Raises TransactionFailed with the repr of the contract's revert data."""
        sender = transaction["from"]
        state = self._latest() if block_number == "latest" else self._after(cast(int, block_number))
        asked = {"gas": self._max_available_gas(), "nonce": state.get_nonce(sender), **transaction}
        unsigned = self._get_normalized_and_unsigned_evm_transaction(asked)
        snapshot = state.snapshot()
        try:
            computation = state.costless_execute_transaction(EVMSpoofTransaction(unsigned, from_=sender))
        finally:
            state.revert(snapshot)
        if computation.is_error:
            raise TransactionFailed(str(computation._error))
        return cast(bytes, computation.output)

    def get_nonce(self, account: bytes, block_number: int | str = "latest") -> int:
        if block_number != "latest":
            return cast(int, super().get_nonce(account, block_number))
        return cast(int, self._latest().get_nonce(account))

    def get_code(self, account: bytes, block_number: str = "latest") -> bytes:  # noqa: ARG002  # no other is kept
        return cast(bytes, self._latest().get_code(account))

    def get_transaction_receipt(self, transaction_hash: bytes) -> dict[str, Any]:
        """Look the receipt up by the transaction's hash, where eth-tester would read all blocks back to it."""
        try:
            number, index = self.chain.get_canonical_transaction_index(transaction_hash)
        except NotMinedError as error:
            raise TransactionNotFound(str(error)) from error
        block = self.chain.get_canonical_block_by_number(number)
        receipts = block.get_receipts(self.chain.chaindb)
        vm = self.chain.get_vm()
        found = serialize_transaction_receipt(block, receipts, block.transactions[index], index, False, vm)
        return cast(dict[str, Any], found)

    def estimate_gas(self, transaction: dict[str, Any], block_number: str = "latest") -> int:
        """Estimate in two executions, as geth does; eth-tester's search takes a dozen. Raises TransactionFailed when
        the transaction reverts with any amount of gas."""
        asked = self._get_normalized_and_unsigned_evm_transaction({**transaction, "gas": 21_000}, block_number)
        head = self.chain.get_canonical_head()
        with self.chain.get_vm(head).in_costless_state() as state:
            first = _execute(state, asked, transaction["from"], head.gas_limit)
            if not first.is_error:
                used = head.gas_limit - first.get_gas_remaining()
                # A call passes on 63/64 of its gas at most, and one with value needs the stipend at hand.
                enough = (used + _CALL_STIPEND) * 64 // 63
                if not _execute(state, asked, transaction["from"], enough).is_error:
                    return int(enough)
        return cast(int, super().estimate_gas(transaction, block_number))

    def _latest(self) -> Any:
        """The state after the latest block, with a base fee of 0: with another, a call's sender would need a balance to
        pay for gas. Kept until the next block, so that calls share what was read; each is reverted after it ran."""
        head = self.chain.get_canonical_head()
        if head != self._state_of:
            self._state, self._state_of = self.chain.get_vm(head.copy(base_fee_per_gas=0)).state, head
        return self._state

    def _after(self, number: int) -> Any:
        """Like `_latest`, after any block: py-evm keeps the state of all."""
        header = self.chain.get_canonical_block_header_by_number(number)
        return (
            self._latest()
            if header == self.chain.get_canonical_head()
            else self.chain.get_vm(header.copy(base_fee_per_gas=0)).state
        )

    def _mine(self, coinbase: bytes) -> bytes:
        mix_hash = QBFT_MIX_HASH if self.extra_data else self.chain.get_canonical_head().hash
        found = self.chain.mine_block(coinbase=coinbase, mix_hash=mix_hash, extra_data=self.extra_data, blob_gas_used=0)
        return cast(bytes, found.hash)

    def get_block_by_hash(self, block_hash: bytes, full_transaction: bool = True) -> dict[str, Any]:
        """eth-tester's form of a block, for its own checks: they allow only 32 bytes of `extraData`."""
        found = super().get_block_by_hash(block_hash, full_transaction)
        return {**found, "extra_data": found["extra_data"][:_EXTRA_BYTES]}


def _execute(state: Any, unsigned: Any, sender: bytes, gas: int) -> Any:
    """Computation of a transaction with this gas limit; the state stays as it is."""
    snapshot = state.snapshot()
    try:
        return state.apply_transaction(EVMSpoofTransaction(unsigned, from_=sender, gas=gas, gas_price=0))
    finally:
        state.revert(snapshot)


class EmbeddedChain:
    """A chain in memory, safe to use from several threads.

    The same requests at the same times, from the same genesis time, result in the same blocks; also with `plain`, where
    py-evm's own machine executes, for comparison. With `validators`, blocks list them and have a seal of each, as on a
    QBFT network: this one process holds all their keys, so that the seals show the format and no agreement of several.
    """

    def __init__(
        self, genesis_time_s: int | None = None, *, plain: bool = False, validators: Sequence[Signer] = ()
    ) -> None:
        overrides: dict[str, Any] = {"gas_limit": _GAS_LIMIT}
        if genesis_time_s is not None:
            overrides["timestamp"] = genesis_time_s
        self._sealing = Sealing(validators) if validators else None
        machine = PragueVM if plain else SealedVM if validators else CachingVM
        if self._sealing is not None:
            overrides["extra_data"] = self._sealing.extra_data
        parameters = PyEVMBackend.generate_genesis_params(overrides)
        backend = _Backend(genesis_parameters=parameters, vm_configuration=((0, machine),))
        backend.extra_data = overrides.get("extra_data", b"")
        self._tester = EthereumTester(backend)
        self._time_s: int | None = None
        self._ahead_s = 0
        self._bank = self._tester.get_accounts()[0]
        self._lock = threading.Lock()
        self._receipt_of = lru_cache(_KEPT_RECEIPTS)(self._build_receipt)
        self._methods: dict[str, Callable[..., Json]] = {
            "web3_clientVersion": lambda: "millmark-devchain",
            "net_version": lambda: str(CHAIN_ID),
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_blockNumber": lambda: hex(self._head().block_number),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getLogs": self._logs,
            "eth_getCode": _now(lambda address: self._tester.get_code(address)),
            "eth_getBalance": _now(lambda address: hex(self._tester.get_balance(address))),
            "eth_getStorageAt": _now(self._storage),
            "eth_getProof": self._proof,
            "eth_getTransactionCount": self._count,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getBlockReceipts": self._receipts,
            "eth_gasPrice": lambda: hex(self._head().base_fee_per_gas + 1),
            "eth_maxPriorityFeePerGas": lambda: hex(1),
            "eth_call": self._call,
            "eth_estimateGas": _now(lambda call: hex(self._run(self._tester.estimate_gas, call))),
            "eth_sendRawTransaction": self._send,
            "anvil_setBalance": self._fund,
            "evm_increaseTime": self._increase_time,
            "evm_mine": self._mine_block,
        }

    def request(self, method: str, params: list[Json]) -> Json:
        """Return the result of a JSON-RPC request. Raises RpcError where a node would answer with an error."""
        if method not in self._methods:
            raise RpcError(_UNKNOWN_METHOD, f"the method {method} does not exist")
        with self._lock:
            return self._request(method, params)

    def request_at(self, time_s: int, method: str, params: list[Json]) -> Json:
        """Like `request`, but a new block gets the time `time_s`, in seconds since 1970, if that is later than its
        parent's; otherwise its parent's plus one second."""
        with self._lock:
            self._time_s = time_s
            try:
                return self._request(method, params)
            finally:
                self._time_s = None

    def _request(self, method: str, params: list[Json]) -> Json:
        try:
            return self._methods[method](*params)
        except TransactionFailed as error:
            raise _failure(error) from error
        except RecursionError as error:
            raise RpcError(_SERVER_ERROR, "contracts call each other too deeply for this chain") from error
        except (ValidationError, EvmValidationError) as error:
            raise RpcError(_SERVER_ERROR, _plain(error)) from error
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, RLPException, PyEVMError) as error:
            raise RpcError(_INVALID_PARAMS, f"invalid parameters for {method}") from error

    @property
    def _chain(self) -> Any:
        return self._tester.backend.chain

    def _head(self) -> Header:
        return self._chain.get_canonical_head()

    def _block_by_number(self, number: str, full: bool = False) -> Json:
        try:
            return self._block(self._header(number), full)
        except HeaderNotFound:
            return None

    def _block_by_hash(self, block_hash: str, full: bool = False) -> Json:
        try:
            return self._block(self._header_by_hash(block_hash), full)
        except HeaderNotFound:
            return None

    def _header(self, number: str) -> Header:
        wanted = int(number, 16) if number.startswith("0x") else _BLOCKS[number]
        if wanted == "latest":
            return self._head()
        return self._chain.get_canonical_block_header_by_number(wanted)

    def _header_by_hash(self, block_hash: str) -> Header:
        return self._chain.get_block_header_by_hash(bytes.fromhex(block_hash.removeprefix("0x")))

    def _block(self, header: Header, full: bool) -> Json:
        """JSON form of a block, from py-evm: eth-tester pads `extraData`, and validates every member of every block."""
        fields = {name: _header_field(value, size) for (name, _, size), value in zip(FIELDS, header, strict=False)}
        if self._sealing is not None and header.block_number:  # nobody seals the genesis block
            fields["extraData"] = "0x" + self._sealing.seal(header.hash).hex()
        return {
            **fields,
            "hash": "0x" + header.hash.hex(),
            "transactions": self._full(header) if full else self._transactions_in(header),
        }

    def _full(self, header: Header) -> list[Json]:
        block = self._chain.get_canonical_block_by_number(header.block_number)
        return [transaction_json(one) for one in block.transactions]

    def _transactions_in(self, header: Header) -> list[str]:
        return ["0x" + one.hex() for one in self._chain.chaindb.get_block_transaction_hashes(header)]

    def _logs(self, query: dict[str, Json]) -> Json:
        wanted = LogQuery.parse(query)
        logs = (log for transaction in self._transactions(wanted) for log in self._receipt_of(transaction)["logs"])
        return [log for log in logs if wanted.wants(log)]

    def _transactions(self, wanted: LogQuery) -> list[str]:
        try:
            if wanted.block_hash is not None:
                return self._transactions_in(self._header_by_hash(wanted.block_hash))
            first, last = (self._header(number).block_number for number in (wanted.first, wanted.last))
        except HeaderNotFound:
            raise RpcError(_SERVER_ERROR, "unknown block") from None
        numbers = range(first, last + 1)
        headers = (self._chain.get_canonical_block_header_by_number(number) for number in numbers)
        blocks = [header for header in headers if wanted.may_match(header.bloom)]
        return [transaction for header in blocks for transaction in self._transactions_in(header)]

    def _count(self, address: str, block: str = "latest") -> str:
        try:
            return hex(self._tester.get_nonce(address, int(block, 16) if block.startswith("0x") else _BLOCKS[block]))
        except BlockNotFound:
            raise RpcError(_SERVER_ERROR, "unknown block") from None

    def _storage(self, address: str, slot: str) -> str:
        return "0x" + bytes.fromhex(self._tester.get_storage_at(address, slot)[2:]).rjust(32, b"\0").hex()

    def _proof(self, address: str, slots: list[str], block: str) -> Json:
        """Result of `eth_getProof` for any block: py-evm keeps the state of all blocks."""
        found = self._block_by_number(block)
        if found is None:
            raise RpcError(_SERVER_ERROR, "unknown block")
        return prove(self._chain, int(found["number"], 16), address, slots)

    def _receipt(self, transaction_hash: str) -> Json:
        try:
            return self._receipt_of(transaction_hash)
        except TransactionNotFound:
            return None

    def _build_receipt(self, transaction_hash: str) -> Json:
        """A receipt's JSON form. It never changes, since blocks are final, so the latest ones are kept."""
        receipt = self._tester.get_transaction_receipt(transaction_hash)
        created = receipt["contract_address"]
        bloom = BloomFilter()
        for log in receipt["logs"]:
            bloom.extend(bytes.fromhex(value[2:]) for value in (log["address"], *log["topics"]))
        return {
            "transactionHash": receipt["transaction_hash"],
            "type": receipt["type"],
            "status": hex(receipt["status"]),
            "blockNumber": hex(receipt["block_number"]),
            "blockHash": receipt["block_hash"],
            "gasUsed": hex(receipt["gas_used"]),
            "cumulativeGasUsed": hex(receipt["cumulative_gas_used"]),
            "contractAddress": created.lower() if created else None,
            "logs": [_log(log) for log in receipt["logs"]],
            "logsBloom": f"0x{int(bloom):0512x}",
        }

    def _receipts(self, block: str) -> Json:
        """Receipts of a block, by its hash."""
        try:
            header = self._header_by_hash(block)
        except HeaderNotFound:
            return None
        return [self._receipt(transaction) for transaction in self._transactions_in(header)]

    def _call(self, call: dict[str, Json], block: str = "latest") -> Json:
        try:
            number = self._header(block).block_number if block.startswith("0x") else _BLOCKS[block]
        except HeaderNotFound:
            raise RpcError(_SERVER_ERROR, "unknown block") from None
        return self._run(partial(self._tester.call, block_number=number), call)

    def _run(self, function: Callable[[dict[str, Any]], Json], call: dict[str, Json]) -> Json:
        """Run a call or estimate at a gas price of 0, so that senders without balance, also contracts, may make it."""
        sender, data = call.get("from", self._bank), call.get("input", call.get("data", "0x"))
        transaction = {"from": sender, "data": data, "gas_price": 0}
        if "to" in call:
            transaction["to"] = call["to"]
        if "gas" in call:
            transaction["gas"] = int(call["gas"], 16)
        return function(transaction)

    def _send(self, raw: str) -> str:
        """Mine a transaction. One that reverts is mined, too, with status 0, as on every chain."""
        self._set_time()
        return cast(str, self._tester.send_raw_transaction(raw))

    def _fund(self, address: str, amount: str) -> None:
        missing = int(amount, 16) - self._tester.get_balance(address)
        if missing > 0:
            self._set_time()
            self._tester.send_transaction({"from": self._bank, "to": address, "value": missing, "gas": 21_000})

    def _increase_time(self, seconds: int) -> int:
        self._ahead_s += seconds
        return self._ahead_s

    def _mine_block(self) -> None:
        self._set_time()
        self._tester.mine_block()

    def _set_time(self) -> None:
        """Set the time of the next block: now by the chain's clock, but at least a second after its parent's."""
        earliest = self._chain.get_canonical_head().timestamp + 1
        now = int(time.time()) + self._ahead_s if self._time_s is None else self._time_s
        self._chain.set_header_timestamp(max(now, earliest))


def _now(function: Callable[..., Json]) -> Callable[..., Json]:
    """Wrap `function` to accept the block tag that JSON-RPC passes last, which must mean the latest block."""

    def ask(*params: Json) -> Json:
        if params and isinstance(params[-1], str) and not params[-1].startswith("0x"):
            if _BLOCKS[params[-1]] != "latest":
                raise RpcError(_INVALID_PARAMS, "only the latest state is kept")
            params = params[:-1]
        return function(*params)

    return ask


def _plain(error: Exception) -> str:
    """Message of a refusal. Where clients match on the text, it is that of other engines."""
    if "cannot afford" in str(error):
        return "insufficient funds for gas * price + value"
    if "lower than block's base fee" in str(error):
        return "max fee per gas less than block base fee"
    nonces = re.fullmatch(r"Invalid transaction nonce: Expected (\d+), but got (\d+)", str(error))
    if nonces is None:
        return str(error)
    expected, given = (int(nonce) for nonce in nonces.groups())
    return f"nonce too {'low' if given < expected else 'high'}: next nonce {expected}, transaction nonce {given}"


def _failure(error: TransactionFailed) -> RpcError:
    if str(error).startswith("Out of gas"):
        return RpcError(_SERVER_ERROR, "out of gas")
    return RpcError(_REVERTED, "execution reverted", _revert_data(error))


def _revert_data(error: TransactionFailed) -> bytes:
    """Return the revert data: eth-tester passes them as the repr of bytes, or as text if it could decode a reason."""
    reason = error.args[0] if error.args else ""
    if isinstance(reason, bytes):
        return reason
    try:
        data = ast.literal_eval(str(reason))
    except (ValueError, SyntaxError):
        return b""
    return data if isinstance(data, bytes) else b""


def _header_field(value: int | bytes, size: int) -> str:
    """JSON form of a header's field. py-evm represents the bloom as an integer."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return f"0x{value:0512x}" if size == _BLOOM_BYTES else hex(value)


def _log(log: dict[str, Any]) -> dict[str, Json]:
    return {
        "address": log["address"].lower(),
        "topics": list(log["topics"]),
        "data": log["data"],
        "blockNumber": hex(log["block_number"]),
        "blockHash": log["block_hash"],
        "transactionHash": log["transaction_hash"],
        "transactionIndex": hex(log["transaction_index"]),
        "logIndex": hex(log["log_index"]),
        "removed": False,
    }
