"""Models of other companies whose cards were handed over: with it, a company monitors a model by itself."""

from __future__ import annotations

from collections.abc import Iterable

from millmark.ledger.canonical import canonical_json, sha256
from millmark.ledger.chain import Chain
from millmark.ledger.claims import Claims, Field
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.book_rows import ModelFileRow
from millmark.ledger.store.rows import ModelRow

__all__ = ["fetch_models"]


def fetch_models(store: Store, chain: Chain, documents: Iterable[Claims]) -> list[ModelFileRow]:
    """The models that the documents are the cards of, with their bytes, as far as the book does not have them.

    Bytes that are not published on the chain stay unknown, and a card with erased fields is none. Raises ChainError.
    """
    cards = {one.root: one for one in documents if all(isinstance(field, Field) for _, field in one.fields)}
    with store.reading() as connection:
        found, book = Rows(connection).among(ModelRow, "card_root", cards), Book(connection)
        wanted = [row for row in found if (kept := book.model(row.digest)) is None or not kept.card]
    models = []
    for row in wanted:
        # The first byte of the contract code is a zero, which stops any call to it from executing the model's bytes.
        content = b"" if row.code is None else chain.node.code(row.code)[1:]
        if sha256(content) == row.digest:
            models.append(ModelFileRow(row.digest, content, canonical_json(cards[row.card_root].document).decode()))
    return models
