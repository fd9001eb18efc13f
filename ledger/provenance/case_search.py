"""Finds the quality cases that concern a reader, among the recall notices of the whole network.

Most notices concern others alone, or were answered or closed long ago. They are passed over with a few questions for
many of them; only what is left is built (millmark.ledger.provenance.cases), since that is a walk for each. A search is
bounded in notices and in lots. The newest notices are looked at first, and `CaseList.truncated` says that not all were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from millmark.ledger.provenance import cases
from millmark.ledger.provenance.cases import Case, build_case, reach
from millmark.ledger.provenance.limits import Limits
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import LotState, NoteKind
from millmark.ledger.store.rows import LotRow, NoteRow, PackingRow, RecordHistoryRow

__all__ = ["CaseList", "find_cases", "find_opened"]

_PART = 64
"""Notices that are looked at together."""
_MOST_NOTICES = 1_024
_MOST_LOTS = 200_000
"""Lots that a search walks over; those that it walks over again count again."""


@dataclass(frozen=True, slots=True)
class CaseList:
    """Newest first."""

    items: tuple[Case, ...]
    truncated: bool
    """Whether a case may be missing because not every notice, or not everything that one reaches, was looked at. Cases
    beyond the number asked for do not count."""


def find_cases(reader: Reader, most: int, *, awaiting: int | None = None) -> CaseList:
    """The latest cases that reach something visible to the reader's participant, or that it opened; with `awaiting`,
    only those that await that company's answer, however many later ones concern others alone, within the bounds."""
    search = _Search(reader, awaiting)
    built = (build_case(reader, notice) for notice in search.notices())
    found = (case for case in built if case is not None and (awaiting is None or case.awaits(awaiting)))
    # No further than needed: to build a case is a walk through everything made of its lots.
    items = tuple(islice(found, most))
    return CaseList(items, search.truncated)


def find_opened(reader: Reader, author: int, most: int) -> CaseList:
    """The latest cases that a company opened and has not closed, among the latest notices of the network."""
    kind = int(NoteKind.RECALL_NOTICE)
    looked = reader.rows.page(NoteRow, "sequence", None, _MOST_NOTICES, newest_first=True, note_kind=kind)
    own = [one for one in looked if one.participant == author]
    built = (build_case(reader, one) for one in (_not_closed(reader, own) if own else ()))
    found = tuple(islice((one for one in built if one is not None and one.closed is None), most + 1))
    return CaseList(found[:most], len(found) > most or len(looked) >= _MOST_NOTICES)


class _Search:
    def __init__(self, reader: Reader, holder: int | None) -> None:
        self._reader, self._holder = reader, holder
        self._lots_left = _MOST_LOTS
        self.truncated = False

    def notices(self) -> Iterator[NoteRow]:
        """Those that may concern the reader or await the holder, newest first."""
        before, looked = None, 0
        while True:
            part = self._reader.rows.page(
                NoteRow, "sequence", before, _PART, newest_first=True, note_kind=int(NoteKind.RECALL_NOTICE)
            )
            if not part:
                return
            if looked >= _MOST_NOTICES or self._lots_left <= 0:
                self.truncated = True
                return
            before, looked = part[-1].sequence, looked + len(part)
            # What is closed awaits nobody.
            yield from self._narrow(part if self._holder is None else _not_closed(self._reader, part))

    def _narrow(self, notices: Sequence[NoteRow]) -> Iterator[NoteRow]:
        """Asked for all at once, then for halves."""
        if not notices or not self._may_concern(notices):
            return
        if len(notices) == 1:
            yield notices[0]
            return
        middle = len(notices) // 2
        yield from self._narrow(notices[:middle])
        yield from self._narrow(notices[middle:])

    def _may_concern(self, notices: Sequence[NoteRow]) -> bool:
        seen = self._reader.visibility
        if self._holder is None and (seen is None or any(one.participant == seen.participant for one in notices)):
            return True
        lots, truncated = self._reach(notices)
        if self._holder is not None:
            concerned = _has_unanswered(self._reader, lots, self._holder, max(one.sequence for one in notices))
        else:
            concerned = seen is None or bool(seen.lots(lots))
        # One notice that reaches very much has used up what the others of its part may reach.
        if truncated and len(notices) > 1:
            return True
        self.truncated |= truncated and not concerned
        return concerned

    def _reach(self, notices: Sequence[NoteRow]) -> tuple[list[bytes], bool]:
        """Nothing once the search has walked over as many lots as it may."""
        if self._lots_left <= 0:
            self.truncated = True
            return [], False
        links = self._reader.rows.among(RecordHistoryRow, "sequence", [one.sequence for one in notices])
        limits = Limits(cases.LIMITS.depth, cases.LIMITS.lots * len(notices))
        roots, made, truncated = reach(self._reader, sorted({link.subject for link in links}), limits)
        lots = [*roots, *(lot for lot, _ in made)]
        self._lots_left -= len(lots)
        return lots, truncated


def _not_closed(reader: Reader, notices: Sequence[NoteRow]) -> list[NoteRow]:
    """Those whose authors have not resolved everything that they name. Found in the histories of what they name."""
    named: dict[int, set[bytes]] = defaultdict(set)
    for link in reader.rows.among(RecordHistoryRow, "sequence", [one.sequence for one in notices]):
        named[link.sequence].add(link.subject)
    subjects = set().union(*named.values())
    resolutions = _notes_on(reader, subjects, min(one.sequence for one in notices), NoteKind.RESOLUTION)

    def is_closed(notice: NoteRow) -> bool:
        own = (
            about
            for row, about in resolutions
            if row.participant == notice.participant and row.sequence > notice.sequence
        )
        return named[notice.sequence] <= set().union(*own)

    return [one for one in notices if not is_closed(one)]


def _has_unanswered(reader: Reader, lots: Collection[bytes], holder: int, newest: int) -> bool:
    """Whether the holder has one of the lots, and has not acknowledged anything on it, or on what it is packed in,
    after the record `newest`. Of several notices it is the newest: what came after that answers all of them."""
    around = _held(reader, lots, holder)
    subjects = set().union(*around)
    noted = _notes_on(reader, subjects, newest, NoteKind.ACKNOWLEDGEMENT)
    answered = set().union(*(about for row, about in noted if row.participant == holder))
    return any(answered.isdisjoint(one) for one in around)


def _held(reader: Reader, lots: Collection[bytes], holder: int) -> list[set[bytes]]:
    """Each of the lots that the holder has and that is not spent, with those in which it is packed. The row of a packed
    lot keeps the custodian who packed it; who has it is said by that of the outermost in which it is packed. So beside
    the holder's own rows, only those of packed lots are read."""
    own = reader.rows.among(LotRow, "subject", lots, custodian=holder)
    packed = reader.rows.values(PackingRow, "child", "child", lots, unpacked_by=0)
    around = reader.around({*packed, *(row.subject for row in own)})
    return [
        {row.subject for row in rows}
        for rows in around.values()
        if rows[0].state != LotState.SPENT and rows[-1].custodian == holder
    ]


def _notes_on(
    reader: Reader, subjects: Collection[bytes], after: int, kind: NoteKind
) -> list[tuple[NoteRow, set[bytes]]]:
    """The notes of a kind in the histories of these subjects after a record, each with those that it is about."""
    about: dict[int, set[bytes]] = defaultdict(set)
    for link in reader.rows.among(RecordHistoryRow, "subject", subjects):
        if link.sequence > after:
            about[link.sequence].add(link.subject)
    rows = reader.rows.among(NoteRow, "sequence", list(about), note_kind=int(kind))
    return [(row, about[row.sequence]) for row in rows]
