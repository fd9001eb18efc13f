"""Footprints: computed again from the register readings, records and factors that the bundle shows, and compared with
what the lots' documents state.

    1. The document's totals follow from what it states: `parse_footprint` refuses others.
    2. What it counts is what its record took, in these quantities, after all that was taken before.
    3. Each lot that was taken has the amounts of its own footprint.
    4. Each operation has the energy that its two readings say, and the lot the part that the quantities say.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from millmark.ledger.errors import ClaimsError, FootprintError
from millmark.ledger.events import Event
from millmark.ledger.events.lots import LotCommissioned, LotReceived, LotReworked, LotScrapped, LotsTransformed
from millmark.ledger.footprint import (
    ALL,
    PATH,
    Amounts,
    Footprint,
    Own,
    Share,
    Step,
    Taken,
    expected_kept,
    expected_part,
    parse_footprint,
)
from millmark.ledger.records import Transformation, TransformationKind
from millmark.ledger.verify._disclosures import Metered, metered
from millmark.ledger.verify._state import Entry
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.statements import Statement, say


@dataclass(slots=True)
class _Judged:
    """A lot's footprint after a record, with what of it was computed again."""

    record: int
    amounts: Amounts
    """As stated."""
    proved_mg: int = 0
    """The part of `amounts.metered_mg` that follows from readings in this bundle."""
    whole: bool = True
    """Whether nothing of it is only stated but what came from outside the ledger."""
    sound: bool = True
    """Whether nothing that it follows from is contradicted here."""
    readings: frozenset[int] = frozenset()
    """Assignments whose readings it follows from."""


@dataclass(slots=True)
class Footprints:
    """What became of the footprints of a bundle."""

    of: dict[bytes, list[_Judged]] = field(default_factory=dict)
    """By lot, oldest first."""
    doubts: list[Statement] = field(default_factory=list)

    def before(self, lot: bytes, record: int) -> _Judged | None:
        """A lot's footprint as it went into a record."""
        return next((one for one in reversed(self.of.get(lot, [])) if one.record < record), None)


def judge_footprints(verified: Verified) -> Footprints:
    """Compute all footprints again that are shown."""
    return _Judging(verified, metered(verified)).run()


def proved_footprints(verified: Verified) -> Iterator[Statement]:
    """Statements with the parts' footprints, as they follow from what is shown."""
    for part in verified.bundle.parts:
        judged = verified.derive(judge_footprints).of.get(part, [])[-1:]
        if not judged or not judged[0].sound:
            continue
        yield _proved(verified, part, judged[0])


def _proved(verified: Verified, part: bytes, judged: _Judged) -> Statement:
    amounts = judged.amounts
    return say(
        "footprint",
        part,
        (judged.record,),
        lot=verified.thing(part),
        wh=amounts.wh,
        location=amounts.location_mg,
        market=amounts.market_mg,
        metered=judged.proved_mg * 1000 // amounts.location_mg if amounts.location_mg else 0,
        readings=tuple(sorted(judged.readings)),
    )


def unproved_footprints(verified: Verified) -> Iterator[Statement]:
    """What of the footprints is only stated."""
    found = verified.derive(judge_footprints)
    stated = [lot for lot, judged in found.of.items() if any(one.sound and not one.whole for one in judged)]
    if stated:
        yield say("footprint_stated", lots=verified.things(sorted(stated)))
    if found.of:
        yield say("footprint_meters")


@dataclass(slots=True)
class _Judging:
    verified: Verified
    metered: dict[int, Metered]
    found: Footprints = field(default_factory=Footprints)
    used: dict[bytes, list[tuple[int, int, int]]] = field(default_factory=dict)
    """By lot, after each of its records: the record, and what was taken and scrapped by then."""

    def run(self) -> Footprints:
        for one in self.metered.values():
            if one.wh is None:
                self._say("odd_register", one.finished, assignment=one.assignment, **_leaves(one))
        for claims in self.verified.bundle.claims:  # ascending by record: what was taken comes before what was made
            entry = self.verified.by_sequence[claims.record]
            lot = _lot_of(entry, claims.root) or b""
            # Sister pieces have no history here with which theirs could be compared.
            if lot not in self.verified.state.lots or not any(
                path[: len(PATH)] == PATH for path in claims.disclosure.paths
            ):
                continue
            try:
                footprint = parse_footprint(claims.disclosure.part(PATH))
            except ClaimsError:
                continue  # not all of it is shown
            except FootprintError:
                self._say("footprint_malformed", claims.record, lot=self.verified.thing(lot))
                continue
            judged = self._judge(entry, lot, footprint)
            self.found.of.setdefault(lot, []).append(judged)
        return self.found

    def _judge(self, entry: Entry[Event], lot: bytes, footprint: Footprint) -> _Judged:
        step = _step_of(entry)
        named = {"lot": self.verified.thing(lot)}
        judged = _Judged(entry.sequence, footprint.totals)
        if not self._fits(entry, lot, step, footprint):
            self._say("footprint_inputs", entry.sequence, **named)
            judged.sound = judged.whole = False
        shares = [self._judge_share(entry, lot, one, judged) for one in footprint.shares]
        own = [self._judge_own(entry, lot, step, one, judged) for one in footprint.own]
        done = self._work(entry, lot)
        if len(footprint.shares) < len(step.taken) or done - {one.assignment for one in own}:
            judged.whole = False
        if not done and _needs_work(entry.event):
            judged.whole = False  # without an assignment nothing says how much the work used, also if it is stated as 0
        judged.proved_mg = replace(footprint, shares=tuple(shares), own=tuple(own)).totals.metered_mg
        return judged

    def _fits(self, entry: Entry[Event], lot: bytes, step: Step, footprint: Footprint) -> bool:
        """Whether it counts what its record took, in these quantities and no other, and has its part of the step."""
        taken = {one.lot: one for one in step.taken}
        left_over = any(name == lot for name, _ in step.left)
        for share in footprint.shares:
            one = taken.get(share.lot)
            if one is None or one.component is not share.component or (left_over and one.component):
                return False
            if not self._is_next(entry, one, share):
                return False
        if left_over and (footprint.own or footprint.other):
            return False
        # A lot without a share needs a secondary value in its place.
        needed = sum(not (left_over and one.component) for one in step.taken)
        if needed - len(footprint.shares) > len(footprint.other):
            return False
        if not {one.assignment for one in footprint.own if one.assignment} <= self._work(entry, lot):
            return False
        if isinstance(entry.event, LotReworked):
            return footprint.part == footprint.kept == ALL
        try:
            return footprint.part == expected_part(step, lot) and footprint.kept == expected_kept(step, lot)
        except FootprintError:
            return False

    def _is_next(self, entry: Entry[Event], taken: Taken, share: Share) -> bool:
        """Whether a share is of the quantity taken, beginning where what was taken before ends, and of what was left
        after scrap by then. Where records are withheld, it may begin later."""
        source = self.verified.state.lots[taken.lot]
        if isinstance(entry.event, LotReworked) and taken.lot == entry.histories[0]:
            return share.part == ALL
        before, scrapped = self._used_before(taken.lot, entry.sequence)
        fits = share.part.size == taken.quantity and share.part.of == source.made - scrapped
        return fits and (share.part.start >= before if source.withheld else share.part.start == before)

    def _used_before(self, lot: bytes, record: int) -> tuple[int, int]:
        """What was taken and what was scrapped of a lot before a record."""
        if lot not in self.used:
            # Once for each lot: from the beginning for every record would take quadratic time.
            found, taken, scrapped = [(0, 0, 0)], 0, 0
            for one in self.verified.state.entries_of[lot].values():
                taken += _taken_from(one, lot)
                scrapped += one.event.quantity if isinstance(one.event, LotScrapped) else 0
                found.append((one.sequence, taken, scrapped))
            self.used[lot] = found
        at = bisect_left(self.used[lot], (record, 0, 0)) - 1
        return self.used[lot][at][1:]

    def _judge_share(self, entry: Entry[Event], lot: bytes, share: Share, judged: _Judged) -> Share:
        """The share with what is proved of its metered emissions."""
        source = self.found.before(share.lot, entry.sequence)
        if source is None:
            judged.whole = False
            return replace(share, amounts=replace(share.amounts, metered_mg=0))
        if source.amounts != share.amounts:
            about = {"lot": self.verified.thing(lot), "source": self.verified.thing(share.lot)}
            self._say("footprint_source", entry.sequence, **about)
            judged.sound = judged.whole = False
            return replace(share, amounts=replace(share.amounts, metered_mg=0))
        judged.whole &= source.whole
        judged.sound &= source.sound
        judged.readings |= source.readings
        return replace(share, amounts=replace(share.amounts, metered_mg=source.proved_mg))

    def _judge_own(self, entry: Entry[Event], lot: bytes, step: Step, own: Own, judged: _Judged) -> Own:
        """The operation; without its assignment if its readings are not shown, so that nothing of it counts as
        metered."""
        read = self.metered.get(own.assignment)
        if read is None or read.wh is None:
            judged.whole = False
            judged.sound &= read is None
            return replace(own, assignment=0)
        judged.readings |= {own.assignment}
        good = step.good or self.verified.state.lots[lot].made
        part_fits = own.part == ALL if read.quantity is None else (own.part.size, own.part.of) == (good, read.quantity)
        if own.wh != read.wh or not part_fits:
            about = {"lot": self.verified.thing(lot), "assignment": own.assignment, "stated": own.wh, "read": read.wh}
            self._say("footprint_reading", entry.sequence, **about, **_leaves(read))
            judged.sound = judged.whole = False
            return replace(own, assignment=0)
        return own

    def _work(self, entry: Entry[Event], lot: bytes) -> set[int]:
        """The assignment under which a record made or reworked a lot."""
        return {number for _, number, record in self.verified.state.lots[lot].work if record == entry.sequence}

    def _say(self, code: str, record: int, **values: object) -> None:
        lot = values.get("lot")
        self.found.doubts.append(say(code, getattr(lot, "subject", None), (record,), record=record, **values))


def _leaves(read: Metered) -> dict[str, object]:
    return {"stream": read.stream, "start": read.start_index, "index": read.finish_index}


def _lot_of(entry: Entry[Event], root: int) -> bytes | None:
    """The lot that a document is about; None if it is about none, or several."""
    if isinstance(entry.event, LotsTransformed):
        return entry.event.outputs(entry.histories)[root - 1] if root else None
    return entry.histories[0]


def _step_of(entry: Entry[Event]) -> Step:
    """What a record took and made; nothing of either for kinds that only move or mark lots."""
    event = entry.event
    if isinstance(event, LotReworked):
        taken = [Taken(one.lot, one.quantity, component=True) for one in event.rework.components]
        return Step((Taken(event.rework.lot, 1), *taken))
    if isinstance(event, LotCommissioned | LotReceived):
        return Step(made=((entry.histories[0], event.quantity),))
    if not isinstance(event, LotsTransformed):
        return Step()
    change = event.transformation
    made = list(zip(event.outputs(entry.histories), change.outputs, strict=True))
    return Step(
        taken=tuple(Taken(one.lot, one.quantity, one.component) for one in change.inputs),
        made=tuple((name, one.quantity) for name, one in made if one.unit == change.output_unit),
        left=tuple((name, one.quantity) for name, one in made if _is_left(change, one.unit)),
        loss=change.loss,
    )


def _taken_from(entry: Entry[Event], lot: bytes) -> int:
    """How much of a lot a record takes; nothing of one that it reworks."""
    if isinstance(entry.event, LotReworked) and entry.histories[0] == lot:
        return 0
    return sum(one.quantity for one in _step_of(entry).taken if one.lot == lot)


def _needs_work(event: Event) -> bool:
    """Whether what a record made needed operations, which use energy: all but splitting and merging."""
    if isinstance(event, LotsTransformed):
        return event.transformation.kind not in (TransformationKind.SPLIT, TransformationKind.MERGE)
    return isinstance(event, LotReworked | LotCommissioned)


def _is_left(change: Transformation, unit: bytes) -> bool:
    return unit == change.unit and unit != change.output_unit
