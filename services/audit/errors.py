"""Errors of the audit log, below the root in `millmark.ledger.errors`.

MillmarkError
  AuditError                 the log cannot be written or read; the gateway then answers no request
    AuditTamperedError       an entry is not the one that was written
"""

from __future__ import annotations

from millmark.ledger.errors import MillmarkError, Retry


class AuditError(MillmarkError):
    """The audit log cannot be written or read."""

    code = "audit-failed"
    retry = Retry.OPERATOR


class AuditTamperedError(AuditError):
    """An entry of the audit log is not the one that was written; `number` is the first such entry."""

    code = "audit-tampered"

    def __init__(self, number: int, cause: str) -> None:
        self.number = number
        super().__init__(f"entry {number} of the audit log: {cause}", hint="compare the log with a backup")
