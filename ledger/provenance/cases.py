"""Quality cases: a recall notice, the lots that it reaches, who has them, and what they answered.

A case is nothing but records. It is opened by a note of kind `RECALL_NOTICE`, and reaches the lots that the note names
(of an order, all its lots), what is packed in them, and everything made from those. Whoever has one of these lots
answers with notes on them: `ACKNOWLEDGEMENT` and `RESOLUTION`. So each company finds the cases that concern it in its
own index, and nobody can say later that it was not recorded; what the notice says in words goes from company to company
with the hand-over (services/handover/HANDOVER.md).

Not established: that anybody read a notice before acknowledging it, or did what a resolution says.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.canonical import Json
from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.jsonform import moment
from millmark.ledger.provenance.limits import Limits
from millmark.ledger.provenance.reader import Nearest, Reader
from millmark.ledger.provenance.words import find_written
from millmark.ledger.records import LotState, NoteKind
from millmark.ledger.store.rows import LotRow, NoteRow, OrderRow, RecordHistoryRow, gates_of

__all__ = [
    "LIMITS",
    "MOST_NOTED",
    "Case",
    "CaseLot",
    "CaseParty",
    "Reply",
    "build_case",
    "find_case",
    "find_noteable",
    "find_own",
    "reach",
]

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
    notice = reader.rows.get(NoteRow, number)
    case = None if notice is None or notice.note_kind != NoteKind.RECALL_NOTICE else build_case(reader, notice)
    if case is None:
        raise NotFoundError(f"record {number} opened no case", hint="use the sequence of the recall notice")
    return case


def find_noteable(reader: Reader, participant: int, lots: Collection[bytes]) -> list[LotRow]:
    """Those of the lots on which the contract lets a participant record a note: it has them, unpacked; or made them, as
    its book shows; or is buyer, coordinator or inspector of their order. In the given order, at most 64."""
    rows = {row.subject: row for row in reader.rows.among(LotRow, "subject", lots)}
    wanted = {row.order for row in rows.values() if row.order is not None}
    orders = {
        row.subject
        for row in reader.rows.among(OrderRow, "subject", wanted)
        if participant in (row.buyer, row.coordinator, *(gate.inspector for gate in gates_of(row)))
    }
    found: list[LotRow] = []
    for lot in lots:
        row = rows.get(lot)
        if row is not None and len(found) < MOST_NOTED:
            has = row.custodian == participant and row.parent is None
            if has or row.order in orders or _made(reader, participant, lot):
                found.append(row)
    return found


def find_own(reader: Reader, case: Case, participant: int) -> list[LotRow]:
    """On what a company can answer a notice: the lots that it has and has not resolved or, where they are packed, those
    in which they are; at most 64."""
    open_lots = [one.lot for one in case.lots if one.is_open and one.lot.holder.participant == participant]
    outermost = {([lot.subject, *(one for one, _ in reader.carriers(lot.subject))])[-1]: None for lot in open_lots}
    return find_noteable(reader, participant, list(outermost))


def _made(reader: Reader, participant: int, lot: bytes) -> bool:
    identity = reader.book.identity(lot)
    return identity is not None and identity.creator == participant


def build_case(reader: Reader, notice: NoteRow) -> Case | None:
    """The case that a notice opened; None if nothing of it is visible to the reader's participant."""
    subjects = sorted(row.subject for row in reader.rows.find(RecordHistoryRow, sequence=notice.sequence))
    named = [row.subject for row in reader.rows.among(LotRow, "subject", subjects)]
    roots, made, truncated = reach(reader, subjects, LIMITS)
    reached = [*((lot, 0) for lot in roots), *made]
    visible = _visible(reader, [lot for lot, _ in reached])
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
    named = [row.subject for row in reader.rows.among(LotRow, "subject", subjects)]
    of_orders = [row.subject for row in reader.rows.among(LotRow, "order", set(subjects) - set(named))]
    start = sorted({*named, *of_orders})
    inside, cuts = reader.nearest("contents", reader.lineage.contents, start, limits)
    roots = [*start, *(lot for lot, _ in inside)]
    made, more = reader.nearest("lots", reader.lineage.downstream, roots, limits)
    return roots, made, bool(cuts or more)


def _is_left(reader: Reader, lots: Collection[bytes]) -> bool:
    return any(row.state != LotState.SPENT for row in reader.rows.among(LotRow, "subject", lots))


@dataclass(frozen=True, slots=True)
class _Noted:
    """A note that answers, and the subjects that it is about."""

    kind: NoteKind
    reply: Reply
    about: frozenset[bytes]


def _visible(reader: Reader, lots: Collection[bytes]) -> Collection[bytes]:
    return set(lots) if reader.visibility is None else reader.visibility.among(SubjectKind.LOT, lots)


def _replies(reader: Reader, notice: NoteRow, reached: Collection[bytes]) -> list[_Noted]:
    """The answers that came after the notice, oldest first. Found in the histories of what it reaches: among all notes
    of the network, others' would hide them."""
    about: dict[int, set[bytes]] = {}
    for link in reader.rows.among(RecordHistoryRow, "subject", reached):
        if link.sequence > notice.sequence:
            about.setdefault(link.sequence, set()).add(link.subject)
    found = [
        _Noted(
            kind,
            Reply(row.sequence, reader.party(row.participant), moment(row.recorded_at)),
            frozenset(about[row.sequence]),
        )
        for kind in (NoteKind.ACKNOWLEDGEMENT, NoteKind.RESOLUTION)
        for row in reader.rows.among(NoteRow, "sequence", about, note_kind=int(kind))
    ]
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
