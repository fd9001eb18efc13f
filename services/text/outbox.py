"""Descriptions of queued records: which record, since when, and why it is waiting."""

from __future__ import annotations

from collections.abc import Mapping

from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord

STALL_S = 30.0
"""Time without a new block after which a chain counts as stalled."""


def describe_queue(outbox: Outbox, now: float) -> dict[str, object]:
    """Ages in seconds by state, and the oldest record with the reason why it waits, or None if the queue is empty.
    `now` is Unix time in seconds."""
    oldest = outbox.unfinished(1)
    # Ages are never negative, even if this machine's clock was set back.
    return {
        "oldest_age_s": {state: max(round(now - at_s), 0) for state, at_s in outbox.oldest_at_s().items()},
        "oldest_waiting": describe_waiting(oldest[0], now) if oldest else None,
    }


def queue_lines(records: Mapping[str, int], queue: Mapping[str, object]) -> list[str]:
    """Lines of text for the result of `describe_queue` and the number of records by state."""
    ages, oldest = queue["oldest_age_s"], queue["oldest_waiting"]
    lines = []
    for state, count in sorted(records.items()):
        age = f", the oldest for {ages[state]} s" if isinstance(ages, dict) and state in ages else ""
        lines.append(f"{count} records {state}{age}")
    if isinstance(oldest, dict):
        return [*lines, f"oldest: {oldest['key']}, queued {oldest['age_s']} s ago: {oldest['why']}"]
    return [*lines, "no record is queued"]


def describe_waiting(record: QueuedRecord, now: float) -> dict[str, object]:
    """One queued record in JSON types, with age and reason. `now` is Unix time in seconds."""
    return {
        "key": record.idempotency_key,
        "kind": record.kind,
        "state": record.state.value,
        "age_s": max(round(now - record.queued_at_s), 0),
        "signer": "0x" + record.signer.hex(),
        "why": _reason(record),
    }


def _reason(record: QueuedRecord) -> str:
    if record.cancelling:
        return "being cancelled"
    match record.state:
        case OutboxState.FAILED:
            return record.error or "failed"
        case OutboxState.PAUSED:
            return "paused by the operator"
        case OutboxState.BLOCKED:
            return f"waits for {record.depends_on}"
        case OutboxState.QUEUED:
            return "waits for its turn"
        case OutboxState.MINED:
            return "in a block that is not final yet"
        case _:
            return "on its way to a block"
