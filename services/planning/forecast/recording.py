"""Forecasts in the company's own database, with their cuts, histories and entries."""

from __future__ import annotations

from millmark.ledger.chain import Chain
from millmark.ledger.errors import NotFoundError
from millmark.ledger.products import FindProduct
from millmark.ledger.store import Book, Connection, Registry, Rows
from millmark.ledger.store.rows import AnchorRow, ChainIdentityRow, CursorRow
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast import document
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from millmark.services.planning.stream_entries import OwnStream, Sealed, seal_event


def find_cut(chain: Chain, cursor: CursorRow | None, block: int | None = None) -> document.Cut:
    """The latest final block that is indexed, or another final one. Sends requests, so not within a transaction. Raises
    ForecastError if there is none, or the block is not final and indexed yet."""
    indexed = -1 if cursor is None else cursor.block_number
    last = min(chain.final_number(), indexed)
    if last < 0:
        raise ForecastError("no final block is indexed here yet", hint="let the gateway run until it has caught up")
    number = last if block is None else block
    if not 0 <= number <= last:
        raise ForecastError(f"block {number} is not final and indexed yet", hint=f"give one up to {last}")
    header = chain.header(number)
    return document.Cut(number, header.hash, header.timestamp)


def read_cursor(connection: Connection) -> CursorRow | None:
    """The last block that the index has read."""
    return Rows(connection).get(CursorRow, 1)


def need_identity(connection: Connection) -> ChainIdentityRow:
    """Raises ForecastError if no chain is followed yet."""
    found = Registry(connection).identity()
    if found is None:
        raise ForecastError("no chain is followed here yet", hint="start the gateway first")
    return found


def read_history(
    connection: Connection, participant: int, cut: document.Cut, find: FindProduct, memo: document.Memo | None = None
) -> document.History:
    """What the company is part of, as the ledger had it at a cut. `memo`: see `read_orders`."""
    return document.read_orders(Rows(connection), Book(connection), participant, cut, find, memo)


def seal_forecast(connection: Connection, stream: OwnStream, forecast: document.ForecastDocument) -> Sealed:
    """Writes the entry that commits to a forecast, and keeps the forecast. Returns what is to be anchored for it."""
    sealed = seal_event(connection, stream, document.seal_of(forecast.digest))
    cut = forecast.cut
    row = forecast.digest, stream.subject, sealed.first, cut.block, cut.time_s, forecast.to_bytes().decode()
    ForecastRepository(connection).add(ForecastRow(*row))
    return sealed


def need_forecast(connection: Connection, digest: bytes) -> tuple[document.ForecastDocument, ForecastRow]:
    """A forecast that was made here. Raises NotFoundError, and ForecastError if it is not what was recorded."""
    row = ForecastRepository(connection).find(digest)
    if row is None:
        raise NotFoundError("no such forecast is known here", hint="see `millmark plan forecast list`")
    forecast = document.parse_forecast(row.document.encode())
    entry = Book(connection).evidence_entry(row.stream, row.leaf_index)
    if forecast.digest != digest or entry is None or entry.entry != document.seal_of(digest):
        raise ForecastError("the forecast is not the one that was recorded", hint="restore the database from a backup")
    return forecast, row


def anchored_at(connection: Connection, row: ForecastRow) -> int | None:
    """When the ledger had the entry, in seconds since 1970; None if it has not."""
    covering = [one for one in Rows(connection).find(AnchorRow, stream=row.stream) if one.size > row.leaf_index]
    return min((one.anchored_at for one in covering), default=None)
