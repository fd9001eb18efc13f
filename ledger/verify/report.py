"""The report of a verified bundle: what it proves, what it does not prove, and at which block."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime

from ledger.canonical import Json, canonical_json, to_hex
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
"""9999-12-31T23:59:59Z, the latest time in RFC 3339; contracts can have later ones."""


@dataclass(frozen=True, slots=True)
class Party:
    """A participant, with its name in the trust file."""

    participant: int
    name: str | None
    """None if the trust file does not have its name."""

    def __str__(self) -> str:
        return f"participant {self.participant} (not in the trust file)" if self.name is None else self.name


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
    as_of: AsOf
    parts: tuple[PartReport, ...]
    histories: int
    records: int
    """Number of records that the bundle contains in full."""
    withheld_records: Mapping[str, int]
    """Number of withheld records, of which the bundle has only the kind and a hash, by kind."""
    certificates: tuple[CertificateReport, ...]
    disclosed: tuple[DisclosedField, ...]
    withheld_fields: int
    """Number of fields of the disclosed documents that are proved to exist, and not disclosed."""
    evidence: tuple[EvidenceReport, ...]
    inferences: tuple[int, ...]
    """Certificates whose inference was disclosed and has the right digest."""
    attention: tuple[Remark, ...]
    proved: tuple[str, ...]
    not_proved: tuple[Remark, ...]
    not_followed: tuple[bytes, ...]
    """Lots that were made from the parts and are not parts themselves; if empty, the bundle has all of them."""

    def to_json(self) -> dict[str, object]:
        """Convert to JSON types: snake-case names, bytes as 0x-hex, times as RFC 3339 in UTC, enumerations as words."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def moment(seconds: int) -> datetime:
    """Convert a contract's time. Times after 9999 become the last second of 9999."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, bytes):
        return to_hex(value)
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
    """The report as text, line by line."""
    at = report.as_of
    lines = [
        f"As of block {at.block_number}, {_time(at.block_time)} ({_age(at.age_s)}), chain {at.chain_id}, "
        f"ledger {to_hex(at.ledger)}",
        f"Checkpoint: block {at.checkpoint_number} {to_hex(at.checkpoint_hash)}, {_believed(at)}",
    ]
    for part in report.parts:
        lines += ["", *_part_lines(part)]
    lines += ["", f"{report.records} records of {report.histories} histories, all of them to the proof block"]
    withheld = report.withheld_records.items()
    lines += [f"{count} more are withheld: kind {kind}, content not shown" for kind, count in withheld]
    lines += _section("Disclosed", _documents(report.disclosed))
    if report.withheld_fields:
        lines.append(f"  {report.withheld_fields} more fields of these documents are withheld")
    lines += _section("Attention", report.attention)
    lines += _section("Proved", report.proved)
    return lines + _section("Not proved", report.not_proved)


def _age(age_s: int) -> str:
    hours = abs(age_s) / 3600
    length = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"
    return f"{length} ago" if age_s >= 0 else f"{length} ahead of this clock"


def _part_lines(part: PartReport) -> list[str]:
    lines = [
        part.identifier or to_hex(part.subject),
        f"  {'received from outside' if part.from_outside else 'made'} by {part.made_by}, {_time(part.made_at)}",
        *dict.fromkeys(f"  on machine {one.machine_identifier or one.machine} of {one.owner}" for one in part.made_on),
        f"  {part.state.name.lower()}, {part.quantity} {_printable(part.unit)}, held by {part.holder}",
    ]
    if part.order is not None and part.buyer is not None:
        lines.append(f"  order {part.order_identifier or to_hex(part.order)} of {part.buyer}")
    if part.quarantined_by is not None:
        lines.append(f"  quarantined by {part.quarantined_by}")
    lines.append("  " + _certificate_line(part.certificate))
    lines.append(f"  came from {len(part.ancestors)} other lots")
    return lines


def _certificate_line(certificate: CertificateReport | None) -> str:
    if certificate is None:
        return "no certificate"
    on = f"with model {certificate.model}" if certificate.model else "by procedure"
    opened = {CertificateState.DEMANDED: ", opening demanded", CertificateState.UPHELD: ", upheld"}
    return (
        f"certificate {certificate.sequence}: {certificate.verdict.name.lower()}{opened.get(certificate.state, '')}, "
        f"{certificate.status.name.lower()}{' (expired now)' if certificate.expired_now else ''}, by "
        f"{certificate.issuer} {on}, until {_time(certificate.expires_at)}"
    )


def _believed(at: AsOf) -> str:
    return "named by the trust file" if at.believed == "block" else "signed by enough of the trust file's co-signers"


def _documents(disclosed: Sequence[DisclosedField]) -> list[str]:
    """The disclosed fields, one line per document."""
    lines = []
    for (record, kind, _), shown in itertools.groupby(disclosed, lambda one: (one.record, one.kind, one.root)):
        values = ", ".join(f"{_printable('/'.join(map(str, one.path)))} {_value(one.value)}" for one in shown)
        lines.append(f"record {record}, {kind}: {values}")
    return lines


def _value(value: Json) -> str:
    return _printable(canonical_json(value).decode())


def _printable(text: str) -> str:
    """Escape control characters, with which a stranger's document could rewrite what the terminal shows."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _section(title: str, items: tuple[str, ...] | list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  - {item}" for item in items)] if items else []


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC")
