"""Refusals of a bundle: one class per step of verification.

VerificationError
  FormatRefused            1  the file is not the canonical text of a bundle, or is too large
  TrustRefused             2  chain, contract or code are not those of the trust file
  CheckpointRefused        3  the proof block is not the believed one, or too old
  ProofsRefused            4  a state proof is invalid, missing or superfluous
  HeadsRefused             5  the records of a history are not all of its records
  ReplayRefused            6  records contradict each other, or something that they name is missing
  IdentifiersRefused       7  an identifier does not lead to its subject
  ClaimsRefused            8  a disclosed field is not what its record commits to
  EvidenceRefused          9  measured data are not in their stream
  InferencesRefused       10  an inference is not what its certificate commits to
  StatusRefused           11  a part's certificate does not count, or it is quarantined or spent
"""

from __future__ import annotations

import enum
from typing import ClassVar

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.verify.report import Report

__all__ = [
    "CheckpointRefused",
    "ClaimsRefused",
    "EvidenceRefused",
    "FormatRefused",
    "HeadsRefused",
    "IdentifiersRefused",
    "InferencesRefused",
    "ProofsRefused",
    "ReplayRefused",
    "StatusRefused",
    "Step",
    "TrustRefused",
    "VerificationError",
]


class Step(enum.IntEnum):
    """The steps of verification, in order."""

    FORMAT = 1
    TRUST = 2
    CHECKPOINT = 3
    PROOFS = 4
    HEADS = 5
    REPLAY = 6
    IDENTIFIERS = 7
    CLAIMS = 8
    EVIDENCE = 9
    INFERENCES = 10
    STATUS = 11


class VerificationError(MillmarkError):
    """A step failed; those after it were not tried."""

    code = "bundle-refused"
    step: ClassVar[Step]

    def __init__(
        self, cause: str, *, subject: bytes | None = None, sequence: int | None = None, hint: str = ""
    ) -> None:
        self.subject = subject
        """The order, lot or stream concerned, 32 bytes."""
        self.sequence = sequence
        """The record concerned."""
        self.reason = cause
        place = "" if sequence is None else f" at record {sequence}"
        place += "" if subject is None else f" of {to_hex(subject)}"
        super().__init__(f"step {self.step.value} ({self.step.name.lower()}){place}: {cause}", hint=hint)


class FormatRefused(VerificationError):  # noqa: N818  # "refused" says what the others' "error" says
    """The file is not the canonical text of a bundle, or is too large."""

    step = Step.FORMAT

    def __init__(self, cause: str, *, hint: str = "", usable: bool = True) -> None:
        super().__init__(cause, hint=hint)
        if not usable:
            self.exit_code = InputError.exit_code  # type: ignore[misc]  # a file of another kind is the user's mistake


class TrustRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """The chain, a contract or its code is not that of the trust file."""

    step = Step.TRUST


class CheckpointRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """The proof block is not the believed one or an ancestor of it, or too old."""

    step = Step.CHECKPOINT


class ProofsRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """A state proof is invalid, proves that an entry is absent, or is superfluous."""

    step = Step.PROOFS


class HeadsRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """The records of a history are not all of its records, each once and in order."""

    step = Step.HEADS


class ReplayRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """A record could not follow the earlier ones, or something that it needs is missing."""

    step = Step.REPLAY


class IdentifiersRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """An identifier is not canonical, its salt is not that of a name key, or it leads to no subject of the bundle."""

    step = Step.IDENTIFIERS


class ClaimsRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """Disclosed fields are not those that a record commits to."""

    step = Step.CLAIMS


class EvidenceRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """Measured data are not in their stream, or the stream was rewritten."""

    step = Step.EVIDENCE


class InferencesRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """An inference is not the one that its certificate commits to."""

    step = Step.INFERENCES


class StatusRefused(VerificationError):  # noqa: N818  # a refusal is the answer, no fault
    """A part is quarantined or spent, or has a certificate that does not count or a failing verdict."""

    step = Step.STATUS
    report: Report | None = None
    """The report, since all other steps succeeded."""
