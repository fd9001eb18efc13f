"""The database: tables, migrations, and the repositories through which the other packages reach it.

    store = open_store("sqlite:///millmark.db")
    with store.transaction() as connection:
        Book(connection).set_names({1: "Acme"})

Rows are instances of the classes in millmark.ledger.store.rows. A rebuild keeps the private book and the outbox;
everything else is derived from the chain. A program that keeps further tables in the same database declares them in a
Schema, and passes that to `open_store`.
"""

from __future__ import annotations

from sqlalchemy import Connection

from millmark.ledger.store.book import Book
from millmark.ledger.store.database import Store, open_store
from millmark.ledger.store.lineage import Lineage
from millmark.ledger.store.repository import Cell, Feed, Position, Registry, Rows, key_of, values_of
from millmark.ledger.store.schema import Schema, schema_of

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
