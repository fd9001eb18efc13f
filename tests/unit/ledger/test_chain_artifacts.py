"""The code at an address is this version's, or it is refused."""

from __future__ import annotations

import pytest

from millmark.ledger.chain import load_abi, load_artifact, verify_code
from millmark.ledger.errors import WrongContractError
from millmark.ledger.records import Contract
from tests.support.ledger_world import build_world

NAMES = ("Registry", "Council", "TraceLedger", "LotOperations", "CertificateOperations", "Evaluator", "Forwarder")
ADDRESS = bytes(range(20))


@pytest.mark.parametrize("name", NAMES)
def test_code_is_compared_whatever_its_immutables_are(name: str) -> None:
    artifact = load_artifact(name)
    code = bytearray(artifact.deployed)
    verify_code(name, bytes(code), ADDRESS)
    for start, length in artifact.immutables:
        code[start : start + length] = b"\xff" * length
    verify_code(name, bytes(code), ADDRESS)


@pytest.mark.parametrize("name", NAMES)
def test_one_changed_bit_is_refused(name: str) -> None:
    artifact = load_artifact(name)
    masked = {place for start, length in artifact.immutables for place in range(start, start + length)}
    for place in range(0, len(artifact.deployed), 997):
        if place not in masked:
            code = bytearray(artifact.deployed)
            code[place] ^= 1
            with pytest.raises(WrongContractError, match=f"the code at 0x{ADDRESS.hex()} is not that of {name}"):
                verify_code(name, bytes(code), ADDRESS)


@pytest.mark.parametrize("name", NAMES)
def test_missing_cut_and_extended_code_is_refused(name: str) -> None:
    deployed = load_artifact(name).deployed
    with pytest.raises(WrongContractError, match=f"there is no contract at 0x{ADDRESS.hex()}, address of {name}"):
        verify_code(name, b"", ADDRESS)
    for code in (deployed[:-1], deployed + b"\0", deployed[: len(deployed) // 2]):
        with pytest.raises(WrongContractError, match="is not that of"):
            verify_code(name, code, ADDRESS)


def test_one_contract_is_not_another() -> None:
    with pytest.raises(WrongContractError):
        verify_code("Registry", load_artifact("TraceLedger").deployed, ADDRESS)


def test_deployed_code_is_accepted() -> None:
    world = build_world()
    code = world.chain.node.code(world.chain.ledger)
    assert code != load_artifact("TraceLedger").deployed, "the immutables are set"
    verify_code("TraceLedger", code, world.chain.ledger)


@pytest.mark.parametrize("contract", Contract)
def test_abi_has_each_entry_once(contract: Contract) -> None:
    """By name and type; a function is called by its name alone."""
    entries = [(entry["type"], entry.get("name", ""), str(entry.get("inputs"))) for entry in load_abi(contract)]
    named = [entry for entry in entries if entry[0] != "constructor"]
    assert len(set(named)) == len(named)
    functions = [name for kind, name, _ in named if kind == "function"]
    assert len(set(functions)) == len(functions)
