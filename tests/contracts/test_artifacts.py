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

NAMES = ("CertificateOperations", "Council", "Evaluator", "Forwarder", "LotOperations", "Registry", "TraceLedger")
LEDGER = ("TraceLedger", "LotOperations", "CertificateOperations")
"""Whose code runs at the ledger's address."""
ELSEWHERE = {
    "AddressEmptyCode",
    "CertificateOperationsLotsUnfit",
    "CertificateOperationsNotTheLedger",
    "LotOperationsNotTheLedger",
    "TraceLedgerCertificatesUnfit",
}
"""Errors of constructors, of calls at the operations' own addresses, and of batches where there is no code: none arises
at the ledger's."""


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
    assert {name for name, artifact in artifacts.items() if "bytecode" in artifact} == set(NAMES)
    assert artifacts.keys() - set(NAMES) == {"ITraceLedger"}, "the one ABI of the ledger's address"


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


def test_the_published_abi_is_that_of_the_three_together(artifacts: dict[str, dict[str, Any]]) -> None:
    merged = {
        entry
        for name in LEDGER
        for entry in in_one_order(artifacts[name]["abi"])
        if json.loads(entry)["type"] not in ("constructor", "fallback") and json.loads(entry)["name"] not in ELSEWHERE
    }
    assert merged == set(in_one_order(artifacts["ITraceLedger"]["abi"]))
    assert len(merged) == len(artifacts["ITraceLedger"]["abi"])


def test_no_part_of_the_ledger_shadows_another(artifacts: dict[str, dict[str, Any]], forge_build: Path) -> None:
    """What more than one answers is what all of them have from History, and the addresses that they copied."""
    own, lots, certificates = (selectors(artifacts[name]["abi"]).keys() for name in LEDGER)
    history = json.loads((forge_build / "History.sol" / "History.json").read_text())["abi"]
    addresses = {json.dumps([name, []]) for name in ("lotOperations", "certificateOperations")}
    assert (own & lots) | (own & certificates) | (lots & certificates) == selectors(history).keys() | addresses


def test_all_parts_of_the_ledger_have_one_storage(artifacts: dict[str, dict[str, Any]]) -> None:
    own, *others = (
        json.dumps(artifacts[name]["storageLayout"]).replace(f"src/{name}.sol:{name}", "the contract")
        for name in LEDGER
    )
    assert others == [own, own]


def test_code_fits(artifacts: dict[str, dict[str, Any]], tell: Tell) -> None:
    deployed, creation = toolchain.code_sizes(artifacts), toolchain.code_sizes(artifacts, "bytecode")
    for name, size in deployed.items():
        limits = f"of {toolchain.SIZE_LIMIT:,} and {toolchain.CREATION_LIMIT:,} bytes"
        tell(f"{name}: {size:,} deployed by {creation[name]:,}, {limits}")
    assert all(0 < size < toolchain.SIZE_LIMIT for size in deployed.values()), deployed
    assert all(0 < size < toolchain.CREATION_LIMIT for size in creation.values()), creation


def test_every_interface_error_and_event_is_decodable(artifacts: dict[str, dict[str, Any]], forge_build: Path) -> None:
    known = {
        signature(entry)
        for artifact in artifacts.values()
        for entry in artifact["abi"]
        if entry["type"] in ("error", "event")
    }
    missing = {entry: where for entry, where in interface_entries(forge_build).items() if entry not in known}
    assert missing == {}
