"""Signs transactions: of type 2 (EIP-1559), and legacy ones for networks from before the London fork (EIP-155)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import keccak256
from millmark.ledger.signatures import Signer

__all__ = ["SignedTransaction", "Transaction", "is_legacy", "sign_transaction"]

_LEGACY = 0xC0
"""Encodings that begin with at least this are lists, and so of no type (EIP-2718)."""
_CHAIN_V = 35


@dataclass(frozen=True, slots=True)
class Transaction:
    """An unsigned transaction."""

    chain_id: int
    nonce: int
    max_priority_fee_wei: int
    """Per gas."""
    max_fee_wei: int
    """Per gas."""
    gas_limit: int
    to: bytes
    """Address; empty creates a contract."""
    data: bytes
    value_wei: int = 0
    legacy: bool = False
    """Whether it is legacy: of no type, with `max_fee_wei` as its only price."""


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A signed transaction."""

    raw: bytes
    """The bytes to send."""
    hash: bytes
    """32 bytes."""


def sign_transaction(transaction: Transaction, signer: Signer) -> SignedTransaction:
    """Sign a transaction (EIP-1559, section "Specification"; EIP-155 if it is legacy). Raises SigningError."""
    import rlp  # noqa: PLC0415  # commands that only read sign nothing

    if transaction.legacy:
        return _sign_legacy(transaction, signer)
    fields: list[int | bytes | list[bytes]] = [
        transaction.chain_id,
        transaction.nonce,
        transaction.max_priority_fee_wei,
        transaction.max_fee_wei,
        transaction.gas_limit,
        transaction.to,
        transaction.value_wei,
        transaction.data,
        [],
    ]
    digest = keccak256(b"\x02" + rlp.encode(fields))
    signature = signer.sign_digest(digest)
    raw = b"\x02" + rlp.encode([*fields, signature.y_parity, signature.r, signature.s])
    return SignedTransaction(raw, keccak256(raw))


def is_legacy(raw: bytes) -> bool:
    """Whether a signed transaction is legacy."""
    return bool(raw) and raw[0] >= _LEGACY


def _sign_legacy(transaction: Transaction, signer: Signer) -> SignedTransaction:
    import rlp  # noqa: PLC0415  # as above

    fields: list[int | bytes] = [
        transaction.nonce,
        transaction.max_fee_wei,
        transaction.gas_limit,
        transaction.to,
        transaction.value_wei,
        transaction.data,
    ]
    signature = signer.sign_digest(keccak256(rlp.encode([*fields, transaction.chain_id, 0, 0])))
    v = _CHAIN_V + 2 * transaction.chain_id + signature.y_parity
    raw = rlp.encode([*fields, v, signature.r, signature.s])
    return SignedTransaction(raw, keccak256(raw))
