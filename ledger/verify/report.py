"""What a verified bundle says: what is proved, what is not, and as of when."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime

from ledger.canonical import Json, canonical_json
from ledger.records import CertificateState, CertificateStatus, LotState, Verdict
from ledger.verify.remark import Remark

__all__ = [
    "AsOf",
    "CertificateReport",
    "DisclosedField",
    "EvidenceReport",
    "PartReport",
    "Party",
    "Report",
    "Work",
    "describe",
    "moment",
]

_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z: RFC 3339 has no later year, a contract's clock has."""


@dataclass(frozen=True, slots=True)
class Party:
    """A participant, called as in the trust file."""

    participant: int
    name: str | None
    """None where the trust file has no name for it."""

    def __str__(self) -> str:
        return f"participant {self.participant} (not in the trust file)" if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class AsOf:
    """The block that the report speaks of, and why it is believed."""

    chain_id: int
    ledger: bytes
    block_number: int
    block_hash: bytes
    block_time: datetime
    age_s: int
    """At the verifier's clock."""
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
    """At the proof block. Only a lot's latest certificate counts."""
    state: CertificateState
    executed: Verdict
    """What its model said when the inference was opened on chain; NONE when it was not executed there."""
    latest: bool
    issued_at: datetime
    expires_at: datetime
    expired_now: bool
    """At the verifier's clock."""


@dataclass(frozen=True, slots=True)
class Work:
    """An operation under which a part, or something that it came from, was made."""

    lot: bytes
    operation: int
    machine: int
    machine_identifier: str | None
    owner: Party


@dataclass(frozen=True, slots=True)
class PartReport:
    subject: bytes
    identifier: str | None
    """None where the file has the subject alone, see `verify_bundle` on `any_status`."""
    state: LotState
    quantity: int
    unit: str
    made_by: Party
    """Who recorded it first."""
    made_at: datetime
    from_outside: bool
    """Whether it was received from outside: then who recorded it did not make it."""
    made_on: tuple[Work, ...]
    """Oldest first; a lot that was split off, merged or received from outside was made on no machine."""
    order: bytes | None
    order_identifier: str | None
    buyer: Party | None
    holder: Party
    """Who has custody, of the outermost lot that it is packed in."""
    quarantined_by: Party | None
    certificate: CertificateReport | None
    ancestors: tuple[bytes, ...]
    """Lots that it came from, through any number of transformations."""


@dataclass(frozen=True, slots=True)
class DisclosedField:
    record: int
    kind: str
    root: int
    """Which document of the record."""
    path: tuple[str | int, ...]
    value: Json


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    record: int
    stream: bytes
    leaf_index: int
    entry: Json
    shown: bool
    """Whether the entry was disclosed; else only that its hash is in the stream is proved."""


@dataclass(frozen=True, slots=True)
class Report:
    as_of: AsOf
    parts: tuple[PartReport, ...]
    histories: int
    records: int
    """Shown in full."""
    sealed: Mapping[str, int]
    """Records of which only the kind is shown, by kind."""
    certificates: tuple[CertificateReport, ...]
    disclosed: tuple[DisclosedField, ...]
    withheld: int
    """Fields of the disclosed documents that are proved to be there, and not shown."""
    evidence: tuple[EvidenceReport, ...]
    inferences: tuple[int, ...]
    """Certificates whose digest was put together again."""
    attention: tuple[Remark, ...]
    proved: tuple[str, ...]
    not_proved: tuple[Remark, ...]
    not_followed: tuple[bytes, ...]
    """Lots that were made of the parts and are no parts themselves. Empty: all that was made of them is here."""

    def to_json(self) -> dict[str, object]:
        """As JSON's types: snake-case keys, bytes as 0x-hex, times as RFC 3339 in UTC, enumerations as words."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def moment(seconds: int) -> datetime:
    """A chain's time. Times past the year 9999 become its last second."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def describe(report: Report) -> list[str]:
    """The report for people, line by line."""
    at = report.as_of
    lines = [
        f"As of block {at.block_number}, {_time(at.block_time)} ({_age(at.age_s)}), chain {at.chain_id}, "
        f"ledger 0x{at.ledger.hex()}",
        f"Checkpoint: block {at.checkpoint_number} 0x{at.checkpoint_hash.hex()}, {_believed(at)}",
    ]
    for part in report.parts:
        lines += ["", *_part_lines(part)]
    lines += ["", f"{report.records} records of {report.histories} histories, all of them to the proof block"]
    lines += [f"{count} more are sealed: kind {kind}, content not shown" for kind, count in report.sealed.items()]
    lines += _section("Disclosed", _documents(report.disclosed))
    if report.withheld:
        lines.append(f"  {report.withheld} more fields of these documents are withheld")
    lines += _section("Attention", report.attention)
    lines += _section("Proved", report.proved)
    return lines + _section("Not proved", report.not_proved)


def _age(age_s: int) -> str:
    hours = abs(age_s) / 3600
    length = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"
    return f"{length} ago" if age_s >= 0 else f"{length} ahead of this clock"


def _part_lines(part: PartReport) -> list[str]:
    lines = [
        part.identifier or "0x" + part.subject.hex(),
        f"  {'received from outside' if part.from_outside else 'made'} by {part.made_by}, {_time(part.made_at)}",
        *dict.fromkeys(f"  on machine {one.machine_identifier or one.machine} of {one.owner}" for one in part.made_on),
        f"  {part.state.name.lower()}, {part.quantity} {_printable(part.unit)}, held by {part.holder}",
    ]
    if part.order is not None and part.buyer is not None:
        lines.append(f"  order {part.order_identifier or '0x' + part.order.hex()} of {part.buyer}")
    if part.quarantined_by is not None:
        lines.append(f"  quarantined by {part.quarantined_by}")
    lines.append("  " + _certificate_line(part.certificate))
    lines.append(f"  came from {len(part.ancestors)} other lots")
    return lines


def _certificate_line(certificate: CertificateReport | None) -> str:
    if certificate is None:
        return "no certificate"
    opened = {CertificateState.DEMANDED: ", opening demanded", CertificateState.UPHELD: ", upheld"}
    return (
        f"certificate {certificate.sequence}: {certificate.verdict.name.lower()}{opened.get(certificate.state, '')}, "
        f"{certificate.status.name.lower()}{' (expired now)' if certificate.expired_now else ''}, by "
        f"{certificate.issuer} with model {certificate.model}, until {_time(certificate.expires_at)}"
    )


def _believed(at: AsOf) -> str:
    return "named by the trust file" if at.believed == "block" else "signed by enough of the trust file's co-signers"


def _documents(disclosed: Sequence[DisclosedField]) -> list[str]:
    """One line a document."""
    lines = []
    for (record, kind, _), shown in itertools.groupby(disclosed, lambda one: (one.record, one.kind, one.root)):
        values = ", ".join(f"{_printable('/'.join(map(str, one.path)))} {_value(one.value)}" for one in shown)
        lines.append(f"record {record}, {kind}: {values}")
    return lines


def _value(value: Json) -> str:
    return _printable(canonical_json(value).decode())


def _printable(text: str) -> str:
    """Without what could move a terminal's cursor: documents come from strangers."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _section(title: str, items: tuple[str, ...] | list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  - {item}" for item in items)] if items else []


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC")
