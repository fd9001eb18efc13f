"""Audit log: an append-only, hash-chained record of requests and of the decisions on them. See AUDIT.md.

audit = AuditLog(home / "audit", clock)
audit.append(Access(...))
verify_audit(home / "audit")
"""

from __future__ import annotations

from services.audit.entries import Access, Decision
from services.audit.errors import AuditError, AuditTamperedError
from services.audit.heads import AnchoredHeads, open_heads
from services.audit.latest import LatestEntries, read_latest
from services.audit.log import AuditLog
from services.audit.verify import AuditReport, read_audit, verify_audit

__all__ = [
    "Access",
    "AnchoredHeads",
    "AuditError",
    "AuditLog",
    "AuditReport",
    "AuditTamperedError",
    "Decision",
    "LatestEntries",
    "open_heads",
    "read_audit",
    "read_latest",
    "verify_audit",
]
