"""Proposed setpoints: their table, and all access to it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from millmark.ledger.store import Rows, schema_of
from millmark.services.setpoints.document import SetpointDocument, parse_setpoint


@dataclass(slots=True)
class SetpointRow:
    """A proposal. What was answered is in the machine's evidence, and nowhere else."""

    number: int
    """From 1, in the order in which they were proposed to this company."""
    machine: int
    stream: bytes
    """Where the answer is recorded: a stream of the machine."""
    digest: bytes
    """SHA-256 of the document."""
    document: str
    """Canonical JSON."""
    proposed_at: int
    """Unix seconds, as is `until`."""
    until: int
    """From then on it can no longer be accepted: the state that it was made for is over."""

    def parse(self) -> SetpointDocument:
        return parse_setpoint(json.loads(self.document))


_SCHEMA = schema_of("millmark.services")
_SCHEMA.table("setpoints", SetpointRow, "number", "machine number", "digest")


class SetpointRepository:
    """Reads and writes proposals in the caller's transaction."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def add(self, row: SetpointRow) -> None:
        self._rows.insert([row])

    def next_number(self) -> int:
        return self._rows.greatest(SetpointRow, "number") + 1

    def get(self, number: int) -> SetpointRow | None:
        return self._rows.get(SetpointRow, number)

    def latest(self, most: int, machine: int | None = None) -> list[SetpointRow]:
        """The latest first; of all machines if None."""
        if machine is None:
            return self._rows.latest(SetpointRow, "number", most)
        return self._rows.latest(SetpointRow, "number", most, machine=machine)

    def before(self, number: int | None, most: int) -> list[SetpointRow]:
        """Those with a smaller number, the latest first; all if None."""
        return self._rows.page(SetpointRow, "number", number, most, newest_first=True)

    def with_digest(self, digest: bytes) -> list[SetpointRow]:
        return self._rows.find(SetpointRow, digest=digest)
