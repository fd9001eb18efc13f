"""The thread that submits the company's records. What was acknowledged is sent, also after a restart."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from millmark.ledger import claims, errors, names, signatures, submit
from millmark.ledger.chain import Chain
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.records import Record
from millmark.ledger.store import Book, Connection, Registry, Store, outbox
from millmark.ledger.store.outbox_records import QueuedRecord
from millmark.ledger.store.outbox_writer import claim_adopted, has_adopted
from millmark.services.gateway.comparison import Comparison
from millmark.services.gateway.http.middleware import KEEP_S
from millmark.services.gateway.http.problems import NoSignerError, TryLaterError
from millmark.services.gateway.http.repository import SecretRepository
from millmark.services.gateway.recording.build_records import Namer
from millmark.services.gateway.recording.repository import RecordingRepository, RecordingRow
from millmark.services.serving.loop import Loop, Looped

# One attempt to have a record made: the same for each repetition of a request, so that the same record comes of it.
#
# The salts of claims follow from a secret of the database and from the request with its Idempotency-Key. So a request
# that is repeated after the database was restored from a backup leads to the record that is on the ledger by then, and
# brings back the claims behind its root.
#
# Claims must not be guessable from what the database keeps once their salts were erased. So the seed is made of the key
# and the request themselves, which are kept only with the response, and not of the token, which stays in the outbox.

_SECRET = "salts"  # noqa: S105  # its name
_TAG = b"millmark.request-salt.v1\0"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What identifies a request to the outbox, and makes its salts."""

    token: str
    seed: bytes

    @property
    def key(self) -> str:
        """The idempotency key of its record in the outbox."""
        return f"api:{self.token}"

    def salts(self, store: Store) -> Callable[[], bytes]:
        """A source of salts; each call returns the next one."""
        secret, count = keep_secret(store), 0

        def draw() -> bytes:
            nonlocal count
            count += 1
            return hmac.digest(secret, _TAG + count.to_bytes(4, "big") + self.seed, hashlib.sha256)[: claims.SALT_BYTES]

        return draw


def keep_secret(store: Store) -> bytes:
    """The secret of the database behind all salts; created by the first call."""
    with store.reading() as connection:
        known = SecretRepository(connection).find(_SECRET)
    if known is not None:
        return known
    with store.transaction() as connection:
        return SecretRepository(connection).secret(_SECRET)


_PAUSE_S = 0.05
"""Pause between rounds while records are in progress."""
_IDLE_S = 0.25
"""Pause between checks for records that other processes queued for the same key."""
_TROUBLE_S = 2.0
_PART = 300
"""Keys per look-up."""


class Recorder(Looped):
    """Records for one participant. The lease on the signing key keeps other gateways and commands from submitting. A
    thread that is blocked in a request to the node when it has to stop is abandoned."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        signer: signatures.Signer,
        logger: FilteringBoundLogger,
        name_keys: Sequence[names.NameKey] = (),
    ) -> None:
        self._store, self._chain = store, chain
        self._namer = Namer(store, chain, name_keys)
        self._outbox = outbox.Outbox(store)
        self._submitter = submit.Submitter(chain, self._outbox, signer)
        self._comparison = Comparison(chain, store, signer.address)
        self._signer, self._address = signer, signer.address
        self._sending = threading.Lock()
        """Held while something is sent for the key."""
        self._funded = False
        self.loop = Loop("millmark-recorder", self._step, logger, failed="recording failed", retry_s=_TROUBLE_S)

    @property
    def key(self) -> bytes:
        """The signing address."""
        return self._address

    @contextmanager
    def alone(self) -> Iterator[tuple[Chain, signatures.Signer]]:
        """Chain and key for a transaction that makes no record, such as a vote; no record is sent for the key during
        the `with` block. Raises TryLaterError while some are on their way, LeaseHeldError while another process
        sends for the key."""
        with self._sending:
            if not self._submitter.step():
                raise TryLaterError("records of the company are on their way", retry_after_s=5)
            yield self._chain, self._signer

    def verify_current(self) -> None:
        """Call it before anything is queued, outside of transactions. Raises OutboxOlderError if the outbox is older
        than the ledger, ChainError or TryLaterError as long as that is not known."""
        self._comparison.verify()

    def participant(self, caller: int | None) -> int:
        """The participant that the key signs for. Raises NoSignerError if there is none, or if it is not the caller,
        OutboxOlderError or TryLaterError as long as nothing may be recorded."""
        self.verify_current()
        with self._store.reading() as connection:
            found = Registry(connection).participant_of(self._address)
        if found is None:
            raise NoSignerError(
                "the gateway's key does not sign for an active participant", hint="ask the operator to check the key"
            )
        # The gateway signs for its own company only, whatever credential asks for it.
        if caller not in (None, found.number):
            raise NoSignerError(
                f"the gateway's key signs for participant {found.number}", hint="ask the operator to check the key"
            )
        return found.number

    def name(self, creator: int, kind: SubjectKind, identifier: str) -> Identity:
        """The identity of a new thing of the company. Raises as `Namer.name` does."""
        return self._namer.name(creator, kind, identifier)

    def name_again(self, creator: int, kind: SubjectKind, identifier: str) -> Identity:
        """Like `name`, for a thing that may be on the ledger already."""
        return self._namer.derive(creator, kind, identifier)

    def has_adopted(self) -> bool:
        """Whether the outbox has records from the ledger whose requests it does not know."""
        with self._store.reading() as connection:
            return has_adopted(connection)

    def claim(
        self, row: RecordingRow, record: Record, keep: Callable[[Book], None], *, unique: bool
    ) -> QueuedRecord | None:
        """The record on the ledger that an earlier attempt of this request made, before the database was restored from
        a backup. The book gets what it has to store for it. None if there is none.

        If the record is not `unique`, it may be that of another request. It is taken all the same for as long as a
        request can be repeated after the adoption: as many records are made as there were requests, and a record too
        many could not be taken back."""
        entry, since_s = submit.build_entry(row.key, record), None if unique else time.time() - KEEP_S
        with self._store.transaction() as connection:
            number = claim_adopted(connection, self._address, entry.contract, entry.payload, row.key, since_s)
            if number is None:
                return None
            RecordingRepository(connection).put(row)
            keep(Book(connection))
        return self._outbox.record(number)

    def find(self, key: str) -> QueuedRecord | None:
        """The record queued under an idempotency key, if any."""
        return self.find_all([key]).get(key)

    def find_all(self, keys: Sequence[str]) -> dict[str, QueuedRecord]:
        """The records queued under any of the keys, by key."""
        # A query takes a limited number of parameters.
        parts = (keys[start : start + _PART] for start in range(0, len(keys), _PART))
        return {key: record for part in parts for key, record in self._outbox.find(part).items()}

    def queue(self, row: RecordingRow, record: Record, keep: Callable[[Book], None]) -> QueuedRecord:
        """Makes a record durable, together with what the book has to store for it."""
        with self._store.transaction() as connection:
            # In one transaction: a record whose identifier or document were lost could never be disclosed.
            keep(Book(connection))
            number = self.queue_in(connection, row, record)
        self.wake()
        return self._outbox.record(number)

    def queue_with(self, row: RecordingRow, write: Callable[[Connection], Record]) -> QueuedRecord:
        """Like `queue`, for a record that follows from what `write` stores in the same transaction."""
        with self._store.transaction() as connection:
            number = self.queue_in(connection, row, write(connection))
        self.wake()
        return self._outbox.record(number)

    def queue_in(self, connection: Connection, row: RecordingRow, record: Record) -> int:
        """Like `queue`, but within the caller's transaction. The caller wakes the recorder afterwards. Returns the
        id."""
        return RecordingRepository(connection).queue(self._address, submit.build_entry(row.key, record), row)

    def wake(self) -> None:
        """Checks for queued records at once."""
        self.loop.wake()

    def start(self) -> None:
        # Before the first record, so that every backup has it from which a repeated request can be known again.
        keep_secret(self._store)
        super().start()

    def _step(self) -> float:
        # Only development engines have funds to give; elsewhere this does nothing.
        if not self._funded:
            self._chain.fund(self._address)
            self._funded = True
        try:
            self.verify_current()
            with self._sending:
                return self.loop.idle(_IDLE_S) if self._submitter.step() else _PAUSE_S
        except TryLaterError:  # the index is being brought up to the ledger
            return _TROUBLE_S
        except errors.LeaseHeldError:  # another process submits under this key: not a failure
            return _TROUBLE_S
