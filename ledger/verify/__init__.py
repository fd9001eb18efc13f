"""Verifies bundles offline, for their receivers: without network, database or chain library. See BUNDLE.md.

    python -m millmark.verify FILE --trust FILE

In Python:

    trust = parse_trust(Path("trust.json").read_bytes())
    report = verify_bundle(Path("part.bundle").read_bytes(), trust, now_s=int(time.time()))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millmark.ledger.lazy import import_on_use

if TYPE_CHECKING:
    from millmark.ledger.verify.report import Report, Step, VerificationError, describe
    from millmark.ledger.verify.statements import Kind, Section, Statement
    from millmark.ledger.verify.verifier import verify_bundle

__all__ = [
    "Kind",
    "Report",
    "Section",
    "Statement",
    "Step",
    "VerificationError",
    "describe",
    "verify_bundle",
]

_HOMES = {
    "millmark.ledger.verify.report": ("Report", "Step", "VerificationError", "describe"),
    "millmark.ledger.verify.statements": ("Kind", "Section", "Statement"),
    "millmark.ledger.verify.verifier": ("verify_bundle",),
}

__getattr__ = import_on_use(__name__, _HOMES)
