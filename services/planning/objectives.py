"""The coordinator's objective, as it writes it in its home: what lateness, transport and carbon cost it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millmark.ledger.plans.call import Job, Objective, Transport
from millmark.services.files import read_bounded
from millmark.services.planning.entries import parse_entries
from millmark.services.planning.errors import CalendarError
from millmark.services.planning.grounds import PlanningGround

OBJECTIVE_FILE = "objective.toml"
"""In the coordinator's home."""
_MAX_BYTES = 1 << 20
_DAY_S = 86_400
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
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
