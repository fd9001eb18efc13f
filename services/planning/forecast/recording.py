"""Cuts, histories and entries of forecasts, in the company's own database."""

from __future__ import annotations

from collections.abc import Sequence

from millmark.ledger.chain import Chain
from millmark.ledger.errors import NotFoundError
from millmark.ledger.products import FindProduct
from millmark.ledger.store import Book, Connection, Registry, Rows
from millmark.ledger.store.rows import AnchorRow, ChainIdentityRow, CursorRow
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast.document import ForecastDocument, parse_forecast, seal_of
from millmark.services.planning.forecast.history import Cut, History, Memo, read_orders
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from millmark.services.planning.forecast.signalling import CapacitySignal
from millmark.services.planning.papers import OwnStream, Sealed, seal_event, seal_signals


def find_cut(chain: Chain, cursor: CursorRow | None, block: int | None = None) -> Cut:
    """The latest final block that is indexed, or another final one. Sends requests, so not within a transaction.

    Raises ForecastError if there is none, or the block is not final and indexed yet.
    """
    indexed = -1 if cursor is None else cursor.block_number
    last = min(chain.final_number(), indexed)
    if last < 0:
        raise ForecastError("no final block is indexed here yet", hint="let the gateway run until it has caught up")
    number = last if block is None else block
    if not 0 <= number <= last:
        raise ForecastError(f"block {number} is not final and indexed yet", hint=f"give one up to {last}")
    header = chain.header(number)
    return Cut(number, header.hash, header.timestamp)


def read_cursor(connection: Connection) -> CursorRow | None:
    """Up to which block the index has come."""
    return Rows(connection).get(CursorRow, 1)


def need_identity(connection: Connection) -> ChainIdentityRow:
    """Raises ForecastError if no chain is followed yet."""
    found = Registry(connection).identity()
    if found is None:
        raise ForecastError("no chain is followed here yet", hint="start the gateway first")
    return found


def read_history(
    connection: Connection, participant: int, cut: Cut, find: FindProduct, memo: Memo | None = None
) -> History:
    """What the company is part of, as the ledger had it at a cut. `memo`: see `read_orders`."""
    return read_orders(Rows(connection), Book(connection), participant, cut, find, memo)


def seal_forecast(
    connection: Connection, stream: OwnStream, document: ForecastDocument, signals: Sequence[CapacitySignal] = ()
) -> Sealed:
    """Writes the entry that commits to a forecast, and what owners are told of it; keeps the forecast. Returns what is
    to be anchored for all of it."""
    sealed = seal_event(connection, stream, seal_of(document.digest))
    ForecastRepository(connection).add(
        ForecastRow(
            document.digest,
            stream.subject,
            sealed.first,
            document.cut.block,
            document.cut.time_s,
            document.to_bytes().decode(),
        )
    )
    if signals:
        return seal_signals(connection, stream, document.digest, [one.to_json() for one in signals])
    return sealed


def need_forecast(connection: Connection, digest: bytes) -> tuple[ForecastDocument, ForecastRow]:
    """A forecast that was made here. Raises NotFoundError, and ForecastError if it is not what was recorded."""
    row = ForecastRepository(connection).find(digest)
    if row is None:
        raise NotFoundError("no such forecast is known here", hint="see `millmark plan forecast list`")
    document = parse_forecast(row.document.encode())
    entry = Book(connection).evidence_entry(row.stream, row.leaf_index)
    if document.digest != digest or entry is None or entry.entry != seal_of(digest):
        raise ForecastError("the forecast is not the one that was recorded", hint="restore the database from a backup")
    return document, row


def anchored_at(connection: Connection, row: ForecastRow) -> int | None:
    """When the ledger had the entry, in seconds since 1970; None if it has not."""
    covering = [one for one in Rows(connection).find(AnchorRow, stream=row.stream) if one.size > row.leaf_index]
    return min((one.anchored_at for one in covering), default=None)
