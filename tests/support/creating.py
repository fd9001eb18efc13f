"""Creates contracts without `millmark.ledger.chain.deploy`, as an attacker could."""

from __future__ import annotations

import time

from millmark.ledger.chain import Deployment, Node, Receipt, Transaction, load_artifact, sign_transaction
from millmark.ledger.chain.codec import encode_constructor
from millmark.ledger.chain.deploying import contract_address, fetch_ledger_id
from millmark.ledger.keys import LocalSigner
from tests.support.ledger_world import LedgerWorld
from tests.support.patience import MAX_S

_NONE = "0x" + bytes(20).hex()
_GAS = 16_000_000  # below what one transaction may have on every engine (EIP-7825)


def create(node: Node, owner: LocalSigner, creation: bytes) -> bytes:
    """Runs creation code and returns the address of the new contract."""
    nonce = node.transaction_count(owner.address)
    transaction = Transaction(node.chain_id(), nonce, 1, 10**10, _GAS, b"", creation)
    signed = sign_transaction(transaction, owner)
    node.send(signed.raw)
    receipt = _await_receipt(node, signed.hash)
    assert receipt.succeeded
    assert receipt.contract_address is not None
    return receipt.contract_address


def _await_receipt(node: Node, transaction: bytes) -> Receipt:
    """Polls for the receipt, because anvil answers before the transaction is mined."""
    deadline = time.monotonic() + MAX_S
    while (receipt := node.receipt(transaction)) is None:
        assert time.monotonic() < deadline, "the chain does not mine"
        time.sleep(0.01)
    return receipt


def create_code(node: Node, owner: LocalSigner, code: bytes) -> bytes:
    """Creates a contract with exactly this code: PUSH2 size, DUP1, PUSH1 12, PUSH1 0, CODECOPY, PUSH1 0, RETURN."""
    return create(node, owner, b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600c6000396000f3") + code)


def next_address(node: Node, owner: LocalSigner) -> bytes:
    """The address of the owner's next contract."""
    return contract_address(owner.address, node.transaction_count(owner.address))


def deploy_with(
    world: LedgerWorld, registry_forwarder: bytes, ledger_forwarder: bytes, named: bytes | None = None
) -> Deployment:
    """Deploys a registry and a ledger that use these contracts. The deployment names the ledger's, or `named`."""
    node, owner = world.chain.node, world.owner
    creation = load_artifact("Registry").creation
    arguments = encode_constructor("Registry", "0x" + owner.address.hex(), "0x" + registry_forwarder.hex(), _NONE)
    registry = create(node, owner, creation + arguments)
    lots = ("LotOperations", "0x" + registry.hex(), "0x" + ledger_forwarder.hex(), _NONE)
    made = create(node, owner, load_artifact(lots[0]).creation + encode_constructor(*lots))
    for name in ("CertificateOperations", "TraceLedger"):
        made = create(node, owner, load_artifact(name).creation + encode_constructor(name, "0x" + made.hex()))
    head = node.header()
    return Deployment(
        node.chain_id(),
        registry,
        made,
        fetch_ledger_id(node, made),
        named or ledger_forwarder,
        head.number,
        node.header(0).hash,
        head.number,
        head.hash,
    )
