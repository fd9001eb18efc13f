"""What may go wrong in a node, beside the ledger's own failures.

MillmarkError
  InputError
    EventRefusedError      an event is not one that this node takes; carries a stable reason
  LogError                 a stream's log takes nothing now; nothing of the batch is acknowledged
    LogFullError           for want of room
    LogBusyError           for too much that waits already
"""

from __future__ import annotations

from ledger.errors import InputError, MillmarkError, Retry

__all__ = ["EventRefusedError", "LogBusyError", "LogError", "LogFullError"]


class EventRefusedError(InputError):
    """An event is not one that this node takes. `reason` is one word for programs and counters."""

    code = "event-refused"

    def __init__(self, reason: str, cause: str, *, hint: str = "") -> None:
        self.reason = reason
        super().__init__(cause, hint=hint)


class LogError(MillmarkError):
    """The log did not make a batch durable. The same batch may be sent again: what is there already is recognised."""

    code = "log-failed"
    retry = Retry.UNCHANGED


class LogFullError(LogError):
    """No room on the disk."""

    code = "disk-full"


class LogBusyError(LogError):
    """More waits for the disk than may."""

    code = "log-busy"
