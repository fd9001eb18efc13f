"""Calls, offers and plans as this company knows them: their tables, and all access to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete

from millmark.ledger import canonical, merkle
from millmark.ledger.store import Rows, schema_of
from millmark.ledger.store.rows import AnchorRow


class What:
    """What an entry is."""

    CALL = "call"
    OFFER = "offer"
    WITHDRAWAL = "withdrawal"
    PLAN = "plan"


@dataclass(slots=True)
class LeafRow:
    """An entry of a stream, opened: made here, or handed over by the stream's owner."""

    leaf: bytes
    """RFC 9162 leaf hash."""
    call: bytes
    """Digest of the call that it belongs to."""
    what: str
    """A constant of `What`."""
    owner: int
    """Participant whose stream it is."""
    stream: bytes
    leaf_index: int
    salt: bytes
    entry: str
    """Canonical JSON."""
    size: int
    """Size of the tree under which it was handed over; 0 for one that was made here."""
    proof: bytes
    """Inclusion proof in that tree, 32 bytes a hash."""
    sequence: int
    """Record that anchored that tree; 0 for one that was made here."""

    @property
    def value(self) -> canonical.Json:
        found: canonical.Json = json.loads(self.entry)
        return found

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self.proof[at : at + merkle.HASH_BYTES] for at in range(0, len(self.proof), merkle.HASH_BYTES))


@dataclass(slots=True)
class CallRow:
    """A call, by its digest."""

    digest: bytes
    leaf: bytes
    coordinator: int
    closes: int
    """Seconds since 1970."""
    objective: str
    """Canonical JSON; empty where it is not known."""
    asked: str
    """The participants to whom it goes, separated by spaces; empty where it came from another company."""

    @property
    def called(self) -> frozenset[int]:
        return frozenset(map(int, self.asked.split()))


@dataclass(slots=True)
class PlanRow:
    """A plan, whole or in part: its document is in the book."""

    digest: bytes
    call: bytes
    leaf: bytes
    claims_root: bytes
    place: int
    """Index in its stream: a later plan of a call has a greater one."""


@dataclass(slots=True)
class ReceiptRow:
    """The coordinator's signed receipt for an offer: given, or got."""

    offer: bytes
    """Leaf hash."""
    call: bytes
    received_at: int
    """Seconds since 1970, by the coordinator's clock."""
    signature: bytes
    """65 bytes."""


@dataclass(slots=True)
class AttemptRow:
    """A plan that somebody wanted made, until one for its call is recorded."""

    call: bytes
    number: int
    """From 1, of its call."""
    begun_ms: int
    """Milliseconds since 1970, as all times here."""
    cpu_s: int
    seed: int
    until_ms: int
    """Until when whoever makes it was last said to be at work; 0 once it is over."""
    entry: str
    """Canonical JSON of what is written with it about its cause; empty if nothing is."""
    plan: str
    """Canonical JSON; empty if there is none."""
    moved: int
    """Rows of the plan before that have another offer or start; -1 if there is none."""
    steps: str
    """How it came about: JSON, an array of lines."""
    problem: str
    """Why there is no plan; empty if there is one, or may be."""


_SCHEMA = schema_of("millmark.services")
_SCHEMA.table("planning_leaves", LeafRow, "leaf", "stream leaf_index", "call what", "sequence")
_SCHEMA.table("planning_calls", CallRow, "digest")
_SCHEMA.table("planning_plans", PlanRow, "digest", "call place")
_SCHEMA.table("planning_receipts", ReceiptRow, "offer")
_ATTEMPTS = _SCHEMA.table("planning_attempts", AttemptRow, "call number", "until_ms")


class PlanningRepository:
    """Reads and writes calls, offers and plans in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._rows = connection, Rows(connection)

    # Entries

    def add_leaf(self, row: LeafRow) -> bool:
        """Adds an entry unless it is known. Returns whether it is new."""
        if self._rows.get(LeafRow, row.leaf) is not None:
            return False
        self._rows.insert([row])
        return True

    def leaf(self, leaf: bytes) -> LeafRow | None:
        return self._rows.get(LeafRow, leaf)

    def leaves(self, call: bytes, what: str) -> list[LeafRow]:
        """In the order of their leaf hashes."""
        return self._rows.find(LeafRow, call=call, what=what)

    # Calls

    def put_call(self, row: CallRow) -> None:
        """Adds a call, or adds to a known one what was not known of it."""
        known = self.call(row.digest)
        if known is not None:
            row.objective, row.asked = row.objective or known.objective, row.asked or known.asked
        self._rows.put(row)

    def call(self, digest: bytes) -> CallRow | None:
        return self._rows.get(CallRow, digest)

    def calls(self) -> list[CallRow]:
        """The last one to close first."""
        return sorted(self._rows.find(CallRow), key=lambda row: (-row.closes, row.digest))

    def page_of_calls(self, after: bytes | None, most: int) -> list[CallRow]:
        return self._rows.page(CallRow, "digest", after, most)

    # Plans

    def put_plan(self, row: PlanRow) -> None:
        self._rows.put(row)

    def plan(self, digest: bytes) -> PlanRow | None:
        return self._rows.get(PlanRow, digest)

    def plans(self, call: bytes) -> list[PlanRow]:
        """The plans of a call, the first one first."""
        return sorted(self._rows.find(PlanRow, call=call), key=lambda row: row.place)

    # Plans that are not recorded

    def put_attempt(self, row: AttemptRow) -> None:
        self._rows.put(row)

    def attempt(self, call: bytes, number: int) -> AttemptRow | None:
        return self._rows.get(AttemptRow, call, number)

    def attempts(self, call: bytes) -> list[AttemptRow]:
        """The attempts to plan a call, the first one first."""
        return self._rows.find(AttemptRow, call=call)

    def making(self, now_ms: int) -> list[AttemptRow]:
        """The attempts at a plan that are still running."""
        return self._rows.within(AttemptRow, {"until_ms": now_ms}, {})

    def attempted_calls(self) -> list[bytes]:
        """The calls with attempts, the one that was tried last first."""
        latest = {row.call: row.begun_ms for row in self._rows.scan(AttemptRow, "begun_ms")}
        return sorted(latest, key=lambda call: (-latest[call], call))

    def forget_attempts(self, call: bytes, last: int = 2**31) -> None:
        """Those of a call, up to number `last`."""
        gone = _ATTEMPTS.c.call == call, _ATTEMPTS.c.number <= last
        self._connection.execute(delete(_ATTEMPTS).where(*gone))

    # Receipts

    def put_receipts(self, rows: Iterable[ReceiptRow]) -> None:
        """Adds receipts. The first one for an offer stays: it is the earlier."""
        listed = {row.offer: row for row in rows}
        known = {row.offer for row in self._rows.among(ReceiptRow, "offer", listed)}
        self._rows.insert([row for offer, row in sorted(listed.items()) if offer not in known])

    def receipts(self, offers: Iterable[bytes]) -> Mapping[bytes, ReceiptRow]:
        """The receipts for these offers, by the leaf hash of the offer."""
        return {row.offer: row for row in self._rows.among(ReceiptRow, "offer", offers)}


def own_leaves(rows: Rows, stream: bytes, sequence: int, size: int) -> Sequence[LeafRow]:
    """The entries of the company's own stream that the anchor of this record is the first to cover, by index."""
    made = [row for row in rows.find(LeafRow, stream=stream) if row.sequence == 0 and row.leaf_index < size]
    if not made:  # the common case: a machine's measurements
        return ()
    before = rows.latest_before(AnchorRow, "sequence", sequence, stream=stream)
    first = 0 if before is None else before.size
    return sorted((row for row in made if row.leaf_index >= first), key=lambda row: row.leaf_index)
