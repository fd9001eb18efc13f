"""Certificates: issued, revoked, challenged (ICertificates)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.events._base import Leaf, LedgerEvent
from millmark.ledger.records import (
    U16,
    U40,
    Bytes32,
    CertificateNumber,
    ClaimsRoot,
    MachineNumber,
    RecordNumber,
    Statement,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class CertificateIssued(LedgerEvent):
    """It enters the histories of all lots that it is about."""

    statement: Statement
    anchor_size: U40
    anchor_root: Bytes32

    def leaf(self) -> Leaf:
        return Leaf(self.statement.stream, self.statement.leaf_index, self.statement.leaf_hash)


@dataclass(frozen=True, slots=True)
class CertificateRevoked(LedgerEvent):
    """It enters the same histories as the certificate's issue."""

    certificate: CertificateNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class CertificateUpheld(LedgerEvent):
    certificate: CertificateNumber
    executed: bool
    """Whether the contract executed the model."""


@dataclass(frozen=True, slots=True)
class CertificateRefuted(LedgerEvent):
    certificate: CertificateNumber
    executed: Verdict
    """The verdict of the execution; NONE if the model was not executed, or the input was invalid."""


@dataclass(frozen=True, slots=True)
class OpeningDemanded(LedgerEvent):
    certificate: CertificateNumber
    deadline: U40
    """From this time on, in seconds since 1970, the certificate is unopened."""


# Streams of evidence (IEvidence). They have no history: a bundle proves a stream's state instead.


@dataclass(frozen=True, slots=True)
class StreamOpened(LedgerEvent):
    in_histories = False
    machine: MachineNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class StreamAnchored(LedgerEvent):
    in_histories = False
    size: U40
    root: Bytes32


# Notes: something said about orders and lots, without a change of state (INotes).


@dataclass(frozen=True, slots=True)
class NoteRecorded(LedgerEvent):
    """A note enters the histories of all subjects it is about. A note of the registry's owner has the participant 0."""

    kind_: U16
    """A `NoteKind`, or a number that the consortium agreed on."""
    about: RecordNumber
    """The earlier record that it is about; 0 for none. Whose that is, and in which history, readers have to see."""
    claims_root: ClaimsRoot
