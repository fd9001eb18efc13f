"""What the plan page shows: each row of a plan with what became of it, and the Gantt chart of all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ledger.plans.call import Call
from ledger.plans.plan import Key, Leg, Row
from ledger.provenance import answers
from ledger.provenance.reader import Reader
from ledger.records import AssignmentState, CertificateState, Verdict
from ledger.store import Rows
from ledger.store.rows import AssignmentRow, CertificateRow, LotRow
from services.pictures.gantt import Bar, BarTone, Gantt, Lane, Tick
from services.portal.language import Catalogue
from services.portal.picture_words import brief_of

__all__ = ["PlanTable", "PlannedLeg", "PlannedRow", "build_gantt", "build_table", "read_tones"]

_TONES = {
    AssignmentState.PROPOSED: BarTone.PLANNED,
    AssignmentState.ACCEPTED: BarTone.AGREED,
    AssignmentState.DECLINED: BarTone.DECLINED,
    AssignmentState.CANCELLED: BarTone.DECLINED,
    AssignmentState.STARTED: BarTone.NOW,
    AssignmentState.FINISHED: BarTone.DONE,
}
_TICKS = 2
"""Spans into which the time axis is divided: three labels fit on a phone."""


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A row of the plan, with its names."""

    row: Row
    order: str
    machine: answers.Machine
    owner: answers.Party
    tone: BarTone
    moved: bool
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class PlannedLeg:
    """A leg of the plan, with its names."""

    leg: Leg
    order: str
    origin: answers.Party
    destination: answers.Party
    carrier: answers.Party | None
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class PlanTable:
    """The rows and legs of a plan, by start."""

    rows: tuple[PlannedRow, ...]
    legs: tuple[PlannedLeg, ...]
    asked: int
    """Operations of the call; a part of a plan has fewer rows."""

    def count(self, *tones: BarTone) -> int:
        return sum(row.tone in tones for row in self.rows)

    @property
    def agreed(self) -> int:
        """Rows that their owners accepted, whatever came after."""
        return self.count(BarTone.AGREED, BarTone.NOW, BarTone.DONE, BarTone.FAILED, BarTone.REWORKED)

    @property
    def moved(self) -> int:
        return sum(row.moved for row in self.rows)


def read_tones(rows: Rows, planned: Sequence[Row]) -> dict[Key, BarTone]:
    """What the ledger says became of each row: that of the latest assignment of its operation to its machine."""
    by_key: defaultdict[Key, list[AssignmentRow]] = defaultdict(list)
    for one in rows.among(AssignmentRow, "order", {row.order for row in planned}):
        by_key[one.order, one.operation].append(one)
    latest = {
        row.key: max((one for one in by_key[row.key] if one.machine == row.machine), key=_sequence, default=None)
        for row in planned
    }
    failed = _failed(rows, {one.sequence for one in latest.values() if one is not None})
    return {key: _tone(one, by_key[key], failed) for key, one in latest.items()}


def _sequence(row: AssignmentRow) -> int:
    return row.sequence


def _tone(one: AssignmentRow | None, others: Sequence[AssignmentRow], failed: set[int]) -> BarTone:
    if one is None:
        return BarTone.PLANNED
    if one.sequence in failed:
        return BarTone.FAILED
    tone = _TONES[AssignmentState(one.state)]
    again = any(
        other.sequence < one.sequence and AssignmentState(other.state) is AssignmentState.FINISHED for other in others
    )
    return BarTone.REWORKED if tone is BarTone.DONE and again else tone


def _failed(rows: Rows, assignments: set[int]) -> set[int]:
    """Those of the assignments whose lot was failed by a certificate that stands."""
    lots = {lot.certificate: lot.assignment for lot in rows.among(LotRow, "assignment", assignments) if lot.certificate}
    return {
        lots[one.sequence]
        for one in rows.among(CertificateRow, "sequence", lots)
        if Verdict(one.verdict) is Verdict.FAIL and CertificateState(one.state) is not CertificateState.REVOKED
    }


def build_table(
    reader: Reader, call: Call, rows: Sequence[Row], legs: Sequence[Leg], before: Sequence[Row]
) -> PlanTable:
    """The plan's rows with names and states. `before`: the rows of the plan that it replaces."""
    reader.name({row.order for row in rows} | {leg.order for leg in legs})
    tones = read_tones(reader.rows, rows)
    earlier = {row.key: (row.machine, row.start) for row in before}
    shown = tuple(
        PlannedRow(
            row,
            _order(reader, row.order),
            reader.machine(row.machine),
            reader.party(row.owner),
            tones[row.key],
            earlier.get(row.key, (row.machine, row.start)) != (row.machine, row.start),
            _moment(call, row.start),
            _moment(call, row.end),
        )
        for row in sorted(rows, key=lambda row: (row.start, row.key))
    )
    return PlanTable(
        shown,
        tuple(_leg(reader, call, leg) for leg in sorted(legs, key=lambda leg: (leg.start, leg.key))),
        sum(len(job.operations) for job in call.jobs),
    )


def _leg(reader: Reader, call: Call, leg: Leg) -> PlannedLeg:
    return PlannedLeg(
        leg,
        _order(reader, leg.order),
        reader.party(leg.origin),
        reader.party(leg.destination),
        reader.some_party(leg.carrier),
        _moment(call, leg.start),
        _moment(call, leg.end),
    )


def _order(reader: Reader, subject: bytes) -> str:
    identifier = reader.identifier(subject)
    return brief_of(identifier) if identifier else f"0x{subject.hex()[:12]}…"


def _moment(call: Call, slot: int) -> datetime:
    return datetime.fromtimestamp(call.origin + slot * call.slot, UTC)


def build_gantt(table: PlanTable, call: Call, title: str, catalogue: Catalogue, now_s: int) -> Gantt:
    """The chart: a lane per machine, one for each company's transport, over the time in which anything is planned."""
    spans = [(one.row.start, one.row.end) for one in table.rows] + [(one.leg.start, one.leg.end) for one in table.legs]
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    last = first + -(-(last - first) // _TICKS) * _TICKS  # so that the ticks are at whole slots
    ticks = (first + place * (last - first) // _TICKS for place in range(_TICKS + 1))
    return Gantt(
        title=title,
        summary=catalogue.say("plan.summary", rows=len(table.rows), lanes=len({one.row.machine for one in table.rows})),
        first=first,
        last=last,
        lanes=(*_machine_lanes(table, catalogue), *_transport_lane(table, catalogue)),
        ticks=tuple(Tick(at, f"{_moment(call, at):%m-%d %H:%M}") for at in ticks),
        now=(now_s - call.origin) // call.slot,
    )


def _machine_lanes(table: PlanTable, catalogue: Catalogue) -> list[Lane]:
    lanes: defaultdict[tuple[int, int], list[PlannedRow]] = defaultdict(list)
    for one in table.rows:
        lanes[one.owner.participant, one.row.machine].append(one)
    return [
        Lane(_lane_name(shown[0], catalogue), tuple(_bar(one, catalogue) for one in shown))
        for _, shown in sorted(lanes.items())
    ]


def _lane_name(one: PlannedRow, catalogue: Catalogue) -> str:
    machine = one.machine.identifier
    name = brief_of(machine) if machine else catalogue.say("machine.number", number=one.row.machine)
    return f"{name} · {_party(one.owner, catalogue)}"


def _short(order: str) -> str:
    """The end of an order's name, where orders differ, without leading zeros."""
    return order[-4:].lstrip("0") or order[-1:]


def _party(party: answers.Party, catalogue: Catalogue) -> str:
    return party.name or catalogue.say("participant.number", number=party.participant)


def _bar(one: PlannedRow, catalogue: Catalogue) -> Bar:
    title = catalogue.say(
        "plan.bar",
        order=one.order,
        operation=one.row.operation + 1,
        state=catalogue.say(f"plan.tone.{one.tone.value}"),
        begins=f"{one.begins:%Y-%m-%d %H:%M} UTC",
        ends=f"{one.ends:%Y-%m-%d %H:%M} UTC",
    )
    return Bar(one.row.start, one.row.end, _short(one.order), title, one.tone, one.moved)


def _transport_lane(table: PlanTable, catalogue: Catalogue) -> list[Lane]:
    """A lane for each pair of companies. Legs of several orders may overlap in it; the table has them one by one."""
    lanes: defaultdict[tuple[int, int], list[PlannedLeg]] = defaultdict(list)
    for one in table.legs:
        if one.leg.end > one.leg.start:
            lanes[one.leg.origin, one.leg.destination].append(one)
    return [
        Lane(
            catalogue.say(
                "plan.way", origin=_party(shown[0].origin, catalogue), to=_party(shown[0].destination, catalogue)
            ),
            tuple(
                Bar(
                    one.leg.start, one.leg.end, one.order[-4:], f"{one.order}: {one.begins:%m-%d %H:%M}", BarTone.AGREED
                )
                for one in shown
            ),
        )
        for _, shown in sorted(lanes.items())
    ]


def _leg_bar(one: PlannedLeg) -> Bar:
    title = f"{one.order}: {one.begins:%Y-%m-%d %H:%M} – {one.ends:%H:%M} UTC"
    return Bar(one.leg.start, one.leg.end, _short(one.order), title, BarTone.AGREED)
