"""Signed transactions, EIP-1559 (type 2): the bytes that are stored before they are sent."""

from __future__ import annotations

from dataclasses import dataclass

import rlp

from ledger.canonical import keccak256
from ledger.keys import Signer

__all__ = ["SignedTransaction", "Transaction", "sign_transaction"]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A call before it is signed."""

    chain_id: int
    nonce: int
    max_priority_fee_wei: int
    max_fee_wei: int
    """Per gas, both."""
    gas_limit: int
    to: bytes
    """Address; empty creates a contract."""
    data: bytes


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    raw: bytes
    hash: bytes


def sign_transaction(transaction: Transaction, signer: Signer) -> SignedTransaction:
    """The transaction's wire form and hash (EIP-2718 envelope of EIP-1559 section "Specification")."""
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
