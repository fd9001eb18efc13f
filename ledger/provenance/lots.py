"""A cache of lots' rows, shared by answers and by the check of their visibility, which read the same lots."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.store import Rows
from ledger.store.rows import LotRow

__all__ = ["Lots"]


class Lots:
    """Reads the row of each lot once, in one state of the store."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._read: dict[bytes, LotRow | None] = {}

    def among(self, subjects: Iterable[bytes]) -> list[LotRow]:
        """The rows of the given lots; lots that are not in the index are left out."""
        wanted = set(subjects)
        new = wanted - self._read.keys()
        if new:
            self._read.update(dict.fromkeys(new))  # None for lots that do not exist, which are not read again either
            self._read.update((row.subject, row) for row in self._rows.among(LotRow, "subject", new))
        return [row for row in map(self._read.get, wanted) if row is not None]

    def get(self, subject: bytes) -> LotRow | None:
        """The row of a lot; None if it is not in the index."""
        return next(iter(self.among([subject])), None)
