"""The report of a verified bundle: what it proves, what it does not prove, and at which block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ledger.canonical import Json
from ledger.records import CertificateState, CertificateStatus, LotState, Verdict
from ledger.verify.statement import Kind, Section, Statement
from ledger.verify.values import Party
from ledger.verify.wording import words_of

__all__ = [
    "AsOf",
    "CertificateReport",
    "DisclosedField",
    "EvidenceReport",
    "PartReport",
    "Report",
    "Work",
    "describe",
    "moment",
]

_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z, the latest time in RFC 3339; contracts can have later ones."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """The block at which the report holds, and why it is believed."""

    chain_id: int
    ledger: bytes
    block_number: int
    block_hash: bytes
    block_time: datetime
    age_s: int
    """Age of the block by the verifier's clock, in seconds."""
    checkpoint_number: int
    checkpoint_hash: bytes
    believed: str
    """`block`: the trust file names the checkpoint. `cosigned`: its co-signers signed it."""


@dataclass(frozen=True, slots=True)
class CertificateReport:
    sequence: int
    lot: bytes
    issuer: Party
    model: int
    verdict: Verdict
    status: CertificateStatus
    """Status at the proof block. Only a lot's latest certificate counts."""
    state: CertificateState
    executed: Verdict
    """The verdict of executing the model on the chain; NONE if it was not executed, or the input was invalid."""
    latest: bool
    issued_at: datetime
    expires_at: datetime
    expired_now: bool
    """Whether it has expired by the verifier's clock."""


@dataclass(frozen=True, slots=True)
class Work:
    """An operation in which a part was produced, or a lot from which the part was made."""

    lot: bytes
    operation: int
    machine: int
    machine_identifier: str | None
    owner: Party


@dataclass(frozen=True, slots=True)
class PartReport:
    subject: bytes
    identifier: str | None
    """None if the bundle has only its subject, which `verify_bundle` accepts with `any_status`."""
    state: LotState
    quantity: int
    unit: str
    made_by: Party
    """The participant who created its record."""
    made_at: datetime
    from_outside: bool
    """Whether it was received from outside the ledger, so that `made_by` did not make it."""
    made_on: tuple[Work, ...]
    """Oldest first; lots that were split, merged or received from outside have no machine."""
    order: bytes | None
    order_identifier: str | None
    buyer: Party | None
    holder: Party
    """The participant with custody of the outermost lot in which it is packed, or of the part itself."""
    quarantined_by: Party | None
    certificate: CertificateReport | None
    ancestors: tuple[bytes, ...]
    """The lots from which it was made, through any number of transformations."""


@dataclass(frozen=True, slots=True)
class DisclosedField:
    record: int
    kind: str
    root: int
    """Position of the document among those of the record, from 0."""
    path: tuple[str | int, ...]
    value: Json


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    record: int
    stream: bytes
    leaf_index: int
    entry: Json
    shown: bool
    """Whether the entry was disclosed; if not, only its hash is proved to be in the stream."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `statements` say is all that is shown to readers; the other members are for programs in Python."""

    statements: tuple[Statement, ...]
    as_of: AsOf
    parts: tuple[PartReport, ...]
    certificates: tuple[CertificateReport, ...]
    disclosed: tuple[DisclosedField, ...]
    evidence: tuple[EvidenceReport, ...]
    inferences: tuple[int, ...]
    """Certificates whose inference was disclosed and has the right digest."""
    not_followed: tuple[bytes, ...]
    """Lots that were made from the parts and are not parts themselves; if empty, the bundle has all of them."""

    @property
    def attention(self) -> tuple[Statement, ...]:
        return self.of(Kind.ATTENTION)

    @property
    def proved(self) -> tuple[Statement, ...]:
        return self.of(Kind.PROVED)

    @property
    def not_proved(self) -> tuple[Statement, ...]:
        return self.of(Kind.NOT_PROVED)

    def of(self, kind: Kind) -> tuple[Statement, ...]:
        """The statements of a kind, in their order."""
        return tuple(one for one in self.statements if one.kind is kind)

    def within(self, section: Section) -> tuple[Statement, ...]:
        """The statements of a section, in their order."""
        return tuple(one for one in self.statements if one.section is section)

    def to_json(self) -> list[dict[str, object]]:
        """The statements as JSON types."""
        return [one.to_json() for one in self.statements]


def moment(seconds: int) -> datetime:
    """Convert a contract's time. Times after 9999 become the last second of 9999."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC)


def describe(report: Report, language: str = "en") -> list[str]:
    """The statements as text, line by line, in a language of LANGUAGES."""
    lines: list[str] = []
    for section, statements in itertools.groupby(report.statements, lambda one: one.section):
        lines += _lines(section, statements, language)
    return lines


def _lines(section: Section, statements: Iterator[Statement], language: str) -> Iterator[str]:
    words = words_of(language)
    if section.value in words.titles:
        yield ""
        yield words.titles[section.value]
    indent = "" if section is Section.HEAD else "  " if section is Section.PART else "  - "
    for one in statements:
        if one.code == "part":  # a heading
            yield ""
            yield words.text(one)
        else:
            yield indent + words.text(one)
