"""Resolves what captured events name: lots by identifier, and companies by their party GLN."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import lru_cache

from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import Identity, canonical_identifier, identifier_hash
from millmark.ledger.provenance.reader import Named, find_items
from millmark.ledger.records import Item, LotState, ReceiveLot
from millmark.ledger.store import Book, Connection, Lineage, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import LotRow, ParticipantRow
from millmark.services.directory import DirectoryEntry, DirectoryRepository
from millmark.services.gateway.recording.repository import RecordingRepository, describe_subjects
from millmark.services.interop.epcis.mapping import Known

_MAX_READ = 512
"""Entries of the cache of GLNs by claims document. Captures involve the same few companies again and again."""
_PARTY = "https://id.gs1.org/417/"
_NO_ORDER = bytes(32)
_REFUSED = (OutboxState.FAILED, OutboxState.CANCELLED)
_PART = 300


def find_known(
    store: Store, names: set[str], viewer: int | None, name: Callable[[str], Identity] | None = None
) -> Known:
    """Resolves names for a viewer (None sees everything).

    Identifiers that lots already have are returned only to the company that runs the gateway, since only it names new
    lots: to others they would disclose lots that are not visible to them. With `name`, which names new lots of the
    company whose records are made, lots whose records are still on their way to the ledger are included: records that
    use them are sent after those.
    """
    lots = find_items(store, names, viewer)
    if not names:
        return Known()
    with store.reading() as connection:
        named = Named(Rows(connection), Lineage(connection), None)
        taken = named.lots(names) if viewer is None else ()
    if name is not None:
        # Indexed lots win over pending ones of the same name.
        lots = {**_pending_lots(store, set(taken) - lots.keys()), **lots}
    # Others than this company would learn what is packed in a lot that they see.
    contents = _contents(store, [item.lot for item in lots.values()]) if viewer is None else {}
    offers, returnable = _standing(store, [item.lot for item in lots.values()])
    return Known(lots, find_parties(store), contents, offers, returnable, frozenset(taken), name)


def _standing(store: Store, lots: Collection[bytes]) -> tuple[dict[bytes, int], dict[bytes, tuple[int, bytes]]]:
    """The offers of those of the lots that are offered; maker and identifier hash of those that are quarantined."""
    with store.reading() as connection:
        rows, book = list(Rows(connection).among(LotRow, "subject", lots)), Book(connection)
        offers = {row.subject: row.offer for row in rows if row.state in (LotState.OFFERED, LotState.RETURNING)}
        apart = [book.identity(row.subject) for row in rows if row.state == LotState.QUARANTINED]
    names = [one for one in apart if one is not None]
    return offers, {one.subject: (one.creator, identifier_hash(one.salt, one.identifier)) for one in names}


def _contents(store: Store, lots: Collection[bytes]) -> dict[bytes, tuple[Item, ...]]:
    """What is packed directly in each of these lots, and in what is packed in them."""
    found: dict[bytes, tuple[Item, ...]] = {}
    with store.reading() as connection:
        rows, layer = Rows(connection), set(lots)
        while layer:  # ends: each lot is read once
            inner = [row for row in rows.among(LotRow, "parent", layer) if row.parent is not None]
            found.update((parent, ()) for parent in layer)
            for row in inner:
                if row.parent is not None:
                    found[row.parent] += (Item(row.subject, row.order or _NO_ORDER),)
            layer = {row.subject for row in inner} - found.keys()
    return {parent: items for parent, items in found.items() if items}


def _pending_lots(store: Store, names: Collection[str]) -> dict[str, Item]:
    """Lots without an order that a pending record of this gateway creates, by name. Excludes records that were refused,
    records that create several lots, and names that several pending lots share."""
    if not names:
        return {}
    with store.reading() as connection:
        named = Named(Rows(connection), Lineage(connection), None).lots(names)
        single = {describe_subjects(lots): (name, lots[0]) for name, lots in named.items() if len(lots) == 1}
        asked = {row.key: single[row.subjects] for row in RecordingRepository(connection).naming(single)}
    outbox, found, keys = Outbox(store), {}, list(asked)
    for start in range(0, len(keys), _PART):
        for key, record in outbox.find(keys[start : start + _PART]).items():
            # A received lot has no order. A lot from another kind of record may have one, known once it is indexed.
            if record.kind == ReceiveLot.__name__ and record.state not in _REFUSED:
                name, lot = asked[key]
                found[name] = Item(lot, _NO_ORDER)
    return found


def find_parties(store: Store) -> dict[str, int]:
    """Participants by canonical identifier: the GLN in the directory or in the claims of a company's admission, and
    names that are identifiers. An identifier that two companies share is left out."""
    found: dict[str, set[int]] = {}
    with store.reading() as connection:
        book, rows = Book(connection), Rows(connection).find(ParticipantRow)
        listed = {entry.participant: f"{_PARTY}{entry.gln}" for entry in _with_gln(connection)}
        names, documents = book.names(), book.documents(row.claims_root for row in rows)
        for row in rows:
            for said in (names.get(row.number), listed.get(row.number), _gln(documents.get(row.claims_root))):
                if said is not None and (name := _canonical(said)) is not None:
                    found.setdefault(name, set()).add(row.number)
    # If two companies claim the same GLN, neither gets it: nobody here can tell who is right.
    return {name: numbers.pop() for name, numbers in found.items() if len(numbers) == 1}


def _with_gln(connection: Connection) -> list[DirectoryEntry]:
    return [entry for entry in DirectoryRepository(connection).entries() if entry.gln is not None]


@lru_cache(maxsize=_MAX_READ)
def _gln(kept: str | None) -> str | None:
    document = None if kept is None else parse_claims(json.loads(kept)).document
    gln = document.get("gln") if isinstance(document, dict) else None
    return f"{_PARTY}{gln}" if isinstance(gln, str) else None


def _canonical(text: str) -> str | None:
    try:
        return canonical_identifier(text)
    except IdentifierError:
        return None
