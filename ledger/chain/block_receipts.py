"""Fetches all receipts of a block, by whichever call the node has. The receipts root is checked, whatever the call.

`eth_getBlockReceipts` takes one request, and engines from 2024 on have it; `debug_getRawReceipts` takes two, and Geth's
descendants have it where the debug API is switched on; `eth_getTransactionReceipt` takes one for each transaction, and
every node has it. The last two know no order, so the block's transactions are asked for as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from millmark.ledger.chain.answers import (
    HINT,
    RawLog,
    Receipt,
    parse_answer,
    parse_bytes,
    parse_number,
    parse_receipt,
    parse_sized,
)
from millmark.ledger.chain.blocks import BlockTransaction
from millmark.ledger.chain.receipts import EMPTY_ROOT, build_root, encode_receipt
from millmark.ledger.errors import ChainError, ChainUnreachableError, MethodMissingError
from millmark.ledger.events import Header
from millmark.ledger.rlp import decode_integer, decode_rlp

__all__ = ["BlockReceipts"]

T = TypeVar("T")
_RECEIPT_DEPTH = 4
"""Lists within a receipt: receipt, logs, log, topics."""
_LEGACY = 0xC0
"""An encoding that begins with at least this is a list, so that no type precedes it (EIP-2718)."""
_UINT64 = 8


class Ask(Protocol):
    """Sends a request, as `millmark.ledger.chain.node.Node` does."""

    def __call__(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T: ...


class AskAll(Protocol):
    """Sends several requests at once, as `millmark.ledger.chain.node.Node` does."""

    def __call__(self, questions: Sequence[tuple[str, list[Any], Callable[[Any], T]]]) -> list[T | ChainError]: ...


class BlockReceipts:
    """Asks one node. Remembers the call that it has, until it lacks it or does not answer: then it may be another one,
    or a newer version."""

    def __init__(self, ask: Ask, ask_all: AskAll, transactions: Callable[[Header], Sequence[BlockTransaction]]) -> None:
        """`transactions`: those of a block, all of them and no others. Raises ChainError."""
        self._ask = ask
        self._ask_all = ask_all
        self._transactions = transactions
        self._calls = (self._by_block, self._by_encoding, self._by_transaction)
        self._call: Callable[[Header], tuple[Receipt, ...]] | None = None
        """The call that the node had last; None if that is not known."""

    def fetch(self, header: Header) -> tuple[Receipt, ...]:
        """All receipts of one block. Raises ChainUnreachableError if any could be missing or changed, ChainError if the
        node has no call for them.

        `contract_address` of a receipt is None if the call does not tell it.
        """
        if header.receipts_root == EMPTY_ROOT:
            return ()
        remembered, self._call = self._call, None  # forgotten if this fails
        calls = self._calls if remembered is None else (remembered, *self._calls)
        for call in calls:
            try:
                found = call(header)
            except MethodMissingError as error:
                missing = error
            else:
                self._call = call
                return found
        raise missing

    def fetch_each(self, headers: Sequence[Header]) -> Iterator[tuple[Receipt, ...] | ChainError]:
        """Like `fetch` for each block, all asked for at once if the node is known to have a call that takes one request
        for a block. In place of an answer that failed stands its error."""
        asked = [header for header in headers if header.receipts_root != EMPTY_ROOT]
        answers: Iterator[tuple[Receipt, ...] | ChainError] | None = None
        if self._call == self._by_block and len(asked) > 1:
            answers = iter(self._ask_all([_block_question(header) for header in asked]))
        for header in headers:
            answer = next(answers) if answers is not None and header.receipts_root != EMPTY_ROOT else None
            # Another node may answer behind the same address, which lacks the call: then each is asked for in turn.
            yield self._fetch_or_error(header) if answer is None or isinstance(answer, MethodMissingError) else answer

    def _fetch_or_error(self, header: Header) -> tuple[Receipt, ...] | ChainError:
        try:
            return self.fetch(header)
        except ChainError as error:
            return error

    def _by_block(self, header: Header) -> tuple[Receipt, ...]:
        return self._ask(*_block_question(header))

    def _by_encoding(self, header: Header) -> tuple[Receipt, ...]:
        method = "debug_getRawReceipts"
        encoded = self._ask(method, [_hex(header.hash)], lambda raw: _verified_encodings(raw, header))
        hashes = [one.hash for one in self._transactions(header)]
        return parse_answer(method, encoded, lambda encoded: _decode(encoded, hashes, header))

    def _by_transaction(self, header: Header) -> tuple[Receipt, ...]:
        method, hashes = "eth_getTransactionReceipt", [one.hash for one in self._transactions(header)]
        raw = [self._ask(method, [_hex(one)], lambda answer: answer) for one in hashes]
        found = parse_answer(method, raw, lambda raw: _verified(raw, header))
        if [one.transaction_hash for one in found] != hashes:
            raise ChainUnreachableError(f"the receipts of block {header.number} are of other transactions", hint=HINT)
        return found


def _block_question(header: Header) -> tuple[str, list[Any], Callable[[Any], tuple[Receipt, ...]]]:
    return "eth_getBlockReceipts", [_hex(header.hash)], lambda raw: _verified(raw, header)


def _verified(raw: Any, header: Header) -> tuple[Receipt, ...]:
    """Parse the receipts of a block in JSON form. Raises ValueError if any could be missing or changed."""
    receipts = [parse_receipt(entry) for entry in raw]
    encoded = [
        encode_receipt(
            parse_number(entry.get("type", "0x0")),
            receipt.succeeded,
            parse_number(entry["cumulativeGasUsed"]),
            parse_sized(entry["logsBloom"], 256),
            [(log.address, log.topics, log.data) for log in receipt.logs],
        )
        for entry, receipt in zip(raw, receipts, strict=True)
    ]
    logs = [log for receipt in receipts for log in receipt.logs]
    places = [(log.log_index, log.block_hash, log.block_number) for log in logs]
    # The root covers neither the logs' numbering nor the block's hash and number.
    expected = [(place, header.hash, header.number) for place in range(len(logs))]
    is_of_block = all((one.block_hash, one.block_number) == (header.hash, header.number) for one in receipts)
    if build_root(encoded) != header.receipts_root or places != expected or not is_of_block:
        raise ValueError("the receipts do not match the block's receipts root")
    return tuple(receipts)


def _verified_encodings(raw: Any, header: Header) -> list[bytes]:
    encoded = [parse_bytes(entry) for entry in raw]
    if b"" in encoded or build_root(encoded) != header.receipts_root:
        raise ValueError("the receipts do not match the block's receipts root")
    return encoded


def _decode(encoded: Sequence[bytes], hashes: Sequence[bytes], header: Header) -> tuple[Receipt, ...]:
    """Decode the receipts of a block (EIP-2718), whose root was verified. Raises ProofError, ValueError."""
    receipts: list[Receipt] = []
    before, place = 0, 0
    for data, transaction_hash in zip(encoded, hashes, strict=True):
        receipt: Any = decode_rlp(data[data[0] < _LEGACY :], max_depth=_RECEIPT_DEPTH)
        status, cumulative, _, shown = receipt
        used = decode_integer(cumulative, _UINT64)
        logs = [
            RawLog(bytes(address), tuple(topics), bytes(content), header.number, header.hash, transaction_hash, at)
            for at, (address, topics, content) in enumerate(shown, place)
        ]
        receipts.append(
            Receipt(
                transaction_hash=transaction_hash,
                succeeded=status == b"\1",
                block_number=header.number,
                block_hash=header.hash,
                gas_used=used - before,
                contract_address=None,
                logs=tuple(logs),
            )
        )
        before, place = used, place + len(logs)
    return tuple(receipts)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
