"""Builds the report of a verified bundle."""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.records import CertificateState
from millmark.ledger.verify._attention import attention
from millmark.ledger.verify._disclosed import disclosed, proved
from millmark.ledger.verify._head import head
from millmark.ledger.verify._not_proved import not_proved
from millmark.ledger.verify._origin import origin
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify._verdicts import parts
from millmark.ledger.verify.report import Report

__all__ = ["build_report"]

_SECTIONS = (head, parts, attention, origin, disclosed, proved, not_proved)


def build_report(verified: Verified) -> Report:
    """Build the report of everything that the bundle proves or discloses."""
    return Report(
        statements=tuple(one for section in _SECTIONS for one in section(verified)),
        holds_until=min((one for one in _changes(verified) if one > verified.now_s), default=verified.now_s),
    )


def _changes(verified: Verified) -> Iterator[int]:
    """The times, in seconds since 1970, at which time alone changes what is said, or whether the bundle is accepted."""
    yield verified.time + verified.max_age_s + 1
    if not (verified.bundle.signatures and verified.trust.cosigners):
        yield from (change.header.timestamp + verified.max_age_s + 1 for change in verified.reasons.changes)
    for certificate in verified.state.certificates.values():
        yield certificate.expires_at
        if certificate.state in (CertificateState.DEMANDED, CertificateState.REVOKED):
            yield certificate.opening_deadline
