"""The database of the services: the library's tables, and those that services add.

Each domain declares its tables in a module `repository`, the only one to access them.
"""

from __future__ import annotations

from pathlib import Path

from millmark.ledger import store as library
from millmark.ledger.store import Store, schema_of

_SQLITE = "sqlite:///"

SERVICES = schema_of("millmark.services")
"""One schema for all services: they share a database, which commands, gateway and node open alike."""


def open_store(url: str, evidence: Path | None = None) -> Store:
    """Like the library's `open_store`, with the tables of all services."""
    return library.open_store(url, SERVICES, evidence=evidence)


def sqlite_path(url: str) -> Path | None:
    """The file of a database; None for one that is not SQLite."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
