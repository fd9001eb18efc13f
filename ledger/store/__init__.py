"""The database: tables, migrations, and the repositories through which the other packages reach it.

    store = open_store("sqlite:///millmark.db")
    with store.transaction() as connection:
        Book(connection).set_names({1: "Acme"})

Rows are the classes of ledger.store.rows. The private book survives a rebuild; everything else follows from the chain.
A program that keeps tables of its own in the same database declares them in a Schema, and opens the store with it.
"""

from __future__ import annotations

from sqlalchemy import Connection

from ledger.store.book import Book
from ledger.store.database import Store, open_store
from ledger.store.feed import Feed, Position
from ledger.store.lineage import Lineage
from ledger.store.registry import Registry
from ledger.store.repository import Rows, key_of, values_of
from ledger.store.schema import Schema, schema_of
from ledger.store.statements import Cell

__all__ = [
    "Book",
    "Cell",
    "Connection",
    "Feed",
    "Lineage",
    "Position",
    "Registry",
    "Rows",
    "Schema",
    "Store",
    "key_of",
    "open_store",
    "schema_of",
    "values_of",
]
