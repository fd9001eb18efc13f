"""The transactions that create a ledger's contracts, in order: what each runs, where it ends up, what it may take."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain.artifacts import load_artifact
from millmark.ledger.chain.codec import encode_constructor
from millmark.ledger.rlp import encode_integer, encode_rlp

__all__ = ["Creation", "build_creations", "contract_address"]

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
