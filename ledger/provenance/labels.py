"""Looks up many identifiers at once, in both directions, as far as they are visible to a participant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.provenance.reader import open_reader
from millmark.ledger.records import Item
from millmark.ledger.store import Lineage, Rows, Store
from millmark.ledger.store.book_rows import IdentityRow
from millmark.ledger.store.rows import LotRow

__all__ = ["Named", "find_items", "find_names"]

_NO_ORDER = bytes(32)


class Named:
    """Looks up lots by canonical identifier, in one state of the store, for one viewer; None sees everything."""

    def __init__(self, rows: Rows, lineage: Lineage, viewer: int | None) -> None:
        self._rows = rows
        self._visibility = None if viewer is None else Visibility(rows, lineage, viewer)

    def lots(self, identifiers: Collection[str]) -> dict[str, list[bytes]]:
        """The subjects of lots with these identifiers, by identifier, whether or not they are visible to the viewer."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for row in self._rows.among(IdentityRow, "identifier", identifiers):
            if row.kind == SubjectKind.LOT:
                found[row.identifier].append(row.subject)
        return dict(found)

    def visible(self, identifiers: Collection[str]) -> set[str]:
        """The identifiers whose lots are all visible to the viewer, and that have at least one.

        It is not enough that one lot is visible: a participant could give its own lot somebody else's identifier to
        see data about the other's.
        """
        named = self.lots(identifiers)
        if self._visibility is None:
            return set(named)
        seen = self._visibility.lots({lot for lots in named.values() for lot in lots})
        return {name for name, lots in named.items() if seen.issuperset(lots)}


def find_names(store: Store, subjects: Collection[bytes], viewer: int | None) -> dict[bytes, str]:
    """The identifiers that are known and visible to the viewer, by subject."""
    with open_reader(store, viewer) as reader:
        reader.name(subjects)
        return {one: name for one in subjects if (name := reader.identifier(one)) is not None}


def find_items(store: Store, identifiers: Collection[str], viewer: int | None) -> dict[str, Item]:
    """The lots on the ledger, with their orders, by identifier. Identifiers that several lots have are left out."""
    if not identifiers:
        return {}
    with store.reading() as connection:
        rows = Rows(connection)
        named = Named(rows, Lineage(connection), viewer)
        single = {name: lots[0] for name, lots in named.lots(named.visible(identifiers)).items() if len(lots) == 1}
        orders = {row.subject: row.order for row in rows.among(LotRow, "subject", single.values())}
    return {name: Item(lot, orders[lot] or _NO_ORDER) for name, lot in single.items() if lot in orders}
