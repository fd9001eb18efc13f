"""Skips the tests marked `contracts`, by name, where the Solidity tool chain is not installed; runs the suite once."""

from __future__ import annotations

import pytest

from tests.support import toolchain

MINIMUM_TESTS = 320
"""Raise it with the suite: a suite that silently shrinks is a failure."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = toolchain.describe_missing()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("contracts"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> toolchain.SuiteResult:
    """The whole Solidity suite, passed, with the logs of its tests."""
    return toolchain.run_suite(minimum=MINIMUM_TESTS, output=tmp_path_factory.mktemp("suite"), arguments=["-vv"])
