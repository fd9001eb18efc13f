"""Calls, offers and plans as API, commands and pages show them, to the company that knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from millmark.ledger.errors import NotFoundError, PlanRefusedError
from millmark.ledger.plans import check
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import Offer, OpenedOffer
from millmark.ledger.plans.plan import Cause, Key, Leg, Plan, Row
from millmark.ledger.provenance.answers import Party, Printable
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AnchorRow, OrderRow
from millmark.services.planning import errors, reading
from millmark.services.planning.consent import Standing, find_standing
from millmark.services.planning.repository import LeafRow, PlanningRepository, PlanRow, What


@dataclass(frozen=True, slots=True)
class CallShown(Printable):
    """What a coordinator wants done."""

    call: bytes
    """Digest."""
    coordinator: Party
    closes_at: datetime
    """Offers that are anchored from then on do not count."""
    origin_at: datetime
    """When slot 0 begins."""
    slot_s: int
    """Length of a slot."""
    slots: int
    unit: str
    """What one unit of money is."""
    readers: tuple[Party, ...]
    """Who may read all offers beside the coordinator."""
    orders: int
    operations: int
    offers: int
    """Offers that are known here, whether they count or not."""
    plans: tuple[bytes, ...]
    """Digests of the plans for it that are known here, the latest last."""


@dataclass(frozen=True, slots=True)
class WindowShown(Printable):
    """Slots in which the work may start, and its price then."""

    first: int
    last: int
    price: int


@dataclass(frozen=True, slots=True)
class OfferShown(Printable):
    """An owner's answer to a call."""

    offer: bytes
    """Leaf hash."""
    call: bytes
    owner: Party
    machine: int
    order: bytes
    operation: int
    """From 0."""
    duration: int
    """Slots."""
    setup: int
    """Slots."""
    family: str
    windows: tuple[WindowShown, ...]
    wh: int
    co2e_mg: int
    until_at: datetime
    anchored_at: datetime | None
    received_at: datetime | None
    """When the coordinator had it, by its signed receipt; null without one."""
    counts: bool
    reason: str | None
    """Why it does not count."""


@dataclass(frozen=True, slots=True)
class CauseShown(Printable):
    """Why a plan replaces the one before."""

    kind: str
    text: str
    stream: bytes | None
    leaf: int | None
    """Index of the entry in the stream."""
    record: int | None


@dataclass(frozen=True, slots=True)
class RowShown(Printable):
    """One operation on one machine."""

    order: bytes
    identifier: str | None
    """Identifier of the order."""
    operation: int
    """From 0."""
    machine: int
    owner: Party
    offer: bytes
    start: int
    """Slot."""
    end: int
    """The slot after the last one."""
    starts_at: datetime
    ends_at: datetime
    price: int
    wh: int
    co2e_mg: int
    assignment: int | None
    """The operation's current assignment, if that is of this very row."""
    state: str
    """`planned`, or the state of that assignment; `failed` if it was done and its operation is done again."""
    rework: int
    """Which rework of its operation it is; 0 for the first time that it is done."""


@dataclass(frozen=True, slots=True)
class LegShown(Printable):
    """Transport after an operation."""

    order: bytes
    after: int
    origin: Party
    destination: Party
    carrier: Party | None
    starts_at: datetime
    ends_at: datetime
    cost: int


@dataclass(frozen=True, slots=True)
class PlanShown(Printable):
    """A plan, or the part of it that concerns this gateway's company."""

    plan: bytes
    """Digest."""
    call: bytes
    coordinator: Party
    before: bytes | None
    cause: CauseShown | None
    latest: bool
    whole: bool
    """Whether all of it is known here, and not this company's rows and legs alone."""
    anchored_at: datetime | None
    unit: str
    total: int
    """Cost of the whole plan."""
    bound: int
    """No plan on these offers costs less."""
    spent: int
    """The part of `total` and `bound` that reworked rows cost."""
    gap_per_mille: int
    """How much cheaper a plan on these offers could be at most, of the cost without what was spent."""
    offers: int
    """How many offers it lists."""
    rows: tuple[RowShown, ...]
    reworked: tuple[RowShown, ...]
    """Rows of plans before that were done and whose part failed; `rows` has each of these operations once more."""
    legs: tuple[LegShown, ...]


@dataclass(frozen=True, slots=True)
class ShareShown(Printable):
    """How much of what an owner offered is used."""

    owner: Party
    offered: int
    """Slots."""
    used: int
    """Slots."""


@dataclass(frozen=True, slots=True)
class PlanCheckShown(Printable):
    """What this company finds about a plan by what it knows."""

    plan: bytes
    holds: bool
    whole: bool
    """Whether all of the plan was checked, and not this company's part alone."""
    rule: str | None
    """The rule that is broken."""
    reason: str | None
    gap_per_mille: int | None
    shares: tuple[ShareShown, ...]
    fairness_per_mille: int | None
    """Jain's index of used by offered slots."""
    moved: int | None
    """Rows of the plan before that have another offer or start."""
    unsold: int | None
    """For a part of a plan: slot prices of own slots that no own row uses; at most the plan's gap."""
    compared: tuple[str, ...]
    """What a plan file alone cannot show, and is so by this gateway's index of the ledger and its chain."""
    not_checked: tuple[str, ...]


class Reader:
    """Reads what one company knows, within one transaction. Methods raise NotFoundError for what it does not know."""

    def __init__(self, rows: Rows, book: Book, planning: PlanningRepository, me: int) -> None:
        self._rows, self._book, self._planning, self._me = rows, book, planning, me
        self._names = book.names()

    def calls(self, after: bytes | None, most: int) -> list[CallShown]:
        return [self.call(row.digest) for row in self._planning.page_of_calls(after, most)]

    def call(self, digest: bytes) -> CallShown:
        call = reading.need_call(self._rows, digest)
        return CallShown(
            call=digest,
            coordinator=self.party(call.coordinator),
            closes_at=_moment(call.closes),
            origin_at=_moment(call.origin),
            slot_s=call.slot,
            slots=call.slots,
            unit=call.unit,
            readers=tuple(map(self.party, call.readers)),
            orders=len(call.jobs),
            operations=sum(len(job.operations) for job in call.jobs),
            offers=len(self._planning.leaves(digest, What.OFFER)),
            plans=tuple(row.digest for row in self._planning.plans(digest)),
        )

    def offers(self, digest: bytes) -> list[OfferShown]:
        """All that are known here, by leaf hash."""
        call = reading.need_call(self._rows, digest)
        opened = reading.open_offers(self._rows, self._planning, digest)
        counted = reading.count_known(self._rows, self._book, self._planning, call)
        receipts = self._planning.receipts(one.id for one in opened)
        found = []
        for one in sorted(opened, key=lambda one: one.id):
            if isinstance(one.entry, Offer):
                receipt = receipts.get(one.id)
                refused = counted.refused.get(one.id, errors.PlanningGround.NOT_ANCHORED.write())
                reason = None if one.id in counted.offers else refused
                found.append(self._offer(one, one.entry, None if receipt is None else receipt.received_at, reason))
        return found

    def plan(self, digest: bytes) -> PlanShown:
        row, leaf = self._need_plan(digest)
        call = reading.need_call(self._rows, row.call)
        plan = reading.find_plan(self._book, row, leaf)
        part = plan or reading.find_part(self._book, row, leaf, self._me)
        total, spent = (part.cost.total, part.cost.spent) if isinstance(part, Plan) else (part.total, part.spent)
        latest = self._planning.plans(row.call)[-1].digest == digest
        standing, reworks = find_standing(self._rows, self._book, part), Counter(row.key for row in part.reworked)
        failed = [self._row(call, one, None, number) for one, number in _number(part.reworked)]
        return PlanShown(
            plan=digest,
            call=row.call,
            coordinator=self.party(call.coordinator),
            before=part.before,
            cause=None if part.cause is None else _cause(part.cause),
            latest=latest,
            whole=plan is not None,
            anchored_at=self._anchored_at(leaf),
            unit=call.unit,
            total=total,
            bound=part.bound.value,
            spent=spent,
            gap_per_mille=check.gap_per_mille(total, part.bound.value, spent=spent),
            offers=len(part.offers),
            rows=tuple(self._row(call, one, standing[one.key], reworks[one.key]) for one in part.rows),
            reworked=tuple(failed),
            legs=tuple(self._leg(call, one) for one in part.legs),
        )

    def closes(self, digest: bytes) -> int:
        """When the call of a plan closed, Unix seconds."""
        return reading.need_call(self._rows, self._need_plan(digest)[0].call).closes

    def check(self, digest: bytes, tie: bytes | None = None) -> PlanCheckShown:
        """Checks a plan by what is known here: whole by readers, its own part by an owner. Terms, machines and anchors
        are those of the index; `tie` is the hash of the first block since the call closed, None if no chain said so."""
        row, leaf = self._need_plan(digest)
        call, plan = reading.need_call(self._rows, row.call), reading.find_plan(self._book, row, leaf)
        try:
            return self._check_part(call, row, leaf, tie) if plan is None else self._check_whole(call, plan, tie)
        except PlanRefusedError as error:
            return PlanCheckShown(
                digest, False, plan is not None, str(error.rule), error.cause, None, (), None, None, None, (), ()
            )

    def party(self, number: int) -> Party:
        return Party(number, self._names.get(number))

    def _verify_ledger(self, call: Call, orders: set[bytes], stated: bytes, tie: bytes | None) -> list[str]:
        """What of a plan is compared with the ledger. Raises PlanRefusedError."""
        terms = {row.subject: row.claims_root for row in self._rows.among(OrderRow, "subject", orders)}
        check.verify_revisions(call, terms, orders)
        if tie is None:
            return [check.Unseen.TERMS.write()]
        check.verify_tie(stated, tie)
        return [check.Unseen.TERMS.write(), check.Unseen.TIE.write()]

    def _check_whole(self, call: Call, plan: Plan, tie: bytes | None) -> PlanCheckShown:
        earlier = None if plan.before is None else reading.find_whole(self._book, self._planning, plan.before)
        found = check.check_plan(reading.plan_file(self._rows, self._book, self._planning, call, plan, earlier))
        # The file was written from the index, with its machines and anchors.
        seen = [check.Unseen.MACHINES.write(), check.Unseen.ANCHORS.write()]
        seen += self._verify_ledger(call, _orders(plan.rows), plan.tie, tie)
        shares = found.shares()
        shown = tuple(ShareShown(self.party(one.owner), one.offered, one.used) for one in shares)
        numbers = found.gap_per_mille, shown, check.jain_per_mille(shares), found.moved
        compared = tuple(line for line in found.not_checked if line in seen)
        unseen = tuple(line for line in found.not_checked if line not in seen)
        return PlanCheckShown(plan.digest, True, True, None, None, *numbers, None, compared, unseen)

    def _check_part(self, call: Call, row: PlanRow, leaf: LeafRow, tie: bytes | None) -> PlanCheckShown:
        part = reading.find_part(self._book, row, leaf, self._me)
        counted = reading.count_known(self._rows, self._book, self._planning, call)
        own = [(key, offer) for key, offer in counted.offers.items() if offer.owner == self._me]
        found = check.check_part(part, own)
        compared = self._verify_ledger(call, _orders(part.rows), part.tie, tie)
        gap = check.gap_per_mille(part.total, part.bound.value, spent=part.spent)
        unseen = [check.Unseen.OTHERS.write()]
        unseen += [] if (line := check.Unseen.TIE.write()) in compared else [line]
        if found.dropped:
            unseen.append(check.Unseen.OWN_DROPPED.write(count=found.dropped))
        lines = tuple(compared), tuple(unseen)
        return PlanCheckShown(row.digest, True, False, None, None, gap, (), None, None, found.unsold, *lines)

    def _need_plan(self, digest: bytes) -> tuple[PlanRow, LeafRow]:
        row = self._planning.plan(digest)
        leaf = None if row is None else self._planning.leaf(row.leaf)
        if row is None or leaf is None:
            raise NotFoundError("no such plan is known here", hint="see /v1/calls for the plans of each call")
        return row, leaf

    def _offer(self, one: OpenedOffer, offer: Offer, received_at: int | None, reason: str | None) -> OfferShown:
        return OfferShown(
            offer=one.id,
            call=offer.call,
            owner=self.party(offer.owner),
            machine=offer.machine,
            order=offer.order,
            operation=offer.operation,
            duration=offer.duration,
            setup=offer.setup,
            family=offer.family,
            windows=tuple(WindowShown(*window) for window in offer.windows),
            wh=offer.wh,
            co2e_mg=offer.co2e_mg,
            until_at=_moment(offer.until),
            anchored_at=None if one.anchored is None else _moment(one.anchored.time),
            received_at=None if received_at is None else _moment(received_at),
            counts=reason is None,
            reason=reason,
        )

    def _row(self, call: Call, row: Row, what: Standing | None, rework: int) -> RowShown:
        """`what`: what became of it; None if it was done, and failed."""
        identity = self._book.identity(row.order)
        state = None if what is None else what.state
        given = None if what is None or state is None else what.assignment
        return RowShown(
            order=row.order,
            identifier=None if identity is None else identity.identifier,
            operation=row.operation,
            machine=row.machine,
            owner=self.party(row.owner),
            offer=row.offer,
            start=row.start,
            end=row.end,
            starts_at=_slot(call, row.start),
            ends_at=_slot(call, row.end),
            price=row.price,
            wh=row.wh,
            co2e_mg=row.co2e_mg,
            assignment=None if given is None else given.sequence,
            state="failed" if what is None else "planned" if state is None else state.name.lower(),
            rework=rework,
        )

    def _leg(self, call: Call, leg: Leg) -> LegShown:
        carrier = None if leg.carrier == 0 else self.party(leg.carrier)
        ways = self.party(leg.origin), self.party(leg.destination), carrier
        return LegShown(leg.order, leg.after, *ways, _slot(call, leg.start), _slot(call, leg.end), leg.cost)

    def _anchored_at(self, leaf: LeafRow) -> datetime | None:
        anchors = [one for one in self._rows.find(AnchorRow, stream=leaf.stream) if one.size > leaf.leaf_index]
        return None if not anchors else _moment(min(anchors, key=lambda one: one.size).anchored_at)


def _number(reworked: Iterable[Row]) -> Iterator[tuple[Row, int]]:
    """Each row with the number of times that its operation was done before."""
    seen = Counter[Key]()
    for row in reworked:
        yield row, seen[row.key]
        seen[row.key] += 1


def _orders(rows: Iterable[Row]) -> set[bytes]:
    return {row.order for row in rows}


def _cause(cause: Cause) -> CauseShown:
    return CauseShown(cause.kind.value, cause.text, cause.stream, cause.leaf, cause.record)


def _slot(call: Call, slot: int) -> datetime:
    return _moment(call.origin + slot * call.slot)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
