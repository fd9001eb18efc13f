"""Arranges what a recall found for its page: the coloured genealogy, holders with what the directory says of them, and
the lots in an order that people expect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import Recall, open_reader
from millmark.ledger.provenance.answers import Holder, Party, RelatedLot
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.traces import build_transformations
from millmark.ledger.records import LotState
from millmark.ledger.store import Store
from millmark.services.access import Principal
from millmark.services.directory.document import DirectoryEntry
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.pictures import build_reach, draw_upright
from millmark.services.portal.language import Catalogue
from millmark.services.portal.picture_words import PictureWords, brief_of

__all__ = [
    "Contact",
    "RecallView",
    "Whereabouts",
    "build_view",
    "contacts_of",
    "find_whereabouts",
    "may_recall_lot",
    "sort_naturally",
    "where_of",
]

_DRAWN = 60
"""Most lots in the picture."""
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class Contact:
    """A company that has some of what a recall reached, and how it is reached."""

    holder: Holder
    entry: DirectoryEntry | None
    """None if the directory does not list it."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a lot is that its row alone does not tell: in what it is packed, and to whom that is offered."""

    carrier: tuple[bytes, str | None] | None
    """The outermost lot in which it is packed, with its name where that is known."""
    offered_to: Party | None
    """To whom it, or what it is packed in, is offered and has not been taken over yet."""


@dataclass(frozen=True, slots=True)
class RecallView:
    picture: str
    drawn: int
    """Most lots in the picture; the text beside it has the others as well."""
    own: int
    """Lots that the caller's company has."""
    away: int
    """Lots that others have."""
    spent: int
    contacts: tuple[Contact, ...]
    lots: tuple[RelatedLot, ...]
    """As `sort_naturally` has them: A9 before A10."""
    company: int | None
    whereabouts: Mapping[bytes, Whereabouts]
    """Where lots are that are packed or offered."""


def build_view(store: Store, found: Recall, principal: Principal, catalogue: Catalogue, most: int) -> RecallView:
    with open_reader(store, principal.viewer) as reader:
        drawn = [lot.subject for lot in found.lots[:_DRAWN]]
        steps = build_transformations(reader, drawn)
        shown = tuple(sort_naturally(found.lots)[:most])
        whereabouts = find_whereabouts(reader, shown)
    family = build_reach(found.lots, found.as_of, steps, principal.participant, PictureWords(catalogue), _DRAWN)
    places = [where_of(lot, principal.participant) for lot in found.lots]
    return RecallView(
        picture=draw_upright(family, catalogue.language.value) if found.lots else "",
        drawn=_DRAWN,
        own=places.count("own"),
        away=places.count("away"),
        spent=places.count("spent"),
        contacts=contacts_of(store, found.holders),
        lots=shown,
        company=principal.participant,
        whereabouts=whereabouts,
    )


def find_whereabouts(reader: Reader, lots: Iterable[RelatedLot]) -> dict[bytes, Whereabouts]:
    """Where the lots are that are packed or offered, as far as what they are packed in is visible."""
    moving = {one.subject for one in lots if one.parent is not None or one.state is LotState.OFFERED}
    around = {subject: rows[-1] for subject, rows in reader.around(moving).items()}
    outermost = {row.subject for row in around.values()}
    seen = outermost if reader.visibility is None else set(reader.visibility.among(SubjectKind.LOT, outermost))
    around = {subject: row for subject, row in around.items() if row.subject in seen}
    reader.name(seen)
    found = {}
    for subject, outer in around.items():
        carrier = None if outer.subject == subject else (outer.subject, reader.identifier(outer.subject))
        offered = reader.party(outer.counterparty) if outer.state == LotState.OFFERED else None
        found[subject] = Whereabouts(carrier, offered)
    return found


def where_of(lot: RelatedLot, company: int | None) -> str:
    """`own`, `away` or `spent`."""
    if lot.state is LotState.SPENT:
        return "spent"
    return "own" if lot.holder.participant == company else "away"


def contacts_of(store: Store, holders: Iterable[Holder]) -> tuple[Contact, ...]:
    with store.reading() as connection:
        directory = DirectoryRepository(connection)
        return tuple(Contact(one, directory.entry(one.participant)) for one in holders)


def sort_naturally(lots: Iterable[RelatedLot]) -> list[RelatedLot]:
    """What still exists first, then nearest first; lots of the same depth by the last part of their name, numbers in it
    as numbers."""
    return sorted(
        lots,
        key=lambda lot: (
            lot.state is LotState.SPENT,
            lot.depth,
            lot.identifier is None,
            _parts(lot.identifier or ""),
            lot.subject,
        ),
    )


def may_recall_lot(reader: Reader, lot: bytes) -> bool:
    """Whether a recall of the lot finds it for the reader's participant: it made it or had it."""
    return reader.visibility is None or lot in reader.visibility.held([lot])


def _parts(identifier: str) -> list[tuple[int, int, str]]:
    """Texts and numbers, such that any two lists can be compared."""
    parts = _DIGITS.split(brief_of(identifier)) if identifier else []
    return [(0, int(part), "") if place % 2 else (1, 0, part) for place, part in enumerate(parts) if part]
