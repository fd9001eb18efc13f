"""What the EPCIS routes answer: query documents and capture jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from ledger.canonical import Json
from ledger.store.epcis_rows import EpcisCaptureRow
from services.interop.epcis.library import CONTEXT

__all__ = ["describe_capture", "query_document"]


def query_document(events: Sequence[Json]) -> dict[str, Json]:
    """The answer to a SimpleEventQuery."""
    return {
        "@context": [CONTEXT],
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": _moment(int(datetime.now(UTC).timestamp() * 1000)),
        "epcisBody": {"queryResults": {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": list(events)}}},
    }


def describe_capture(row: EpcisCaptureRow) -> dict[str, Json]:
    """A capture job; `events` says what became of each, which the standard leaves room for."""
    events = json.loads(row.outcome)
    errors: list[Json] = [
        {
            "type": "epcisException:ValidationException",
            "title": "The event breaks the standard",
            "status": 400,
            "detail": f"{reason['pointer'] or event['event'] or 'the event'}: {reason['reason']}",
        }
        for event in events
        for reason in event.get("reasons", ())
    ]
    return {
        "captureID": row.id,
        "createdAt": _moment(row.created_ms),
        "finishedAt": _moment(row.finished_ms),
        "running": False,
        "success": row.success,
        "captureErrorBehaviour": row.behaviour,
        "errors": errors,
        "events": events,
    }


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
