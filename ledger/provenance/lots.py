"""Rows of lots: whoever asks for an answer's lots and whoever judges who may see them look at the same ones."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.store import Rows
from ledger.store.rows import LotRow

__all__ = ["Lots"]


class Lots:
    """Of one state of the store, each read once."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._read: dict[bytes, LotRow | None] = {}

    def among(self, subjects: Iterable[bytes]) -> list[LotRow]:
        """Those of the given lots that are in the index."""
        wanted = set(subjects)
        new = wanted - self._read.keys()
        if new:
            self._read.update(dict.fromkeys(new))
            self._read.update((row.subject, row) for row in self._rows.among(LotRow, "subject", new))
        return [row for row in map(self._read.get, wanted) if row is not None]

    def get(self, subject: bytes) -> LotRow | None:
        return next(iter(self.among([subject])), None)
