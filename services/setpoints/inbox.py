"""The inbox of proposed setpoints at the gateway of the machine's owner: durable, and answered through the evidence."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import MachineRow, StreamRow
from millmark.services.setpoints.document import Forecast, SetpointDocument, SetpointValue, setpoint_event_id
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow

# As API, commands and pages show them, to the company whose machine it is


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


# The entry that answers a proposal: what the operator agreed to, committed to for good

ACCEPTED, REFUSED = "accepted", "refused"
_MAX_REASON = 500


def build_answer(row: SetpointRow, answer: str, reason: str | None, at_s: int) -> dict[str, Json]:
    """The member `setpoint` of the event's data; `at_s`: when it was answered, Unix seconds. Raises InputError for a
    refusal without a reason."""
    text = (reason or "").strip()
    if answer not in (ACCEPTED, REFUSED):
        raise InputError(f"{answer[:40]!a} is not an answer", hint=f"{ACCEPTED} or {REFUSED}")
    if answer == REFUSED and not text:
        raise InputError("a refusal has a reason", hint="say why, so that it can be learned from")
    if len(text) > _MAX_REASON:
        raise InputError(f"the reason has more than {_MAX_REASON} characters")
    document = row.parse()
    found: dict[str, Json] = {
        "answer": answer,
        "at": at_s,
        "document": f"0x{row.digest.hex()}",
        "machine": row.machine,
        "model": f"0x{document.model}",
        "values": [[one.name, one.value, one.decimals] for one in document.values],
    }
    if text:
        found["reason"] = text
    return found


MOST_OPEN_S = 7 * 86_400
"""Longest time for which a proposal may stay open."""


def _now() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True)
class Inbox:
    """Proposals for the machines of one company."""

    store: Store
    clock: Callable[[], int] = field(default=_now)
    """Unix seconds."""

    def propose(
        self, company: int | None, document: SetpointDocument, open_s: int, stream: bytes | None = None
    ) -> SetpointShown:
        """Put a proposal into the inbox for `open_s` seconds. A document that is open already is not put in twice.
        `company`: whose machine it must be; None where the gateway does not say whose it is: then whoever answers must
        own it. `stream`: where the answer is to be recorded; by default the machine's only stream. Raises NotFoundError
        for a machine that is not known, InputError for one of another company or without such a stream."""
        with self.store.transaction() as connection:
            rows, book = Rows(connection), Book(connection)
            return put_proposal(rows, book, company, document, open_s, stream, self.clock())

    def get(self, number: int) -> SetpointShown:
        """Raises NotFoundError."""
        with self.store.reading() as connection:
            repository = SetpointRepository(Rows(connection))
            row = repository.get(number)
            if row is None:
                raise NotFoundError(f"there is no proposal {number}", hint="millmark setpoints list")
            return show_setpoint(Book(connection), repository, row, self.clock())

    def page(self, before: int | None, most: int) -> list[SetpointShown]:
        """Those with a smaller number than `before`, the latest first."""
        now = self.clock()
        with self.store.reading() as connection:
            repository, book = SetpointRepository(Rows(connection)), Book(connection)
            return [show_setpoint(book, repository, row, now) for row in repository.before(before, most)]

    def of_machine(self, machine: int, most: int = 20) -> list[SetpointShown]:
        """Proposals for a machine, the latest first."""
        now = self.clock()
        with self.store.reading() as connection:
            repository, book = SetpointRepository(Rows(connection)), Book(connection)
            return [show_setpoint(book, repository, row, now) for row in repository.latest(most, machine)]


def put_proposal(
    rows: Rows,
    book: Book,
    company: int | None,
    document: SetpointDocument,
    open_s: int,
    stream: bytes | None,
    now: int,
) -> SetpointShown:
    """As `Inbox.propose`, within the caller's transaction."""
    if not 1 <= open_s <= MOST_OPEN_S:
        raise InputError(f"a proposal cannot be open for {open_s} s", hint=f"1 to {MOST_OPEN_S} seconds")
    repository = SetpointRepository(rows)
    found = _find_stream(rows, company, document.machine, stream)
    for known in repository.with_digest(document.digest):
        if state_of(book, repository, known, now) is SetpointState.OPEN:
            return show_setpoint(book, repository, known, now)
    number, content = repository.next_number(), document.build().decode()
    row = SetpointRow(number, document.machine, found, document.digest, content, now, now + open_s)
    repository.add(row)
    return show_setpoint(book, repository, row, now)


def _find_stream(rows: Rows, company: int | None, machine: int, stream: bytes | None) -> bytes:
    row = rows.get(MachineRow, machine)
    if row is None:
        raise NotFoundError(f"there is no machine {machine}", hint="millmark machines list")
    if company is not None and row.owner != company:
        raise InputError(f"machine {machine} is of another company", hint="its owner's gateway takes proposals for it")
    found = [one.subject for one in rows.find(StreamRow, machine=machine) if stream in (None, one.subject)]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} streams of machine {machine} are meant", hint="name one in which answers are recorded"
        )
    return found[0]
