"""A peer of a bench that fails or does not end is told in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from quality.errors import InputError
from tests.bench.quality.peers import run_peer


def test_a_peer_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, timeout: float, **__: Any) -> None:
        raise subprocess.TimeoutExpired("peer", timeout)

    monkeypatch.setattr("tests.bench.quality.peers.subprocess.run", run)
    with pytest.raises(InputError, match="casadi has not ended after 30 minutes"):
        run_peer("casadi", Path("python"), "x")


def test_a_peers_last_line_is_told_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.CompletedProcess((), 1, "", "Traceback\nModuleNotFoundError: casadi\n")
    monkeypatch.setattr("tests.bench.quality.peers.subprocess.run", lambda *_, **__: ended)
    with pytest.raises(InputError, match=r"casadi failed: .*ModuleNotFoundError"):
        run_peer("casadi", Path("python"), "x")
