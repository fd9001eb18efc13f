"""Skips the tests marked `contracts`, by name, where the Solidity tool chain is not installed; runs the suite once."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
def suite_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One run of the whole Solidity suite, and the folder that it built in. The files that need it are given to one
    worker process: tests/support/distribution.py."""
    output = tmp_path_factory.mktemp("suite")
    return toolchain.run_tests(output=output, arguments=["-vv"]), output


@pytest.fixture(scope="session")
def suite(suite_run: tuple[subprocess.CompletedProcess[str], Path]) -> toolchain.SuiteResult:
    """The whole Solidity suite, passed, with the logs of its tests."""
    return toolchain.judge_suite(suite_run[0], minimum=MINIMUM_TESTS)


@pytest.fixture(scope="session")
def forge_build(suite_run: tuple[subprocess.CompletedProcess[str], Path]) -> Path:
    """What forge compiled, sources and tests, whether the tests passed or not: <source file>/<contract>.json."""
    return suite_run[1] / "out"
