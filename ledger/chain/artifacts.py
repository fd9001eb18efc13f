"""The compiled contracts of this version: their ABIs and bytecode, and whether a chain has the same code."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from millmark.ledger.errors import WrongContractError
from millmark.ledger.records import Contract

__all__ = ["ABI_FILES", "Artifact", "load_abi", "load_artifact", "verify_code"]

ABI_FILES = {Contract.REGISTRY: "Registry", Contract.LEDGER: "ITraceLedger"}
"""The artefact whose ABI describes the calls to a contract's address: that of the ledger runs the code of three."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: tuple[dict[str, Any], ...]
    creation: bytes
    """Creation code, without constructor arguments."""
    deployed: bytes
    """Deployed code, with zeros in the places of immutables."""
    immutables: tuple[tuple[int, int], ...]
    """(start, length) of the immutables in `deployed`, in bytes."""


@functools.cache
def load_artifact(name: str) -> Artifact:
    """Return the artefact of a contract, by its Solidity name."""
    raw = _read(name)
    return Artifact(
        name=raw["contractName"],
        abi=tuple(raw["abi"]),
        creation=bytes.fromhex(raw["bytecode"][2:]),
        deployed=bytes.fromhex(raw["deployedBytecode"][2:]),
        immutables=tuple((place["start"], place["length"]) for place in raw["immutableReferences"]),
    )


@functools.cache
def load_abi(contract: Contract) -> tuple[dict[str, Any], ...]:
    """Return the ABI entries of the contract's address."""
    return tuple(_read(ABI_FILES[contract])["abi"])


def _read(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((resources.files("millmark.ledger") / "artifacts" / f"{name}.json").read_text())
    return raw


def verify_code(name: str, code: bytes, address: bytes) -> None:
    """Verify that `code`, found at `address`, is that of an artefact. Raises WrongContractError.

    Not established: the values of its immutables.
    """
    artifact = load_artifact(name)
    blank = bytearray(code)
    for start, length in artifact.immutables:
        blank[start : start + length] = bytes(length)
    if not code:
        raise WrongContractError(
            f"there is no contract at 0x{address.hex()}, address of {name}",
            hint="check that the node is of the right network and in sync, and the address in the deployment file",
        )
    if bytes(blank) != artifact.deployed:
        raise WrongContractError(
            f"the code at 0x{address.hex()} is not that of {name}",
            hint="check the address in the deployment file, or use the Millmark version that deployed it",
        )
