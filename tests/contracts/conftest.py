"""Runs the Solidity suite once, and skips the tests marked `contracts` if the Solidity tool chain is not installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import toolchain

MINIMUM_TESTS = 320
"""Least number of tests; raise it as the suite grows. A suite that shrinks unnoticed is a failure."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = toolchain.describe_missing()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("contracts"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def suite_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The result of running the whole Solidity suite once, and its build folder. All tests that use it run in one
    worker process: tests/conftest.py."""
    output = tmp_path_factory.mktemp("suite")
    return toolchain.run_tests(output=output, arguments=["-vv"]), output


@pytest.fixture(scope="session")
def suite(suite_run: tuple[subprocess.CompletedProcess[str], Path]) -> toolchain.SuiteResult:
    """The results of the whole Solidity suite, all passed, with the logs of its tests."""
    return toolchain.judge_suite(suite_run[0], minimum=MINIMUM_TESTS)


@pytest.fixture(scope="session")
def forge_build(suite_run: tuple[subprocess.CompletedProcess[str], Path]) -> Path:
    """Folder of forge's build, `<source file>/<contract>.json`, even if Solidity tests failed."""
    return suite_run[1] / "out"
