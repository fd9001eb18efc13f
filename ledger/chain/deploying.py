"""Deploys the contracts, and asks those that are deployed for what only they know."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from millmark.ledger.canonical import Json, keccak256
from millmark.ledger.chain import sending
from millmark.ledger.chain.blocks import Receipt
from millmark.ledger.chain.codec import decode_result, encode_constructor, encode_function, load_artifact
from millmark.ledger.chain.node import Node
from millmark.ledger.chain.profiles import EngineProfile, first_fees
from millmark.ledger.errors import ChainError, ChainUnreachableError, FundsError, SettingsError
from millmark.ledger.files import replace_file
from millmark.ledger.headers import encode_integer, encode_rlp
from millmark.ledger.records import Contract
from millmark.ledger.signatures import Signer, to_checksum

# Where the ledger is: the addresses of its contracts, and the file with them.


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
    genesis_hash: bytes
    """Hash of the chain's first block, 32 bytes."""
    created_number: int
    """The block that created TraceLedger, the last of the contracts. A node without it has no ledger yet."""
    created_hash: bytes
    """Its hash, 32 bytes: a chain made anew, even from the same genesis block, has another."""


def write_deployment(path: Path, deployment: Deployment) -> None:
    """Write the deployment file, completely or not at all. Raises SettingsError."""
    text = deployment_to_json(deployment)
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
        return parse_deployment(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path} does not exist", hint="get it from another participant, or deploy with `millmark deploy`"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"{path} is not a deployment file ({error})", hint="deploy with `millmark deploy`"
        ) from error


def deployment_to_json(deployment: Deployment) -> dict[str, Json]:
    """The content of a deployment file; `parse_deployment` reads it."""
    return {
        "chain_id": deployment.chain_id,
        "registry": "0x" + deployment.registry.hex(),
        "ledger": "0x" + deployment.ledger.hex(),
        "ledger_id": "0x" + deployment.ledger_id.hex(),
        "forwarder": "0x" + deployment.forwarder.hex(),
        "block_number": deployment.block_number,
        "genesis_hash": "0x" + deployment.genesis_hash.hex(),
        "created_number": deployment.created_number,
        "created_hash": "0x" + deployment.created_hash.hex(),
    }


def parse_deployment(raw: Any) -> Deployment:
    """Raises ValueError for a value that is not a deployment."""
    try:
        return Deployment(
            chain_id=_parse_number(raw, "chain_id"),
            registry=_parse_bytes(raw, "registry", 20),
            ledger=_parse_bytes(raw, "ledger", 20),
            ledger_id=_parse_bytes(raw, "ledger_id", 32),
            forwarder=_parse_bytes(raw, "forwarder", 20),
            block_number=_parse_number(raw, "block_number"),
            genesis_hash=_parse_bytes(raw, "genesis_hash", 32),
            created_number=_parse_number(raw, "created_number"),
            created_hash=_parse_bytes(raw, "created_hash", 32),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(error) from None


def _parse_bytes(raw: Any, name: str, size: int) -> bytes:
    value = bytes.fromhex(str(raw[name]).removeprefix("0x"))
    if len(value) != size:
        raise ValueError(f"{name} must have {size} bytes")
    return value


def _parse_number(raw: Any, name: str) -> int:
    value = raw[name]
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} must be an integer of at least 0")
    return value


# The transactions that create a ledger's contracts, in order: what each runs, where it ends up, what it may take.

_NO_PREDECESSOR = "0x" + bytes(20).hex()
_CREATION_GAS, _ZERO_GAS, _BYTE_GAS, _CODE_BYTE_GAS = 53_000, 4, 16, 200
"""For a transaction that creates a contract, each zero byte of its data, each other byte, and each byte of the code:
yellow paper, appendix G, and EIP-2028."""
_CONSTRUCTOR_GAS = 1_700_000
"""More than any constructor takes: the registry's, 1,440,000, creates the contract that evaluates models."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One contract that is to be created."""

    name: str
    data: bytes
    """Creation code and constructor arguments."""
    address: bytes
    """Where it will be."""
    least_gas: int
    """What it takes besides what its constructor does."""

    def gas_limit(self, block_limit: int) -> int:
        """More than it takes, as far as a block of the chain has that: a node cannot estimate it before the contracts
        are there that it asks."""
        return min(self.least_gas + _CONSTRUCTOR_GAS, max(self.least_gas, block_limit))


def build_creations(owner: bytes, nonce: int) -> tuple[Creation, ...]:
    """Forwarder, Registry and the three contracts of the ledger, as `owner` creates them with nonces from this one on.

    The forwarder comes first, since registry and ledger have its address as an immutable. Each of the last two copies
    all constants from the one before, and refuses anything else.
    """
    forwarder, registry, lots, certificates, ledger = (contract_address(owner, nonce + place) for place in range(5))
    after = (_hex(forwarder), _NO_PREDECESSOR)
    return (
        _build("Forwarder", (), forwarder),
        _build("Registry", (_hex(owner), *after), registry),
        _build("LotOperations", (_hex(registry), *after), lots),
        _build("CertificateOperations", (_hex(lots),), certificates),
        _build("TraceLedger", (_hex(certificates),), ledger),
    )


def _build(name: str, arguments: tuple[object, ...], address: bytes) -> Creation:
    artifact = load_artifact(name)
    data = artifact.creation + encode_constructor(name, *arguments)
    zeros = data.count(0)
    data_gas = _ZERO_GAS * zeros + _BYTE_GAS * (len(data) - zeros)
    return Creation(name, data, address, _CREATION_GAS + data_gas + _CODE_BYTE_GAS * len(artifact.deployed))


def contract_address(owner: bytes, nonce: int) -> bytes:
    """Where a contract is that this key creates with this nonce (yellow paper, section 7)."""
    return keccak256(encode_rlp([owner, encode_integer(nonce)]))[-20:]


def _hex(address: bytes) -> str:
    return "0x" + address.hex()


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
    sendings = [sending.Sending(b"", one.data, one.gas_limit(block_gas)) for one in creations]
    hashes = sending.send_in_order(node, profile, owner, sendings, nonce)
    *_, last = _await_created(node, creations, hashes, timeout_s)
    # Its block is named by its hash: another one in its place would make the deployment look like another.
    created = sending.await_final(node, profile, last, "the contracts were created", timeout_s)
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
    receipts = [sending.await_receipt(node, sent, timeout_s) for sent in hashes]
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
            hint="send it the difference and repeat the command; `millmark init --treasury` does this from another key",
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
        time.sleep(sending.RECEIPT_PAUSE_S)


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
    receipt = sending.send_transaction(node, profile, owner, b"", data, timeout_s=timeout_s)
    return _verify_created(sending.await_final(node, profile, receipt, f"{name} was created", timeout_s), name)


def _verify_created(receipt: Receipt, name: str, at: bytes | None = None) -> bytes:
    """The contract's address. Raises ChainError if it was not created, or is not `at` the given one."""
    address = receipt.contract_address
    if not receipt.succeeded or address is None:
        raise ChainError(f"the deployment of {name} reverted", hint="check the owner's balance and the chain's fork")
    if at not in (None, address):
        raise ChainError(f"{name} is not at the address that follows from its nonce", hint="ask another node")
    return address
