"""Sides of a comparison, as real processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ledger.errors import SettingsError
from services.lab.bench.table import sides
from services.lab.bench.table.sides import ask_in_turns, compare, open_sides

pytestmark = pytest.mark.integration
ARGUMENTS: dict[str, object] = {"documents": [{"a": [1, 2], "b": "c"}] * 10}


def test_two_sides_are_asked_in_turns_and_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sides, "peer_python", lambda: Path(sys.executable))
    modules: dict[str, tuple[str, dict[str, object]]] = {
        "own": ("own.claims", ARGUMENTS),
        "plain": ("peers.claims", ARGUMENTS),
        "pymerkle": ("peers.merkle", {"leaves": 2, "proofs": 1}),  # which is in no environment of Millmark's
    }
    with open_sides(tmp_path, modules) as (running, missing):
        found = ask_in_turns(running, "root", 2)
    assert missing == {"pymerkle": "ModuleNotFoundError: No module named 'pymerkle'"}
    assert {name: [one.count for one in timed] for name, timed in found.items()} == {"own": [10, 10], "plain": [10, 10]}
    assert compare(found["own"], found["plain"], 1e6, "us").times


def test_a_side_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with (
        open_sides(tmp_path, {"own": ("own.claims", ARGUMENTS)}) as (running, _),
        pytest.raises(SettingsError, match="KeyError: 'no such task'"),
    ):
        running["own"].ask("no such task")


def test_without_the_peers_environment_the_peer_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "ROOT", tmp_path)
    with open_sides(tmp_path, {"plain": ("peers.claims", ARGUMENTS)}) as (running, missing):
        assert (running, missing) == ({}, {"plain": "the peers' environment .venv-peers is not set up"})
