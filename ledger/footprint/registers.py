"""Registers: what a machine's meter has counted so far, in Wh, and how much of it each operation used.

A register only rises. Energy is the difference of two readings, never an integral over samples, so nothing is lost
between them: what the operations of a machine used, and what it used while it was idle, add up to what its register
advanced by, to the Wh. Every reading is one of the machine's evidence stream, in its order.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, to_hex
from millmark.ledger.errors import FootprintError, RegisterError
from millmark.ledger.footprint.amounts import digest_of, items_of, members_of, number_of

# Register readings as entries of evidence: one when an operation starts, one when it finishes, which names the first.
#
# The two entries say by themselves how much energy the operation used. See FOOTPRINT.md for their members.

MAX_POWER_W = 10_000_000
"""Mean power between two readings above which at least one of them is in another unit: 10 MW."""
MAX_SEGMENTS = 1000
_NEEDED = ("moment", "register")
_OPTIONAL = ("assignment", "quantity", "resets", "segments", "start", "start_hash")


@dataclass(frozen=True, slots=True)
class RegisterEntry:
    """A reading as its entry has it. Raises RegisterError for members that do not belong to its moment."""

    reading: Reading
    start: int | None = None
    """At a finish: index of the entry of the start, in the same stream."""
    start_hash: bytes | None = None
    """At a finish: the leaf hash of that entry, 32 bytes, so that who lacks the stream's log can show it as well."""
    quantity: int | None = None
    """At a finish: how much the operation made that is good, in all; None if that is what one record made."""
    resets: Sequence[tuple[int, int]] = ()
    """At a finish: what the register showed before and after it was set back or rolled over meanwhile, in Wh."""
    segments: Sequence[Segment] = ()
    """At a finish: the times between, if other operations ran on the machine meanwhile."""

    def __post_init__(self) -> None:
        finish = self.reading.moment is Moment.FINISH
        if finish is (self.start is None):
            raise RegisterError("a reading at the finish names the entry of the start, and no other reading does")
        if not finish and (self.start_hash or self.quantity is not None or self.resets or self.segments):
            raise RegisterError("only a reading at the finish has start_hash, quantity, resets and segments")

    @property
    def assignment(self) -> int:
        return self.reading.assignment


def register_event_id(assignment: int, moment: Moment) -> str:
    """The id of the event with the reading of an operation."""
    return f"register/{assignment}/{moment.value}"


def build_register_data(entry: RegisterEntry) -> dict[str, Json]:
    """The `data` of the event; `parse_register_entry` reads it."""
    reading = entry.reading
    register: dict[str, Json] = {"time": reading.time_s, "wh": reading.wh}
    if reading.before_wh is not None:
        register["before"] = reading.before_wh
    data: dict[str, Json] = {"moment": reading.moment.value, "register": register}
    if reading.assignment:
        data["assignment"] = reading.assignment
    for name, value in (("start", entry.start), ("quantity", entry.quantity)):
        if value is not None:
            data[name] = value
    if entry.start_hash is not None:
        data["start_hash"] = to_hex(entry.start_hash)
    if entry.resets:
        data["resets"] = [list(one) for one in entry.resets]
    if entry.segments:
        data["segments"] = [[one.wh, one.among, one.place] for one in entry.segments]
    return data


def parse_register_entry(entry: Json) -> RegisterEntry | None:
    """Read an entry of evidence: an event with these members in its `data`, or the members themselves. Returns None for
    an entry that has no register. Raises RegisterError for one that has it and is malformed."""
    data = _data_of(entry)
    if data is None or "register" not in data:
        return None
    try:
        return _parse({name: value for name, value in data.items() if name in (*_NEEDED, *_OPTIONAL)})
    except RegisterError:
        raise
    except FootprintError as error:
        raise RegisterError(error.cause, hint=error.hint) from None


def is_register_alone(entry: Json) -> bool:
    """Whether an entry says nothing but a register reading, so that who sees the one may see all of it. Raises
    RegisterError as `parse_register_entry` does."""
    data = _data_of(entry)
    if data is None or parse_register_entry(entry) is None or not data.keys() <= {*_NEEDED, *_OPTIONAL}:
        return False
    return data is entry or (isinstance(entry, Mapping) and entry.keys() <= {"data", "id", "time"})


def _data_of(entry: Json) -> Mapping[str, Json] | None:
    inner = entry.get("data") if isinstance(entry, Mapping) and "id" in entry else entry
    return inner if isinstance(inner, Mapping) else None


def _parse(data: Mapping[str, Json]) -> RegisterEntry:
    found = members_of(data, "a register reading", _NEEDED, _OPTIONAL)
    moments = {one.value: one for one in Moment}
    moment = found["moment"]
    if not isinstance(moment, str) or moment not in moments:
        raise RegisterError(f"{str(moment)[:40]!a} is not a moment of a reading", hint=f"one of {', '.join(moments)}")
    shown = found["register"]
    if isinstance(shown, Mapping) and "kwh" in shown:
        raise RegisterError("a register has kwh instead of wh", hint="give whole Wh: 1 kWh is 1000 Wh")
    register = members_of(shown, "register", ("time", "wh"), ("before",))
    reading = Reading(
        time_s=_whole(register["time"]),
        wh=_whole(register["wh"]),
        moment=moments[moment],
        assignment=number_of(found.get("assignment", 0), "assignment"),
        before_wh=_whole(register["before"]) if "before" in register else None,
    )
    start, quantity = (number_of(found[one], one) if one in found else None for one in ("start", "quantity"))
    resets = [_pair(one) for one in items_of(found.get("resets", []), "resets", MAX_SEGMENTS)]
    segments = [_segment(one) for one in items_of(found.get("segments", []), "segments", MAX_SEGMENTS)]
    hashed = digest_of(found["start_hash"], "start_hash") if "start_hash" in found else None
    return RegisterEntry(reading, start, hashed, quantity, tuple(resets), tuple(segments))


def _whole(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RegisterError(f"{str(value)[:40]} is not a whole number", hint="give Wh: 1 kWh is 1000 Wh")
    return value


def _pair(value: Json) -> tuple[int, int]:
    before, after = _numbers(value, "a reset", 2)
    return before, after


def _numbers(value: Json, what: str, count: int) -> list[int]:
    found = [number_of(one, f"a number of {what}") for one in items_of(value, what, count)]
    if len(found) < count:
        raise RegisterError(f"{what} has {len(found)} numbers instead of {count}")
    return found


def _segment(value: Json) -> Segment:
    wh, among, place = _numbers(value, "a segment", 3)
    if place >= among:
        raise RegisterError(f"place {place} among {among} operations does not exist")
    return Segment(wh, among, place)


def resets_among(readings: Iterable[Reading]) -> tuple[tuple[int, int], ...]:
    """What the finish states as `resets`, by the readings from the start on, in the stream's order. Of a reset that
    nobody read before, nothing counts after the reading that precedes it."""
    return tuple(
        (before.wh if one.before_wh is None else one.before_wh, one.wh)
        for before, one in pairwise(readings)
        if one.moment is Moment.RESET
    )


def verify_pair(start: RegisterEntry, finish: RegisterEntry) -> None:
    """Raises RegisterError unless the two are start and finish of one operation, in this order."""
    moments = (start.reading.moment, finish.reading.moment)
    if moments != (Moment.START, Moment.FINISH) or start.assignment != finish.assignment:
        raise RegisterError(f"the entries are not start and finish of assignment {finish.assignment}")
    if finish.reading.time_s < start.reading.time_s:
        raise RegisterError(f"assignment {finish.assignment} finishes before it starts")


def wh_between(start: RegisterEntry, finish: RegisterEntry, max_power_w: int = MAX_POWER_W) -> int:
    """The energy of an operation in Wh, by its two entries.

    Raises RegisterError if they are not of one operation, or cannot be of one register: it fell without a reset, or a
    reading is in another unit; or segments and resets are not what the register advanced by. Not established: that
    other operations ran at the times that the segments say, and that the register was set back when the resets say.
    """
    verify_pair(start, finish)
    shown = start.reading.wh
    for before, after in finish.resets:
        if before < shown:
            raise RegisterError(f"the register was set back from {before} Wh, and had shown {shown} Wh before")
        shown = after
    set_back = sum(before - after for before, after in finish.resets)
    advance = finish.reading.wh - start.reading.wh + set_back
    if finish.reading.wh < shown:
        raise RegisterError(
            f"the register fell from {shown} to {finish.reading.wh} Wh",
            hint="state a reset if the meter was set back or replaced; one that feed-in reduces cannot be used",
        )
    elapsed = finish.reading.time_s - start.reading.time_s
    if advance * 3600 > max_power_w * (elapsed + 60):
        raise RegisterError(
            f"{advance} Wh in {elapsed} s are more than {max_power_w} W",
            hint="one of the readings is in another unit: 1 kWh is 1000 Wh",
        )
    if not finish.segments:
        return advance
    if sum(one.wh for one in finish.segments) != advance:
        raise RegisterError(f"the segments are not the {advance} Wh that the register advanced by")
    return sum(one.own_wh for one in finish.segments)


MAX_GAP_S = 24 * 3600
"""Time between two readings from which on a gap is noted."""
_SLACK_S = 60
"""Clocks of meters are read to the minute."""


class Moment(enum.Enum):
    """When a register is read."""

    START = "start"
    """An operation begins."""
    FINISH = "finish"
    """It is over."""
    READ = "read"
    """At any other time."""
    RESET = "reset"
    """The register was set back, or the meter replaced."""


class Note(enum.Enum):
    """What was done about something that a plain difference would not have shown."""

    RESET = "reset"
    """The register was set back; what it had counted by then is counted."""
    RESET_UNREAD = "reset_unread"
    """It was set back, and not read before: what was used since the reading before that is not known, nor counted."""
    ROLLOVER = "rollover"
    """It passed its highest value, and began at 0 again."""
    OVERLAP = "overlap"
    """Several operations ran at once; what was used meanwhile is divided equally among them."""
    GAP = "gap"
    """There was no reading for a long time. What was used is counted all the same."""
    UNSTARTED = "unstarted"
    """An operation finished without a reading at its start: none of the energy is its own, it counts as idle."""
    UNFINISHED = "unfinished"
    """An operation started and has no reading at its end: it has what was used until the last reading."""
    AGAIN = "again"
    """An operation that runs already was started again; the first reading counts."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a register showed. Raises RegisterError for values that no register shows."""

    time_s: int
    """Seconds since 1970."""
    wh: int
    """Wh; of a reset, what it shows afterwards."""
    moment: Moment = Moment.READ
    assignment: int = 0
    """The operation that starts or finishes: its assignment's number."""
    before_wh: int | None = None
    """At a reset: what it showed just before; None if nobody read it."""

    def __post_init__(self) -> None:
        for what, value in (("time", self.time_s), ("reading", self.wh), ("reading before a reset", self.before_wh)):
            if value is not None and (type(value) is not int or value > MAX_SAFE_INTEGER):
                raise RegisterError(f"the {what} {value!r} is not a whole number", hint="give Wh: 1 kWh is 1000 Wh")
            if value is not None and value < 0:
                raise RegisterError(
                    f"the {what} {value} is negative",
                    hint="read the register of imported energy (OBIS 1.8.0), not one that feed-in reduces",
                )
        if (self.moment in (Moment.START, Moment.FINISH)) is (self.assignment == 0):
            raise RegisterError("a reading belongs to the start or the finish of an assignment, or to none")
        if self.before_wh is not None and self.moment is not Moment.RESET:
            raise RegisterError("only a reset has a reading before it")


@dataclass(frozen=True, slots=True)
class Segment:
    """What a register advanced by while the same operations ran."""

    wh: int
    among: int = 1
    """Number of operations that ran."""
    place: int = 0
    """This operation's place among them, from 0, by number: the first ones have the Wh that do not divide."""

    @property
    def own_wh(self) -> int:
        return divide(self.wh, self.among)[self.place]


@dataclass(frozen=True, slots=True)
class Noted:
    note: Note
    index: int
    """Index of the reading at which it was noted, from 0."""
    wh: int = 0
    """The energy that it is about."""
    assignment: int = 0


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the energy of a machine was used for."""

    wh: Mapping[int, int]
    """By assignment."""
    idle_wh: int
    """While no operation ran."""
    advance_wh: int
    """What the register advanced by in all: the sum of the others, exactly."""
    segments: Mapping[int, Sequence[Segment]]
    """By assignment: what it was computed of."""
    notes: Sequence[Noted]


def divide(wh: int, among: int) -> list[int]:
    """Divide equally; the first ones get 1 Wh more where it does not come out even."""
    each, rest = divmod(wh, among)
    return [each + 1] * rest + [each] * (among - rest)


def allocate(
    readings: Iterable[Reading], *, modulus_wh: int | None = None, max_power_w: int = MAX_POWER_W
) -> Allocation:
    """Allocate what a machine's register advanced by to its operations, by its readings in the stream's order.

    `modulus_wh`: at which the register begins at 0 again, if it does. Raises RegisterError, naming the reading, if they
    cannot be those of one register: one fell without a reset, a clock went back, or a value is in another unit. That
    all of them are in another unit cannot be seen.
    """
    return _Allocating(modulus_wh, max_power_w).run(readings)


@dataclass(slots=True)
class _Allocating:
    modulus_wh: int | None
    max_power_w: int
    running: list[int] = field(default_factory=list)
    wh: dict[int, int] = field(default_factory=dict)
    segments: dict[int, list[Segment]] = field(default_factory=dict)
    notes: list[Noted] = field(default_factory=list)
    idle_wh: int = 0
    advance_wh: int = 0
    pending_wh: int = 0
    """What the register advanced by since operations last started or finished."""

    def run(self, readings: Iterable[Reading]) -> Allocation:
        last: Reading | None = None
        index = -1
        for index, reading in enumerate(readings):
            if last is not None:
                self.pending_wh += self._advance_checked(index, last, reading)
            self._turn(index, reading)
            last = reading
        self._use(index)
        for number in self.running:
            self.notes.append(Noted(Note.UNFINISHED, index, self.wh[number], number))
        return Allocation(self.wh, self.idle_wh, self.advance_wh, self.segments, self.notes)

    def _advance_checked(self, index: int, last: Reading, reading: Reading) -> int:
        """What the register advanced by since the reading before."""
        elapsed = reading.time_s - last.time_s
        if elapsed < 0:
            raise RegisterError(f"reading {index} is {-elapsed} s earlier than the one before it")
        wh = self._advance(index, last, reading)
        if wh * 3600 > self.max_power_w * (elapsed + _SLACK_S):
            raise RegisterError(
                f"reading {index} is {wh} Wh above the one before it, {elapsed} s earlier: more than "
                f"{self.max_power_w} W",
                hint="one of them is in another unit: 1 kWh is 1000 Wh",
            )
        if elapsed > MAX_GAP_S:
            self.notes.append(Noted(Note.GAP, index, wh))
        return wh

    def _advance(self, index: int, last: Reading, reading: Reading) -> int:
        if reading.moment is Moment.RESET:
            return self._before_reset(index, last, reading)
        if reading.wh >= last.wh:
            return reading.wh - last.wh
        # Only a fall by more than half of the range is taken for a rollover: a smaller one is more likely a wrong
        # reading, and would be counted as more than half of the range.
        if self.modulus_wh is not None and last.wh < self.modulus_wh and last.wh - reading.wh > self.modulus_wh // 2:
            wh = reading.wh + self.modulus_wh - last.wh
            self.notes.append(Noted(Note.ROLLOVER, index, wh))
            return wh
        raise RegisterError(
            f"reading {index} is {reading.wh} Wh, less than the {last.wh} Wh before it",
            hint="record a reset if the meter was set back or replaced; a register that feed-in reduces cannot be used",
        )

    def _before_reset(self, index: int, last: Reading, reading: Reading) -> int:
        if reading.before_wh is None:
            self.notes.append(Noted(Note.RESET_UNREAD, index))
            return 0
        if reading.before_wh < last.wh:
            raise RegisterError(f"reading {index} is a reset from {reading.before_wh} Wh, less than before it")
        self.notes.append(Noted(Note.RESET, index, reading.before_wh - last.wh))
        return reading.before_wh - last.wh

    def _use(self, index: int) -> None:
        """Give what was used since the last change to the operations that ran."""
        wh, self.pending_wh = self.pending_wh, 0
        self.advance_wh += wh
        if not self.running:
            self.idle_wh += wh
        elif len(self.running) > 1 and wh:
            self.notes.append(Noted(Note.OVERLAP, index, wh))
        for place, number in enumerate(self.running if wh else ()):
            segment = Segment(wh, len(self.running), place)
            self.segments[number].append(segment)
            self.wh[number] += segment.own_wh

    def _turn(self, index: int, reading: Reading) -> None:
        """Begin or end an operation."""
        number = reading.assignment
        if reading.moment is Moment.START:
            if number in self.running:
                self.notes.append(Noted(Note.AGAIN, index, 0, number))
                return
            self._use(index)
            self.running = sorted([*self.running, number])
            self.wh.setdefault(number, 0)
            self.segments.setdefault(number, [])
        elif reading.moment is Moment.FINISH:
            if number not in self.running:
                self.notes.append(Noted(Note.UNSTARTED, index, 0, number))
                return
            self._use(index)
            self.running.remove(number)
