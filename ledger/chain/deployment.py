"""Where the ledger is: the addresses of its contracts, and the file with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millmark.ledger.canonical import Json
from millmark.ledger.errors import SettingsError
from millmark.ledger.files import replace_file

__all__ = ["Deployment", "deployment_to_json", "parse_deployment", "read_deployment", "write_deployment"]


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
