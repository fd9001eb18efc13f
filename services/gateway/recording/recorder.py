"""The company's own submitter, in a thread beside the gateway: what was acknowledged goes out, also after a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from ledger.chain import Chain
from ledger.errors import LeaseHeldError
from ledger.keys import Signer
from ledger.records import Record
from ledger.store import Book, Connection, Registry, Store
from ledger.store.outbox import Outbox, QueuedRecord
from ledger.submit import Submitter, build_entry
from services.gateway.http.errors import NoSignerError
from services.gateway.recording.repository import RecordingRepository
from services.gateway.recording.tables import RecordingRow
from services.serving.loop import Loop

__all__ = ["Recorder"]

_PAUSE_S = 0.05
"""Between rounds while something is under way."""
_IDLE_S = 1.0
"""Between looks for what others queued for the same key."""
_TROUBLE_S = 2.0
_PART = 300
"""Keys that are looked up at once."""


class Recorder:
    """Records in one participant's name. The signer's lease keeps two gateways, or a gateway and a command, apart."""

    def __init__(self, store: Store, chain: Chain, signer: Signer, logger: FilteringBoundLogger) -> None:
        self._store, self._chain = store, chain
        self._outbox = Outbox(store)
        self._submitter = Submitter(chain, self._outbox, signer)
        self._address = signer.address
        self._funded = False
        self._loop = Loop("millmark-recorder", self._step, logger, failed="recording failed", retry_s=_TROUBLE_S)

    def participant(self, caller: int | None) -> int:
        """For whom the key signs. Raises NoSignerError when it signs for nobody, or not for the caller."""
        with self._store.reading() as connection:
            found = Registry(connection).participant_of(self._address)
        if found is None:
            raise NoSignerError("the gateway's key signs for no participant that may act", hint="tell its operator")
        if caller not in (None, found.number):
            raise NoSignerError(f"the gateway's key signs for participant {found.number}", hint="tell its operator")
        return found.number

    def find(self, key: str) -> QueuedRecord | None:
        """What was queued under a key."""
        return self.find_all([key]).get(key)

    def find_all(self, keys: Sequence[str]) -> dict[str, QueuedRecord]:
        """What was queued, by key."""
        parts = (keys[start : start + _PART] for start in range(0, len(keys), _PART))
        return {key: record for part in parts for key, record in self._outbox.find(part).items()}

    def queue(self, row: RecordingRow, record: Record, keep: Callable[[Book], None]) -> QueuedRecord:
        """Makes a record durable, and what the book has to keep for it."""
        with self._store.transaction() as connection:
            keep(Book(connection))
            number = self.queue_in(connection, row, record)
        self.wake()
        return self._outbox.record(number)

    def queue_in(self, connection: Connection, row: RecordingRow, record: Record) -> int:
        """As `queue`, within the caller's transaction, after which the caller wakes the recorder; gives its id."""
        return RecordingRepository(connection).queue(self._address, build_entry(row.key, record), row)

    def wake(self) -> None:
        """Looks at once for what was queued."""
        self._loop.wake()

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Returns when the thread has ended; one that hangs in a request to the node is left behind."""
        self._loop.stop()

    def _step(self) -> float:
        if not self._funded:
            self._chain.fund(self._address)
            self._funded = True
        try:
            return _IDLE_S if self._submitter.step() else _PAUSE_S
        except LeaseHeldError:  # another submitter works under the same key: not a failure
            return _TROUBLE_S


def describe_subjects(subjects: list[bytes]) -> str:
    """As RecordingRow has them."""
    return json.dumps(["0x" + one.hex() for one in subjects])
