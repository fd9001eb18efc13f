"""Signed bytes, against eth_account."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import Transaction, sign_transaction
from millmark.ledger.keys import LocalSigner

SECRET = bytes(range(1, 33))
SIGNER = LocalSigner.from_bytes(SECRET)
amounts = st.integers(0, 2**64)
transactions = st.builds(
    Transaction,
    chain_id=st.integers(1, 2**60),
    nonce=st.integers(0, 2**40),
    max_priority_fee_wei=amounts,
    max_fee_wei=amounts,
    gas_limit=st.integers(21_000, 2**40),
    to=st.one_of(st.just(b""), st.binary(min_size=20, max_size=20)),
    data=st.binary(max_size=200),
)


def as_dict(transaction: Transaction) -> dict[str, Any]:
    fields = {
        "type": 2,
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "maxPriorityFeePerGas": transaction.max_priority_fee_wei,
        "maxFeePerGas": transaction.max_fee_wei,
        "gas": transaction.gas_limit,
        "value": 0,
        "data": transaction.data,
    }
    return fields | ({"to": transaction.to} if transaction.to else {})


@given(transactions)
def test_signed_as_eth_account_signs(transaction: Transaction) -> None:
    signed = sign_transaction(transaction, SIGNER)
    theirs = Account.sign_transaction(as_dict(transaction), SECRET)
    assert signed.raw == bytes(theirs.raw_transaction)
    assert signed.hash == bytes(theirs.hash) == keccak256(signed.raw)


@given(transactions)
def test_recovers_to_the_signer_and_decodes(transaction: Transaction) -> None:
    raw = sign_transaction(transaction, SIGNER).raw
    assert Account.recover_transaction(raw).lower() == "0x" + SIGNER.address.hex()
    decoded = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    assert {name: decoded[name] for name in as_dict(transaction) if name != "to"} == {
        name: value for name, value in as_dict(transaction).items() if name != "to"
    }
    assert bytes(decoded["to"]) == transaction.to
    assert not decoded["accessList"]


def test_the_same_transaction_gives_the_same_bytes() -> None:
    transaction = Transaction(1, 2, 3, 4, 21_000, bytes(20), b"")
    assert sign_transaction(transaction, SIGNER) == sign_transaction(transaction, SIGNER)
