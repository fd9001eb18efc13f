"""What companies wrote beside their records, as far as the reader's own book has it: a reason, a remark, a notice. The
ledger has only the roots of these documents."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from millmark.ledger.canonical import Json
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import MillmarkError
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import Contract
from millmark.ledger.store.rows import RecordRow

__all__ = ["GOES_BACK", "find_last", "find_quarantines", "find_words", "find_written", "goes_back", "text_of"]

GOES_BACK = {"next": "return"}
"""In the reason of a quarantine: whoever recorded it means to return the lot to its maker."""
_TEXTS = ("reason", "text", "note")
_MOST_CHARACTERS = 400


def find_written(reader: Reader, roots: Collection[bytes]) -> dict[bytes, Json]:
    """The documents with these roots that can be read. Of another viewer, the book is not asked."""
    if reader.visibility is not None:
        return {}
    found = {}
    for root, kept in reader.book.documents(roots).items():
        try:
            found[root] = parse_claims(json.loads(kept)).document
        except (MillmarkError, ValueError):
            continue
    return found


def find_words(reader: Reader, sequences: Collection[int]) -> dict[int, Json]:
    """What was written beside these records of the ledger, by their sequence."""
    rows = reader.rows.among(RecordRow, "sequence", sequences, contract=Contract.LEDGER.value)
    return {row.sequence: document for row, document in _of_records(reader, rows)}


def find_quarantines(reader: Reader, lots: Collection[bytes]) -> dict[bytes, Json]:
    """What was written when these lots were last put in quarantine by a record of its own, by lot; nothing of those
    that were released since."""
    apart, freed = (find_last(reader, lots, kind) for kind in ("LotQuarantined", "LotReleased"))
    rows = [row for lot, row in apart.items() if lot not in freed or freed[lot].sequence < row.sequence]
    return {row.subject: document for row, document in _of_records(reader, rows)}


def find_last(reader: Reader, lots: Collection[bytes], kind: str) -> dict[bytes, RecordRow]:
    """The last record of this kind about each of these lots that has any."""
    rows = reader.rows.among(RecordRow, "subject", lots, kind=kind, contract=Contract.LEDGER.value)
    return {row.subject: row for row in sorted(rows, key=lambda one: one.sequence)}


def goes_back(document: Json) -> bool:
    """Whether what was written at a quarantine says that the lot is to be returned."""
    return isinstance(document, Mapping) and GOES_BACK.items() <= document.items()


def text_of(document: Json) -> str | None:
    """The words of a document, cut to what a line can show; None if it has none."""
    if not isinstance(document, Mapping):
        return None
    for name in _TEXTS:
        text = document.get(name)
        if isinstance(text, str) and text.strip():
            return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"
    return None


def _of_records(reader: Reader, rows: Collection[RecordRow]) -> list[tuple[RecordRow, Json]]:
    roots = {row.sequence: tuple(row.event().roots()) for row in rows}
    written = find_written(reader, {root for found in roots.values() for root in found})
    return [(row, written[root]) for row in rows for root in roots[row.sequence][:1] if root in written]
