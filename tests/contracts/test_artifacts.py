"""The committed artifacts are what the sources compile to, by py-solc-x and by forge, and can be deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import toolchain
from tests.support.figures import Tell

pytestmark = pytest.mark.contracts

NAMES = ("Evaluator", "Forwarder", "LotOperations", "Registry", "TraceLedger")


@pytest.fixture(scope="module")
def artifacts() -> dict[str, dict[str, Any]]:
    return toolchain.read_artifacts()


def interface_entries(forge_build: Path) -> dict[str, str]:
    """Signature of every error and event of the interfaces, with the interface that declares it."""
    entries = {}
    for source in sorted((toolchain.PROJECT / "src" / "interfaces").glob("*.sol")):
        for built in sorted((forge_build / source.name).glob("*.json")):
            for entry in json.loads(built.read_text())["abi"]:
                if entry["type"] in ("error", "event"):
                    entries[signature(entry)] = built.stem
    return entries


def in_one_order(abi: list[dict[str, Any]]) -> list[str]:
    """Forge sorts the entries differently from the compiler."""
    return sorted(json.dumps(entry, sort_keys=True) for entry in abi)


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['type']} {entry.get('name', '')}({','.join(item['type'] for item in entry.get('inputs', []))})"


def test_there_is_one_artifact_per_deployed_contract(artifacts: dict[str, dict[str, Any]]) -> None:
    assert tuple(artifacts) == NAMES


def test_py_solc_x_gives_the_committed_bytes() -> None:
    command = [sys.executable, str(toolchain.ROOT / "scripts" / "compile_contracts"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_forge_gives_the_committed_code(name: str, artifacts: dict[str, dict[str, Any]], forge_build: Path) -> None:
    built = json.loads((forge_build / f"{name}.sol" / f"{name}.json").read_text())
    assert built["bytecode"]["object"] == artifacts[name]["bytecode"]
    assert built["deployedBytecode"]["object"] == artifacts[name]["deployedBytecode"]
    assert in_one_order(built["abi"]) == in_one_order(artifacts[name]["abi"])


def selectors(abi: list[dict[str, Any]]) -> dict[str, str]:
    """What a function needs and answers, by its signature."""
    return {
        json.dumps([entry["name"], entry["inputs"]], sort_keys=True): entry["stateMutability"]
        for entry in abi
        if entry["type"] == "function"
    }


def test_every_ledger_function_is_answered(artifacts: dict[str, dict[str, Any]], forge_build: Path) -> None:
    """By TraceLedger itself, or by LotOperations behind its fallback, which must not be shadowed."""
    interface = json.loads((forge_build / "ITraceLedger.sol" / "ITraceLedger.json").read_text())["abi"]
    own, behind = selectors(artifacts["TraceLedger"]["abi"]), selectors(artifacts["LotOperations"]["abi"])
    assert {**behind, **own}.items() >= selectors(interface).items()
    history = json.loads((forge_build / "History.sol" / "History.json").read_text())["abi"]
    assert own.keys() & behind.keys() == selectors(history).keys(), "both must do the same"


def test_both_parts_of_the_ledger_have_one_storage(artifacts: dict[str, dict[str, Any]]) -> None:
    behind, own = (json.dumps(artifacts[name]["storageLayout"]) for name in ("LotOperations", "TraceLedger"))
    assert behind.replace("src/LotOperations.sol:LotOperations", "src/TraceLedger.sol:TraceLedger") == own


def test_deployed_code_fits(artifacts: dict[str, dict[str, Any]], tell: Tell) -> None:
    sizes = toolchain.deployed_sizes(artifacts)
    for name, size in sizes.items():
        tell(f"{name}: {size:,} of {toolchain.SIZE_LIMIT:,} bytes")
    assert all(0 < size < toolchain.SIZE_LIMIT for size in sizes.values()), sizes


def test_every_interface_error_and_event_is_decodable(artifacts: dict[str, dict[str, Any]], forge_build: Path) -> None:
    known = {
        signature(entry)
        for artifact in artifacts.values()
        for entry in artifact["abi"]
        if entry["type"] in ("error", "event")
    }
    missing = {entry: where for entry, where in interface_entries(forge_build).items() if entry not in known}
    assert missing == {}
