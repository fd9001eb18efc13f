"""Sides of a comparison, as real processes."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from millmark.ledger.errors import SettingsError
from tests.bench.table import sides
from tests.bench.table.sides import _end, ask_in_turns, compare, open_sides
from tests.support.cluster import describe_missing

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


def test_a_measurement_that_is_ended_stops_its_postgresql() -> None:
    """The server leaves the process group, so that only the measurement itself can stop it."""
    if missing := describe_missing():
        pytest.skip(missing)
    process = subprocess.Popen(
        [sys.executable, "-c", _MEASURING], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    server = os.pidfd_open(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
    try:
        _end(process)
        is_ended = bool(select.select([server], [], [], 10)[0])
        assert (process.returncode, folder.exists(), is_ended) == (128 + signal.SIGTERM, False, True)
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(server, signal.SIGKILL)
        os.close(server)
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


_MEASURING = """
import signal
from urllib.parse import parse_qs, urlsplit
from tests.support.cluster import running_cluster
from millmark.services.demo.processes import leaving_on_signals
with leaving_on_signals(), running_cluster() as url:
    print(parse_qs(urlsplit(url).query)["host"][0], flush=True)
    signal.pause()
"""
