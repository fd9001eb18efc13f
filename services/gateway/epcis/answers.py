"""Bodies of the EPCIS routes' responses: query documents and capture jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, cast

import msgspec

from millmark.ledger.canonical import Json
from millmark.services.gateway.recording.service import RecordStatus
from millmark.services.interop.epcis.event_queries import CONTEXT
from millmark.services.interop.epcis.repository import EpcisCaptureRow

SIMPLE: Final = "SimpleEventQuery"
"""The standard's predefined query, with its parameters in the URL."""
_SHOWN_MEMBERS: Final = ("kind", "state", "done", "sequence", "refusal")
"""Members of a record's status that a capture job includes."""


def query_document(events: Sequence[Json], name: str = SIMPLE, subscription: str | None = None) -> dict[str, Json]:
    """The response to the query with this name, or what is delivered to a subscription."""
    subscribed: dict[str, Json] = {} if subscription is None else {"subscriptionID": subscription}
    return {
        "@context": [CONTEXT],
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": format_moment(int(datetime.now(UTC).timestamp() * 1000)),
        "epcisBody": {"queryResults": {"queryName": name, **subscribed, "resultsBody": {"eventList": list(events)}}},
    }


def collection(members: Sequence[str]) -> dict[str, Json]:
    """A list of values, as the standard's top-level resources answer."""
    return {"@context": [CONTEXT], "type": "Collection", "member": list(members)}


def recorded_of(row: EpcisCaptureRow) -> set[int]:
    """Ids of the records that were queued for the events of a capture job."""
    if '"recorded":' not in row.outcome:  # cheaper than decoding, and true of most jobs
        return set()
    return {one["id"] for event in msgspec.json.decode(row.outcome) for one in event.get("recorded", ())}


def describe_capture(row: EpcisCaptureRow, statuses: Mapping[int, RecordStatus] | None = None) -> dict[str, Json]:
    """A capture job. The extension `events` reports on each event; `statuses` are those of its records."""
    events = msgspec.json.decode(row.outcome)
    for event in events:
        for one in event.get("recorded", ()):
            one |= _status((statuses or {}).get(one["id"]))
    errors: list[Json] = [
        {
            "type": "epcisException:ValidationException",
            "title": "The event violates the standard",
            "status": 400,
            "detail": f"{reason['pointer'] or event['event'] or 'the event'}: {reason['reason']}",
        }
        for event in events
        for reason in event.get("reasons", ())
    ]
    return {
        "captureID": row.id,
        "createdAt": format_moment(row.created_ms),
        "finishedAt": format_moment(row.finished_ms),
        "running": False,
        "success": row.success,
        "captureErrorBehaviour": row.behaviour,
        "errors": errors,
        "events": events,
    }


def _status(status: RecordStatus | None) -> dict[str, Json]:
    if status is None:
        return {}
    members = cast("dict[str, Json]", status.to_json())
    return {name: members[name] for name in _SHOWN_MEMBERS if members[name] is not None}


def format_moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
