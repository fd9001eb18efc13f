"""Sends single transactions that make no record, and waits until they are mined. Records go through ledger.submit."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ledger.chain.fees import Fees, first_fees
from ledger.chain.node import Node, Receipt, Reception
from ledger.chain.profiles import EngineProfile
from ledger.chain.receptions import fee_too_low
from ledger.chain.transactions import Transaction, sign_transaction
from ledger.errors import ChainError, ChainUnreachableError
from ledger.signatures import Signer

__all__ = ["RECEIPT_PAUSE_S", "await_receipt", "send_call", "send_transaction", "send_values"]

_TRANSFER_GAS = 21_000
"""Yellow paper, appendix G."""
RECEIPT_PAUSE_S = 0.2
"""Time between two questions for a receipt."""


def send_call(
    node: Node, profile: EngineProfile, signer: Signer, to: bytes, data: bytes, *, timeout_s: float = 60.0
) -> None:
    """Send one call that makes no record, and wait until it is mined.

    Raises ContractRefusedError if it would revert, ChainError if it did or is not mined within `timeout_s` seconds.

    The key's nonce is the node's next one: no outbox may send for the same key meanwhile.
    """
    node.call(
        to, data, signer.address, profile.fixed_gas_limit
    )  # some engines hide the contract's error in an estimate
    if not send_transaction(node, profile, signer, to, data, timeout_s=timeout_s).succeeded:
        raise ChainError("the call reverted when it was mined", hint="see what changed meanwhile, then try again")


def send_values(
    node: Node,
    profile: EngineProfile,
    signer: Signer,
    amounts: Sequence[tuple[bytes, int]],
    *,
    timeout_s: float = 60.0,
) -> None:
    """Send amounts in wei to addresses, one transaction each, and wait until all are mined.

    Raises FundsError if the key cannot pay for them, FeeTooLowError if the node takes none at this price, ChainError if
    they are not mined within `timeout_s` seconds, or a recipient is a contract that refused its amount. The nonces are
    the node's next ones, as for `send_call`.
    """
    fees, chain_id, nonce = first_fees(node, profile), node.chain_id(), node.transaction_count(signer.address)
    sent = []
    for place, (to, amount_wei) in enumerate(amounts):
        transaction = Transaction(
            chain_id,
            nonce + place,
            fees.priority_fee_wei,
            fees.max_fee_wei,
            _TRANSFER_GAS,
            to,
            b"",
            value_wei=amount_wei,
            legacy=fees.legacy,
        )
        signed = sign_transaction(transaction, signer)
        _send(node, signed.raw, fees)
        sent.append((to, signed.hash))
    for to, transaction_hash in sent:
        if not await_receipt(node, transaction_hash, timeout_s).succeeded:
            raise ChainError(f"0x{to.hex()} refused the amount", hint="name the address of a key, not of a contract")


def send_transaction(
    node: Node,
    profile: EngineProfile,
    signer: Signer,
    to: bytes,
    data: bytes,
    *,
    timeout_s: float = 60.0,
) -> Receipt:
    """Send one transaction, and return its receipt, whether it succeeded or not. An empty `to` creates a contract.

    Raises ContractRefusedError if it would revert, FundsError if the key cannot pay for it, FeeTooLowError if the node
    takes none at this price, ChainError if it is not mined within `timeout_s` seconds.
    """
    estimate, fees = node.estimate_gas(to or None, data, signer.address), first_fees(node, profile)
    transaction = Transaction(
        chain_id=node.chain_id(),
        nonce=node.transaction_count(signer.address),
        max_priority_fee_wei=fees.priority_fee_wei,
        max_fee_wei=fees.max_fee_wei,
        gas_limit=min(estimate * (100 + profile.gas_headroom_percent) // 100, max(estimate, node.gas_limit())),
        to=to,
        data=data,
        legacy=fees.legacy,
    )
    signed = sign_transaction(transaction, signer)
    if _send(node, signed.raw, fees) is Reception.OVERSIZED:
        raise ChainError(
            f"a transaction needs {transaction.gas_limit} gas, more than the chain's blocks have",
            hint="have the validators raise the gas limit of blocks to 30,000,000",
        )
    return await_receipt(node, signed.hash, timeout_s)


def _send(node: Node, raw: bytes, fees: Fees) -> Reception:
    reception = node.send(raw)
    if reception is Reception.BELOW_MINIMUM:
        raise fee_too_low(fees.max_fee_wei)
    return reception


def await_receipt(node: Node, transaction_hash: bytes, timeout_s: float) -> Receipt:
    """The receipt, once the transaction is mined. Raises ChainError when it is not within `timeout_s` seconds.

    A node that does not answer meanwhile is asked again.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            receipt = node.receipt(transaction_hash)
        except ChainUnreachableError:
            if time.monotonic() > deadline:
                raise
            receipt = None
        if receipt is not None:
            return receipt
        if time.monotonic() > deadline:
            raise ChainError(
                f"transaction 0x{transaction_hash.hex()} was not mined within {timeout_s:.0f} s",
                hint="check that the chain produces blocks, then try again",
            )
        time.sleep(RECEIPT_PAUSE_S)
