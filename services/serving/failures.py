"""Logs the failures of repeated work once each, instead of at every retry."""

from __future__ import annotations

import re

from structlog.typing import FilteringBoundLogger

from millmark.ledger.errors import MillmarkError, StoreError

_WITHHELD = "(address withheld)"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def withhold_addresses(text: str) -> str:
    """Removes URLs, because those of chain nodes and databases may contain credentials."""
    return _URL.sub(_WITHHELD, text)


def public_cause(error: MillmarkError) -> str:
    """The cause without addresses of the node and the database, which would reveal the network behind the process."""
    text = withhold_addresses(error.cause)
    # After the database's URL and what is wrong follows the driver's own text, which names hosts, ports, sockets and
    # users, but not as URLs.
    return text.partition(": ")[0] if isinstance(error, StoreError) and text.startswith(_WITHHELD) else text


class FailureLog:
    """Logs a failure only if it differs from the previous one. Not thread-safe."""

    def __init__(self, logger: FilteringBoundLogger, event: str) -> None:
        """`event`: name of the log event."""
        self._logger, self._event = logger, event
        self._latest: tuple[str, str] | None = None

    def note(self, error: Exception) -> tuple[str, str] | None:
        """Logs a failure and returns its code and its cause without addresses; None if it is the same as the previous
        one."""
        found = _describe(error)
        if found == self._latest:
            return None
        unforeseen = None if isinstance(error, MillmarkError) else error
        self._logger.error(self._event, code=found[0], cause=found[1], exc_info=unforeseen)
        self._latest = found  # after logging: if that raised, the next call logs the failure
        if isinstance(error, StoreError):
            return error.code, f"{public_cause(error)}; {error.hint}"
        return found

    def clear(self) -> bool:
        """Call after a success, so that the next failure is logged even if it is the same. Returns whether there was
        one."""
        found, self._latest = self._latest, None
        return found is not None


def _describe(error: Exception) -> tuple[str, str]:
    """Code and cause for the log. An unexpected error is described by its type alone, as its text may contain
    secrets."""
    if isinstance(error, MillmarkError):
        return error.code, withhold_addresses(str(error))
    return "unexpected", withhold_addresses(str(error)) if isinstance(error, OSError) else type(error).__name__
