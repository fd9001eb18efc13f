"""Rows of hashes, signatures and trees."""

import tempfile
from pathlib import Path

from tests.bench.table.rows import Figure, Measured
from tests.bench.table.sides import ask_in_turns, compare, open_sides

_ROUNDS = 9
_MICRO = 1e6
_MILLI = 1e3


def measure_typed_data() -> Measured:
    arguments = {"secret": "11" * 32, "to": "22" * 20, "data": "ab" * 200, "chain_id": 31337}
    arguments |= {"digests": 1000, "cycles": 200}
    modules = {"own": ("own.typed_data", arguments), "eth-account": ("peers.typed_data", arguments)}
    figures = {}
    with tempfile.TemporaryDirectory() as name, open_sides(Path(name), modules) as (sides, missing):
        for task in ("digest", "cycle"):
            found = ask_in_turns(sides, task, _ROUNDS)
            if "eth-account" in found:
                _assert_equal([side[-1].result for side in found.values()])
                figures[task] = compare(found["own"], found["eth-account"], _MICRO, "us")
    return Measured(figures, {task: why for task in ("digest", "cycle") for why in missing.values()})


def measure_merkle() -> Measured:
    arguments = {"leaves": 100_000, "proofs": 10_000}
    modules = {
        "own": ("own.merkle", arguments),
        "pymerkle": ("peers.merkle", arguments),
        "openzeppelin": ("peers/openzeppelin.mjs", arguments),
    }
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name, open_sides(Path(name), modules) as (sides, missing):
        slow = {one: sides.pop(one) for one in list(sides) if one == "openzeppelin"}
        for task in ("build", "prove"):
            scale, unit = (_MILLI, "ms") if task == "build" else (_MICRO, "us")
            found = ask_in_turns(sides, task, 5)
            if task == "build":
                _assert_equal([side[-1].result for side in found.values()])
            for peer in found.keys() - {"own"}:
                figures[f"{task} {peer}"] = compare(found["own"], found[peer], scale, unit)
            for peer, side in slow.items():  # once: a build takes a quarter of a minute
                figures[f"{task} {peer}"] = compare(found["own"][-1:], [side.ask(task)], scale, unit)
    left_out = {f"{task} {peer}": why for task in ("build", "prove") for peer, why in missing.items()}
    return Measured(figures, left_out)


def measure_claims() -> Measured:
    arguments = {"documents": [_document(number) for number in range(100)]}
    modules = {"own": ("own.claims", arguments), "plain": ("peers.claims", arguments)}
    with tempfile.TemporaryDirectory() as name, open_sides(Path(name), modules) as (sides, missing):
        found = ask_in_turns(sides, "root", _ROUNDS)
        figures = {"root": compare(found["own"], found["plain"], _MICRO, "us")} if "plain" in found else {}
    return Measured(figures, {"root": missing["plain"]} if missing else {})


def _document(number: int) -> dict[str, object]:
    """A document of 50 fields in the manner of a test report."""
    report = {"number": f"R-{number}", "standard": "EN 10204", "kind": "3.1", "lab": "Gauge and Sons", "passed": True}
    parts = [
        {"name": f"diameter {place}", "unit": "um", "value": 12_000 + place, "least": 11_990, "most": 12_020}
        for place in range(9)
    ]
    return {**report, "measures": parts}


def _assert_equal(results: list[object]) -> None:
    if any(result != results[0] for result in results):
        raise AssertionError(f"the sides differ: {results}")
