"""Lots by what they are called, and what things are called, many at once, as far as they are there for whoever asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from ledger.ids import SubjectKind
from ledger.provenance.permissions import View
from ledger.provenance.reader import open_reader
from ledger.records import Item
from ledger.store import Lineage, Rows, Store
from ledger.store.rows import IdentityRow, LotRow

__all__ = ["Named", "find_items", "find_names"]

_NO_ORDER = bytes(32)


class Named:
    """What canonical identifiers stand for, in one state of the store and for one viewer; None sees all."""

    def __init__(self, rows: Rows, lineage: Lineage, viewer: int | None) -> None:
        self._rows = rows
        self._view = None if viewer is None else View(rows, lineage, viewer)

    def lots(self, identifiers: Collection[str]) -> dict[str, list[bytes]]:
        """The subjects of lots that have each identifier, whether or not there are such lots for the viewer."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for row in self._rows.among(IdentityRow, "identifier", identifiers):
            if row.kind == SubjectKind.LOT:
                found[row.identifier].append(row.subject)
        return dict(found)

    def visible(self, identifiers: Collection[str]) -> set[str]:
        """The identifiers that name a lot which there is for the viewer, and none which there is not: one who gives a
        lot of their own the name of another's sees nothing of the other by it."""
        named = self.lots(identifiers)
        if self._view is None:
            return set(named)
        seen = self._view.lots({lot for lots in named.values() for lot in lots})
        return {name for name, lots in named.items() if seen.issuperset(lots)}


def find_names(store: Store, subjects: Collection[bytes], viewer: int | None) -> dict[bytes, str]:
    """The identifiers of those that have one for the viewer."""
    with open_reader(store, viewer) as reader:
        reader.name(subjects)
        return {one: name for one in subjects if (name := reader.identifier(one)) is not None}


def find_items(store: Store, identifiers: Collection[str], viewer: int | None) -> dict[str, Item]:
    """The lots of those names on the ledger, with their orders; where one name is of several, none of them."""
    if not identifiers:
        return {}
    with store.reading() as connection:
        rows = Rows(connection)
        named = Named(rows, Lineage(connection), viewer)
        single = {name: lots[0] for name, lots in named.lots(named.visible(identifiers)).items() if len(lots) == 1}
        orders = {row.subject: row.order for row in rows.among(LotRow, "subject", single.values())}
    return {name: Item(lot, orders[lot] or _NO_ORDER) for name, lot in single.items() if lot in orders}
