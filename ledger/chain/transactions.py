"""Signs transactions of type 2 (EIP-1559)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.canonical import keccak256
from ledger.signatures import Signer

__all__ = ["SignedTransaction", "Transaction", "sign_transaction"]


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


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A signed transaction."""

    raw: bytes
    """The bytes to send."""
    hash: bytes
    """32 bytes."""


def sign_transaction(transaction: Transaction, signer: Signer) -> SignedTransaction:
    """Sign a transaction (EIP-2718 envelope of EIP-1559 section "Specification"). Raises SigningError."""
    import rlp  # noqa: PLC0415  # commands that only read sign nothing

    fields: list[int | bytes | list[bytes]] = [
        transaction.chain_id,
        transaction.nonce,
        transaction.max_priority_fee_wei,
        transaction.max_fee_wei,
        transaction.gas_limit,
        transaction.to,
        0,
        transaction.data,
        [],
    ]
    digest = keccak256(b"\x02" + rlp.encode(fields))
    signature = signer.sign_digest(digest)
    raw = b"\x02" + rlp.encode([*fields, signature.y_parity, signature.r, signature.s])
    return SignedTransaction(raw, keccak256(raw))
