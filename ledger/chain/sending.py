"""Sends transactions that make no record, and waits until they are mined, or final. millmark.ledger.submit sends
records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain.blocks import Receipt
from millmark.ledger.chain.node import Node, Reception, fee_too_low
from millmark.ledger.chain.profiles import EngineProfile, Fees, FinalityDepth, first_fees
from millmark.ledger.errors import ChainError, ChainUnreachableError
from millmark.ledger.signatures import Signer

# Signs transactions: of type 2 (EIP-1559), and legacy ones for networks from before the London fork (EIP-155).

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
    import rlp  # noqa: PLC0415  # commands that only read sign nothing

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


_TRANSFER_GAS = 21_000
"""Yellow paper, appendix G."""
RECEIPT_PAUSE_S = 0.2
"""Time between two questions for a receipt."""
_NOT_TAKEN = {
    Reception.UNDERPRICED: (
        "another one of its key waits with the same nonce, or the price of gas has risen",
        "wait until that one is mined: the same command may have been run before",
    ),
    Reception.GAPPED: ("transactions of its key are missing before it", "wait a minute, then try again"),
    Reception.FULL: ("too many wait there", "wait until they are mined, then try again"),
}
"""Why a node keeps no such transaction, so that none is waited for, and what to do."""


@dataclass(frozen=True, slots=True)
class Sending:
    """What a transaction carries, to be signed with the next nonce."""

    to: bytes
    """Address; empty creates a contract."""
    data: bytes
    gas_limit: int
    value_wei: int = 0


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
    """Send amounts in wei to addresses, one transaction each, and wait until all are final: what a recipient pays for
    at once would be refused if a reorganisation took its amount out.

    Raises FundsError if the key cannot pay for them, FeeTooLowError if the node takes none at this price, ChainError if
    it does not keep one, they are not mined within `timeout_s` seconds, or a recipient is a contract that refused its
    amount. The nonces are the node's next ones, as for `send_call`.
    """
    sendings = [Sending(to, b"", _TRANSFER_GAS, amount_wei) for to, amount_wei in amounts]
    receipts = [await_receipt(node, sent, timeout_s) for sent in send_in_order(node, profile, signer, sendings)]
    for (to, _), receipt in zip(amounts, receipts, strict=True):
        if not receipt.succeeded:
            raise ChainError(f"0x{to.hex()} refused the amount", hint="name the address of a key, not of a contract")
    if receipts:
        await_final(node, profile, receipts[-1], "the amounts were sent", timeout_s)


def send_in_order(
    node: Node, profile: EngineProfile, signer: Signer, sendings: Sequence[Sending], nonce: int | None = None
) -> list[bytes]:
    """Send transactions with nonces in a row, and return their hashes. They are mined in this order, on every fork: so
    none is final before those ahead of it.

    All are signed before the first is sent. The first nonce is the node's next one, unless it is given. Raises as
    `send_transaction` does until it waits.
    """
    fees, chain_id = first_fees(node, profile), node.chain_id()
    first = node.transaction_count(signer.address) if nonce is None else nonce
    signed = [
        sign_transaction(_build(chain_id, first + place, fees, sending), signer)
        for place, sending in enumerate(sendings)
    ]
    for one, sending in zip(signed, sendings, strict=True):
        _send(node, one, sending.gas_limit, fees)
    return [one.hash for one in signed]


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
    takes none at this price, ChainError if the node does not keep it, or it is not mined within `timeout_s` seconds.
    """
    estimate, fees = node.estimate_gas(to or None, data, signer.address), first_fees(node, profile)
    gas_limit = min(estimate * (100 + profile.gas_headroom_percent) // 100, max(estimate, node.gas_limit()))
    nonce = node.transaction_count(signer.address)
    signed = sign_transaction(_build(node.chain_id(), nonce, fees, Sending(to, data, gas_limit)), signer)
    _send(node, signed, gas_limit, fees)
    return await_receipt(node, signed.hash, timeout_s)


def _build(chain_id: int, nonce: int, fees: Fees, sending: Sending) -> Transaction:
    return Transaction(
        chain_id,
        nonce,
        fees.priority_fee_wei,
        fees.max_fee_wei,
        sending.gas_limit,
        sending.to,
        sending.data,
        value_wei=sending.value_wei,
        legacy=fees.legacy,
    )


def _send(node: Node, signed: SignedTransaction, gas_limit: int, fees: Fees) -> None:
    reception = node.send(signed.raw)
    if reception is Reception.BELOW_MINIMUM:
        raise fee_too_low(fees.max_fee_wei)
    if reception is Reception.OVERSIZED:
        raise ChainError(
            f"a transaction needs {gas_limit} gas, more than the chain's blocks have",
            hint="have the validators raise the gas limit of blocks to 30,000,000",
        )
    if reception in _NOT_TAKEN:
        why, hint = _NOT_TAKEN[reception]
        raise ChainError(f"the node did not take transaction 0x{signed.hash.hex()}: {why}", hint=hint)


def await_receipt(node: Node, transaction_hash: bytes, timeout_s: float) -> Receipt:
    """The receipt, once the transaction is mined. Raises ChainError when it is not within `timeout_s` seconds. A node
    that does not answer meanwhile is asked again."""
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


def await_final(node: Node, profile: EngineProfile, receipt: Receipt, done: str, timeout_s: float) -> Receipt:
    """The receipt, once its block is final; a reorganisation may have moved the transaction to another block.

    A node that does not answer meanwhile is asked again. Raises ChainError, which begins with what was `done`, if that
    takes longer than `timeout_s` seconds for each block that it needs.
    """
    began, depth = time.monotonic(), FinalityDepth(node, profile)
    while True:
        unreachable = None
        try:
            head = node.block_number()
            if receipt.block_number <= head - depth.at(head):
                return receipt
        except ChainUnreachableError as error:
            unreachable = error
        if time.monotonic() > began + timeout_s * (1 + depth.last):
            if unreachable is not None:
                raise unreachable
            raise ChainError(
                f"{done}, but block {receipt.block_number} does not become final",
                hint="check that the chain produces blocks, then try again",
            )
        time.sleep(RECEIPT_PAUSE_S)
        receipt = await_receipt(node, receipt.transaction_hash, timeout_s)
