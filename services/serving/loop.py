"""The thread of a server: one step after another until it is stopped, whatever a step raises."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from services.serving.failures import FailureLog

__all__ = ["Loop"]


class Loop:
    """A thread that takes steps. A step returns the seconds until the next one; one that raises is taken again after
    `retry_s`. It must be safe to cut off: a thread that hangs when it is to stop is left behind."""

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
        """`failed`: what the log calls a step that raised. `stop_s`: the longest that `stop` waits; by default longer
        than a node may take to answer. `event`: what the thread waits on, so that tests need no time."""
        self.name, self._step, self._logger = name, step, logger
        self._failures = FailureLog(logger, failed)
        self._retry_s, self._stop_s = retry_s, stop_s
        self._wake, self._stopping = event or threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self.death: BaseException | None = None
        """What ended the thread, when nobody had told it to end."""

    @property
    def is_stopping(self) -> bool:
        """For steps that take long: whether to return early."""
        return self._stopping.is_set()

    def start(self) -> None:
        self.death = None
        self._stopping.clear()
        self._thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Takes the next step at once."""
        self._wake.set()

    def stop(self) -> None:
        """Returns when the thread has ended, or `stop_s` later."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(self._stop_s)
            if self._thread.is_alive():
                self._logger.warning("thread left behind", thread=self.name, waited_s=self._stop_s)

    def run(self) -> None:
        """Takes steps, in the caller's thread, until `stop` is called."""
        while True:
            self._wake.clear()  # before the step and the look at the signal: what wakes it meanwhile is not lost
            if self.is_stopping:
                return
            try:
                pause_s = self._step()
                self._failures.clear()
            except Exception as error:  # the thread must outlive any failure
                pause_s = self._retry_s
                with contextlib.suppress(Exception):  # also that of the log, on a disk that is full for now
                    self._failures.note(error)
            self._wake.wait(pause_s)

    def _live(self) -> None:
        """A thread that ends unasked is missed by nobody, so it has to say so."""
        try:
            self.run()
        except BaseException as error:
            self.death = error
            self._logger.critical("thread died", thread=self.name, exc_info=error)
