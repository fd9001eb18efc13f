"""The whole Solidity suite: unit, fuzz and invariant tests."""

from __future__ import annotations

import pytest

from tests.support.figures import Tell
from tests.support.toolchain import SuiteResult


@pytest.mark.contracts
def test_solidity_suite_passes(suite: SuiteResult, tell: Tell) -> None:
    tell(f"{suite.count} Solidity tests in {len(suite.passed)} contracts")
    assert suite.skipped == 0
