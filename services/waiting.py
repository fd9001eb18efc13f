"""What is not on the ledger for good, in words: which record, since when, and why."""

from __future__ import annotations

from ledger.store.outbox import OutboxState, QueuedRecord

__all__ = ["describe_waiting"]


def describe_waiting(record: QueuedRecord, now: float) -> dict[str, object]:
    """`now`: seconds since 1970."""
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
