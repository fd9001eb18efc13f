"""Heads of the log as evidence entries, which are anchored on the ledger, and the check of the log against them.

One evidence entry covers up to 1,000 log entries. It holds the hash of the last one, which commits to all before it,
and four bytes of the hash of each, which locate the first altered entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import Json
from millmark.ledger.evidence import EvidenceLog
from millmark.services.audit.errors import AuditError, AuditTamperedError
from millmark.services.audit.files import HASH

KIND: Final = "audit-head"
MAX_MARKS: Final = 1_000
_MARK_BYTES: Final = 4
_MARKS: Final = re.compile(r"(?:[0-9a-f]{8}){1,1000}")


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """Commitment to the log entries `first` to `last`, both included."""

    first: int
    last: int
    head: bytes
    marks: bytes
    time: int
    """Unix time, in seconds, at which the head was taken."""

    def to_json(self) -> dict[str, Json]:
        return {
            "kind": KIND,
            "first": self.first,
            "last": self.last,
            "head": self.head.hex(),
            "marks": self.marks.hex(),
            "time": self.time,
        }

    def mark(self, number: int) -> bytes:
        start = (number - self.first) * _MARK_BYTES
        return self.marks[start : start + _MARK_BYTES]


def build_head(first: int, hashes: Sequence[bytes], now_s: int) -> AnchoredHead:
    """The head of consecutive entries that begin with number `first`; 1 to MAX_MARKS hashes."""
    marks = b"".join(one[:_MARK_BYTES] for one in hashes)
    return AnchoredHead(first, first + len(hashes) - 1, hashes[-1], marks, now_s)


def open_heads(log: EvidenceLog, size: int, root: bytes) -> list[AnchoredHead]:
    """The heads that an anchor on the ledger (size, root) covers, read from the private book.

    Raises AuditError when the book lacks some of them or holds others.
    """
    # Entries after the first `size` are stored but not anchored yet, so they prove nothing.
    if len(log.entries) < size or log.tree.root(size) != root:
        raise AuditError(
            f"the database does not hold the {size} audit heads that are anchored on the ledger",
            hint="restore the latest database backup; until then the audit log cannot be checked against the ledger",
        )
    return [parse_head(one.entry) for one in log.entries[:size]]


def parse_head(entry: Json) -> AnchoredHead:
    """Reads a head from an evidence entry. Raises AuditError for any other entry: the stream may hold heads only."""
    if isinstance(entry, dict) and entry.get("kind") == KIND:
        first, last, head, marks, time = (entry.get(name) for name in ("first", "last", "head", "marks", "time"))
        if isinstance(first, int) and isinstance(last, int) and isinstance(time, int) and 0 < first <= last:
            whole = HASH.fullmatch(str(head)) and _MARKS.fullmatch(str(marks))
            if whole and len(str(marks)) == (last - first + 1) * _MARK_BYTES * 2:
                return AnchoredHead(first, last, bytes.fromhex(str(head)), bytes.fromhex(str(marks)), time)
    raise AuditError("the audit stream holds an entry that is not an audit head", hint="use a separate stream")


class AnchoredHeads:
    """Compares log entries, fed in ascending order, with the anchored heads."""

    def __init__(self, heads: Iterable[AnchoredHead]) -> None:
        self._heads = list(heads)
        self._at = 0

    @property
    def last(self) -> int:
        """Number of the last entry that an anchor covers; 0 if there is none."""
        return self._heads[-1].last if self._heads else 0

    def verify(self, number: int, digest: bytes) -> None:
        """Verifies that an entry is the anchored one. Raises AuditTamperedError. Entries outside all heads pass."""
        while self._at < len(self._heads) and self._heads[self._at].last < number:
            self._at += 1
        if self._at == len(self._heads) or number < self._heads[self._at].first:
            return
        head = self._heads[self._at]
        if head.mark(number) != digest[:_MARK_BYTES] or (number == head.last and head.head != digest):
            raise AuditTamperedError(number, "its hash differs from the one anchored on the ledger")

    def verify_end(self, last: int) -> None:
        """Verifies that the log does not end before the last anchored entry. Raises AuditTamperedError."""
        if last < self.last:
            raise AuditTamperedError(
                last + 1, f"the entry is missing, although the ledger anchors entries up to {self.last}"
            )
