"""Quality cases: a recall notice, the lots that it reaches, who has them, and what they answered.

A case is nothing but records. It is opened by a note of kind `RECALL_NOTICE`, and reaches the lots that the note names
(of an order, all its lots), what is packed in them, and everything made from those. Whoever has one of these lots
answers with notes on them: `ACKNOWLEDGEMENT` and `RESOLUTION`. So each company finds the cases that concern it in its
own index, and nobody can say later that it was not recorded; what the notice says in words goes from company to company
with the hand-over (services/handover/HANDOVER.md).

Not established: that anybody read a notice before acknowledging it, or did what a resolution says.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from millmark.ledger.canonical import Json
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import MillmarkError, NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers, cases
from millmark.ledger.provenance.answers import moment
from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.provenance.reader import Nearest, Reader
from millmark.ledger.records import CertificateState, CertificateStatus, Contract, LotState, NoteKind, Verdict
from millmark.ledger.store import Rows
from millmark.ledger.store import rows as tables

# What companies wrote beside their records, as far as the reader's own book has it: a reason, a remark, a notice. The
# ledger has only the roots of these documents.

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
    rows = reader.rows.among(tables.RecordRow, "sequence", sequences, contract=Contract.LEDGER.value)
    return {row.sequence: document for row, document in _of_records(reader, rows)}


def find_quarantines(reader: Reader, lots: Collection[bytes]) -> dict[bytes, Json]:
    """What was written when these lots were last put in quarantine by a record of its own, by lot; nothing of those
    that were released since."""
    apart, freed = (find_last(reader, lots, kind) for kind in ("LotQuarantined", "LotReleased"))
    rows = [row for lot, row in apart.items() if lot not in freed or freed[lot].sequence < row.sequence]
    return {row.subject: document for row, document in _of_records(reader, rows)}


def find_last(reader: Reader, lots: Collection[bytes], kind: str) -> dict[bytes, tables.RecordRow]:
    """The last record of this kind about each of these lots that has any."""
    rows = reader.rows.among(tables.RecordRow, "subject", lots, kind=kind, contract=Contract.LEDGER.value)
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


def _of_records(reader: Reader, rows: Collection[tables.RecordRow]) -> list[tuple[tables.RecordRow, Json]]:
    roots = {row.sequence: tuple(row.event().roots()) for row in rows}
    written = find_written(reader, {root for found in roots.values() for root in found})
    return [(row, written[root]) for row in rows for root in roots[row.sequence][:1] if root in written]


LIMITS = Limits(depth=64, lots=1_000)
"""Limits on what a case lists."""
MOST_NOTED = 64
"""Most subjects of one note (Notes.MOST_SUBJECTS)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A note that answers a notice, on lots that it reaches."""

    sequence: int
    by: answers.Party
    time: datetime | None


@dataclass(frozen=True, slots=True)
class CaseLot:
    """A lot that the notice reaches."""

    lot: answers.RelatedLot
    acknowledged: Reply | None
    """The first acknowledgement on it by the company that has it now."""
    resolved: Reply | None
    """The first resolution on it by that company."""

    @property
    def is_open(self) -> bool:
        """Whether something of it is left, and the company that has it recorded no resolution."""
        return self.lot.state is not LotState.SPENT and self.resolved is None


@dataclass(frozen=True, slots=True)
class CaseParty:
    """A company that has lots which the notice reaches."""

    party: answers.Party
    lots: int
    """Number of those of which something is left."""
    acknowledged: int
    """How many of these it acknowledged the notice for."""
    resolved: int
    first: Reply | None
    """Its first acknowledgement."""
    last: Reply | None
    """Its latest resolution."""

    @property
    def has_acknowledged(self) -> bool:
        return self.acknowledged == self.lots

    @property
    def has_resolved(self) -> bool:
        return self.resolved == self.lots


@dataclass(frozen=True, slots=True)
class Case:
    """`lots`, `parties` and `unheard` are those visible to the reader's participant."""

    number: int
    """Sequence of the notice."""
    raised_by: answers.Party
    time: datetime | None
    document: Json
    """What the notice says; None if it was not handed over."""
    named: tuple[answers.RelatedLot, ...]
    """The lots that the notice names."""
    lots: tuple[CaseLot, ...]
    parties: tuple[CaseParty, ...]
    closed: Reply | None
    """The resolution by who recorded the notice, on everything that it names."""
    truncated: bool
    whole: bool
    """Whether whatever is left of all that it reaches was looked at, and is visible to the reader's participant."""

    @property
    def open_lots(self) -> int:
        return 0 if self.closed else sum(one.is_open for one in self.lots)

    def awaits(self, participant: int | None) -> bool:
        """Whether the company has lots for which it has not acknowledged the notice."""
        return self.closed is None and any(
            one.party.participant == participant and not one.has_acknowledged for one in self.parties
        )


def find_case(reader: Reader, number: int) -> Case:
    """The case that a notice opened. Raises NotFoundError if there is none, or nothing of it is visible."""
    notice = reader.rows.get(tables.NoteRow, number)
    case = None if notice is None or notice.note_kind != NoteKind.RECALL_NOTICE else build_case(reader, notice)
    if case is None:
        raise NotFoundError(f"record {number} opened no case", hint="use the sequence of the recall notice")
    return case


def find_noteable(reader: Reader, participant: int, lots: Collection[bytes]) -> list[tables.LotRow]:
    """Those of the lots on which the contract lets a participant record a note: it has them, unpacked; or made them, as
    its book shows; or is buyer, coordinator or inspector of their order. In the given order, at most 64."""
    rows = {row.subject: row for row in reader.rows.among(tables.LotRow, "subject", lots)}
    wanted = {row.order for row in rows.values() if row.order is not None}
    orders = {
        row.subject
        for row in reader.rows.among(tables.OrderRow, "subject", wanted)
        if participant in (row.buyer, row.coordinator, *(gate.inspector for gate in tables.gates_of(row)))
    }
    found: list[tables.LotRow] = []
    for lot in lots:
        row = rows.get(lot)
        if row is not None and len(found) < MOST_NOTED:
            has = row.custodian == participant and row.parent is None
            if has or row.order in orders or _made(reader, participant, lot):
                found.append(row)
    return found


def find_own(reader: Reader, case: Case, participant: int) -> list[tables.LotRow]:
    """On what a company can answer a notice: the lots that it has and has not resolved or, where they are packed, those
    in which they are; at most 64."""
    open_lots = [one.lot for one in case.lots if one.is_open and one.lot.holder.participant == participant]
    outermost = {([lot.subject, *(one for one, _ in reader.carriers(lot.subject))])[-1]: None for lot in open_lots}
    return find_noteable(reader, participant, list(outermost))


def _made(reader: Reader, participant: int, lot: bytes) -> bool:
    identity = reader.book.identity(lot)
    return identity is not None and identity.creator == participant


def build_case(reader: Reader, notice: tables.NoteRow) -> Case | None:
    """The case that a notice opened; None if nothing of it is visible to the reader's participant."""
    subjects = sorted(row.subject for row in reader.rows.find(tables.RecordHistoryRow, sequence=notice.sequence))
    named = [row.subject for row in reader.rows.among(tables.LotRow, "subject", subjects)]
    roots, made, truncated = reach(reader, subjects, LIMITS)
    reached = [*((lot, 0) for lot in roots), *made]
    visible = reader.visible(SubjectKind.LOT, [lot for lot, _ in reached])
    own = reader.visibility is not None and reader.visibility.participant == notice.participant
    if not visible and not own and reader.visibility is not None:
        return None
    lots = reader.related([(lot, depth) for lot, depth in reached if lot in visible])
    around = {lot.subject: frozenset([lot.subject, *(one for one, _ in reader.carriers(lot.subject))]) for lot in lots}
    replies = _replies(reader, notice, frozenset(subjects).union(*around.values()))
    shown = tuple(_lot(lot, around[lot.subject], replies) for lot in lots)
    return Case(
        number=notice.sequence,
        raised_by=reader.party(notice.participant),
        time=moment(notice.recorded_at),
        document=find_written(reader, [notice.claims_root]).get(notice.claims_root),
        named=tuple(one.lot for one in shown if one.lot.subject in named),
        lots=shown,
        parties=_parties(shown),
        closed=_closed(notice.participant, subjects, replies),
        truncated=truncated,
        whole=not truncated and not _is_left(reader, {lot for lot, _ in reached}.difference(visible)),
    )


def reach(reader: Reader, subjects: Sequence[bytes], limits: Limits) -> tuple[list[bytes], Nearest, bool]:
    """The lots named, of orders named and packed in these; what was made of them; whether the limits ended it."""
    named = [row.subject for row in reader.rows.among(tables.LotRow, "subject", subjects)]
    of_orders = [row.subject for row in reader.rows.among(tables.LotRow, "order", set(subjects) - set(named))]
    start = sorted({*named, *of_orders})
    inside, cuts = reader.nearest("contents", reader.lineage.contents, start, limits)
    roots = [*start, *(lot for lot, _ in inside)]
    made, more = reader.nearest("lots", reader.lineage.downstream, roots, limits)
    return roots, made, bool(cuts or more)


def _is_left(reader: Reader, lots: Collection[bytes]) -> bool:
    return any(row.state != LotState.SPENT for row in reader.rows.among(tables.LotRow, "subject", lots))


@dataclass(frozen=True, slots=True)
class _Noted:
    """A note that answers, and the subjects that it is about."""

    kind: NoteKind
    reply: Reply
    about: frozenset[bytes]


def _replies(reader: Reader, notice: tables.NoteRow, reached: Collection[bytes]) -> list[_Noted]:
    """The answers that came after the notice, oldest first. Found in the histories of what it reaches: among all notes
    of the network, others' would hide them."""
    noted = _notes_on(reader, reached, notice.sequence, NoteKind.ACKNOWLEDGEMENT, NoteKind.RESOLUTION)
    found = []
    for row, about in noted:
        reply = Reply(row.sequence, reader.party(row.participant), moment(row.recorded_at))
        found.append(_Noted(NoteKind(row.note_kind), reply, frozenset(about)))
    return sorted(found, key=lambda one: one.reply.sequence)


def _lot(lot: answers.RelatedLot, around: frozenset[bytes], replies: Collection[_Noted]) -> CaseLot:
    """`around`: the lot, and those in which it is packed, since on a packed lot its holder can record nothing."""

    def first(kind: NoteKind) -> Reply | None:
        by = lot.holder.participant
        fitting = (
            one.reply for one in replies if one.kind is kind and around & one.about and one.reply.by.participant == by
        )
        return next(fitting, None)

    return CaseLot(lot, first(NoteKind.ACKNOWLEDGEMENT), first(NoteKind.RESOLUTION))


def _parties(lots: Collection[CaseLot]) -> tuple[CaseParty, ...]:
    by_holder: dict[int, list[CaseLot]] = {}
    for one in lots:
        if one.lot.state is not LotState.SPENT:
            by_holder.setdefault(one.lot.holder.participant, []).append(one)
    return tuple(_party(held) for _, held in sorted(by_holder.items()))


def _party(held: list[CaseLot]) -> CaseParty:
    acknowledged = [one.acknowledged for one in held if one.acknowledged is not None]
    resolved = [one.resolved for one in held if one.resolved is not None]
    return CaseParty(
        party=held[0].lot.holder,
        lots=len(held),
        acknowledged=len(acknowledged),
        resolved=len(resolved),
        first=min(acknowledged, key=lambda one: one.sequence, default=None),
        last=max(resolved, key=lambda one: one.sequence, default=None),
    )


def _closed(participant: int, subjects: Collection[bytes], replies: Collection[_Noted]) -> Reply | None:
    """The resolution after which the notice's author has resolved everything that it names."""
    left = set(subjects)
    for one in replies:
        if one.kind is NoteKind.RESOLUTION and one.reply.by.participant == participant:
            left -= one.about
            if not left:
                return one.reply
    return None


# Finds the quality cases that concern a reader, among the recall notices of the whole network.
#
# Most notices concern others alone, or were answered or closed long ago. They are passed over with a few questions for
# many of them; only what is left is built (millmark.ledger.provenance.cases), since that is a walk for each. A search
# is bounded in notices and in lots. The newest notices are looked at first, and `CaseList.truncated` says that not all
# were.

_PART = 64
"""Notices that are looked at together."""
_MOST_SEARCHED = 1_024
_MOST_SEARCHED_LOTS = 200_000
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
    looked = reader.rows.page(tables.NoteRow, "sequence", None, _MOST_SEARCHED, newest_first=True, note_kind=kind)
    own = [one for one in looked if one.participant == author]
    built = (build_case(reader, one) for one in (_not_closed(reader, own) if own else ()))
    found = tuple(islice((one for one in built if one is not None and one.closed is None), most + 1))
    return CaseList(found[:most], len(found) > most or len(looked) >= _MOST_SEARCHED)


class _Search:
    def __init__(self, reader: Reader, holder: int | None) -> None:
        self._reader, self._holder = reader, holder
        self._lots_left = _MOST_SEARCHED_LOTS
        self.truncated = False

    def notices(self) -> Iterator[tables.NoteRow]:
        """Those that may concern the reader or await the holder, newest first."""
        before, looked = None, 0
        while True:
            part = self._reader.rows.page(
                tables.NoteRow, "sequence", before, _PART, newest_first=True, note_kind=int(NoteKind.RECALL_NOTICE)
            )
            if not part:
                return
            if looked >= _MOST_SEARCHED or self._lots_left <= 0:
                self.truncated = True
                return
            before, looked = part[-1].sequence, looked + len(part)
            # What is closed awaits nobody.
            yield from self._narrow(part if self._holder is None else _not_closed(self._reader, part))

    def _narrow(self, notices: Sequence[tables.NoteRow]) -> Iterator[tables.NoteRow]:
        """Asked for all at once, then for halves."""
        if not notices or not self._may_concern(notices):
            return
        if len(notices) == 1:
            yield notices[0]
            return
        middle = len(notices) // 2
        yield from self._narrow(notices[:middle])
        yield from self._narrow(notices[middle:])

    def _may_concern(self, notices: Sequence[tables.NoteRow]) -> bool:
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

    def _reach(self, notices: Sequence[tables.NoteRow]) -> tuple[list[bytes], bool]:
        """Nothing once the search has walked over as many lots as it may."""
        if self._lots_left <= 0:
            self.truncated = True
            return [], False
        links = self._reader.rows.among(tables.RecordHistoryRow, "sequence", [one.sequence for one in notices])
        limits = Limits(cases.LIMITS.depth, cases.LIMITS.lots * len(notices))
        roots, made, truncated = reach(self._reader, sorted({link.subject for link in links}), limits)
        lots = [*roots, *(lot for lot, _ in made)]
        self._lots_left -= len(lots)
        return lots, truncated


def _not_closed(reader: Reader, notices: Sequence[tables.NoteRow]) -> list[tables.NoteRow]:
    """Those whose authors have not resolved everything that they name. Found in the histories of what they name."""
    named: dict[int, set[bytes]] = defaultdict(set)
    for link in reader.rows.among(tables.RecordHistoryRow, "sequence", [one.sequence for one in notices]):
        named[link.sequence].add(link.subject)
    subjects = set().union(*named.values())
    resolutions = _notes_on(reader, subjects, min(one.sequence for one in notices), NoteKind.RESOLUTION)

    def is_closed(notice: tables.NoteRow) -> bool:
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
    own = reader.rows.among(tables.LotRow, "subject", lots, custodian=holder)
    packed = reader.rows.values(tables.PackingRow, "child", "child", lots, unpacked_by=0)
    around = reader.around({*packed, *(row.subject for row in own)})
    return [
        {row.subject for row in rows}
        for rows in around.values()
        if rows[0].state != LotState.SPENT and rows[-1].custodian == holder
    ]


def _notes_on(
    reader: Reader, subjects: Collection[bytes], after: int, *kinds: NoteKind
) -> list[tuple[tables.NoteRow, set[bytes]]]:
    """The notes of some kinds in the histories of these subjects after a record, each with those that it is about."""
    about: dict[int, set[bytes]] = defaultdict(set)
    for link in reader.rows.among(tables.RecordHistoryRow, "subject", subjects):
        if link.sequence > after:
            about[link.sequence].add(link.subject)
    return [
        (row, about[row.sequence])
        for kind in kinds
        for row in reader.rows.among(tables.NoteRow, "sequence", list(about), note_kind=int(kind))
    ]


# What speaks against a lot, and against what is packed in it: that somebody called it back, that it is in quarantine,
# or that a verdict that decides about it is no pass that counts. Whoever takes a pallet over should know it before.
#
# Not established: that nothing else is wrong with a lot; one without any certificate has no doubt here.

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


def _find_judged(reader: Reader, lots: Collection[tables.LotRow]) -> dict[bytes, Judged]:
    """What certificates say against these lots, by lot. All are read at once: a pallet may hold many."""
    deciding = {lot.subject: reader.deciding(lot) for lot in lots}
    rows = {row.sequence: row for row in reader.certificate_rows(set().union(*deciding.values()))}
    judged = ((lot.subject, _judged(reader, lot, [rows[one] for one in deciding[lot.subject] if one])) for lot in lots)
    return {lot: one for lot, one in judged if one is not None}


def _judged(reader: Reader, lot: tables.LotRow, certificates: Iterable[tables.CertificateRow]) -> Judged | None:
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
    found = _notes_on(reader, _names(reader, lots), 0, NoteKind.RECALL_NOTICE)
    return {row.sequence: about for row, about in found}


def _find_standing(reader: Reader, about: Iterable[int]) -> tuple[Notice, ...]:
    """Those that their authors have not resolved, oldest first."""
    found = []
    for sequence in sorted(about)[-_MOST_NOTICES:]:
        case = build_case(reader, reader.need(tables.NoteRow, sequence))
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
    rows: list[tables.LotRow] = [row for chain in reader.around(lots).values() for row in chain]
    return {row.subject for row in rows} | {row.order for row in rows if row.order is not None}


# Whom a call-back of lots concerns: who made, has or ever had any of them, or of what was made from them.

_MOST_LOTS = 2_000
"""Lots that are followed."""


def find_concerned(rows: Rows, lots: Collection[bytes], at: int | None = None) -> set[int]:
    """The participants. `at`: sequence of the record that calls the lots back; None if it is not recorded yet. Nobody
    leaves the set as records are added, so that sender and receiver of a notice agree on it although one of them may
    have newer records: what is unpacked after the notice still counts as packed."""
    reached = walk(lots, lambda found: packed_in(rows, found, at) | _made_from(rows, found))
    made = {row.sequence for row in rows.among(tables.LotRow, "subject", reached)}
    found = {row.participant for row in rows.among(tables.RecordRow, "sequence", made, contract=Contract.LEDGER.value)}
    changes = [(row, 0, 0) for row in rows.among(tables.CustodyChangeRow, "lot", reached)]
    packings = rows.among(tables.PackingRow, "child", reached)
    moved = _changes_of(rows, {one.parent for one in packings})
    for one in packings:
        changes += [(row, one.packed_by, one.unpacked_by) for row in moved.get(one.parent, [])]
    return found | {
        row.to_participant
        for row, since, until in changes
        if row.kind.startswith("CustodyAccepted") and row.sequence > since and (not until or row.sequence < until)
    }


def walk(start: Collection[bytes], step: Callable[[set[bytes]], set[bytes]]) -> set[bytes]:
    """`start` and all that follows from it by steps; not much more than 2,000."""
    found, layer = set(start), set(start)
    while layer and len(found) < _MOST_LOTS:
        layer = step(layer) - found
        found |= layer
    return found


def packed_in(rows: Rows, lots: set[bytes], at: int | None = None) -> set[bytes]:
    """What is packed directly in any of these lots, or was so at a record or later."""
    return {row.child for row in rows.among(tables.PackingRow, "parent", lots) if _lasts(row, at)}


def carried_in(rows: Rows, lots: set[bytes], at: int | None = None) -> set[bytes]:
    """That in which any of these lots is packed directly, or was so at a record or later."""
    return {row.parent for row in rows.among(tables.PackingRow, "child", lots) if _lasts(row, at)}


def _lasts(row: tables.PackingRow, at: int | None) -> bool:
    return not row.unpacked_by or (at is not None and row.unpacked_by > at)


def _made_from(rows: Rows, lots: set[bytes]) -> set[bytes]:
    taken: set[int] = rows.values(tables.LotInputRow, "sequence", "lot", lots)
    made: set[bytes] = rows.values(tables.LotOutputRow, "lot", "sequence", taken)
    return made


def _changes_of(rows: Rows, lots: Collection[bytes]) -> dict[bytes, list[tables.CustodyChangeRow]]:
    found: dict[bytes, list[tables.CustodyChangeRow]] = {}
    for row in rows.among(tables.CustodyChangeRow, "lot", lots):
        found.setdefault(row.lot, []).append(row)
    return found
