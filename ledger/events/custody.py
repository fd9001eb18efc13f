"""Changes of custody: offers, and their outcome (ICustody)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.events._base import LedgerEvent
from ledger.records import ClaimsRoot, ParticipantNumber


@dataclass(frozen=True, slots=True)
class CustodyOffered(LedgerEvent):
    to: ParticipantNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyAccepted(LedgerEvent):
    from_: ParticipantNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyDeclined(LedgerEvent):
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CustodyWithdrawn(LedgerEvent):
    reason_root: ClaimsRoot
