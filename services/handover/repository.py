"""Hand-overs that are still to be delivered, and those that were kept: their tables, and all access to them.

Times are milliseconds since 1970; 0 means "never".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select, update

from millmark.ledger.store import Rows, Store, schema_of
from millmark.services.handover.content import Erasure


@dataclass(slots=True)
class DeliveryRow:
    """A hand-over by this company: one for each record and recipient."""

    sequence: int
    """The ledger's record because of which it is due."""
    recipient: int
    state: str
    """millmark.services.handover.delivering.State."""
    text: bytes
    """The sealed hand-over, from when it was first made until it is delivered; empty otherwise."""
    digest: bytes
    """Digest of `text`; empty before it was made."""
    attempts: int
    """Failed attempts since it was made."""
    reason: str
    """Why the last attempt failed; empty after a success."""
    next_try_ms: int
    changed_ms: int


@dataclass(slots=True)
class HandoverCursorRow:
    """The last record of the ledger whose hand-overs are in the queue; a single row."""

    id: int
    sequence: int


@dataclass(slots=True)
class KeptRow:
    """A hand-over of another company that was verified and kept."""

    sequence: int
    digest: bytes
    sender: int
    kept_ms: int
    names: int
    """How many names it had."""
    documents: int
    bundle: bytes
    """Its bundle as it was verified; empty if it had none."""


@dataclass(slots=True)
class GivenRow:
    """A document that this company handed over, or is about to."""

    root: bytes
    recipient: int
    sequence: int
    """The record because of which it did."""


@dataclass(slots=True)
class ErasureRow:
    """A field of a document that was erased here, and that no hand-over brings back
    (millmark.services.handover.content)."""

    root: bytes
    path: str
    contract: str
    record: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class WaitingCount:
    """The hand-overs that are still to be delivered."""

    number: int
    oldest_ms: int
    """When the oldest was last changed by anything but a failure; 0 if there is none."""
    reason: str
    """Why the oldest waits."""


_SCHEMA = schema_of("millmark.services")
deliveries = _SCHEMA.table("handover_deliveries", DeliveryRow, "sequence recipient", "state next_try_ms")
_SCHEMA.table("handover_cursor", HandoverCursorRow, "id")
kept = _SCHEMA.table("handovers_kept", KeptRow, "sequence digest")
_SCHEMA.table("handover_given", GivenRow, "root recipient sequence", "sequence recipient")
erasures = _SCHEMA.table("handover_erasures", ErasureRow, "root path")


class HandoverRepository:
    """Reads and writes hand-overs in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def cursor(self) -> int:
        found = self._rows.get(HandoverCursorRow, 1)
        return 0 if found is None else found.sequence

    def advance(self, sequence: int) -> None:
        self._rows.put(HandoverCursorRow(1, sequence))

    def add(self, sequence: int, recipient: int, now_ms: int) -> None:
        """Adds a hand-over to the queue, unless it is there already."""
        if self.get(sequence, recipient) is None:
            self._rows.insert([DeliveryRow(sequence, recipient, "waiting", b"", b"", 0, "", now_ms, now_ms)])

    def get(self, sequence: int, recipient: int) -> DeliveryRow | None:
        return self._rows.get(DeliveryRow, sequence, recipient)

    def all(self, *states: str, most: int = 1000) -> list[DeliveryRow]:
        """The oldest first, without their texts."""
        # A text may have 21 MiB. It is replaced by an empty one in the query, so that the rows keep their columns.
        columns = [column if column.name != "text" else func.substr(column, 1, 0) for column in deliveries.c]
        query = select(*columns).order_by(deliveries.c.sequence, deliveries.c.recipient).limit(most)
        if states:
            query = query.where(deliveries.c.state.in_(states))
        return [DeliveryRow(*row) for row in self._connection.execute(query)]

    def of_record(self, sequence: int) -> list[DeliveryRow]:
        """The hand-overs because of one record, by recipient."""
        return self._rows.find(DeliveryRow, sequence=sequence)

    def due(self, now_ms: int, most: int) -> list[DeliveryRow]:
        """Waiting hand-overs whose next attempt is due, in the order of their records."""
        query = select(deliveries).where(deliveries.c.state == "waiting", deliveries.c.next_try_ms <= now_ms)
        found = self._connection.execute(query.order_by(deliveries.c.sequence, deliveries.c.recipient).limit(most))
        return [DeliveryRow(**row._mapping) for row in found]

    def change(self, row: DeliveryRow, **values: object) -> None:
        statement = update(deliveries).where(
            deliveries.c.sequence == row.sequence, deliveries.c.recipient == row.recipient
        )
        self._connection.execute(statement.values(**values))

    def retry(self, recipient: int | None, now_ms: int) -> int:
        """Makes the next attempts due at once. Returns of how many hand-overs."""
        statement = update(deliveries).where(deliveries.c.state == "waiting")
        if recipient is not None:
            statement = statement.where(deliveries.c.recipient == recipient)
        return self._connection.execute(statement.values(next_try_ms=now_ms)).rowcount

    def lacking(self, reason: str) -> list[DeliveryRow]:
        """Those that went without something, or wait for it for this reason; without their texts."""
        columns = [column if column.name != "text" else func.substr(column, 1, 0) for column in deliveries.c]
        waits = (deliveries.c.state == "waiting") & (deliveries.c.reason == reason)
        query = select(*columns).where((deliveries.c.state == "partial") | waits)
        return [DeliveryRow(*row) for row in self._connection.execute(query)]

    def given_in(self, sequence: int, recipient: int) -> set[bytes]:
        """The claims roots of the documents that a hand-over has."""
        return {row.root for row in self._rows.find(GivenRow, sequence=sequence, recipient=recipient)}

    def counts(self) -> Mapping[str, int]:
        """Number of hand-overs by state."""
        query = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
        return {str(state): int(count) for state, count in self._connection.execute(query)}

    def waiting(self) -> WaitingCount:
        """How many wait, since when, and why."""
        held = deliveries.c.state == "waiting"
        number = self._connection.execute(select(func.count()).where(held)).scalar() or 0
        oldest = self._connection.execute(
            select(deliveries.c.changed_ms, deliveries.c.reason)
            .where(held)
            .order_by(deliveries.c.changed_ms, deliveries.c.sequence)
            .limit(1)
        ).first()
        return WaitingCount(number, *(oldest or (0, "")))

    def give(self, sequence: int, recipient: int, roots: Iterable[bytes]) -> None:
        """Notes which documents a hand-over has."""
        noted = {row.root for row in self._rows.find(GivenRow, sequence=sequence, recipient=recipient)}
        self._rows.insert([GivenRow(root, recipient, sequence) for root in sorted(set(roots) - noted)])

    def given(self, root: bytes) -> int:
        """How many hand-overs have a document."""
        return len(self._rows.find(GivenRow, root=root))

    def erasures(self, roots: Iterable[bytes]) -> list[Erasure]:
        """The fields of these documents that were erased here."""
        found = self._rows.among(ErasureRow, "root", roots)
        return sorted(Erasure(row.root, row.path, row.contract, row.record, row.signature) for row in found)

    def count_erasures(self) -> int:
        """How many fields were erased so far."""
        return self._connection.execute(select(func.count()).select_from(erasures)).scalar() or 0

    def erasures_for(self, sequence: int, recipient: int) -> list[Erasure]:
        """The erasures that are passed on with a hand-over: of documents that it had."""
        given = self._rows.find(GivenRow, sequence=sequence, recipient=recipient)
        return [one for one in self.erasures({row.root for row in given}) if one.record]

    def erase(self, erasure: Erasure, now_ms: int) -> None:
        """Notes an erasure, and has every hand-over that had the document made and sent again."""
        known = self._rows.get(ErasureRow, erasure.root, erasure.path)
        # What is signed stays. One's own gives way where another record is named, mostly because there was none when it
        # was noted, so that it was not passed on. Noting the same again must not have everything sent once more.
        if known is not None and (known.signature or known.record == erasure.record):
            return
        row = ErasureRow(erasure.root, erasure.path, erasure.contract, erasure.record, erasure.signature)
        self._rows.put(row)
        for given in self._rows.find(GivenRow, root=erasure.root) if erasure.record else ():
            self.make_again(given.sequence, given.recipient, now_ms)

    def make_again(self, sequence: int, recipient: int, now_ms: int) -> None:
        """Queues a hand-over to be made and sent again, whatever its state. One that is just being made notices this by
        the new value of `changed_ms`."""
        anew = {"state": "waiting", "text": b"", "digest": b"", "attempts": 0, "reason": ""}
        place = deliveries.c.sequence == sequence, deliveries.c.recipient == recipient
        changed = deliveries.c.changed_ms
        # `changed_ms` is the row's version, by which whoever seals or settles it notices this. So it has to change even
        # while the clock stands, or was set back.
        later = case((changed < now_ms, now_ms), else_=changed + 1)
        self._connection.execute(update(deliveries).where(*place).values(**anew, next_try_ms=now_ms, changed_ms=later))

    def kept(self, sequence: int, digest: bytes) -> KeptRow | None:
        return self._rows.get(KeptRow, sequence, digest)

    def keep(self, row: KeptRow) -> None:
        self._rows.insert([row])

    def all_kept(self, most: int = 1000) -> list[KeptRow]:
        """In the order of their records, without their bundles."""
        columns = [column if column.name != "bundle" else func.substr(column, 1, 0) for column in kept.c]
        query = select(*columns).order_by(kept.c.sequence, kept.c.kept_ms).limit(most)
        return [KeptRow(*row) for row in self._connection.execute(query)]

    def bundles(self, sequence: int) -> list[bytes]:
        """The bundles that were handed over because of a record, the latest last."""
        found = [row for row in self._rows.find(KeptRow, sequence=sequence) if row.bundle]
        return [row.bundle for row in sorted(found, key=lambda row: row.kept_ms)]


def count_handovers(store: Store) -> Mapping[str, int]:
    """Number of this company's hand-overs by state. Raises StoreError."""
    with store.reading() as connection:
        return HandoverRepository(connection).counts()
