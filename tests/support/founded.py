"""Ledgers on the embedded chain with their first companies, made once a process: each test gets a copy."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from millmark.ledger.store import Store
from tests.support.ledger_world import LedgerWorld, build_world, copy_world
from tests.support.stores import cluster, copy_database, new_store

__all__ = ["Founded"]

F = TypeVar("F")


class Founded(Generic[F]):
    """What `found` makes of a ledger without companies and an empty store; what it returns is common to all copies."""

    def __init__(self, found: Callable[[LedgerWorld, Store], F]) -> None:
        self._found = found
        self._firsts: dict[str | None, tuple[LedgerWorld, Store, F]] = {}

    def copy(self, store: Store) -> tuple[LedgerWorld, F]:
        """The ledger, and what was found on it; `store`, which is empty, gets the content."""
        if cluster() not in self._firsts:
            self._firsts[cluster()] = self._make()
        world, filled, found = self._firsts[cluster()]
        copy_database(filled, store)
        return copy_world(world), found

    def _make(self) -> tuple[LedgerWorld, Store, F]:
        folder = Path(tempfile.mkdtemp(prefix="millmark-founded-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        world, store = build_world(), new_store(folder)
        atexit.register(store.close)
        return world, store, self._found(world, store)
