"""Skips the tests that iterate over public test data if the data are not on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.company_site import Day, open_day
from tests.support.fake_world import World
from tests.support.gateway_client import build_linked_world
from tests.support.stores import new_store


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not (item.path.stem.startswith("test_interop") and "[NOTSET" in item.name)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For the modules that need no other: two of its lots have Digital Links."""
    with new_store(tmp_path_factory.mktemp("gateway")) as store:
        yield build_linked_world(store)


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    """For the modules in which people act on the real contracts."""
    yield from open_day(tmp_path, Day)
