"""The status of a record that was requested over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.provenance.answers import Printable, moment
from millmark.ledger.store.outbox import QueuedRecord
from millmark.services.gateway.recording.repository import RecordingRow

__all__ = ["RecordStatus", "Refusal", "build_record_status"]


@dataclass(frozen=True, slots=True)
class Refusal(Printable):
    """Why the contract rejected a record."""

    name: str
    """Name of the contract's error, as in its source."""
    values: Mapping[str, object]
    """Arguments of the error, by name; bytes as 0x-hex."""
    detail: str


@dataclass(frozen=True, slots=True)
class RecordStatus(Printable):
    """A record on its way to the ledger, and where it is."""

    id: int
    """Number of this resource, unrelated to `sequence`."""
    kind: str
    """Kind of record, such as `ReceiveLot`."""
    contract: str
    state: str
    """`queued`, `nonced`, `signed`, `sent`, `mined`, and finally `final`, `failed` or `cancelled`. `paused` and
    `blocked` records wait: for an operator, or for an earlier record that failed."""
    done: bool
    """Whether the state is final and will not change."""
    sequence: int | None
    """Sequence on the registry or the ledger, once the record is in a block."""
    subjects: tuple[bytes, ...]
    """Subjects of new things that the record creates, in its order."""
    refusal: Refusal | None
    queued_at: datetime | None
    changed_at: datetime | None


_DONE = ("final", "failed", "cancelled")


def build_record_status(record: QueuedRecord, row: RecordingRow | None) -> RecordStatus:
    return RecordStatus(
        id=record.id,
        kind=record.kind,
        contract=record.contract,
        state=record.state.value,
        done=record.state.value in _DONE,
        sequence=record.sequence,
        subjects=() if row is None else tuple(bytes.fromhex(one[2:]) for one in json.loads(row.subjects)),
        refusal=_refusal(record),
        queued_at=moment(int(record.queued_at_s)),
        changed_at=moment(int(record.changed_at_s)),
    )


def _refusal(record: QueuedRecord) -> Refusal | None:
    if record.error_name is None:
        return None
    return Refusal(record.error_name, json.loads(record.error_values or "{}"), record.error or "")
