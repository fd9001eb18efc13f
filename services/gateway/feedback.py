"""The thread that closes the loop for the company that runs the gateway: causes lead to steps, and to other plans.

All of a step is written in one transaction with the records that it queues (millmark.services.planning.feedback), so a
gateway that is cut off anywhere, or restarted, takes it once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from millmark.ledger.records import Record
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Connection, Store
from millmark.services.gateway.http.errors import TryLaterError
from millmark.services.gateway.recording import Recorder
from millmark.services.gateway.recording.repository import RecordingRow, describe_subjects
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.repository import CauseRow
from millmark.services.planning.feedback.taking import Replacer, SetpointDesk, name_report, report_event
from millmark.services.planning.feedback.watching import Watcher
from millmark.services.planning.reading import Shelf, reading, writing
from millmark.services.serving.loop import Loop

_LOOK_S: Final = 2.0
"""Time between two looks."""


class Feedback:
    """Feedback of one company. The background thread calls `step` repeatedly; routes call the rest."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        owner: int,
        signer: Signer,
        setpoints: SetpointDesk,
        clock: Callable[[], int],
        logger: FilteringBoundLogger,
        *,
        captured: bool = False,
        drift_notes: bool = False,
    ) -> None:
        self._store, self._recorder, self._me, self._clock = store, recorder, owner, clock
        self._setpoints, self._captured = setpoints, captured
        self._drift_notes, self._logger = drift_notes, logger
        self._replacer = Replacer(store, owner, self._queue, signer)
        self.loop = Loop("millmark-feedback", self._round, logger, failed="feedback failed", retry_s=_LOOK_S)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def step(self) -> bool:
        """Takes in what is new, and makes one plan that is due. Returns whether there was anything to do."""
        with reading(self._store) as shelf:
            if self._watcher(shelf).is_idle():
                return False
        self._recorder.verify_current()
        with writing(self._store) as shelf:
            found = self._watcher(shelf).look()
        self._search()
        replaced = self._replacer.replace_next(self._clock())
        self._recorder.wake()
        return replaced or found > 0

    def has_reported(self, form: str) -> bool:
        """Whether a form with this name was reported."""
        return self._recorder.find(name_report(form)) is not None

    def report(self, machine: int, kind: str, text: str, form: str = "") -> CauseRow:
        """Takes in what the company says of its own machine, with an entry of the machine's stream as evidence.
        `form`: the name of the form that says so, if one does; two of one name are never taken in. Raises
        CauseRefusedError, and InputError for a machine without a stream."""
        self._recorder.verify_current()
        with writing(self._store) as shelf:
            now_s, captured = self._clock(), self._captured
            cause: MachineCause = report_event(
                shelf, self._me, machine, kind, text, now_s, self._queue, captured=captured, form=form
            )
            row = self._watcher(shelf).report(cause)
        self._recorder.wake()
        return row

    def dismiss(self, name: bytes, reason: str) -> None:
        """Raises CauseRefusedError."""
        self._recorder.verify_current()
        with writing(self._store) as shelf:
            self._watcher(shelf).dismiss(name, reason)
        self._recorder.wake()

    def mend(self, machine: int, reason: str, *, overhauled: bool = False) -> None:
        """Raises CauseRefusedError."""
        self._recorder.verify_current()
        with writing(self._store) as shelf:
            self._watcher(shelf).mend(machine, reason, overhauled=overhauled)
        self._recorder.wake()

    def _search(self) -> None:
        """Looks for settings while others may write, and then goes on with their steps."""
        with reading(self._store) as shelf:
            causes = self._watcher(shelf).to_search()
        if causes:
            self._setpoints.search(causes, self._clock())
            with writing(self._store) as shelf:
                self._watcher(shelf).look()

    def _round(self) -> float:
        try:
            return 0.0 if self.step() else _LOOK_S
        except TryLaterError:  # the outbox is still being compared with the ledger, which is not a failure
            return _LOOK_S

    def _watcher(self, shelf: Shelf) -> Watcher:
        given = self._me, self._queue, self._setpoints, self._clock(), self._captured
        return Watcher(shelf, *given, self._drift_notes, self._logger)

    def _queue(self, connection: Connection, key: str, record: Record) -> None:
        self._recorder.queue_in(connection, RecordingRow(key, self._me, describe_subjects([])), record)
