"""Queues records in the outbox, within the caller's transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import Connection, select

from millmark.ledger.errors import DuplicateRecordError, SubmitError
from millmark.ledger.store.outbox_rows import new_id, payload_digest, waiting_state
from millmark.ledger.store.outbox_tables import Entry, OutboxState, outbox_records
from millmark.ledger.store.statements import Querying, parameter

__all__ = ["enqueue_all", "enqueue_in"]

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
