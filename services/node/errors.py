"""Errors of a node, in addition to those of `millmark.ledger.errors`.

MillmarkError
  InputError
    EventRefusedError      an event is invalid, or its stream is not accepted here; carries a stable reason
  LogError                 a batch could not be made durable; none of its events is acknowledged
    LogFullError           the disk is full
    LogBusyError           too many batches are waiting
"""

from __future__ import annotations

from millmark.ledger.errors import InputError, MillmarkError, Retry


class EventRefusedError(InputError):
    """An event is invalid, or its stream is not accepted here. `reason` is a stable code for programs and metrics."""

    code = "event-refused"

    def __init__(self, reason: str, cause: str, *, hint: str = "") -> None:
        self.reason = reason
        super().__init__(cause, hint=hint)


class LogError(MillmarkError):
    """A batch could not be made durable. It is safe to send it again: events already in the log count as duplicates."""

    code = "log-failed"
    retry = Retry.UNCHANGED


class LogFullError(LogError):
    """The disk or the quota is full."""

    code = "disk-full"


class LogBusyError(LogError):
    """The limit of bytes waiting for the disk is reached, or one batch exceeds it."""

    code = "log-busy"
