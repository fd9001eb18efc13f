"""Every function of the ABI, views too, has a row in test/AccessRows.sol, which the access matrix goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from eth_utils.crypto import keccak

from tests.support import toolchain
from tests.support.figures import Tell
from tests.support.toolchain import SuiteResult

CALLERS = (
    "BUYER",
    "COORDINATOR",
    "MANUFACTURER",
    "INSPECTOR",
    "CARRIER",
    "AUDITOR",
    "unknown key",
    "revoked key",
    "suspended",
    "owner",
    "another company",
)
"""In the order of `AccessMatrixTest.Caller`."""

CELL = keccak(text="Cell(bytes4,uint8,bool)")
SIGHT = keccak(text="Sight(bytes4,uint8,bool)")


def signature(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']}({','.join(canonical_type(item) for item in entry['inputs'])})"


def canonical_type(item: Mapping[str, Any]) -> str:
    """As selectors are computed from it: structs are written out."""
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(canonical_type(part) for part in item['components'])}){kind.removeprefix('tuple')}"


def functions_of_the_abi(*, views: bool) -> dict[bytes, str]:
    """Name of every view, or of every function that may change state, by selector."""
    return {
        keccak(text=signature(entry))[:4]: f"{name}.{entry['name']}"
        for name, artifact in toolchain.read_artifacts().items()
        for entry in artifact["abi"]
        if entry["type"] == "function" and (entry["stateMutability"] in ("view", "pure")) is views
    }


def read_cells(suite: SuiteResult, topic: bytes) -> list[tuple[bytes, int, bool]]:
    """Selector, caller and whether the call was let through, of every cell reported under `topic`."""
    return [
        (log.topics[1][:4], int.from_bytes(log.topics[2]), bool(int.from_bytes(log.data)))
        for test, logs in suite.logs.items()
        if test.startswith("AccessMatrixTest ")
        for log in logs
        if log.topics[0] == topic
    ]


@pytest.mark.contracts
def test_every_function_has_a_row(suite: SuiteResult, tell: Tell) -> None:
    cells = read_cells(suite, CELL)
    callers: dict[bytes, set[int]] = {}
    allowed: dict[bytes, set[int]] = {}
    for selector, caller, may in cells:
        callers.setdefault(selector, set()).add(caller)
        if may:
            allowed.setdefault(selector, set()).add(caller)
    functions = functions_of_the_abi(views=False)
    tell(f"{len(cells)} cells of access, {len(callers)} functions")
    assert {functions[selector] for selector in functions.keys() - callers.keys()} == set(), "functions without a row"
    assert callers.keys() - functions.keys() == set(), "rows without a function"
    assert all(found == set(range(len(CALLERS))) for found in callers.values())
    shut = {functions[selector] for selector in functions.keys() - allowed.keys()}
    assert shut == {"Forwarder.execute", "Forwarder.executeBatch"}, "nobody may, without the signer's signature"


@pytest.mark.contracts
def test_every_view_answers_everybody(suite: SuiteResult, tell: Tell) -> None:
    callers: dict[bytes, set[int]] = {}
    shut: set[bytes] = set()
    cells = read_cells(suite, SIGHT)
    for selector, caller, answered in cells:
        callers.setdefault(selector, set()).add(caller)
        if not answered:
            shut.add(selector)
    views = functions_of_the_abi(views=True)
    tell(f"{len(cells)} cells of views, {len(callers)} views")
    assert {views[selector] for selector in views.keys() - callers.keys()} == set(), "views without a row"
    assert callers.keys() - views.keys() == set(), "rows without a view"
    assert all(found == set(range(len(CALLERS))) for found in callers.values())
    assert {views[selector] for selector in shut} == {"Registry.renounceOwnership"}, "it always reverts"
