"""Proposed setpoints as API, commands and pages show them, to the company whose machine it is."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Book
from millmark.services.setpoints.document import Forecast, SetpointValue, setpoint_event_id
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow


class SetpointState(enum.Enum):
    """What became of a proposal."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    """A later one for the same machine took its place before it was answered."""
    EXPIRED = "expired"
    """Its time ran out before it was answered."""


@dataclass(frozen=True, slots=True)
class ValueShown(Printable):
    """One setpoint, in units of 10^-decimals of the sensor's unit."""

    name: str
    decimals: int
    before: int
    """What the machine had when it was proposed."""
    value: int


@dataclass(frozen=True, slots=True)
class ForecastShown(Printable):
    """What the model says of some setpoints over the horizon."""

    cost: int
    energy_wh: int
    eta_ppm: int
    """Availability (ISO 22400-2) at the end of the horizon, in millionths."""
    e_ppm: int
    """Effectiveness x quality ratio, likewise."""
    oee_ppm: int
    """OEE index: the product of both."""


@dataclass(frozen=True, slots=True)
class SetpointShown(Printable):
    """Setpoints that were proposed for a machine."""

    setpoint: int
    """Number of the proposal."""
    machine: int
    state: str
    """open, accepted, refused, superseded or expired."""
    stream: bytes
    """Where the answer is recorded."""
    entry: int | None
    """Index of the entry with the answer; null without one."""
    reason: str | None
    """Why it was refused."""
    proposed_at: datetime
    until_at: datetime
    """From then on it can no longer be accepted."""
    model: bytes
    """Digest of the process model."""
    values: tuple[ValueShown, ...]
    horizon_s: int
    expected: ForecastShown
    """With the proposed setpoints."""
    kept: ForecastShown
    """With those that the machine had."""
    unit: str
    """What one unit of cost is."""
    cause: str
    """Why it was looked for; empty if no cause is stated."""
    document: bytes
    """SHA-256 of the proposal's canonical JSON, which the answer commits to."""


def describe_value(one: SetpointValue | ValueShown) -> str:
    """One setpoint as people write it: name, what it was, what is proposed."""
    before, value = (Decimal(number).scaleb(-one.decimals) for number in (one.before, one.value))
    return f"{one.name} {before:f} → {value:f}"


def find_answer(book: Book, row: SetpointRow) -> tuple[int, Mapping[str, object]] | None:
    """Index and content of the entry that answers a proposal; None without one, or if it is about another proposal."""
    index = book.find_event(row.stream, setpoint_event_id(row.number, row.digest))
    kept = None if index is None else book.evidence_entry(row.stream, index)
    if index is None or kept is None or not isinstance(kept.entry, Mapping):
        return None
    data = kept.entry.get("data")
    answer = data.get("setpoint") if isinstance(data, Mapping) else None
    # The whole digest says that it is this proposal that was answered.
    if not isinstance(answer, Mapping) or answer.get("document") != f"0x{row.digest.hex()}":
        return None
    return index, answer


def state_of(book: Book, repository: SetpointRepository, row: SetpointRow, now: int) -> SetpointState:
    """What became of a proposal, from the machine's evidence, later proposals, and the time."""
    if (found := find_answer(book, row)) is not None:
        at_s = found[1].get("at")
        if not isinstance(at_s, int) or at_s >= row.until:
            return SetpointState.EXPIRED  # an answer to a state that was over, or one of an unknown time
        return SetpointState.ACCEPTED if found[1].get("answer") == "accepted" else SetpointState.REFUSED
    latest = repository.latest(1, row.machine)
    if latest and latest[0].number != row.number:
        return SetpointState.SUPERSEDED
    return SetpointState.EXPIRED if now >= row.until else SetpointState.OPEN


def show_setpoint(book: Book, repository: SetpointRepository, row: SetpointRow, now: int) -> SetpointShown:
    document, found = row.parse(), find_answer(book, row)
    reason = None if found is None else found[1].get("reason")
    return SetpointShown(
        setpoint=row.number,
        machine=row.machine,
        state=state_of(book, repository, row, now).value,
        stream=row.stream,
        entry=None if found is None else found[0],
        reason=reason if isinstance(reason, str) else None,
        proposed_at=datetime.fromtimestamp(row.proposed_at, UTC),
        until_at=datetime.fromtimestamp(row.until, UTC),
        model=bytes.fromhex(document.model),
        values=tuple(_value(one) for one in document.values),
        horizon_s=document.horizon_s,
        expected=_forecast(document.expected),
        kept=_forecast(document.kept),
        unit=document.unit,
        cause=document.cause,
        document=row.digest,
    )


def _value(one: SetpointValue) -> ValueShown:
    return ValueShown(one.name, one.decimals, one.before, one.value)


def _forecast(one: Forecast) -> ForecastShown:
    return ForecastShown(one.cost, one.energy_wh, one.eta_ppm, one.e_ppm, one.eta_ppm * one.e_ppm // 1_000_000)
