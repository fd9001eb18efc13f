"""Deploys the contracts, and reads and writes the file with their addresses."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ledger.chain.artifacts import load_artifact
from ledger.chain.codec import decode_result, encode_constructor, encode_function
from ledger.chain.node import Node, Receipt
from ledger.chain.profiles import EngineProfile
from ledger.chain.transactions import Transaction, sign_transaction
from ledger.errors import ChainError, SettingsError
from ledger.files import replace_file
from ledger.keys import Signer
from ledger.records import Contract

__all__ = [
    "Deployment",
    "await_receipt",
    "create",
    "deploy",
    "fee_per_gas_wei",
    "fetch_ledger_id",
    "fetch_predecessor",
    "read_deployment",
    "send_call",
    "write_deployment",
]

_NO_PREDECESSOR = "0x" + bytes(20).hex()
_RECEIPT_PAUSE_S = 0.2
_ADDRESSES = ("registry", "ledger", "forwarder")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The ledger: the addresses of its contracts, 20 bytes each, their chain, and its id."""

    chain_id: int
    registry: bytes
    ledger: bytes
    ledger_id: bytes
    """`ledgerId` of TraceLedger, 32 bytes: another one at the same address is another ledger, on a chain made anew."""
    forwarder: bytes
    """The forwarder that registry and ledger trust to name the acting key (ERC-2771)."""
    block_number: int
    """The block from which to index; earlier ones contain no records."""


def deploy(node: Node, profile: EngineProfile, owner: Signer, *, timeout_s: float = 60.0) -> Deployment:
    """Deploy Forwarder, Registry and the three contracts of the ledger. `owner` pays, and owns the registry.

    Raises ChainError when the node refuses a transaction, it reverts, or it is not mined within `timeout_s` seconds.
    """
    first_block = node.block_number()
    # The forwarder first, since the other two have its address as an immutable.
    forwarder = create(node, profile, owner, "Forwarder", (), timeout_s)
    after = ("0x" + forwarder.hex(), _NO_PREDECESSOR)
    registry = create(node, profile, owner, "Registry", ("0x" + owner.address.hex(), *after), timeout_s)
    lots = create(node, profile, owner, "LotOperations", ("0x" + registry.hex(), *after), timeout_s)
    # Each of these copies all constants from the one before, and refuses anything else.
    certificates = create(node, profile, owner, "CertificateOperations", ("0x" + lots.hex(),), timeout_s)
    ledger = create(node, profile, owner, "TraceLedger", ("0x" + certificates.hex(),), timeout_s)
    return Deployment(node.chain_id(), registry, ledger, fetch_ledger_id(node, ledger), forwarder, first_block)


def fetch_ledger_id(node: Node, ledger: bytes) -> bytes:
    """Return `ledgerId` of the contract at this address, 32 bytes. Not established: that the code there is right."""
    answer = node.call(ledger, encode_function(Contract.LEDGER, "ledgerId"))
    return cast(bytes, decode_result(Contract.LEDGER, "ledgerId", answer)[0])


def fetch_predecessor(node: Node, ledger: bytes) -> bytes | None:
    """Return the address of the ledger that the one at this address replaced; None if it is the first."""
    answer = node.call(ledger, encode_function(Contract.LEDGER, "predecessor"))
    address = cast(bytes, decode_result(Contract.LEDGER, "predecessor", answer)[0])
    return address if any(address) else None


def fee_per_gas_wei(node: Node, profile: EngineProfile) -> int:
    """Return the maximum fee per gas for a new transaction, according to the engine profile."""
    return node.base_fee_wei() * (100 + profile.fee_headroom_percent) // 100 + profile.priority_fee_wei


def create(
    node: Node,
    profile: EngineProfile,
    owner: Signer,
    name: str,
    arguments: tuple[object, ...],
    timeout_s: float = 60.0,
) -> bytes:
    """Deploy one contract, and return its address. Raises ChainError as `deploy` does."""
    data = load_artifact(name).creation + encode_constructor(name, *arguments)
    receipt = _send(node, profile, owner, b"", data, timeout_s)
    if not receipt.succeeded or receipt.contract_address is None:
        raise ChainError(f"the deployment of {name} reverted", hint="check the owner's balance and the chain's fork")
    return receipt.contract_address


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
    if not _send(node, profile, signer, to, data, timeout_s).succeeded:
        raise ChainError("the call reverted when it was mined", hint="see what changed meanwhile, then try again")


def _send(node: Node, profile: EngineProfile, signer: Signer, to: bytes, data: bytes, timeout_s: float) -> Receipt:
    estimate = node.estimate_gas(to or None, data, signer.address)
    transaction = Transaction(
        chain_id=node.chain_id(),
        nonce=node.transaction_count(signer.address),
        max_priority_fee_wei=profile.priority_fee_wei,
        max_fee_wei=fee_per_gas_wei(node, profile),
        gas_limit=estimate * (100 + profile.gas_headroom_percent) // 100,
        to=to,
        data=data,
    )
    signed = sign_transaction(transaction, signer)
    node.send(signed.raw)
    return await_receipt(node, signed.hash, timeout_s)


def await_receipt(node: Node, transaction_hash: bytes, timeout_s: float) -> Receipt:
    """The receipt, once the transaction is mined. Raises ChainError when it is not within `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while (receipt := node.receipt(transaction_hash)) is None:
        if time.monotonic() > deadline:
            raise ChainError(
                f"transaction 0x{transaction_hash.hex()} was not mined within {timeout_s:.0f} s",
                hint="check that the chain produces blocks, then try again",
            )
        time.sleep(_RECEIPT_PAUSE_S)
    return receipt


def write_deployment(path: Path, deployment: Deployment) -> None:
    """Write the deployment file, completely or not at all. Raises SettingsError."""
    text = {
        "chain_id": deployment.chain_id,
        "registry": "0x" + deployment.registry.hex(),
        "ledger": "0x" + deployment.ledger.hex(),
        "ledger_id": "0x" + deployment.ledger_id.hex(),
        "forwarder": "0x" + deployment.forwarder.hex(),
        "block_number": deployment.block_number,
    }
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(json.dumps(text, indent=2) + "\n")
        replace_file(draft, path)  # atomic: other commands never read half a file
    except OSError as error:
        # The contracts are on the chain by now: without their addresses, they would have to be deployed again.
        raise SettingsError(f"{path} cannot be written: {error.strerror}", hint=f"write it by hand: {text}") from error


def read_deployment(path: Path) -> Deployment:
    """Read a deployment file. Raises SettingsError when it is missing or malformed."""
    try:
        raw = json.loads(path.read_text())
        registry, ledger, forwarder = (bytes.fromhex(str(raw[name]).removeprefix("0x")) for name in _ADDRESSES)
        if {len(address) for address in (registry, ledger, forwarder)} != {20}:
            raise ValueError("an address must have 20 bytes")
        ledger_id = bytes.fromhex(str(raw["ledger_id"]).removeprefix("0x"))
        if len(ledger_id) != 32:
            raise ValueError("ledger_id must have 32 bytes")
        numbers = [raw[name] for name in ("chain_id", "block_number")]
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("chain_id and block_number must be integers of at least 0")
        return Deployment(numbers[0], registry, ledger, ledger_id, forwarder, numbers[1])
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path} does not exist", hint="get it from another participant, or deploy with `millmark deploy`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SettingsError(
            f"{path} is not a deployment file ({error})", hint="deploy with `millmark deploy`"
        ) from error
