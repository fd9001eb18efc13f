"""The whole Solidity suite: unit, fuzz and invariant tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import toolchain

MINIMUM_TESTS = 7
"""Raise it with the suite: a suite that silently shrinks is a failure."""


@pytest.mark.contracts
def test_solidity_suite_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = toolchain.run_suite(minimum=MINIMUM_TESTS, output=tmp_path)
    with capsys.disabled():
        print(f"\n{result.count} Solidity tests in {len(result.passed)} contracts")  # noqa: T201 - figures of the run
    assert result.skipped == 0
