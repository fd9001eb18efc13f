"""The company's own submitter, in a thread beside the gateway: what was acknowledged goes out, also after a restart."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from ledger.chain import Chain
from ledger.errors import LeaseHeldError, MillmarkError
from ledger.keys import Signer
from ledger.records import Record
from ledger.store import Book, Connection, Registry, Store
from ledger.store.outbox import Outbox, QueuedRecord
from ledger.submit import Submitter, build_entry
from services.context import ALLOWANCE_WEI
from services.gateway.http.errors import NoSignerError
from services.gateway.http.problems import public_cause
from services.gateway.recording.repository import RecordingRepository
from services.gateway.recording.tables import RecordingRow

__all__ = ["Recorder"]

_PAUSE_S = 0.05
"""Between rounds while something is under way."""
_IDLE_S = 1.0
"""Between looks for what others queued for the same key."""
_TROUBLE_S = 2.0
_MOST_STOP_S = 20.0
_PART = 300
"""Keys that are looked up at once."""


class Recorder:
    """Records in one participant's name. The signer's lease keeps two gateways, or a gateway and a command, apart."""

    def __init__(self, store: Store, chain: Chain, signer: Signer, logger: FilteringBoundLogger) -> None:
        self._store, self._chain, self._logger = store, chain, logger
        self._outbox = Outbox(store)
        self._submitter = Submitter(chain, self._outbox, signer)
        self._address = signer.address
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._told: tuple[str, str] | None = None

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
        self._wake.set()

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="millmark-recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended; one that hangs in a request to the node is left behind."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_MOST_STOP_S)

    def _run(self) -> None:
        funded = False
        while not self._stop.is_set():
            self._wake.clear()
            try:
                if not funded and self._chain.profile.faucet:
                    self._chain.node.fund(self._address, ALLOWANCE_WEI)
                funded = True
                pause_s = _IDLE_S if self._submitter.step() else _PAUSE_S
            except Exception as error:  # the thread must outlive any failure
                self._tell(error)
                pause_s = _TROUBLE_S
            self._wake.wait(pause_s)

    def _tell(self, error: Exception) -> None:
        """Logs a failure when it is another than the last one; that another submitter works is none."""
        if isinstance(error, LeaseHeldError):
            return
        cause = public_cause(error) if isinstance(error, MillmarkError) else repr(type(error).__name__)
        told = (getattr(error, "code", "unexpected"), cause)
        if told != self._told:
            self._logger.error(
                "recording failed", code=told[0], cause=cause, exc_info=not isinstance(error, MillmarkError)
            )
        self._told = told


def describe_subjects(subjects: list[bytes]) -> str:
    """As RecordingRow has them."""
    return json.dumps(["0x" + one.hex() for one in subjects])
