"""Verdicts on lots, and what became of them (ICertificates)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.events._base import Leaf, LedgerEvent
from ledger.records import U40, Bytes32, CertificateNumber, ClaimsRoot, Statement, Verdict


@dataclass(frozen=True, slots=True)
class CertificateIssued(LedgerEvent):
    statement: Statement
    anchor_size: U40
    anchor_root: Bytes32

    def leaf(self) -> Leaf:
        return Leaf(self.statement.stream, self.statement.leaf_index, self.statement.leaf_hash)


@dataclass(frozen=True, slots=True)
class CertificateRevoked(LedgerEvent):
    certificate: CertificateNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CertificateUpheld(LedgerEvent):
    certificate: CertificateNumber
    executed: bool
    """Whether its model was executed."""


@dataclass(frozen=True, slots=True)
class CertificateRefuted(LedgerEvent):
    certificate: CertificateNumber
    executed: Verdict
    """NONE where nothing was executed, or the input was invalid."""


@dataclass(frozen=True, slots=True)
class OpeningDemanded(LedgerEvent):
    certificate: CertificateNumber
    deadline: U40
    """From then on the certificate is unopened, in seconds since 1970."""
