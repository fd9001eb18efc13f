"""Deploys the contracts, and asks those that are deployed for what only they know."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from millmark.ledger.chain.artifacts import load_artifact
from millmark.ledger.chain.codec import decode_result, encode_constructor, encode_function
from millmark.ledger.chain.creations import Creation, build_creations
from millmark.ledger.chain.deployment import Deployment
from millmark.ledger.chain.fees import first_fees
from millmark.ledger.chain.node import Node, Receipt
from millmark.ledger.chain.profiles import EngineProfile
from millmark.ledger.chain.sending import (
    RECEIPT_PAUSE_S,
    Sending,
    await_final,
    await_receipt,
    send_in_order,
    send_transaction,
)
from millmark.ledger.errors import ChainError, ChainUnreachableError, FundsError
from millmark.ledger.records import Contract
from millmark.ledger.signatures import Signer, to_checksum

__all__ = ["DEPLOY_GAS", "ask_until", "create", "deploy", "fetch_ledger_id", "fetch_predecessor"]

T = TypeVar("T")

DEPLOY_GAS = 30_000_000
"""More than all contracts take."""


def deploy(node: Node, profile: EngineProfile, owner: Signer, *, timeout_s: float = 60.0) -> Deployment:
    """Deploy Forwarder, Registry and the three contracts of the ledger. `owner` pays, and owns the registry.

    On return their blocks are final. Raises ChainError when the node refuses a transaction, it reverts, or it is not
    mined within `timeout_s` seconds.

    All are sent at once, with nonces in a row, from which their addresses follow: so no fork has one without those that
    its constructor asks, and a reorganisation has nothing refused.
    """
    # Before anything is paid: an answer that fails to come later must not cost the addresses of what exists.
    first_block, chain_id, genesis_hash = node.block_number(), node.chain_id(), node.header(0).hash
    _verify_funds(node, profile, owner)
    creations = build_creations(owner.address, nonce := node.transaction_count(owner.address))
    # A chain that cannot run the first of them runs none; the others cannot be tried before it exists.
    node.estimate_gas(None, creations[0].data, owner.address)
    block_gas = node.gas_limit()
    sendings = [Sending(b"", one.data, one.gas_limit(block_gas)) for one in creations]
    hashes = send_in_order(node, profile, owner, sendings, nonce)
    *_, last = _await_created(node, creations, hashes, timeout_s)
    # Its block is named by its hash: another one in its place would make the deployment look like another.
    created = await_final(node, profile, last, "the contracts were created", timeout_s)
    # Again, since a reorganisation may have moved them: to blocks before the one that was the latest at first, too.
    first, *_ = _await_created(node, creations, hashes, timeout_s)
    forwarder, registry, _, _, ledger = (one.address for one in creations)
    return Deployment(
        chain_id=chain_id,
        registry=registry,
        ledger=ledger,
        ledger_id=ask_until(lambda: fetch_ledger_id(node, ledger), timeout_s),
        forwarder=forwarder,
        block_number=min(first_block, first.block_number),
        genesis_hash=genesis_hash,
        created_number=created.block_number,
        created_hash=created.block_hash,
    )


def _await_created(
    node: Node, creations: Sequence[Creation], hashes: Sequence[bytes], timeout_s: float
) -> list[Receipt]:
    """The contracts' receipts. Raises ChainError if one was not created where it was to be."""
    receipts = [await_receipt(node, sent, timeout_s) for sent in hashes]
    for one, receipt in zip(creations, receipts, strict=True):
        _verify_created(receipt, one.name, one.address)
    return receipts


def _verify_funds(node: Node, profile: EngineProfile, owner: Signer) -> None:
    """Raises FundsError if the key can hardly pay for all contracts: those made before it ran out would be lost."""
    needed = DEPLOY_GAS * first_fees(node, profile).max_fee_wei
    balance = node.balance_wei(owner.address) if needed else 0
    if balance < needed:
        raise FundsError(
            f"{to_checksum(owner.address)} has {balance} wei, and the contracts may take {needed}",
            hint="send it that from a key that has funds, and repeat the command: `millmark init --treasury` does",
        )


def ask_until(ask: Callable[[], T], timeout_s: float) -> T:
    """The answer of a node that is asked again while it gives none. Raises ChainUnreachableError after that time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except ChainUnreachableError:
            if time.monotonic() > deadline:
                raise
        time.sleep(RECEIPT_PAUSE_S)


def fetch_ledger_id(node: Node, ledger: bytes) -> bytes:
    """Return `ledgerId` of the contract at this address, 32 bytes. Not established: that the code there is right."""
    answer = node.call(ledger, encode_function(Contract.LEDGER, "ledgerId"))
    return cast(bytes, decode_result(Contract.LEDGER, "ledgerId", answer)[0])


def fetch_predecessor(node: Node, ledger: bytes) -> bytes | None:
    """Return the address of the ledger that the one at this address replaced; None if it is the first."""
    answer = node.call(ledger, encode_function(Contract.LEDGER, "predecessor"))
    address = cast(bytes, decode_result(Contract.LEDGER, "predecessor", answer)[0])
    return address if any(address) else None


def create(
    node: Node,
    profile: EngineProfile,
    owner: Signer,
    name: str,
    arguments: tuple[object, ...],
    timeout_s: float = 60.0,
) -> bytes:
    """Deploy one contract, and return its address once its block is final. Raises ChainError as `deploy` does."""
    data = load_artifact(name).creation + encode_constructor(name, *arguments)
    receipt = send_transaction(node, profile, owner, b"", data, timeout_s=timeout_s)
    return _verify_created(await_final(node, profile, receipt, f"{name} was created", timeout_s), name)


def _verify_created(receipt: Receipt, name: str, at: bytes | None = None) -> bytes:
    """The contract's address. Raises ChainError if it was not created, or is not `at` the given one."""
    address = receipt.contract_address
    if not receipt.succeeded or address is None:
        raise ChainError(f"the deployment of {name} reverted", hint="check the owner's balance and the chain's fork")
    if at not in (None, address):
        raise ChainError(f"{name} is not at the address that follows from its nonce", hint="ask another node")
    return address
