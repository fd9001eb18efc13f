"""The whole Solidity suite: unit, fuzz and invariant tests."""

from __future__ import annotations

import pytest

from tests.support.toolchain import SuiteResult


@pytest.mark.contracts
def test_solidity_suite_passes(suite: SuiteResult, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{suite.count} Solidity tests in {len(suite.passed)} contracts")  # noqa: T201 - figures of the run
    assert suite.skipped == 0
