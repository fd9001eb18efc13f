"""A background thread that repeats one step until it is stopped, whatever the step raises.

Nothing that a step raises ends the work: an exception is logged and the step repeated; what would end the thread (such
as SystemExit, raised by a library) is logged, and the thread goes on from the start. `trouble` tells whether the thread
does its work, for the readiness of the process.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from millmark.services.serving.failures import FailureLog
from millmark.services.serving.troubles import Trouble

LATE_S = 120.0
"""A step that takes longer counts as stuck. Longer than the timeouts of all calls to nodes and databases."""


class Loop:
    """Repeats a step, which returns the seconds until the next one, in a thread. A step that raises is repeated after
    `retry_s`. A step must be safe to cut off, because a thread that does not stop in time is abandoned."""

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        logger: FilteringBoundLogger,
        *,
        failed: str,
        retry_s: float,
        stop_s: float = 20.0,
        late_s: float | None = LATE_S,
        event: threading.Event | None = None,
    ) -> None:
        """`failed`: log event for a step that raised. `stop_s`: the longest time that `stop` waits; the default is
        longer than the timeout of a call to a chain node. `late_s`: the longest time that a step may take; None if it
        lasts until the loop is stopped. `event`: the event to wait on, which tests replace to save time."""
        self.name, self._step, self._logger = name, step, logger
        self._failures = FailureLog(logger, failed)
        self._retry_s, self._stop_s, self._late_s = retry_s, stop_s, late_s
        self._wake, self._stopping = event or threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failing: Trouble | None = None
        """What the latest step raised; None if it succeeded."""
        self._began_s: float | None = None
        """Monotonic time at which the present step began; None between two steps."""
        self.deaths = 0
        """How often the thread died and went on."""

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called. A long step checks it and returns early."""
        return self._stopping.is_set()

    def trouble(self) -> Trouble | None:
        """Why the work is not done at present; None if it is, or if the loop was not started or is stopped."""
        thread, began_s, failing = self._thread, self._began_s, self._failing
        if thread is None or self.is_stopping:
            return None
        if not thread.is_alive():
            return self._describe("thread-ended", "the thread has ended", "restart the process, and report its log")
        took_s = 0.0 if began_s is None else time.monotonic() - began_s
        if self._late_s is not None and took_s > self._late_s:
            cause = f"a step has been running for {took_s:.0f} s"
            return self._describe("thread-stuck", cause, "restart the process, and report its log", took_s)
        return failing

    def recover(self) -> None:
        """Says that the work is done again. Called after each step; a step that goes on for ever calls it itself."""
        self._failures.clear()
        self._failing = None

    def start(self) -> None:
        self._failing = self._began_s = None
        self._stopping.clear()
        self._thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Starts the next step without waiting for its time."""
        self._wake.set()

    def stop(self) -> None:
        """Stops the thread. Returns once it has ended, or after `stop_s`."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(self._stop_s)
            if self._thread.is_alive():
                self._logger.warning("thread left behind", thread=self.name, waited_s=self._stop_s)

    def run(self) -> None:
        """Repeats the step in the caller's thread until `stop` is called."""
        while True:
            self._wake.clear()  # before the check and the step, so that a wake-up during either is not lost
            if self.is_stopping:
                return
            self._began_s = time.monotonic()
            try:
                pause_s = self._step()
                self.recover()
            except Exception as error:  # the thread must survive any failure
                pause_s = self._retry_s
                self._note(error)
            finally:
                self._began_s = None
            self._wake.wait(pause_s)

    def _note(self, error: Exception) -> None:
        with contextlib.suppress(Exception):  # a logger of ours does not raise; another's must not end the work either
            found = self._failures.note(error)
            if found is not None:
                self._failing = self._describe(*found, getattr(error, "hint", "") or "see the log")

    def _live(self) -> None:
        """Runs the loop, and runs it again if anything ends it that `run` does not expect."""
        while not self.is_stopping:
            try:
                self.run()
            except BaseException as error:  # without this, the thread's work would stop and nothing would tell
                self.deaths += 1
                self._failing = self._describe("thread-died", f"it died of {type(error).__name__}", "see the log")
                self._logger.critical("thread died and goes on", thread=self.name, deaths=self.deaths, exc_info=error)
                self._wake.wait(self._retry_s)

    def _describe(self, code: str, cause: str, hint: str, for_s: float = 0.0) -> Trouble:
        return Trouble(self.name, code, cause, time.time() - for_s, hint)
