"""Register readings as entries of evidence: one when an operation starts, one when it finishes, which names the first.

The two entries say by themselves how much energy the operation used. See FOOTPRINT.md for their members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import FootprintError, RegisterError
from millmark.ledger.footprint._json import digest_of, items_of, members_of, number_of
from millmark.ledger.footprint.registers import MAX_POWER_W, Moment, Reading, Segment

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
    """Read an entry of evidence: an event with these members in its `data`, or the members themselves.

    Returns None for an entry that has no register. Raises RegisterError for one that has it and is malformed.
    """
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
