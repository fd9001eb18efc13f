"""The outbox: records that must get onto the ledger, and the transactions sent for them.

Records and transactions are in separate tables, since a record may be in several transactions over time. Callers and
operators use Outbox. The only submitter of a key changes states through an OutboxWriter
(millmark.ledger.store.outbox_writer, which lists what a crash leaves behind).

    QUEUED -> NONCED -> SIGNED -> SENT -> MINED -> FINAL

A record that the contract refuses is FAILED, and keeps the contract's error. The operator can hold records back
(PAUSED), resume them, and cancel them (CANCELLED). Records that depend on a failed, paused, cancelled or blocked one
are BLOCKED until that one is queued again; all other records are sent meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, update
from sqlalchemy.exc import IntegrityError

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import DuplicateRecordError, LeaseHeldError, NotFoundError, SubmitError, WrongChainError
from millmark.ledger.store.database import Store
from millmark.ledger.store.outbox_records import (
    FORWARDER,
    OPEN,
    UNFINISHED,
    UNMINED,
    Entry,
    LeaseRow,
    OutboxChain,
    OutboxState,
    QueuedRecord,
    SentTransaction,
    Version,
    block_dependants,
    free_dependants,
    new_id,
    outbox_attempts,
    outbox_chain,
    outbox_done,
    outbox_leases,
    outbox_records,
    outbox_relay_nonces,
    outbox_transactions,
    payload_digest,
    read_record,
    read_transaction,
    set_records,
    waiting_state,
)
from millmark.ledger.store.outbox_writer import FoundTransaction, OutboxWriter, Work
from millmark.ledger.store.repository import Querying, Rows, parameter
from millmark.ledger.store.rows import ChainIdentityRow, CursorRow

__all__ = [
    "FORWARDER",
    "OPEN",
    "UNMINED",
    "Entry",
    "FoundTransaction",
    "LeaseRow",
    "Outbox",
    "OutboxChain",
    "OutboxState",
    "OutboxWriter",
    "QueuedRecord",
    "SentTransaction",
    "Spending",
    "Version",
    "enqueue_in",
    "find_spending",
    "known_signers",
]


# Which ledger the outbox's records are for, and how far its chain was seen.
#
# Records that are final on another chain, even one with the same id and addresses, are not on the ledger. So the outbox
# remembers its ledger with the first step of a submitter, and no submitter works on it for another one.

_ONLY = 1
_HINT = "use that network's node and deployment file, or another database"


def bind_chain(connection: Connection, chain: OutboxChain) -> None:
    """Verify that outbox and index are for this ledger; an outbox that is for none yet is for this one from now on.
    Raises WrongChainError."""
    index = Rows(connection).get(ChainIdentityRow, _ONLY)
    if index is not None and (index.genesis_hash, index.ledger_id) != (chain.genesis_hash, chain.ledger_id):
        raise _wrong("the index follows", index.genesis_hash, index.ledger_id, chain)
    row = connection.execute(select(outbox_chain)).first()
    if row is None:
        connection.execute(outbox_chain.insert().values(id=_ONLY, **asdict(chain)))
        return
    stored = OutboxChain(*row[1:])
    if stored != chain:
        raise _wrong("the outbox's records are for", stored.genesis_hash, stored.ledger_id, chain)


def seen_block(connection: Connection) -> int:
    """The highest block that the outbox has a transaction in, or that is indexed; -1 if there is none. Of forward
    requests, only their relay says in which block they are: no node can be held to that."""
    query = select(func.max(outbox_transactions.c.block_number)).where(outbox_transactions.c.relayed.is_(False))
    mined = connection.execute(query).scalar_one()
    cursor = Rows(connection).get(CursorRow, _ONLY)
    return max(-1 if mined is None else int(mined), -1 if cursor is None else cursor.block_number)


def _wrong(whose: str, genesis_hash: bytes, ledger_id: bytes, chain: OutboxChain) -> WrongChainError:
    return WrongChainError(
        f"{whose} the ledger with the id {to_hex(ledger_id)} on the chain with genesis block {to_hex(genesis_hash)}, "
        f"the deployment is that with {to_hex(chain.ledger_id)} on {to_hex(chain.genesis_hash)}",
        hint=_HINT,
    )


# Queues records in the outbox, within the caller's transaction.

_MAX_KEY_CHARACTERS = 256
_AT_ONCE = 400
"""Databases limit the number of parameters of a statement."""
_INSERT = outbox_records.insert()
_KNOWN = select(outbox_records.c.id, outbox_records.c.payload_digest).where(
    outbox_records.c.idempotency_key == parameter("key")
)


def enqueue_all(connection: Connection, signer: bytes, entries: Sequence[Entry]) -> list[int]:
    """Like `Outbox.enqueue`; durable once the caller's transaction is committed."""
    ids: list[int] = []
    for is_free, group in groupby(entries, lambda entry: entry.depends_on is None):
        found = list(group)
        if not is_free:
            ids += [enqueue_in(connection, signer, entry) for entry in found]
            continue
        for start in range(0, len(found), _AT_ONCE):
            ids += _enqueue_free(connection, signer, found[start : start + _AT_ONCE])
    return ids


def enqueue_in(connection: Connection, signer: bytes, entry: Entry) -> int:
    """Like `enqueue_all`, for one entry."""
    _verify_length(entry.idempotency_key)
    if entry.depends_on is not None:
        _verify_dependency(connection, signer, entry)
    digest = payload_digest(entry.contract, signer, entry.payload)
    for known, known_digest in Querying(connection).fetch(_KNOWN, {"key": entry.idempotency_key}):
        _verify_same(entry.idempotency_key, known_digest, digest)
        return int(known)
    row = _row(signer, entry, digest, waiting_state(connection, entry.depends_on))
    return new_id(connection.execute(_INSERT, row))


def _enqueue_free(connection: Connection, signer: bytes, entries: Sequence[Entry]) -> list[int]:
    """Queue entries without dependencies: a few statements for all of them."""
    keys = [entry.idempotency_key for entry in entries]
    for key in keys:
        _verify_length(key)
    digests = [payload_digest(entry.contract, signer, entry.payload) for entry in entries]
    known = _find(connection, keys)
    rows: dict[str, dict[str, object]] = {}
    for entry, digest in zip(entries, digests, strict=True):
        key = entry.idempotency_key
        if key in known:
            _verify_same(key, known[key][1], digest)
        elif key in rows:
            _verify_same(key, rows[key]["payload_digest"], digest)
        else:
            rows[key] = _row(signer, entry, digest, OutboxState.QUEUED)
    if rows:
        # One by one in this order, by which their ids ascend.
        connection.execute(_INSERT, list(rows.values()))
        known |= _find(connection, list(rows))
    return [known[key][0] for key in keys]


def _find(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """Id and payload digest by idempotency key."""
    columns = outbox_records.c.idempotency_key, outbox_records.c.id, outbox_records.c.payload_digest
    found = connection.execute(select(*columns).where(columns[0].in_(keys)))
    return {key: (int(number), digest) for key, number, digest in found}


def _row(signer: bytes, entry: Entry, digest: bytes, state: OutboxState) -> dict[str, object]:
    now = time.time()
    return {
        "idempotency_key": entry.idempotency_key,
        "signer": signer,
        "contract": entry.contract,
        "kind": entry.kind,
        "payload": entry.payload,
        "payload_digest": digest,
        "depends_on": entry.depends_on,
        "state": state,
        "queued_at_s": now,
        "changed_at_s": now,
    }


def _verify_length(key: str) -> None:
    if not 0 < len(key) <= _MAX_KEY_CHARACTERS:
        raise SubmitError(
            f"an idempotency key must have 1 to {_MAX_KEY_CHARACTERS} characters", hint="use a shorter one"
        )


def _verify_same(key: str, known: object, digest: bytes) -> None:
    # The same again is not an error: a caller that crashed before it read the answer repeats its request.
    if known != digest:
        raise DuplicateRecordError(f"idempotency key {key!r} was used for another record", hint="use a new key")


def _verify_dependency(connection: Connection, signer: bytes, entry: Entry) -> None:
    # The same signer, since nonces then keep the two in order. Queued before it, so that dependencies have no cycle.
    query = select(outbox_records.c.signer).where(outbox_records.c.idempotency_key == entry.depends_on)
    if connection.execute(query).scalar_one_or_none() != signer or entry.depends_on == entry.idempotency_key:
        raise SubmitError(
            f"{entry.idempotency_key!r} depends on {entry.depends_on!r}, which this key has not queued before",
            hint="queue that record first",
        )


# What a key has spent: gas and records of its latest final transactions.

_TRANSACTIONS = 100
_RECORDS = 20_000
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Spending:
    """How fast a key spends."""

    gas_per_record: int | None
    """Over the latest hundred final transactions with records; None before the first."""
    records_per_day: int
    """Over the latest final records: 20,000 of them, or fewer; at least over a day, if there are fewer."""


def find_spending(connection: Connection, signer: bytes, now_s: float) -> Spending:
    """Return how fast a signer spends. `now_s` is Unix time."""
    return Spending(_gas_per_record(connection, signer), _records_per_day(connection, signer, now_s))


def known_signers(connection: Connection) -> list[bytes]:
    """The keys that ever sent a transaction from this outbox, in ascending order."""
    query = select(outbox_transactions.c.signer).distinct().order_by(outbox_transactions.c.signer)
    return list(connection.execute(query).scalars())


def _gas_per_record(connection: Connection, signer: bytes) -> int | None:
    columns = outbox_transactions.c
    latest = (
        select(columns.id, columns.gas_used)
        .where(columns.signer == signer, columns.state == OutboxState.FINAL, columns.gas_used.is_not(None))
        .order_by(columns.nonce.desc())
        .limit(_TRANSACTIONS)
        .subquery()
    )
    # Counted by transaction first: joined with its records, its gas would count once for each.
    records = (
        select(latest.c.id, func.max(latest.c.gas_used).label("gas"), func.count().label("records"))
        .join(outbox_attempts, outbox_attempts.c.transaction_id == latest.c.id)
        .group_by(latest.c.id)
        .subquery()
    )
    gas, count = connection.execute(select(func.sum(records.c.gas), func.sum(records.c.records))).one()
    return None if not count else -(-int(gas) // int(count))


def _records_per_day(connection: Connection, signer: bytes, now_s: float) -> int:
    columns = outbox_records.c
    latest = (
        select(columns.queued_at_s)
        .where(columns.signer == signer, columns.state == OutboxState.FINAL)
        .order_by(columns.id.desc())
        .limit(_RECORDS)
        .subquery()
    )
    count, first_s = connection.execute(select(func.count(), func.min(latest.c.queued_at_s)).select_from(latest)).one()
    if not count:
        return 0
    span_s = max(now_s - float(first_s), 1.0)
    if count < _RECORDS:
        span_s = max(span_s, _DAY_S)  # the key is newer than a day
    return -(-int(count * _DAY_S) // int(span_s))


_WAITING = (OutboxState.QUEUED, OutboxState.PAUSED, OutboxState.BLOCKED, OutboxState.FAILED)
_NO_ERROR = {"error_name": None, "error": None, "error_values": None}
_KEY_ERRORS = ("RegistryKeyRevoked", "RegistryKeyUnknown")
"""Contract errors that are due to the signing key, so that another key of the participant may succeed."""


class Outbox:
    """Repository of the outbox. Times are wall-clock seconds since 1970, for display only.

    The transactions in it are those that the key sends itself or, if `relayed`, the forward requests that another
    participant sends for the key, which have nonces of their own. Both kinds of submitter share the records: each sees
    the other's work only as states of records.
    """

    def __init__(self, store: Store, *, relayed: bool = False) -> None:
        self._store = store
        self._relayed = relayed

    def enqueue(self, signer: bytes, entries: Sequence[Entry]) -> list[int]:
        """Store the entries in order, durably, in one transaction. Returns their ids, which for a known idempotency
        key is that of the earlier record.

        Raises DuplicateRecordError if a known idempotency key comes with a different record, SubmitError if a key's
        length is not allowed or a dependency is unknown. Then nothing is queued.
        """
        with self._store.transaction() as connection:
            return enqueue_all(connection, signer, entries)

    def queued(self, signer: bytes, most: int) -> list[QueuedRecord]:
        """The oldest queued records, at most `most`, up to the first one for another contract."""
        query = (
            select(outbox_records)
            .where(outbox_records.c.signer == signer, outbox_records.c.state == OutboxState.QUEUED)
            .order_by(outbox_records.c.id)
            .limit(most)
        )
        found = self._read(query)
        # One transaction calls one contract, so it ends where the next record is for another.
        upto = next((i for i, record in enumerate(found) if record.contract != found[0].contract), len(found))
        return found[:upto]

    def open_transactions(self, signer: bytes) -> list[SentTransaction]:
        """Transactions that are neither final, failed nor replaced, by nonce."""
        query = select(outbox_transactions.c.nonce, outbox_transactions.c.id).where(
            *self._of_signer(signer), outbox_transactions.c.state.in_(OPEN)
        )
        with self._store.reading() as connection:
            # Sorted here: asked for the order, SQLite reads all transactions of the key in it, final ones too.
            ids = [number for _, number in sorted((row.nonce, row.id) for row in connection.execute(query))]
            return [read_transaction(connection, transaction_id) for transaction_id in ids]

    def work(self, signer: bytes) -> Work:
        """What the key's own submitter reads in every step."""
        return Work(self._store, signer)

    def closed_nonce(self, signer: bytes) -> int | None:
        """The highest nonce that the key used in a final block, as far as the outbox knows; None if there is none."""
        closed = (OutboxState.FINAL, OutboxState.REPLACED, OutboxState.FAILED)
        query = select(outbox_transactions.c.nonce).where(*self._of_signer(signer))
        query = query.order_by(outbox_transactions.c.nonce.desc()).limit(1)
        with self._store.reading() as connection:
            # One state at a time, so that an index has the highest at its end: asked for all, SQLite sorts all of them.
            found = (connection.execute(query.where(outbox_transactions.c.state == one)).scalar() for one in closed)
            return max((nonce for nonce in found if nonce is not None), default=None)

    def bind(self, chain: OutboxChain) -> None:
        """Verify that the records are for this ledger; an outbox that is for none yet is for this one from now on.
        Raises WrongChainError, also if the index in the same database follows another ledger."""
        with self._store.transaction() as connection:
            bind_chain(connection, chain)

    def seen_block(self) -> int:
        """The highest block that is indexed, or has a transaction of the outbox; -1 if there is none."""
        with self._store.reading() as connection:
            return seen_block(connection)

    def count_unmined(self, signer: bytes) -> int:
        """Number of transactions that hold a nonce and are not in a block."""
        query = (
            select(func.count())
            .select_from(outbox_transactions)
            .where(*self._of_signer(signer), outbox_transactions.c.state.in_(UNMINED))
        )
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one()

    def latest_transaction(self, record_id: int) -> SentTransaction | None:
        """The latest transaction that carries a record; None if it was in none yet."""
        query = select(func.max(outbox_attempts.c.transaction_id)).where(outbox_attempts.c.record_id == record_id)
        with self._store.reading() as connection:
            found = connection.execute(query).scalar_one()
            return None if found is None else read_transaction(connection, found)

    def _of_signer(self, signer: bytes) -> tuple[ColumnElement[bool], ...]:
        return outbox_transactions.c.signer == signer, outbox_transactions.c.relayed == self._relayed

    def _read(self, query: Select[Any]) -> list[QueuedRecord]:
        with self._store.reading() as connection:
            return [read_record(row) for row in connection.execute(query).mappings()]

    def record(self, record_id: int) -> QueuedRecord:
        """The record with an id. Raises NotFoundError."""
        with self._store.reading() as connection:
            query = select(outbox_records).where(outbox_records.c.id == record_id)
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFoundError(f"the outbox has no record {record_id}")
        return read_record(row)

    def among(self, ids: Sequence[int]) -> Mapping[int, QueuedRecord]:
        """The records with these ids, at most a few hundred, by id; unknown ids are left out."""
        # Databases limit the number of parameters, hence "a few hundred".
        query = select(outbox_records).where(outbox_records.c.id.in_(ids))
        return {record.id: record for record in self._read(query)}

    def find(self, keys: Sequence[str]) -> Mapping[str, QueuedRecord]:
        """The records with these idempotency keys, at most a few hundred, by key; unknown keys are left out."""
        query = select(outbox_records).where(outbox_records.c.idempotency_key.in_(keys))
        return {record.idempotency_key: record for record in self._read(query)}

    def of_kind(self, kind: str) -> list[QueuedRecord]:
        """All records of one kind, such as "Admit", of all signing keys, by id. Meant for kinds that are rare."""
        query = select(outbox_records).where(outbox_records.c.kind == kind).order_by(outbox_records.c.id)
        return self._read(query)

    def page(self, after: int | None, most: int, state: str | None) -> list[QueuedRecord]:
        """The newest records with ids below `after`, if it is not None, of all signing keys; only those in `state`, if
        it is not None."""
        query = select(outbox_records).order_by(outbox_records.c.id.desc())
        if after is not None:
            query = query.where(outbox_records.c.id < after)
        if state is not None:
            query = query.where(outbox_records.c.state == state)
        return self._read(query.limit(most))

    def failed(self, most: int, told: Callable[[bytes, str], bool] = lambda *_: True) -> list[QueuedRecord]:
        """The oldest records of the keys that submit that do not go on until somebody decides, at most `most`, by key:
        those that failed, and those that wait for a cancelled one. `told`: whether a key's are wanted, by its address
        and the process that submits for it, or did last (millmark.ledger.store.process_identity)."""
        needed = outbox_records.alias()
        cancelled = (
            select(needed.c.id)
            .where(needed.c.idempotency_key == outbox_records.c.depends_on, needed.c.state == OutboxState.CANCELLED)
            .exists()
        )
        stopped = outbox_records.c.state.in_((OutboxState.FAILED, OutboxState.BLOCKED))
        query = select(outbox_records).where(stopped, (outbox_records.c.state == OutboxState.FAILED) | cancelled)
        with self._store.reading() as connection:
            leases = connection.execute(select(outbox_leases.c.signer, outbox_leases.c.holder))
            # By lease, which every submitting key has: so the index on key and state is used, and the call is cheap
            # even if a million records are final.
            query = query.where(outbox_records.c.signer.in_([one for one, by in leases if told(bytes(one), by)]))
            oldest = query.order_by(outbox_records.c.signer, outbox_records.c.id).limit(most)
            return [read_record(row) for row in connection.execute(oldest).mappings()]

    def latest_final_key(self, prefix: str) -> str | None:
        """The greatest idempotency key of a final record that consists of the prefix and at most 20 digits; None if no
        record has such a key."""
        keys = outbox_records.c.idempotency_key
        # A range instead of LIKE, so that the index on keys is read from its end up to the first final record.
        query = (
            select(keys)
            .where(keys >= prefix, keys < prefix + 20 * "9", outbox_records.c.state == OutboxState.FINAL)
            .order_by(keys.desc())
            .limit(1)
        )
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def latest_key(self, prefix: str) -> str | None:
        """The greatest idempotency key with a prefix; None if there is none."""
        keys = outbox_records.c.idempotency_key
        # Escaped, as a prefix may contain % or _.
        query = select(func.max(keys)).where(keys.startswith(prefix, autoescape=True))
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def counts(self) -> Mapping[str, int]:
        """Number of records by state."""
        # Those that are done are not counted here: there may be millions. The others by a column that is in no index of
        # all records, which SQLite would read to its end instead of that of the unfinished ones.
        number = func.count(outbox_records.c.queued_at_s)
        unfinished = select(outbox_records.c.state, number).where(UNFINISHED).group_by(outbox_records.c.state)
        done = select(outbox_done.c.state, outbox_done.c.records).where(outbox_done.c.records > 0)
        with self._store.reading() as connection:
            found = [*connection.execute(unfinished), *connection.execute(done)]
        return {str(state): int(count) for state, count in found}

    def oldest_at_s(self) -> Mapping[str, float]:
        """When the oldest record in each state was queued; final and cancelled ones are left out."""
        query = (
            select(outbox_records.c.state, func.min(outbox_records.c.queued_at_s))
            .where(UNFINISHED)
            .group_by(outbox_records.c.state)
        )
        with self._store.reading() as connection:
            return {str(state): float(queued_at_s) for state, queued_at_s in connection.execute(query)}

    def gas_by_kind(self) -> Mapping[str, tuple[int, int]]:
        """(number of records, gas) by kind, over the final transactions whose records are all of one kind. Others are
        left out, since their gas cannot be divided among kinds."""
        # Grouped by transaction first: joined with its records, a transaction's gas would count once for each.
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
        """The oldest records that are neither final nor cancelled, of all signing keys, at most `most`."""
        query = select(outbox_records).where(UNFINISHED).order_by(outbox_records.c.id)
        return self._read(query.limit(most))

    def open_records(self, signer: bytes, contract: str) -> list[QueuedRecord]:
        """The records for a contract that are queued or in a transaction that is not final."""
        states = (OutboxState.QUEUED, *OPEN)
        query = select(outbox_records).where(
            outbox_records.c.signer == signer,
            outbox_records.c.state.in_(states),
            outbox_records.c.contract == contract,
        )
        return self._read(query)

    def next_nonce(self, signer: bytes) -> int | None:
        """The nonce of the key's next forward request; None if this outbox has allocated none yet."""
        query = select(outbox_relay_nonces.c.next_nonce).where(outbox_relay_nonces.c.signer == signer)
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def is_idle(self, signer: bytes, upto: int | None = None) -> bool:
        """Whether the key has no record that is queued or in a transaction that is not final; with `upto`, none with
        this id or a lower one."""
        states = (OutboxState.QUEUED, *OPEN)
        query = select(outbox_records.c.id)
        query = query.where(outbox_records.c.signer == signer, outbox_records.c.state.in_(states)).limit(1)
        if upto is not None:
            query = query.where(outbox_records.c.id <= upto)
        with self._store.reading() as connection:
            return connection.execute(query).first() is None

    def latest(self) -> int:
        """The highest id of a record, of all signing keys; 0 if there is none."""
        with self._store.reading() as connection:
            return connection.execute(select(func.max(outbox_records.c.id))).scalar_one() or 0

    # The operator's actions. All take idempotency keys, and raise NotFoundError for an unknown one, SubmitError if a
    # record's state does not allow the action; then nothing is changed.

    def pause(self, keys: Sequence[str]) -> None:
        """Hold back records that are not in a transaction yet, and block those that depend on them."""
        with self._store.transaction() as connection:
            for record in _each(connection, keys):
                if record.state not in (OutboxState.QUEUED, OutboxState.BLOCKED):
                    raise _refused(record, "paused", "cancel it instead")
                set_records(connection, [record.id], record.state, OutboxState.PAUSED)
                block_dependants(connection, record.idempotency_key)

    def resume(self, keys: Sequence[str]) -> None:
        """Queue paused and failed records again, and unblock those that depend on them."""
        with self._store.transaction() as connection:
            for record in _each(connection, keys):
                if record.state not in (OutboxState.PAUSED, OutboxState.FAILED):
                    raise _refused(record, "resumed", "only paused and failed records can be")
                after = waiting_state(connection, record.depends_on)
                set_records(connection, [record.id], record.state, after, _NO_ERROR)
                # Those that depend on a record that is still blocked stay blocked with it.
                if after is OutboxState.QUEUED:
                    free_dependants(connection, record.idempotency_key)

    def cancel(self, keys: Sequence[str]) -> list[QueuedRecord]:
        """Cancel records; returns them as they are afterwards.

        A record that is in a transaction already is only marked: its submitter sends a zero-value transfer with the
        same nonce, and whichever of the two is mined decides.
        """
        with self._store.transaction() as connection:
            for record in _each(connection, keys):
                if record.state in _WAITING:
                    set_records(connection, [record.id], record.state, OutboxState.CANCELLED)
                    block_dependants(connection, record.idempotency_key)
                elif record.state in UNMINED:
                    # Nodes may have the signed bytes, so nothing but another transaction with the nonce can stop it.
                    that = update(outbox_records).where(outbox_records.c.id == record.id)
                    connection.execute(that.values(cancelling=True))
                else:
                    raise _refused(record, "cancelled", "make a record that reverses it, where there is one")
            return list(_each(connection, keys))

    def hand_over(self, before: bytes, after: bytes) -> int:
        """Move the records that wait for one signing key to another, in order; returns how many moved.

        Records that failed because the old key was revoked or unknown are queued again. Records in a transaction stay,
        as do those that depend on them; if the transaction fails, they can be handed over then. Not established: that
        both keys belong to the same participant.
        """
        with self._store.transaction() as connection:
            # In the order of ids, what a record depends on moves before it, and `_hand_over` sees its new signer.
            those = (outbox_records.c.signer == before) & outbox_records.c.state.in_(_WAITING)
            query = select(outbox_records.c.idempotency_key).where(those).order_by(outbox_records.c.id)
            keys = connection.execute(query).scalars().all()
            return sum(_hand_over(connection, record, after) for record in _each(connection, keys))

    # The submitter's lease

    def lease(self, signer: bytes) -> LeaseRow | None:
        """The lease of a key; None if nobody has ever taken it."""
        with self._store.reading() as connection:
            row = connection.execute(select(outbox_leases).where(outbox_leases.c.signer == signer)).first()
        return None if row is None else LeaseRow(*row)

    def take_lease(self, signer: bytes, seen: LeaseRow | None, holder: str, fence: int) -> OutboxWriter:
        """Take or renew the lease of a key if it has not changed since it was `seen`; `seen` is None for a key without
        a lease.

        Raises LeaseHeldError if another process was faster. The writer that this returns works until the next holder
        takes the lease with a greater `fence`.
        """
        # Compare and set instead of a time-out: no clock decides who holds the lease, so a wrong clock cannot give it
        # to two processes.
        values = {"holder": holder, "fence": fence, "beat": 0 if seen is None else seen.beat + 1}
        with self._store.transaction() as connection:
            if seen is None:
                try:
                    connection.execute(outbox_leases.insert().values(signer=signer, **values))
                # Another process took the key's first lease between our look and this insert.
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


def _hand_over(connection: Connection, record: QueuedRecord, after: bytes) -> bool:
    """Move one record to the key `after`. Returns False if it depends on a record that stays with the old key. Only
    nonces of the same key keep a record behind the one that it depends on."""
    needed = select(outbox_records.c.signer, outbox_records.c.state)
    needed = needed.where(outbox_records.c.idempotency_key == record.depends_on)
    found = None if record.depends_on is None else connection.execute(needed).one()
    if found is not None and found.signer == record.signer and found.state != OutboxState.FINAL:
        return False
    values: dict[str, object] = {
        "signer": after,
        # The digest covers the signer: a repeated request for the new key must match.
        "payload_digest": payload_digest(record.contract, after, record.payload),
    }
    state = record.state
    if record.error_name in _KEY_ERRORS:
        state = waiting_state(connection, record.depends_on)
        values |= _NO_ERROR
    set_records(connection, [record.id], record.state, state, values)
    if state is OutboxState.QUEUED:
        free_dependants(connection, record.idempotency_key)
    return True


def _each(connection: Connection, keys: Sequence[str]) -> Iterator[QueuedRecord]:
    for key in keys:  # read one by one, when its turn comes: the action on one record may change another's state
        query = select(outbox_records).where(outbox_records.c.idempotency_key == key)
        row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFoundError(f"the outbox has no record {key!r}", hint="see `millmark outbox list`")
        yield read_record(row)


def _refused(record: QueuedRecord, action: str, hint: str) -> SubmitError:
    return SubmitError(f"{record.idempotency_key!r} is {record.state} and cannot be {action}", hint=hint)
