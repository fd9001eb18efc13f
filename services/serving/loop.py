"""A background thread that repeats one step until it is stopped, whatever the step raises."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from services.serving.failures import FailureLog

__all__ = ["Loop"]


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
        event: threading.Event | None = None,
    ) -> None:
        """`failed`: log event for a step that raised. `stop_s`: the longest time that `stop` waits; the default is
        longer than the timeout of a call to a chain node. `event`: the event to wait on, which tests replace to save
        time."""
        self.name, self._step, self._logger = name, step, logger
        self._failures = FailureLog(logger, failed)
        self._retry_s, self._stop_s = retry_s, stop_s
        self._wake, self._stopping = event or threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self.death: BaseException | None = None
        """The exception that ended the thread; None if it was stopped or is running."""

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called. A long step checks it and returns early."""
        return self._stopping.is_set()

    def start(self) -> None:
        self.death = None
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
            try:
                pause_s = self._step()
                self._failures.clear()
            except Exception as error:  # the thread must survive any failure
                pause_s = self._retry_s
                with contextlib.suppress(Exception):  # logging may fail too, for instance on a full disk
                    self._failures.note(error)
            self._wake.wait(pause_s)

    def _live(self) -> None:
        """Runs the loop and logs an unexpected end, which nothing else would notice."""
        try:
            self.run()
        except BaseException as error:
            self.death = error
            self._logger.critical("thread died", thread=self.name, exc_info=error)
