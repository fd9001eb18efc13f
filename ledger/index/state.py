"""The rows that a batch of records touches, in memory until the batch is whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from ledger.canonical import to_hex
from ledger.errors import IndexHaltedError, StoreError
from ledger.events import Event, Recorded
from ledger.store import Cell, Rows, key_of, values_of
from ledger.store.undo import Change

R = TypeVar("R")
E = TypeVar("E", bound=Event)
_MEND = "rebuild the index"
_Place = tuple[type, tuple[Cell, ...]]


class State:
    """Reads each row once, hands out the one object of it, and writes what is new or changed at `flush`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._kept: dict[_Place, object] = {}
        self._stored: dict[_Place, dict[str, object]] = {}

    def get(self, kind: type[R], *key: Cell) -> R | None:
        """The row under a primary key; changes to it are written at `flush`."""
        place = (kind, key)
        if place not in self._kept:
            found = self._rows.get(kind, *key)
            if found is None:
                return None
            self._kept[place] = found
            self._stored[place] = values_of(found)
        kept = self._kept[place]
        assert isinstance(kept, kind)  # noqa: S101  # narrows the type: the place names the kind
        return kept

    def need(self, kind: type[R], *key: Cell) -> R:
        """The row under a primary key. Raises IndexHaltedError when no earlier record made it."""
        row = self.get(kind, *key)
        if row is None:
            name = kind.__name__.removesuffix("Row").lower()
            shown = ", ".join(to_hex(part) if isinstance(part, bytes) else str(part) for part in key)
            raise IndexHaltedError(f"a record names {name} {shown}, which no record before it made", hint=_MEND)
        return row

    def add(self, row: object) -> None:
        """A new row; that there is none under its key yet is found out at `flush`."""
        self._kept[(type(row), key_of(row))] = row

    def flush(self) -> list[Change]:
        """Writes what is new or changed, gives what it was before, and forgets it all. Raises IndexHaltedError when
        what is new is there."""
        new: dict[type, list[object]] = {}
        changed: dict[type, list[object]] = {}
        changes: list[Change] = []
        for place, row in self._kept.items():
            before = self._stored.get(place)
            if before is None:
                new.setdefault(place[0], []).append(row)
            elif before != values_of(row):
                changed.setdefault(place[0], []).append(row)
            else:
                continue
            changes.append(Change(*place, before))
        try:
            for rows in new.values():
                self._rows.insert(rows)
        except StoreError as error:
            raise IndexHaltedError(f"a record makes anew what is there: {error.cause}", hint=_MEND) from error
        for rows in changed.values():
            self._rows.update(rows)
        self._kept.clear()
        self._stored.clear()
        return changes


Projection: TypeAlias = Callable[[Recorded[Any], State], None]


def on(kind: type[E], project: Callable[[Recorded[E], State], None]) -> tuple[type[Event], Projection]:
    """A row of a table of projections: the types say that the function takes such events."""
    return kind, project
