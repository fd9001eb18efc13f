"""The compiled contracts of this version: ABI, bytecode, and the comparison with what a chain holds."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ledger.errors import WrongContractError
from ledger.records import Contract

__all__ = ["ABI_FILES", "Artifact", "load_abi", "load_artifact", "verify_code"]

ABI_FILES = {Contract.REGISTRY: ("Registry",), Contract.LEDGER: ("TraceLedger", "LotOperations")}
"""Files whose ABIs together are what a contract's address answers to: the ledger runs its lot operations' code."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: tuple[dict[str, Any], ...]
    creation: bytes
    """Creation code, without constructor arguments."""
    deployed: bytes
    """Code as deployed, zeros where immutables go."""
    immutables: tuple[tuple[int, int], ...]
    """(start, length) of the immutables in `deployed`."""


@functools.cache
def load_artifact(name: str) -> Artifact:
    """The artefact of a contract of this version, by its Solidity name."""
    raw = json.loads((resources.files("ledger") / "artifacts" / f"{name}.json").read_text())
    return Artifact(
        name=raw["contractName"],
        abi=tuple(raw["abi"]),
        creation=bytes.fromhex(raw["bytecode"][2:]),
        deployed=bytes.fromhex(raw["deployedBytecode"][2:]),
        immutables=tuple((place["start"], place["length"]) for place in raw["immutableReferences"]),
    )


@functools.cache
def load_abi(contract: Contract) -> tuple[dict[str, Any], ...]:
    """Everything that the contract's address answers to, each entry once."""
    entries = [entry for name in ABI_FILES[contract] for entry in load_artifact(name).abi]
    return tuple({json.dumps(entry, sort_keys=True): entry for entry in entries}.values())


def verify_code(name: str, code: bytes, address: bytes) -> None:
    """Raises WrongContractError unless `code` is the artefact's, whatever its immutables were set to."""
    artifact = load_artifact(name)
    blank = bytearray(code)
    for start, length in artifact.immutables:
        blank[start : start + length] = bytes(length)
    if bytes(blank) != artifact.deployed:
        what = "no code" if not code else "other code"
        raise WrongContractError(
            f"there is {what} than {name}'s at 0x{address.hex()}",
            hint="check the address in the settings, or use the Millmark version that deployed it",
        )
