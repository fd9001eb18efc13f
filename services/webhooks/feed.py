"""Records as CloudEvents 1.0, limited to those visible to the subscriber.

The company that runs the gateway sees every record. Another participant sees its own records, those in the history of
an order or lot visible to it, and from the registry those that everybody needs (participants, keys, models) and its own
machines. Visibility is judged at the time of delivery, not of recording.

A position in the feed is written `R.L`: the sequences of the last registry record and the last ledger record before it.
Both sequences are dense.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.records import Contract
from millmark.ledger.store import Book, Feed, Lineage, Position, Rows, Store
from millmark.ledger.store.rows import ChainIdentityRow, RecordRow
from millmark.services.webhooks.grounds import WebhookGround

_PLACE: Final = re.compile(r"(0|[1-9][0-9]{0,12})\.(0|[1-9][0-9]{0,12})")
_KIND: Final = re.compile(r"[A-Z][A-Za-z]{2,39}")
_SUBJECT: Final = re.compile(r"0x[0-9a-f]{64}")
_MAX_WORDS: Final = 50


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records a subscriber wants; an empty set stands for all."""

    kinds: frozenset[str] = frozenset()
    subjects: frozenset[bytes] = frozenset()
    """Orders and lots: records whose subject is one of them, or that enter the history of one."""

    def matches(self, row: RecordRow, touched: Collection[bytes]) -> bool:
        if self.kinds and row.kind not in self.kinds:
            return False
        return not self.subjects or row.subject in self.subjects or not self.subjects.isdisjoint(touched)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One record, as delivered."""

    position: Position
    """The position after this record."""
    event: dict[str, Json]
    """The CloudEvent."""

    @property
    def id(self) -> str:
        """The record's CloudEvents id, the same for every subscriber."""
        return str(self.event["id"])


class RecordFeed:
    """All final records of a store, in the order of the chain."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def end(self) -> Position:
        """The position after the last final record."""
        with self._store.reading() as connection:
            return Feed(connection).end()

    def after(
        self, position: Position, limit: int, viewer: int | None, wanted: Filter
    ) -> tuple[list[FeedEntry], Position]:
        """Reads up to `limit` records after a position. Returns those that the viewer may see and wants, and the
        position after all that were read, which equals `position` if there are no more. A `viewer` of None sees all
        records."""
        with self._store.reading() as connection:
            feed, rows = Feed(connection), Rows(connection)
            found = feed.after(position, limit)
            if not found:
                return [], position
            touched = feed.histories(row.sequence for _, row in found if row.contract == Contract.LEDGER.value)
            visibility = None if viewer is None else Visibility(rows, Lineage(connection), viewer)
            seen = [
                (place, row, touched.get(row.sequence, []) if row.contract == Contract.LEDGER.value else [])
                for place, row in found
            ]
            seen = [one for one in seen if wanted.matches(one[1], one[2]) and _is_visible(visibility, one[1], one[2])]
            source = _source(rows)
            subjects = [row.subject for _, row, _ in seen]
            names = Book(connection).identifiers(subjects) if visibility is None else visibility.identifiers(subjects)
        entries = [
            FeedEntry(place, _event(source, place, row, touches, names.get(row.subject)))
            for place, row, touches in seen
        ]
        # The position moves past records that are filtered out: otherwise a subscriber with a narrow filter would read
        # the same records again and again.
        return entries, found[-1][0]


def _is_visible(visibility: Visibility | None, row: RecordRow, touched: Collection[bytes]) -> bool:
    # An author always sees its own records, also of lots that it has passed on and no longer sees.
    if visibility is None or row.participant == visibility.participant:
        return True
    # Machines are what is private in the registry; participants, keys and models concern everybody.
    if row.contract == Contract.REGISTRY.value:
        return not row.kind.startswith("Machine") or visibility.has(SubjectKind.MACHINE, row.subject)
    return bool(visibility.lots(touched) or visibility.orders(touched))


def _source(rows: Rows) -> str:
    identity = rows.get(ChainIdentityRow, 1)
    if identity is None:
        raise NotFoundError("nothing is indexed yet", hint="follow the chain first")
    return f"urn:millmark:ledger:{identity.chain_id}:0x{identity.ledger.hex()}"


def _event(
    source: str, place: Position, row: RecordRow, touched: Iterable[bytes], identifier: str | None
) -> dict[str, Json]:
    return {
        "specversion": "1.0",
        "id": f"{row.contract}-{row.sequence}",
        "source": source,
        "type": f"millmark.{row.contract}.{row.kind}",
        "subject": to_hex(row.subject),
        "time": datetime.fromtimestamp(row.block_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "datacontenttype": "application/json",
        "position": format_position(place),
        "data": {
            "contract": row.contract,
            "sequence": row.sequence,
            "kind": row.kind,
            "participant": row.participant,
            "subject": to_hex(row.subject),
            "identifier": identifier,
            "histories": [to_hex(subject) for subject in touched],
            "block_number": row.block_number,
            "block_hash": to_hex(row.block_hash),
            "transaction_hash": to_hex(row.transaction_hash),
            "fields": row.event().to_json(),
        },
    }


def format_position(position: Position) -> str:
    return f"{position.registry}.{position.ledger}"


def parse_position(text: str) -> Position:
    """Parses `R.L`. Raises InputError for anything else, including leading zeros."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise InputError(
            "not a feed position; expected REGISTRY.LEDGER, such as 12.340",
            hint="pass the `position` of an event, or 0.0 to start at the first record",
        )
    return Position(int(match[1]), int(match[2]))


def parse_filter(kinds: Iterable[str], subjects: Iterable[str]) -> Filter:
    """Parses a filter. Raises InputError for malformed kinds or subjects, or too many of them. Not established: that
    they exist."""
    kinds, subjects = list(kinds), list(subjects)
    if len(kinds) > _MAX_WORDS or len(subjects) > _MAX_WORDS:
        raise InputError(
            WebhookGround.LONG_FILTER.write(most=_MAX_WORDS), hint="omit the filter to receive all records"
        )
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            raise InputError(WebhookGround.NO_KIND.write(text=ascii(kind[:60])), hint="use a kind such as LotReceived")
    for subject in subjects:
        if not _SUBJECT.fullmatch(subject):
            raise InputError(f"{subject[:80]!a} is not a subject", hint="give 0x and 64 lower-case hex digits")
    return Filter(frozenset(kinds), frozenset(bytes.fromhex(one[2:]) for one in subjects))
