"""Files in a company's home: the owner's calendar says when each machine works, what an hour costs, and what it draws;
the coordinator's objective, what lateness, transport and carbon cost it. They stay there.

Times of day are those of the calendar's time zone, and are converted to UTC day by day. Where a clock is put forward,
a time that does not exist counts as much later as it was put forward; where it is put back, a time that exists twice is
the first of the two. So shifts that follow each other neither overlap nor leave a gap (RFC 5545, section 3.3.5).
"""

from __future__ import annotations

import re
import secrets
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from millmark.ledger.phrases import Phrase
from millmark.ledger.plans.call import Job, Objective, Transport
from millmark.services.files import read_bounded
from millmark.services.planning.errors import CalendarError, PlanningGround

M = TypeVar("M", bound=BaseModel)
_PLACE = re.compile(r"\(at line ([0-9]+), column ([0-9]+)\)$")


class EntryFault(Phrase):
    """What is wrong with an entry, in this product's own words: no page could say those of pydantic and tomllib in the
    reader's language. `words` are those of pydantic."""

    ENTRY_MISSING = "it is missing"
    ENTRY_UNKNOWN = "there is no such entry"
    NO_TEXT = "it is not a text"
    NO_WHOLE_NUMBER = "it is not a whole number"
    NO_NAME = "it is neither a whole number nor a text"
    NO_SWITCH = "it is neither true nor false"
    NO_LIST = "it is not a list"
    NO_TABLE = "it is not a table"
    NO_DAY = "it is not a day such as 2026-05-04"
    NO_TIME_OF_DAY = "it is not a time of day from 00:00 to 23:59"
    TOO_SMALL = "it is less than {ge:d}"
    TOO_GREAT = "it is more than {le:d}"
    TOO_FEW = "it has fewer than {min_length:d} items"
    TOO_SHORT = "it has fewer than {min_length:d} characters"
    TOO_LONG = "it has more than {max_length:d} characters"
    NO_SUCH_CHOICE = "it is not one of {expected}"
    NO_ZONE = "there is no time zone {zone} (one is Europe/Berlin)"
    ENTRY_UNFIT = "it cannot be used: {words}"


_FAULTS: Mapping[str, EntryFault] = {
    "missing": EntryFault.ENTRY_MISSING,
    "extra_forbidden": EntryFault.ENTRY_UNKNOWN,
    "string_type": EntryFault.NO_TEXT,
    "int_type": EntryFault.NO_WHOLE_NUMBER,
    "bool_type": EntryFault.NO_SWITCH,
    "list_type": EntryFault.NO_LIST,
    "dict_type": EntryFault.NO_TABLE,
    "model_type": EntryFault.NO_TABLE,
    "model_attributes_type": EntryFault.NO_TABLE,
    "date_type": EntryFault.NO_DAY,
    "string_pattern_mismatch": EntryFault.NO_TIME_OF_DAY,  # the only text that has a form
    "greater_than_equal": EntryFault.TOO_SMALL,
    "less_than_equal": EntryFault.TOO_GREAT,
    "too_short": EntryFault.TOO_FEW,
    "string_too_short": EntryFault.TOO_SHORT,
    "string_too_long": EntryFault.TOO_LONG,
    "literal_error": EntryFault.NO_SUCH_CHOICE,
    "no_zone": EntryFault.NO_ZONE,
}
"""By pydantic's types of errors."""


def parse_entries(data: bytes, model: type[M], file: str) -> M:
    """`file`: its name without `.toml`. Raises CalendarError, which names the entry or the line to correct."""
    try:
        return model.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place, why = _describe(first)
        cause = PlanningGround.FILE_ENTRY.write(file=file, place=place, why=why)
        raise CalendarError(cause, hint="see CALLS.md for what it may have") from None
    except UnicodeDecodeError:
        raise CalendarError(PlanningGround.FILE_NO_TEXT.write(file=file), hint="correct the file") from None
    except tomllib.TOMLDecodeError as error:
        raise CalendarError(_unreadable(file, str(error)), hint="correct the file") from None


def _describe(error: ErrorDetails) -> tuple[str, str]:
    """Which entry it is, and what is wrong with it."""
    place, fault = list(map(str, error["loc"])), _FAULTS.get(error["type"], EntryFault.ENTRY_UNFIT)
    if place[-1:] == ["int"] and fault is EntryFault.NO_WHOLE_NUMBER:  # the first of two types that it may have
        place, fault = place[:-1], EntryFault.NO_NAME
    values = {"words": error["msg"], **error.get("ctx", {})}
    if "expected" in values:
        values["expected"] = values["expected"].replace(" or ", ", ")
    return ".".join(place), fault.write(**values)


def _unreadable(file: str, words: str) -> str:
    found = _PLACE.search(words)
    if found is None:
        return PlanningGround.FILE_END_UNREADABLE.write(file=file, words=words)
    line, column = map(int, found.groups())
    return PlanningGround.FILE_UNREADABLE.write(
        file=file, line=line, column=column, words=words[: found.start()].rstrip()
    )


CALENDAR_FILE = "calendar.toml"
"""In the company's home."""
_MAX_BYTES = 1 << 20
_WATT_SECONDS_PER_KWH = 3_600_000
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_SLOTS = 100_000


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("no_zone", "{zone} is no time zone", {"zone": f"{name[:60]!r}"}) from None
    return name


Count = Annotated[int, Field(ge=0, le=2**40)]
TimeOfDay = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class _Span(BaseModel):
    model_config = _STRICT
    starts: TimeOfDay
    ends: TimeOfDay
    """At or before `starts`: on the next day."""


class Shift(_Span):
    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1)]
    """On which it begins."""


class Tariff(_Span):
    price_per_kwh: Count


class Energy(BaseModel):
    model_config = _STRICT
    price_per_kwh: Count = 0
    """In the calendar's unit, at all times for which no tariff says otherwise."""
    co2e_mg_per_wh: Count = 0
    tariff: list[Tariff] = []
    """The first that has the time counts."""


class Closure(BaseModel):
    model_config = _STRICT
    first: date
    last: date
    """Both days are closed from midnight to midnight."""


class MachinePlan(BaseModel):
    """One machine."""

    model_config = _STRICT
    machine: Annotated[int | str, Field()]
    """Its number, its identifier, or the last part of that."""
    rate_per_hour: Count
    depreciation_per_hour: Count = 0
    power_w: Count = 0
    setup_minutes: Annotated[int, Field(ge=0, le=10_000)] = 0
    family: list[str] = []
    """The values of a need that make its family: between parts of the same family nothing is set up."""
    minutes: Annotated[dict[str, Annotated[int, Field(ge=1, le=1_000_000)]], Field(min_length=1)]
    """How long an operation takes, by its kind."""
    shifts: Annotated[list[Shift], Field(min_length=1)]
    closure: list[Closure] = []


class CalendarFile(BaseModel):
    model_config = _STRICT
    time_zone: Annotated[str, AfterValidator(_zone)]
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    windows: Annotated[int, Field(ge=1, le=50)] = 3
    """Most windows that are offered for one operation."""
    most_starts: Annotated[int, Field(ge=1)] | None = None
    """Most slots in which a window lets the work start; None: as many as there are."""
    energy: Energy = Energy()
    closure: list[Closure] = []
    machine: Annotated[list[MachinePlan], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Grid:
    """A call's slots: slot i is the time from origin + i * slot on."""

    origin: int
    """Seconds since 1970."""
    slot: int
    """Seconds."""
    slots: int

    def slots_of(self, minutes: int) -> int:
        """How many slots these minutes take, rounded up."""
        return -(-minutes * 60 // self.slot)

    def moment(self, slot: int) -> datetime:
        return datetime.fromtimestamp(self.origin + slot * self.slot, UTC)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A calendar that was read."""

    file: CalendarFile

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.file.time_zone)

    @property
    def machines(self) -> Sequence[MachinePlan]:
        return self.file.machine

    def with_windows(self, windows: int) -> Calendar:
        """The same calendar, with another number of windows for an operation."""
        return Calendar(self.file.model_copy(update={"windows": windows}))

    def on(self, plan: MachinePlan, grid: Grid) -> MachineDay:
        """A machine's slots. Raises CalendarError if there are too many of them."""
        if not 0 < grid.slots <= _MOST_SLOTS:
            cause = PlanningGround.MANY_SLOTS.write(slots=grid.slots, most=_MOST_SLOTS)
            raise CalendarError(cause, hint="plan fewer days, or longer slots")
        return MachineDay(self, plan, grid)

    def clock_changes(self, grid: Grid) -> list[str]:
        """What a change of the clock does to the days of the grid: a line for each."""
        first, last = (grid.moment(at).astimezone(self.zone).date() for at in (0, grid.slots))
        found = []
        for day in _days(first, last):
            hours = (self.utc(day + timedelta(1), time()) - self.utc(day, time())) / 3600
            if hours != 24:
                change = PlanningGround.CLOCK_FORWARD if hours < 24 else PlanningGround.CLOCK_BACK
                found.append(change.write(day=str(day), hours=f"{hours:g}", zone=self.file.time_zone))
        return found

    def utc(self, day: date, at: time) -> int:
        """Seconds since 1970 of a time of day in the calendar's time zone."""
        return int(datetime.combine(day, at, self.zone).timestamp())


class MachineDay:
    """One machine on the slots of a call."""

    def __init__(self, calendar: Calendar, plan: MachinePlan, grid: Grid) -> None:
        self.calendar, self.plan, self.grid = calendar, plan, grid

    @cached_property
    def works(self) -> list[bool]:
        """Whether the machine works in each slot, for the whole of it."""
        works = [False] * self.grid.slots
        for begin, end in _without(_merged(self._shifts()), sorted(self._closures())):
            first = max(0, -(-(begin - self.grid.origin) // self.grid.slot))
            last = min(self.grid.slots, (end - self.grid.origin) // self.grid.slot)
            for slot in range(first, last):
                works[slot] = True
        return works

    def starts(self, duration: int, busy: Sequence[tuple[int, int]] = ()) -> list[int]:
        """The slots in which work of `duration` slots can start. `busy`: ranges of taken slots, without their ends."""
        works = list(self.works)
        for begin, end in busy:
            for slot in range(max(0, begin), min(end, self.grid.slots)):
                works[slot] = False
        ends = list(accumulate(works, lambda run, is_open: run + 1 if is_open else 0, initial=0))
        return [end - duration for end in range(duration, self.grid.slots + 1) if ends[end] >= duration]

    def price(self, start: int, duration: int) -> int:
        """What work in these slots costs: the machine's time, its depreciation and the energy, each rounded up."""
        hours = (self.plan.rate_per_hour + self.plan.depreciation_per_hour) * duration * self.grid.slot
        energy = self._energy[start + duration] - self._energy[start]
        return -(-hours // 3600) + -(-energy // _WATT_SECONDS_PER_KWH)

    def wh(self, duration: int) -> int:
        return -(-self.plan.power_w * duration * self.grid.slot // 3600)

    @cached_property
    def _energy(self) -> list[int]:
        """Price of the energy up to each slot, in units times watt seconds per kWh."""
        drawn, zone = self.plan.power_w * self.grid.slot, self.calendar.zone
        per_kwh = (self._tariff(self.grid.moment(slot).astimezone(zone).time()) for slot in range(self.grid.slots))
        return list(accumulate((drawn * price for price in per_kwh), initial=0))

    def _tariff(self, at: time) -> int:
        energy = self.calendar.file.energy
        return next((one.price_per_kwh for one in energy.tariff if _has(one, at)), energy.price_per_kwh)

    def _shifts(self) -> Iterator[tuple[int, int]]:
        zone = self.calendar.zone
        first, last = (self.grid.moment(at).astimezone(zone).date() for at in (0, self.grid.slots))
        for day in _days(first - timedelta(1), last):
            for shift in self.plan.shifts:
                if _DAYS[day.weekday()] in shift.days:
                    starts, ends = time.fromisoformat(shift.starts), time.fromisoformat(shift.ends)
                    until = day + timedelta(1) if ends <= starts else day
                    yield self.calendar.utc(day, starts), self.calendar.utc(until, ends)

    def _closures(self) -> Iterator[tuple[int, int]]:
        for one in (*self.calendar.file.closure, *self.plan.closure):
            yield self.calendar.utc(one.first, time()), self.calendar.utc(one.last + timedelta(1), time())


def read_calendar(home: Path) -> Calendar:
    """The calendar in a company's home. Raises CalendarError and InputError, naming the line of the file to correct."""
    path = home / CALENDAR_FILE
    if not path.is_file():
        raise CalendarError(
            PlanningGround.NO_FILE.write(file=path.with_suffix("")), hint="write the calendar as CALLS.md shows it"
        )
    return parse_calendar(read_bounded(path, _MAX_BYTES), str(path))


def parse_calendar(data: bytes, name: str = CALENDAR_FILE) -> Calendar:
    """Raises CalendarError for what is not TOML, or has an unknown or unusable entry."""
    file = name.removesuffix(".toml")
    calendar = Calendar(parse_entries(data, CalendarFile, file))
    closures = [*calendar.file.closure, *(one for machine in calendar.machines for one in machine.closure)]
    for closure in closures:
        if closure.last < closure.first:
            cause = PlanningGround.CLOSURE.write(file=file, day=str(closure.last))
            raise CalendarError(cause, hint="correct its days")
    named = [str(one.machine) for one in calendar.machines]
    if len(set(named)) != len(named):
        raise CalendarError(PlanningGround.MACHINE_TWICE.write(file=file), hint="give all its shifts in one entry")
    return calendar


def _has(span: _Span, at: time) -> bool:
    starts, ends = time.fromisoformat(span.starts), time.fromisoformat(span.ends)
    return starts <= at < ends if starts < ends else at >= starts or at < ends


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(number)


def _merged(spans: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending, without overlaps; spans that touch become one, so that work may run from one shift into the next."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        elif begin < end:  # a clock put forward can leave nothing of a short shift
            found.append((begin, end))
    return found


def _without(spans: Sequence[tuple[int, int]], gone: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for begin, end in spans:
        at = begin
        for first, last in gone:
            if first < end and last > at:
                if at < first:
                    yield at, first
                at = max(at, last)
        if at < end:
            yield at, end


# When a configured product can be done at the earliest, before anybody is asked for offers

_SLOT_S = 900
_DAYS_AHEAD = 120
"""How far ahead is looked."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """The end of the last operation, if work begins now and waits for nothing but shifts."""

    at: int | None
    """Unix seconds; None if the calendar has no time for it within 120 days."""
    unknown: tuple[str, ...] | None
    """Kinds of operations that no machine of the calendar does, reckoned by the clock; None without a calendar."""


def find_earliest(calendar: Calendar | None, operations: Iterable[tuple[str, int]], now_s: int) -> Earliest:
    """Find when the last of some operations could end that follow each other, each a kind and indicative minutes. With
    a calendar, its shifts and minutes count instead. What the machines do already is not looked at."""
    grid = Grid(-(-now_s // _SLOT_S) * _SLOT_S, _SLOT_S, _DAYS_AHEAD * 86_400 // _SLOT_S)
    days = [] if calendar is None else [calendar.on(machine, grid) for machine in calendar.machines]
    ready, unknown = grid.origin, dict[str, None]()
    for kind, minutes in operations:
        able = [day for day in days if kind in day.plan.minutes]
        if not able:
            unknown[kind] = None
            ready += minutes * 60
            continue
        ends = [end for day in able if (end := _end_on(day, kind, ready)) is not None]
        if not ends:
            return Earliest(None, tuple(unknown))
        ready = min(ends)
    return Earliest(ready, None if calendar is None else tuple(unknown))


def _end_on(day: MachineDay, kind: str, ready: int) -> int | None:
    """When the machine has done it, if it starts at `ready` or later; None if it has no time."""
    duration, grid = day.grid.slots_of(day.plan.minutes[kind]), day.grid
    first = -(-(ready - grid.origin) // grid.slot)
    start = next((start for start in day.starts(duration) if start >= first), None)
    return None if start is None else grid.origin + (start + duration) * grid.slot


# The coordinator's objective

OBJECTIVE_FILE = "objective.toml"
"""In the coordinator's home."""
_DAY_S = 86_400
_Amount = Annotated[int, Field(ge=0, le=2**40)]
_Company = Annotated[int | str, Field()]


class _Way(BaseModel):
    model_config = _STRICT
    minutes: Annotated[int, Field(ge=0, le=1_000_000)]
    cost: _Amount = 0
    """For one order."""
    carrier: _Company | None = None


class TransportWay(_Way):
    origin: _Company
    destination: _Company


class OrderTerms(BaseModel):
    model_config = _STRICT
    order: str
    tardiness_per_day: _Amount | None = None
    destination: _Company | None = None


class ObjectiveFile(BaseModel):
    """Amounts are in `unit`. Companies are named by number or name."""

    model_config = _STRICT
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    tardiness_per_day: _Amount = 0
    """What a day's lateness of an order costs, unless the order has an entry of its own."""
    carbon_price_per_kg: _Amount = 0
    to_buyers: bool = False
    """Whether orders are brought to their buyers in the end, and are late by their arrival there."""
    transport: list[TransportWay] = []
    transport_otherwise: _Way | None = None
    """Between all companies for which `transport` has no entry; without it there is no way between them."""
    order: list[OrderTerms] = []


def read_objective_file(home: Path) -> ObjectiveFile:
    """Raises CalendarError, naming the entry to correct."""
    path = home / OBJECTIVE_FILE
    file = path.with_suffix("")
    if not path.is_file():
        cause = PlanningGround.NO_FILE.write(file=file)
        raise CalendarError(cause, hint="write what lateness and transport cost, as CALLS.md shows it")
    return parse_entries(read_bounded(path, _MAX_BYTES), ObjectiveFile, str(file))


def build_objective(
    file: ObjectiveFile,
    jobs: Iterable[Job],
    companies: Iterable[int],
    slot: int,
    find_company: Callable[[str], int],
    find_order: Callable[[str], bytes],
    buyers: Mapping[bytes, int],
) -> Objective:
    """The objective for a call's jobs. `companies`: between which there may be ways. Raises what the look-ups raise."""
    terms = {find_order(one.order): one for one in file.order}
    number: Callable[[int | str], int] = lambda one: one if isinstance(one, int) else find_company(one)  # noqa: E731
    late, ends = [], []
    for job in jobs:
        own = terms.get(job.order)
        per_day = file.tardiness_per_day if own is None or own.tardiness_per_day is None else own.tardiness_per_day
        late.append((job.order, -(-per_day * slot // _DAY_S)))
        end = None if own is None else own.destination
        if end is not None or file.to_buyers:
            ends.append((job.order, buyers[job.order] if end is None else number(end)))
    return Objective(
        salt=secrets.token_bytes(32),
        tardiness=tuple(sorted(late)),
        transport=tuple(_ways(file, {*companies, *(end for _, end in ends)}, slot, number)),
        destination=tuple(sorted(ends)),
        carbon_price=file.carbon_price_per_kg,
    )


def _ways(
    file: ObjectiveFile, companies: Iterable[int], slot: int, number: Callable[[int | str], int]
) -> Iterable[Transport]:
    known: dict[tuple[int, int], _Way] = {}
    for one in file.transport:
        pair = number(one.origin), number(one.destination)
        if pair in known or pair[0] == pair[1]:
            wrong = PlanningGround.TRANSPORT_TO_ITSELF if pair[0] == pair[1] else PlanningGround.TRANSPORT_TWICE
            raise CalendarError(wrong.write(origin=pair[0], destination=pair[1]))
        known[pair] = one
    listed = sorted(set(companies))
    pairs = sorted({*known, *((one, two) for one in listed for two in listed if one != two)})
    for origin, destination in pairs:
        way = known.get((origin, destination), file.transport_otherwise)
        if way is not None:
            carrier = 0 if way.carrier is None else number(way.carrier)
            yield Transport(origin, destination, -(-way.minutes * 60 // slot), way.cost, carrier)
