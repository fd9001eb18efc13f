"""Causes: what happened at a machine, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.plans.plan import Cause, CauseKind

_TAG = b"millmark.machine-cause.v1\0"


@dataclass(frozen=True, slots=True)
class MachineCause:
    """Something that happened at a machine, as a record or an entry of a stream shows it.

    Raises PlanError if it names neither one record nor one entry, for a kind that is about no machine, and for times
    in the wrong order.
    """

    kind: CauseKind
    machine: int
    text: str
    """One line for people."""
    since_s: int
    """When what was measured began, seconds since 1970. A step that was taken later cannot have prevented it."""
    at_s: int
    """When it became known, seconds since 1970."""
    record: int | None = None
    """Sequence number of the record that shows it."""
    stream: bytes | None = None
    """Subject of the stream whose entry shows it, 32 bytes."""
    leaf: int | None = None
    """Index of the entry in that stream."""
    leaf_hash: bytes | None = None
    """RFC 9162 leaf hash of the entry, 32 bytes."""

    def __post_init__(self) -> None:
        self.to_cause()
        if self.kind is CauseKind.CALL:
            raise PlanError("a change of the call is about no machine", hint="make another plan for the call")
        if self.machine < 1:
            raise PlanError(f"there is no machine {self.machine}", hint="see `millmark machines list`")
        if self.since_s > self.at_s:
            raise PlanError("a cause became known before it began", hint="check the clock of the device that measured")

    @property
    def id(self) -> bytes:
        """What names it, 32 bytes: the same evidence about the same machine is the same cause, however it is told."""
        return sha256(_TAG + canonical_json({"kind": self.kind.value, "machine": self.machine, **self._place()}))

    def to_cause(self) -> Cause:
        """As a plan names why it replaces another."""
        return Cause(self.kind, self.text, self.stream, self.leaf, self.record)

    def to_json(self) -> dict[str, Json]:
        """As entries of streams and documents of records state it."""
        return {"id": to_hex(self.id), "machine": self.machine, "text": self.text, "kind": self.kind, **self._place()}

    def _place(self) -> dict[str, Json]:
        if self.stream is None:
            return {"record": self.record}
        place: dict[str, Json] = {"stream": to_hex(self.stream), "leaf": self.leaf}
        return place if self.leaf_hash is None else {**place, "leaf_hash": to_hex(self.leaf_hash)}
