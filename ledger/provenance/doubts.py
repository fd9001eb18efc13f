"""What speaks against a lot, and against what is packed in it: that somebody called it back, that it is in quarantine,
or that a verdict that decides about it is no pass that counts. Whoever takes a pallet over should know it before.

Not established: that nothing else is wrong with a lot; one without any certificate has no doubt here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.provenance import answers
from millmark.ledger.provenance.cases import build_case
from millmark.ledger.provenance.jsonform import moment
from millmark.ledger.provenance.limits import Limits
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.words import text_of
from millmark.ledger.records import CertificateState, CertificateStatus, LotState, NoteKind, Verdict
from millmark.ledger.store.rows import CertificateRow, LotRow, NoteRow, RecordHistoryRow

__all__ = ["Doubt", "Doubts", "Judged", "Notice", "find_doubts"]

_INSIDE, _FAMILY = Limits(depth=64, lots=200), Limits(depth=64, lots=1_000)
"""Limits on what is packed in a lot, and on what these were made from."""
_MOST_NOTICES = 20
"""Recall notices that are looked at, the latest."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A recall notice that its author has not resolved."""

    number: int
    """Sequence of the notice, by which its case is found."""
    raised_by: answers.Party
    named: tuple[answers.RelatedLot, ...]
    """The lots that it names, as far as they are visible."""
    says: str | None
    """What it says, if its text was handed over."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A certificate that decides about a lot, and is no pass that counts."""

    inspector: answers.Party
    verdict: Verdict
    status: CertificateStatus
    until: datetime | None
    """By when the inspector must show what it rests on; None if it is not doubted."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a lot must not be used as it stands. At least one of the reasons is given."""

    lot: answers.RelatedLot
    notices: tuple[Notice, ...]
    quarantined_by: answers.Party | None
    """Who set it apart; None if it is in no quarantine of its own."""
    judged: Judged | None
    """The verdict that is no pass that counts, or is doubted; None if there is none such."""


@dataclass(frozen=True, slots=True)
class Doubts:
    own: Doubt | None
    """The doubt about the lot itself."""
    inside: tuple[Doubt, ...]
    """Doubts about what is packed in it, by name."""
    contents: int
    """How many lots are packed in it, as far as they were looked at."""
    truncated: bool

    def __bool__(self) -> bool:
        return self.own is not None or bool(self.inside)

    @property
    def lots(self) -> frozenset[bytes]:
        """The subjects of all lots that must not be used."""
        return frozenset(one.lot.subject for one in self.all)

    @property
    def all(self) -> tuple[Doubt, ...]:
        return self.inside if self.own is None else (self.own, *self.inside)


def find_doubts(reader: Reader, lot: bytes) -> Doubts:
    """What speaks against a lot that is in the index and that the reader may see."""
    inside, cut = reader.nearest("contents", reader.lineage.contents, [lot], _INSIDE)
    related = reader.related([(lot, 0), *inside])
    notices, cut_short = _find_notices(reader, [one.subject for one in related])
    lots = [reader.lot(one.subject) for one in related if one.state is not LotState.SPENT]
    judged = _find_judged(reader, lots)
    found = [_doubt(reader, one, notices.get(one.subject, ()), judged.get(one.subject)) for one in related]
    doubted = sorted(filter(None, found[1:]), key=lambda one: one.lot.identifier or "")
    return Doubts(found[0], tuple(doubted), len(inside), bool(cut) or cut_short)


def _doubt(reader: Reader, lot: answers.RelatedLot, notices: tuple[Notice, ...], judged: Judged | None) -> Doubt | None:
    row = reader.lot(lot.subject)
    if lot.state is LotState.SPENT:
        return None
    apart = reader.some_party(row.counterparty) if LotState(row.state).is_quarantined else None
    return Doubt(lot, notices, apart, judged) if notices or apart or judged else None


def _find_judged(reader: Reader, lots: Collection[LotRow]) -> dict[bytes, Judged]:
    """What certificates say against these lots, by lot. All are read at once: a pallet may hold many."""
    deciding = {lot.subject: reader.deciding(lot) for lot in lots}
    rows = {row.sequence: row for row in reader.certificate_rows(set().union(*deciding.values()))}
    judged = ((lot.subject, _judged(reader, lot, [rows[one] for one in deciding[lot.subject] if one])) for lot in lots)
    return {lot: one for lot, one in judged if one is not None}


def _judged(reader: Reader, lot: LotRow, certificates: Iterable[CertificateRow]) -> Judged | None:
    """What the certificates that decide about a lot say against it: a fail before all else."""
    found = []
    for row in certificates:
        verdict, status = Verdict(row.verdict), reader.status(row, lot)
        counts = verdict is Verdict.PASS and status is CertificateStatus.VALID
        waits = counts and row.state == CertificateState.DEMANDED
        if not counts or waits:
            found.append(
                Judged(reader.party(row.issuer), verdict, status, moment(row.opening_deadline) if waits else None)
            )
    return min(found, key=lambda one: (one.verdict is not Verdict.FAIL, one.until is not None), default=None)


def _find_notices(reader: Reader, lots: Sequence[bytes]) -> tuple[dict[bytes, tuple[Notice, ...]], bool]:
    """By lot, the notices that reach it, and whether limits ended the search. They are found in the histories of the
    lots and of what they were made from: among all notices of the network, others' would hide them."""
    family, cut = reader.nearest("upstream", reader.lineage.upstream, lots, _FAMILY)
    about = _find_notes(reader, [*lots, *(one for one, _ in family)])
    if not about:
        return {}, bool(cut)
    standing = _find_standing(reader, about)
    found = {lot: _reaching(reader, lot, about, standing) for lot in lots}
    return found, bool(cut) or len(about) > _MOST_NOTICES


def _find_notes(reader: Reader, lots: Collection[bytes]) -> dict[int, set[bytes]]:
    """The recall notices about these lots, what they are packed in, and their orders; with the subjects found so."""
    links = reader.rows.among(RecordHistoryRow, "subject", _names(reader, lots))
    subjects: dict[int, set[bytes]] = defaultdict(set)
    for link in links:
        subjects[link.sequence].add(link.subject)
    rows = reader.rows.among(NoteRow, "sequence", subjects, note_kind=int(NoteKind.RECALL_NOTICE))
    return {row.sequence: subjects[row.sequence] for row in rows}


def _find_standing(reader: Reader, about: Iterable[int]) -> tuple[Notice, ...]:
    """Those that their authors have not resolved, oldest first."""
    found = []
    for sequence in sorted(about)[-_MOST_NOTICES:]:
        case = build_case(reader, reader.need(NoteRow, sequence))
        if case is not None and case.closed is None:
            found.append(Notice(sequence, case.raised_by, case.named, text_of(case.document)))
    return tuple(found)


def _reaching(
    reader: Reader, lot: bytes, about: Mapping[int, set[bytes]], standing: Sequence[Notice]
) -> tuple[Notice, ...]:
    if not standing:
        return ()
    family, _ = reader.nearest("upstream", reader.lineage.upstream, [lot], _FAMILY)
    names = _names(reader, [lot, *(one for one, _ in family)])
    return tuple(one for one in standing if about[one.number] & names)


def _names(reader: Reader, lots: Iterable[bytes]) -> set[bytes]:
    """Whatever a notice may name in order to reach these lots: they, what they are packed in, and their orders."""
    rows: list[LotRow] = [row for chain in reader.around(lots).values() for row in chain]
    return {row.subject for row in rows} | {row.order for row in rows if row.order is not None}
