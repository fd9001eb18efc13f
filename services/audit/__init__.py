"""Audit log: an append-only, hash-chained record of requests and of the decisions on them. See AUDIT.md.

audit = AuditLog(home / "audit", clock)
audit.append(Access(...))
verify_audit(home / "audit")
"""

from __future__ import annotations

from millmark.services.audit.entries import Access, AuditError, AuditTamperedError, Decision, LatestEntries, read_latest
from millmark.services.audit.log import AuditLog
from millmark.services.audit.verify import AnchoredHeads, AuditReport, open_heads, read_audit, verify_audit

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
