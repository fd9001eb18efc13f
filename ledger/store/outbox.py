"""The outbox: what must get onto the ledger, and what was sent for it.

Records and transactions apart, because a record may be in several transactions over time. Callers and operators use
Outbox; the one submitter of a key moves transactions through an OutboxWriter (ledger.store.outbox_writer), which says
what a crash leaves behind.

    QUEUED -> NONCED -> SIGNED -> SENT -> MINED -> FINAL

A record that the contract refuses is FAILED with the contract's error, kept for its owner. The operator holds records
back (PAUSED), lets them go again, and gives them up (CANCELLED). What depends on a record that goes nowhere is BLOCKED
until that one goes on; all others go past it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.exc import IntegrityError

from ledger.errors import DuplicateRecordError, LeaseHeldError, NotFoundError, SubmitError
from ledger.store.database import Store
from ledger.store.outbox_rows import (
    block_dependants,
    free_dependants,
    new_id,
    read_record,
    read_transaction,
    set_records,
    waiting_state,
)
from ledger.store.outbox_tables import (
    FORWARDER,
    Entry,
    LeaseRow,
    OutboxState,
    QueuedRecord,
    SentTransaction,
    Version,
    outbox_attempts,
    outbox_leases,
    outbox_records,
    outbox_relay_nonces,
    outbox_transactions,
)
from ledger.store.outbox_writer import OutboxWriter

__all__ = [
    "CRASH_POINTS",
    "FORWARDER",
    "Entry",
    "LeaseRow",
    "Outbox",
    "OutboxState",
    "OutboxWriter",
    "QueuedRecord",
    "SentTransaction",
    "Version",
    "enqueue_in",
]

CRASH_POINTS = ("enqueue", "take_lease")
"""Methods of Outbox before and after which a process may die, beside those of its desk."""
_UNMINED = (OutboxState.NONCED, OutboxState.SIGNED, OutboxState.SENT)
_OPEN = (*_UNMINED, OutboxState.MINED)
_WAITING = (OutboxState.QUEUED, OutboxState.PAUSED, OutboxState.BLOCKED, OutboxState.FAILED)
_KEY_ERRORS = ("RegistryKeyRevoked", "RegistryKeyUnknown")
_MOST_KEY_CHARACTERS = 256


class Outbox:
    """Repository over one store. Times are wall-clock seconds and serve the operator only. Transactions are those that
    the key sends itself, or with `relayed` the requests that somebody else sends for it: with other nonces, and known
    to the other kind of submitter only by their records' states."""

    def __init__(self, store: Store, *, relayed: bool = False) -> None:
        self._store = store
        self._relayed = relayed

    def enqueue(self, signer: bytes, entries: Sequence[Entry]) -> list[int]:
        """Makes the entries durable, in order, with one commit; gives their ids. Known keys give the ids they had.

        Raises DuplicateRecordError when a key comes back with another record, SubmitError when one is no key; then
        nothing is queued.
        """
        with self._store.transaction() as connection:
            return [enqueue_in(connection, signer, entry) for entry in entries]

    def queued(self, signer: bytes, most: int) -> list[QueuedRecord]:
        """The oldest records that wait for a transaction, all for the first one's contract."""
        query = (
            select(outbox_records)
            .where(outbox_records.c.signer == signer, outbox_records.c.state == OutboxState.QUEUED)
            .order_by(outbox_records.c.id)
            .limit(most)
        )
        with self._store.reading() as connection:
            found = [read_record(row) for row in connection.execute(query).mappings()]
        upto = next((i for i, record in enumerate(found) if record.contract != found[0].contract), len(found))
        return found[:upto]

    def open_transactions(self, signer: bytes) -> list[SentTransaction]:
        """Transactions whose fate is not final, by nonce."""
        query = (
            select(outbox_transactions.c.id)
            .where(*self._of(signer), outbox_transactions.c.state.in_(_OPEN))
            .order_by(outbox_transactions.c.nonce, outbox_transactions.c.id)
        )
        with self._store.reading() as connection:
            return [
                read_transaction(connection, transaction_id) for transaction_id in connection.execute(query).scalars()
            ]

    def signed_at(self, signer: bytes, nonce: int) -> bytes | None:
        """The latest bytes that were signed for a nonce; None when none were, or they came to nothing."""
        query = (
            select(outbox_transactions.c.raw)
            .where(
                *self._of(signer),
                outbox_transactions.c.nonce == nonce,
                outbox_transactions.c.state.in_((OutboxState.FINAL, OutboxState.REPLACED)),
            )
            .order_by(outbox_transactions.c.id.desc())
            .limit(1)
        )
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def count_unmined(self, signer: bytes) -> int:
        """Number of transactions that hold a nonce and are not in a block."""
        query = (
            select(func.count())
            .select_from(outbox_transactions)
            .where(*self._of(signer), outbox_transactions.c.state.in_(_UNMINED))
        )
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one()

    def latest_transaction(self, record_id: int) -> SentTransaction | None:
        """The one that last carried a record; None before the first."""
        query = select(func.max(outbox_attempts.c.transaction_id)).where(outbox_attempts.c.record_id == record_id)
        with self._store.reading() as connection:
            found = connection.execute(query).scalar_one()
            return None if found is None else read_transaction(connection, found)

    def _of(self, signer: bytes) -> tuple[ColumnElement[bool], ...]:
        return outbox_transactions.c.signer == signer, outbox_transactions.c.relayed == self._relayed

    def has_unmined(self) -> bool:
        """Whether a transaction of any key is on its way to a block."""
        query = select(outbox_transactions.c.id).where(outbox_transactions.c.state.in_(_UNMINED)).limit(1)
        with self._store.reading() as connection:
            return connection.execute(query).first() is not None

    def record(self, record_id: int) -> QueuedRecord:
        """Raises NotFoundError when there is no such record."""
        with self._store.reading() as connection:
            query = select(outbox_records).where(outbox_records.c.id == record_id)
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFoundError(f"the outbox has no record {record_id}")
        return read_record(row)

    def among(self, ids: Sequence[int]) -> Mapping[int, QueuedRecord]:
        """The records of those ids that there are, at most a few hundred."""
        query = select(outbox_records).where(outbox_records.c.id.in_(ids))
        with self._store.reading() as connection:
            return {int(row["id"]): read_record(row) for row in connection.execute(query).mappings()}

    def find(self, keys: Sequence[str]) -> Mapping[str, QueuedRecord]:
        """Those of the idempotency keys that are known, at most a few hundred."""
        query = select(outbox_records).where(outbox_records.c.idempotency_key.in_(keys))
        with self._store.reading() as connection:
            found = [read_record(row) for row in connection.execute(query).mappings()]
        return {record.idempotency_key: record for record in found}

    def page(self, after: int, most: int, state: str | None) -> list[QueuedRecord]:
        """The newest records whose ids are below `after`, of all keys; with a state, those in it."""
        query = select(outbox_records).where(outbox_records.c.id < after).order_by(outbox_records.c.id.desc())
        if state is not None:
            query = query.where(outbox_records.c.state == state)
        with self._store.reading() as connection:
            return [read_record(row) for row in connection.execute(query.limit(most)).mappings()]

    def latest_key(self, prefix: str) -> str | None:
        """The greatest idempotency key that begins so; None when none does."""
        keys = outbox_records.c.idempotency_key
        query = select(func.max(keys)).where(keys.startswith(prefix, autoescape=True))
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def counts(self) -> Mapping[str, int]:
        """Number of records by state."""
        query = select(outbox_records.c.state, func.count()).group_by(outbox_records.c.state)
        with self._store.reading() as connection:
            return {str(state): int(count) for state, count in connection.execute(query)}

    def oldest_at_s(self) -> Mapping[str, float]:
        """When the oldest record was queued, by state, of those that are neither final nor cancelled."""
        query = (
            select(outbox_records.c.state, func.min(outbox_records.c.queued_at_s))
            .where(outbox_records.c.state.not_in((OutboxState.FINAL, OutboxState.CANCELLED)))
            .group_by(outbox_records.c.state)
        )
        with self._store.reading() as connection:
            return {str(state): float(queued_at_s) for state, queued_at_s in connection.execute(query)}

    def gas_by_kind(self) -> Mapping[str, tuple[int, int]]:
        """(records, gas) of each kind, over the final transactions that hold records of one kind only."""
        kinds = (
            select(
                outbox_transactions.c.id,
                func.min(outbox_records.c.kind).label("kind"),
                func.count().label("records"),
                func.max(outbox_transactions.c.gas_used).label("gas"),
            )
            .join(outbox_attempts, outbox_attempts.c.transaction_id == outbox_transactions.c.id)
            .join(outbox_records, outbox_records.c.id == outbox_attempts.c.record_id)
            .where(outbox_transactions.c.state == OutboxState.FINAL)
            .group_by(outbox_transactions.c.id)
            .having(func.count(func.distinct(outbox_records.c.kind)) == 1)
            .subquery()
        )
        query = select(kinds.c.kind, func.sum(kinds.c.records), func.sum(kinds.c.gas)).group_by(kinds.c.kind)
        with self._store.reading() as connection:
            return {str(kind): (int(records), int(gas)) for kind, records, gas in connection.execute(query)}

    def unfinished(self, most: int) -> list[QueuedRecord]:
        """The oldest records that are neither final nor cancelled, of all keys."""
        done = (OutboxState.FINAL, OutboxState.CANCELLED)
        query = select(outbox_records).where(outbox_records.c.state.not_in(done)).order_by(outbox_records.c.id)
        with self._store.reading() as connection:
            return [read_record(row) for row in connection.execute(query.limit(most)).mappings()]

    def open_records(self, signer: bytes, contract: str) -> list[QueuedRecord]:
        """Those for a contract that wait to be sent or are under way."""
        states = (OutboxState.QUEUED, *_OPEN)
        query = select(outbox_records).where(
            outbox_records.c.signer == signer,
            outbox_records.c.state.in_(states),
            outbox_records.c.contract == contract,
        )
        with self._store.reading() as connection:
            return [read_record(row) for row in connection.execute(query).mappings()]

    def next_nonce(self, signer: bytes) -> int | None:
        """Of the key's next request; None before the first was ever taken here. Relayed alone."""
        query = select(outbox_relay_nonces.c.next_nonce).where(outbox_relay_nonces.c.signer == signer)
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def is_idle(self, signer: bytes) -> bool:
        """Whether nothing of the key waits to be sent or is under way."""
        states = (OutboxState.QUEUED, *_OPEN)
        query = select(func.count()).select_from(outbox_records)
        query = query.where(outbox_records.c.signer == signer, outbox_records.c.state.in_(states))
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one() == 0

    # What an operator does. All take idempotency keys, raise NotFoundError for an unknown one, SubmitError where the
    # record's state does not allow it; then nothing is changed.

    def pause(self, keys: Sequence[str]) -> None:
        """Holds records back that were not sent, and what depends on them."""
        with self._store.transaction() as connection:
            for record in _each(connection, keys):
                if record.state not in (OutboxState.QUEUED, OutboxState.BLOCKED):
                    raise _refused(record, "paused", "cancel it")
                set_records(connection, [record.id], record.state, OutboxState.PAUSED)
                block_dependants(connection, record.idempotency_key)

    def resume(self, keys: Sequence[str]) -> None:
        """Lets paused records go, tries failed ones anew, and frees what depends on them."""
        with self._store.transaction() as connection:
            for record in _each(connection, keys):
                if record.state not in (OutboxState.PAUSED, OutboxState.FAILED):
                    raise _refused(record, "resumed", "only paused and failed records are")
                after = waiting_state(connection, record.depends_on)
                set_records(
                    connection,
                    [record.id],
                    record.state,
                    after,
                    {"error_name": None, "error": None, "error_values": None},
                )
                if after is OutboxState.QUEUED:
                    free_dependants(connection, record.idempotency_key)

    def cancel(self, keys: Sequence[str]) -> list[QueuedRecord]:
        """Gives records up; gives them as they are now. One that is under way is not cancelled yet: its submitter lets
        a transfer of nothing compete for the nonce, and whichever of the two is mined decides."""
        with self._store.transaction() as connection:
            for record in _each(connection, keys):
                if record.state in _WAITING:
                    set_records(connection, [record.id], record.state, OutboxState.CANCELLED)
                    block_dependants(connection, record.idempotency_key)
                elif record.state in _UNMINED:
                    that = update(outbox_records).where(outbox_records.c.id == record.id)
                    connection.execute(that.values(cancelling=True))
                else:
                    raise _refused(record, "cancelled", "record its opposite")
            return list(_each(connection, keys))

    def hand_over(self, before: bytes, after: bytes) -> int:
        """Gives what waits for one key to another, in the same order, and tries anew what failed because the first does
        not sign any more; gives how many records moved. What is under way stays, and what depends on it: once it came
        to nothing it waits too, and can be handed over then. Not established: that both are keys of one participant.
        """
        with self._store.transaction() as connection:
            those = (outbox_records.c.signer == before) & outbox_records.c.state.in_(_WAITING)
            query = select(outbox_records.c.idempotency_key).where(those).order_by(outbox_records.c.id)
            keys = connection.execute(query).scalars().all()
            return sum(_hand_over(connection, record, after) for record in _each(connection, keys))

    # Who submits

    def lease(self, signer: bytes) -> LeaseRow | None:
        with self._store.reading() as connection:
            row = connection.execute(select(outbox_leases).where(outbox_leases.c.signer == signer)).first()
        return None if row is None else LeaseRow(*row)

    def take_lease(self, signer: bytes, seen: LeaseRow | None, holder: str, fence: int) -> OutboxWriter:
        """Takes or renews the lease of a key, provided that it still is as `seen`. Raises LeaseHeldError otherwise."""
        values = {"holder": holder, "fence": fence, "beat": 0 if seen is None else seen.beat + 1}
        with self._store.transaction() as connection:
            if seen is None:
                try:
                    connection.execute(outbox_leases.insert().values(signer=signer, **values))
                except IntegrityError:
                    raise LeaseHeldError("another process") from None
            else:
                that = update(outbox_leases).where(
                    outbox_leases.c.signer == signer,
                    outbox_leases.c.fence == seen.fence,
                    outbox_leases.c.beat == seen.beat,
                )
                if connection.execute(that.values(values)).rowcount != 1:
                    raise LeaseHeldError("another process")
        return OutboxWriter(self._store, signer, fence, relayed=self._relayed)


def enqueue_in(connection: Connection, signer: bytes, entry: Entry) -> int:
    """As Outbox.enqueue, of one entry and within the caller's transaction."""
    if not 0 < len(entry.idempotency_key) <= _MOST_KEY_CHARACTERS:
        raise SubmitError(f"an idempotency key has 1 to {_MOST_KEY_CHARACTERS} characters", hint="use a shorter one")
    if entry.depends_on is not None:
        _verify_dependency(connection, signer, entry)
    digest = _payload_digest(entry.contract, signer, entry.payload)
    query = select(outbox_records.c.id, outbox_records.c.payload_digest).where(
        outbox_records.c.idempotency_key == entry.idempotency_key
    )
    known = connection.execute(query).first()
    if known is not None:
        if known.payload_digest != digest:
            raise DuplicateRecordError(
                f"idempotency key {entry.idempotency_key!r} was used for another record", hint="use a new key"
            )
        return int(known.id)
    now = time.time()
    row = {
        "idempotency_key": entry.idempotency_key,
        "signer": signer,
        "contract": entry.contract,
        "kind": entry.kind,
        "payload": entry.payload,
        "payload_digest": digest,
        "depends_on": entry.depends_on,
        "state": waiting_state(connection, entry.depends_on),
        "queued_at_s": now,
        "changed_at_s": now,
    }
    return new_id(connection.execute(outbox_records.insert().values(row)))


def _payload_digest(contract: str, signer: bytes, payload: bytes) -> bytes:
    """By which a record is known again when its idempotency key comes back."""
    return hashlib.sha256(contract.encode() + b"\0" + signer + payload).digest()


def _hand_over(connection: Connection, record: QueuedRecord, after: bytes) -> bool:
    """False when it must wait for one that is under way: nonces of one key cannot keep it behind another key's."""
    needed = select(outbox_records.c.signer, outbox_records.c.state)
    needed = needed.where(outbox_records.c.idempotency_key == record.depends_on)
    found = None if record.depends_on is None else connection.execute(needed).one()
    if found is not None and found.signer == record.signer and found.state != OutboxState.FINAL:
        return False
    values: dict[str, object] = {
        "signer": after,
        "payload_digest": _payload_digest(record.contract, after, record.payload),
    }
    state = record.state
    if record.error_name in _KEY_ERRORS:
        state = waiting_state(connection, record.depends_on)
        values |= {"error_name": None, "error": None, "error_values": None}
    set_records(connection, [record.id], record.state, state, values)
    if state is OutboxState.QUEUED:
        free_dependants(connection, record.idempotency_key)
    return True


def _verify_dependency(connection: Connection, signer: bytes, entry: Entry) -> None:
    """Of the same signer, so that nonces keep the two in order; known already, so that nothing waits for itself."""
    query = select(outbox_records.c.signer).where(outbox_records.c.idempotency_key == entry.depends_on)
    if connection.execute(query).scalar_one_or_none() != signer or entry.depends_on == entry.idempotency_key:
        raise SubmitError(
            f"{entry.idempotency_key!r} depends on {entry.depends_on!r}, which this key has not queued before it",
            hint="queue that one first",
        )


def _each(connection: Connection, keys: Sequence[str]) -> Iterator[QueuedRecord]:
    """Each as it is when its turn comes: what is done about one may change what depends on it."""
    for key in keys:
        query = select(outbox_records).where(outbox_records.c.idempotency_key == key)
        row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFoundError(f"the outbox has no record {key!r}", hint="see `millmark outbox list`")
        yield read_record(row)


def _refused(record: QueuedRecord, action: str, hint: str) -> SubmitError:
    return SubmitError(f"{record.idempotency_key!r} is {record.state} and cannot be {action}", hint=hint)
