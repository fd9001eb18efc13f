"""Skips the tests marked `contracts`, by name, where the Solidity tool chain is not installed."""

from __future__ import annotations

import pytest

from tests.support import toolchain


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = toolchain.describe_missing()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("contracts"):
            item.add_marker(pytest.mark.skip(reason=reason))
