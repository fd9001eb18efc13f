"""Retention of evidence: old measurements are dropped, and everything that was proved stays provable.

An entry of the company's own stream loses its salt and its content. Its leaf hash stays, so that proofs of all other
entries, and of the whole log, keep verifying. Whoever still has a dropped entry can show it, and its proof is made here
as before.

Dropped are rows (of up to 256 entries) that the ledger anchored before a moment, and in which nothing is needed:

- an entry that a certificate names, or one from which its window was cut, as long as the certificate may be demanded,
  opened or refuted: until it is revoked or refuted or, if that is asked for, has expired without being demanded;
- the entry with which work was finished, and register readings, on which footprints rest;
- operations, offers, plans and audits: only measurements and windows are dropped;
- a log's last row, by which its next entry is told from a repeated one;
- streams that are left out by name: those with EPCIS events, which are answers to queries.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from millmark.ledger.errors import StoreError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.records import CertificateState
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.book import remove_files
from millmark.ledger.store.rows import AnchorRow, AssignmentRow, CertificateRow, EvidenceRow

_MEASURED = frozenset({int(LeafKind.EVENT), int(LeafKind.WINDOW)})
_REGISTER = '"register":'
"""How canonical JSON has a register reading; an event with such a member of another meaning is kept as well."""
_AT_ONCE = 16
"""Rows that are dropped in one transaction, so that other writers get their turn, and a slow disk, from which their
files are read, is not taken for a process that hangs."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be dropped."""

    before_s: int
    """Entries that were anchored before this moment, in seconds since 1970."""
    keep: frozenset[bytes] = frozenset()
    """Streams that are left as they are."""
    expired: bool = False
    """Also what certificates name that have expired by then and are not demanded. Then an opening that somebody demands
    later cannot be answered from these entries."""


@dataclass(slots=True)
class Retained:
    """A stream's log after its old entries were dropped, or as it would be."""

    stream: bytes
    entries: int
    dropped: int
    """Entries that were dropped before."""
    now: int = 0
    """Entries that were dropped now, or can be."""
    bytes: int = 0
    """Size of what was dropped now: salts and content."""
    unreadable: int = 0
    """Old entries whose file cannot be read, so that nobody can tell whether they are needed: they stay."""


def find_droppable(store: Store, rule: Rule) -> list[Retained]:
    """What `drop_evidence` would drop, by stream."""
    with store.reading() as connection:
        return [found for found, _ in _look(connection, rule)]


def drop_evidence(store: Store, rule: Rule) -> list[Retained]:
    """Drop old entries, for good; returns what was dropped, by stream. Idempotent."""
    with store.reading() as connection:
        found = list(_look(connection, rule))
    for retained, firsts in found:
        retained.now = retained.bytes = 0
        for start in range(0, len(firsts), _AT_ONCE):
            with store.transaction() as connection:
                # Judged again under the write lock: a certificate may name an old entry since.
                part = Book(connection).runs_from(retained.stream, firsts[start : start + _AT_ONCE])
                files = {row.index: row.file for row in part}
                going = list(_Needed(connection, retained.stream, rule).spare(part))
                Book(connection).drop(retained.stream, [row.index for row in going])
            remove_files(store, retained.stream, {row.index: files[row.index] for row in going})
            retained.now += sum(row.count for row in going)
            retained.bytes += sum(map(_size, going))
    return [retained for retained, _ in found]


def _look(connection: Connection, rule: Rule) -> Iterator[tuple[Retained, list[int]]]:
    book = Book(connection)
    for stream, (entries, dropped, _) in sorted(book.evidence_counts().items()):
        found, firsts = Retained(stream, entries, dropped), list[int]()
        needed = _Needed(connection, stream, rule)
        for row in needed.spare(book.runs(stream, needed.size)):
            firsts.append(row.index)
            found.now += row.count
            found.bytes += _size(row)
        found.unreadable = needed.unreadable
        yield found, firsts


def _size(row: EvidenceRow) -> int:
    return len(row.salts) + len(row.entries.encode())


class _Needed:
    """Which entries of a stream must be kept: somebody may still ask for them."""

    def __init__(self, connection: Connection, stream: bytes, rule: Rule) -> None:
        self._rows, self._book, self._rule = Rows(connection), Book(connection), rule
        # The last anchor before the moment covers what is old: anchors grow in size and time alike.
        anchor = self._rows.latest_before(AnchorRow, "anchored_at", rule.before_s, stream=stream)
        left_out = anchor is None or stream in rule.keep
        self.size = 0 if anchor is None or left_out else anchor.size
        """Number of entries that are old enough."""
        self.unreadable = 0
        """Entries that could not be judged."""
        try:
            spans = sorted(self._spans(stream)) if self.size else []
        except StoreError:  # what a certificate names cannot be read, nor from what it was cut: all stays
            self.unreadable, self.size, spans = self.size, 0, []
        self._firsts = [first for first, _ in spans]
        self._lasts = list(accumulate((last for _, last in spans), max))

    def spare(self, rows: Iterable[EvidenceRow]) -> Iterator[EvidenceRow]:
        """Those of a stream's rows that can be dropped, with their content."""
        for row in rows:
            end = row.index + row.count
            if end > self.size or row.is_dropped or not set(row.kinds) <= _MEASURED:
                continue
            # Of the spans that begin before the row ends, the one that ends last decides.
            place = bisect_left(self._firsts, end)
            if place and self._lasts[place - 1] >= row.index:
                continue
            try:
                full = self._book.with_content(row)
            except StoreError:  # a file that is missing or was changed; the database itself would fail elsewhere, too
                self.unreadable += row.count
                continue
            if _REGISTER not in full.entries:
                yield full

    def _spans(self, stream: bytes) -> Iterator[tuple[int, int]]:
        """First and last index of each needed part."""
        old = {"leaf_index": self.size}
        for assignment in self._rows.within(AssignmentRow, {}, old, stream=stream):
            yield assignment.leaf_index, assignment.leaf_index
        # Also those of later leaves: a window is anchored after the entries that it was cut from.
        certificates = [row for row in self._rows.find(CertificateRow, stream=stream) if not self._is_over(row)]
        texts = self._book.evidence_texts(stream, (row.leaf_index for row in certificates))
        for row in certificates:
            yield row.leaf_index, row.leaf_index
            yield from _window(texts.get(row.leaf_index, ""))

    def _is_over(self, row: CertificateRow) -> bool:
        """Whether nobody can demand, open or refute a certificate, or the rule gives up that it could be."""
        if row.state in (CertificateState.REVOKED, CertificateState.REFUTED):
            return True
        return self._rule.expired and row.state != CertificateState.DEMANDED and row.expires_at < self._rule.before_s


def _window(text: str) -> Iterator[tuple[int, int]]:
    """The entries from which a window was cut; none if the entry is not a window's."""
    entry = json.loads(text) if '"commitment":' in text else None
    if isinstance(entry, dict) and isinstance(entry.get("first"), int) and isinstance(entry.get("last"), int):
        yield entry["first"], entry["last"]
