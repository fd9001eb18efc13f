"""The database: tables, migrations, and the repositories through which the other packages reach it.

    store = open_store("sqlite:///millmark.db")
    with store.transaction() as connection:
        Book(connection).set_names({1: "Acme"})

Rows are the classes of ledger.store.rows. The private book survives a rebuild; everything else follows from the chain.
"""

from __future__ import annotations

from ledger.store.access import AccessRepository
from ledger.store.answers import AnswerRepository
from ledger.store.book import Book
from ledger.store.database import Store, open_store
from ledger.store.epcis import EpcisRepository, EventQuery, Like, Saying, Span
from ledger.store.lineage import Lineage
from ledger.store.recording import RecordingRepository
from ledger.store.repository import Rows, key_of, values_of
from ledger.store.sharing import DocumentRepository
from ledger.store.statements import Cell
from ledger.store.webhooks import Feed, Position, WebhookRepository

__all__ = [
    "AccessRepository",
    "AnswerRepository",
    "Book",
    "Cell",
    "DocumentRepository",
    "EpcisRepository",
    "EventQuery",
    "Feed",
    "Like",
    "Lineage",
    "Position",
    "RecordingRepository",
    "Rows",
    "Saying",
    "Span",
    "Store",
    "WebhookRepository",
    "key_of",
    "open_store",
    "values_of",
]
