"""The Solidity sources are formatted as `forge fmt` leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import toolchain


@pytest.mark.contracts
def test_forge_fmt(tmp_path: Path) -> None:
    done = toolchain.run_forge(["fmt", "--check"], output=tmp_path)
    # fmt is not idempotent on try/catch: two passes may be needed
    assert done.returncode == 0, f"run `forge fmt` twice in contracts/:\n{done.stdout}{done.stderr}"
