"""Tables of captured EPCIS events, one class per table. Times are Unix times in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class EpcisEventRow:
    """A captured event. Its content is the evidence entry at `index` of `stream`."""

    number: int
    """Counts captured events without gaps."""
    participant: int
    """The sender; 0 for the operator of a gateway that is open on the loopback."""
    key: str
    """Deduplication key among the events of that participant."""
    hash: str
    event_id: str
    event_time_ms: int
    record_time_ms: int
    stream: bytes
    index: int
    capture: str
    proposal: str
    """The salts and claims of the proposed records, as JSON; empty if there are none."""


@dataclass(slots=True)
class EpcisTermRow:
    """A term, by which queries find events: a field and its value, normalised as for the event hash.

    A row covers a run of consecutive events that have the term, because events of one batch share most terms.
    """

    field: str
    value: str
    first: int
    """Number of the first event of the run."""
    count: int
    """Length of the run."""


@dataclass(slots=True)
class EpcisQueryRow:
    """A named query of a participant."""

    participant: int
    """0 for the operator of a gateway that is open on the loopback."""
    name: str
    number: int
    """Ascending per participant, in the order of creation."""
    created_ms: int
    definition: str
    """The parameters as received, as JSON."""


@dataclass(slots=True)
class EpcisCaptureRow:
    """A capture job, and the outcome of each of its events."""

    id: str
    number: int
    """Counts capture jobs without gaps."""
    participant: int
    created_ms: int
    finished_ms: int
    behaviour: str
    success: bool
    outcome: str
    """The outcome of each event, as JSON."""


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
