"""Failures of work that is done again and again: each is logged once, not at every try."""

from __future__ import annotations

import re

from structlog.typing import FilteringBoundLogger

from ledger.errors import MillmarkError

__all__ = ["FailureLog", "withhold_addresses"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def withhold_addresses(text: str) -> str:
    """The text without the URLs of node and database, which may hold credentials."""
    return _URL.sub("(address withheld)", text)


class FailureLog:
    """Logs a failure when it differs from the latest one. Used by one thread at a time."""

    def __init__(self, logger: FilteringBoundLogger, event: str) -> None:
        """`event`: what the log calls it."""
        self._logger, self._event = logger, event
        self._latest: tuple[str, str] | None = None

    def note(self, error: Exception) -> tuple[str, str] | None:
        """Code and cause, as they were logged; None for the same failure again."""
        found = _describe(error)
        if found == self._latest:
            return None
        unforeseen = None if isinstance(error, MillmarkError) else error
        self._logger.error(self._event, code=found[0], cause=found[1], exc_info=unforeseen)
        self._latest = found  # behind the log, so that what could not be logged is logged at the next try
        return found

    def clear(self) -> bool:
        """After a try that went through, so that the same failure is logged anew; whether there was one."""
        found, self._latest = self._latest, None
        return found is not None


def _describe(error: Exception) -> tuple[str, str]:
    """Of what is not foreseen only the type: its text may hold anything."""
    if isinstance(error, MillmarkError):
        return error.code, withhold_addresses(str(error))
    return "unexpected", withhold_addresses(str(error)) if isinstance(error, OSError) else type(error).__name__
