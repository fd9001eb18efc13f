"""EPCIS events that partners sent in: one class per table. Times are milliseconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class EpcisEventRow:
    """An event that was taken in; what it says is the evidence entry at its place."""

    number: int
    """Dense, in the order in which events were taken in."""
    participant: int
    """Who sent it; 0 for whoever runs a gateway that is open on the loopback."""
    key: str
    """By which that participant's duplicates are known."""
    hash: str
    event_id: str
    event_time_ms: int
    record_time_ms: int
    stream: bytes
    index: int
    capture: str
    proposal: str
    """The records that would follow from it, with their salts and claims, as JSON; empty for none."""


@dataclass(slots=True)
class EpcisTermRow:
    """One thing that events say and can be asked for: a field, and its value in the form of the event hash. Events that
    come together say much alike: what one after another says is in one row."""

    field: str
    value: str
    first: int
    """Number of the first of them."""
    count: int


@dataclass(slots=True)
class EpcisQueryRow:
    """A question that a participant keeps under a name."""

    participant: int
    """0 for whoever runs a gateway that is open on the loopback."""
    name: str
    number: int
    """Ascending, in the order in which they were made."""
    created_ms: int
    definition: str
    """The parameters, as JSON, as they came."""


@dataclass(slots=True)
class EpcisCaptureRow:
    """One call that sent events in, and what became of each."""

    id: str
    number: int
    """Dense, in the order of the calls."""
    participant: int
    created_ms: int
    finished_ms: int
    behaviour: str
    success: bool
    outcome: str
    """What became of each event, as JSON."""


_SCHEMA = schema_of("services")
epcis_events = _SCHEMA.table(
    "epcis_events",
    EpcisEventRow,
    "number",
    "participant key",
    "event_id",
    "event_time_ms number",
    "record_time_ms number",
)
epcis_terms = _SCHEMA.table("epcis_terms", EpcisTermRow, "field value first")
epcis_queries = _SCHEMA.table("epcis_queries", EpcisQueryRow, "participant name")
epcis_captures = _SCHEMA.table("epcis_captures", EpcisCaptureRow, "id", "number")
