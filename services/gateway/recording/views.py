"""What became of a record that was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ledger.provenance.jsonform import Printable, moment
from ledger.store.outbox import QueuedRecord
from services.gateway.recording.tables import RecordingRow

__all__ = ["RecordFate", "Refusal", "build_fate"]


@dataclass(frozen=True, slots=True)
class Refusal(Printable):
    """Why the contract did not take a record."""

    name: str
    """Of the contract's error, as in its source."""
    values: Mapping[str, object]
    """What it says, by name; bytes as 0x-hex."""
    detail: str


@dataclass(frozen=True, slots=True)
class RecordFate(Printable):
    """A record on its way to the ledger."""

    id: int
    """Of this resource."""
    kind: str
    """Of record, as the library calls it."""
    contract: str
    state: str
    """`queued`, `nonced`, `signed`, `sent`, `mined`, and at last `final`, `failed` or `cancelled`; `paused` and
    `blocked` wait for an operator, or for a record that failed."""
    done: bool
    """Whether it stays as it is."""
    sequence: int | None
    """On the chain, once it is in a block; of the registry or of the ledger."""
    subjects: tuple[bytes, ...]
    """New things that it names, in its own order."""
    refusal: Refusal | None
    queued_at: datetime | None
    changed_at: datetime | None


_DONE = ("final", "failed", "cancelled")


def build_fate(record: QueuedRecord, row: RecordingRow | None) -> RecordFate:
    return RecordFate(
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
