"""A store, its outbox and a chain to submit to. Modules that need others define their own under the same names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.stores import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return Outbox(store)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Store]:
    """Another store for the same keys, whose outbox has never been used."""
    with new_store(tmp_path, "elsewhere.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_ledger_world() -> LedgerWorld:
    return build_world()


@pytest.fixture
def world(shared_ledger_world: LedgerWorld) -> LedgerWorld:
    """One chain for the module; each test starts without the faults that the one before injected."""
    shared_ledger_world.line.handlers.clear()
    return shared_ledger_world
