"""Nothing here depends on the node programs of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _without_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No node program of this machine is found, and none is asked for its version."""
    monkeypatch.setenv("PATH", str(tmp_path))
