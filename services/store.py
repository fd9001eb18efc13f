"""The database of a service: the library's tables, and those that services keep beside them.

Each domain declares its tables in a module `tables`, and reads and writes them in a module `repository`.
"""

from __future__ import annotations

from ledger import store as library
from ledger.store import Store, schema_of

__all__ = ["SERVICES", "open_store"]

SERVICES = schema_of("services")
"""One for all services, which share a database: a command opens it as a gateway or a node does."""


def open_store(url: str) -> Store:
    """As the library's `open_store`, with the tables of all services."""
    return library.open_store(url, SERVICES)
