"""The forecasts that a company made: their table, and all access to it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from millmark.ledger.store import Rows, schema_of


@dataclass(slots=True)
class ForecastRow:
    """A forecast, and the entry that commits to it."""

    digest: bytes
    stream: bytes
    leaf_index: int
    cut_block: int
    cut_time: int
    """Time of that block, seconds since 1970."""
    document: str
    """Canonical JSON."""


_SCHEMA = schema_of("millmark.services")
_SCHEMA.table("forecasts", ForecastRow, "digest", "cut_block")


class ForecastRepository:
    """Reads and writes in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._rows = Rows(connection)

    def add(self, row: ForecastRow) -> None:
        self._rows.put(row)

    def find(self, digest: bytes) -> ForecastRow | None:
        return self._rows.get(ForecastRow, digest)

    def all(self) -> list[ForecastRow]:
        """The one with the latest cut first; of one cut, the one recorded last."""
        return sorted(self._rows.find(ForecastRow), key=lambda row: (-row.cut_block, -row.leaf_index, row.digest))

    def page(self, after: bytes | None, most: int) -> list[ForecastRow]:
        """At most `most` forecasts in the order of their digests, those after `after` if it is given."""
        return self._rows.page(ForecastRow, "digest", after, most)
