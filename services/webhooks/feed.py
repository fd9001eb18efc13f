"""Records as CloudEvents 1.0, as far as there are such records for whoever is told.

To the company that runs the gateway all are. To another participant, its own; those in the history of an order or lot
that there is for it; and of the registry those that all need: participants, keys and models, and its own machines.
What there is for it is judged when it is told, not when it was recorded.

A place in the feed is written `R.L`: the sequences of registry and ledger up to it, which both are without gaps.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ledger.canonical import Json, to_hex
from ledger.errors import InputError, NotFoundError
from ledger.ids import SubjectKind
from ledger.provenance.permissions import Visibility
from ledger.records import Contract
from ledger.store import Book, Feed, Lineage, Position, Rows, Store
from ledger.store.rows import ChainIdentityRow, RecordRow

__all__ = ["Filter", "Notice", "Notices", "format_position", "parse_filter", "parse_position"]

_PLACE: Final = re.compile(r"(0|[1-9][0-9]{0,12})\.(0|[1-9][0-9]{0,12})")
_KIND: Final = re.compile(r"[A-Z][A-Za-z]{2,39}")
_SUBJECT: Final = re.compile(r"0x[0-9a-f]{64}")
_MOST_WORDS: Final = 50


@dataclass(frozen=True, slots=True)
class Filter:
    """What a follower wants to hear of; empty for all of it."""

    kinds: frozenset[str] = frozenset()
    subjects: frozenset[bytes] = frozenset()
    """Orders and lots; records that touch one of them, and those whose own subject is one."""

    def takes(self, row: RecordRow, touched: Collection[bytes]) -> bool:
        if self.kinds and row.kind not in self.kinds:
            return False
        return not self.subjects or row.subject in self.subjects or not self.subjects.isdisjoint(touched)


@dataclass(frozen=True, slots=True)
class Notice:
    """One record for one follower."""

    position: Position
    """Behind it."""
    event: dict[str, Json]
    """CloudEvent."""

    @property
    def id(self) -> str:
        """Of the record, for every follower the same."""
        return str(self.event["id"])


class Notices:
    """The feed of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def end(self) -> Position:
        """Behind the last final record."""
        with self._store.reading() as connection:
            return Feed(connection).end()

    def after(
        self, position: Position, limit: int, viewer: int | None, wanted: Filter
    ) -> tuple[list[Notice], Position]:
        """What of the next `limit` records is for the follower, and the place behind all of them. Nothing is left when
        that is where it began."""
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
            seen = [one for one in seen if wanted.takes(one[1], one[2]) and _is_there(visibility, one[1], one[2])]
            source = _source(rows)
            subjects = [row.subject for _, row, _ in seen]
            names = Book(connection).identifiers(subjects) if visibility is None else visibility.identifiers(subjects)
        notices = [
            Notice(place, _event(source, place, row, touches, names.get(row.subject))) for place, row, touches in seen
        ]
        return notices, found[-1][0]


def _is_there(visibility: Visibility | None, row: RecordRow, touched: Collection[bytes]) -> bool:
    if visibility is None or row.participant == visibility.participant:
        return True
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
    """Raises InputError for what `format_position` does not write."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise InputError("that is no place in the feed", hint="give the position of an event, or 0.0 for the beginning")
    return Position(int(match[1]), int(match[2]))


def parse_filter(kinds: Iterable[str], subjects: Iterable[str]) -> Filter:
    """Raises InputError for what is no kind of record, or no subject as 0x and 64 small hex digits."""
    kinds, subjects = list(kinds), list(subjects)
    if len(kinds) > _MOST_WORDS or len(subjects) > _MOST_WORDS:
        raise InputError(f"a filter has more than {_MOST_WORDS} words", hint="leave it out to hear of everything")
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            raise InputError(f"{kind[:60]!a} is no kind of record", hint="LotReceived is one")
    for subject in subjects:
        if not _SUBJECT.fullmatch(subject):
            raise InputError(f"{subject[:80]!a} is no subject", hint="give 0x and 64 hex digits")
    return Filter(frozenset(kinds), frozenset(bytes.fromhex(one[2:]) for one in subjects))
