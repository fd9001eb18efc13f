"""Arranges a passport in the order in which its page shows it.

Energy and carbon of a part are as disclosed by its documents. PASSPORT.md specifies the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from ledger.canonical import Json
from ledger.errors import MillmarkError
from ledger.ids import DigitalLink
from ledger.provenance import Fact, Passport
from ledger.provenance.answers import Certificate, CustodyChange, Machine, Party, Trace, Transformation
from ledger.records import AssignmentState, CertificateStatus, Verdict
from services.portal.language import Catalogue
from services.portal.proofs import Proof

__all__ = ["Document", "Event", "PassportView", "build_view"]

_ENERGY, _CARBON = ("passport", "energy"), ("passport", "emissionsScorecard")
_KWH = {
    "KWH": Decimal(1),
    "WHR": Decimal("0.001"),
    "MJ": Decimal(1) / Decimal("3.6"),
    "3B": Decimal(1) / Decimal("3.6"),
}
"""Kilowatt-hours per unit of energy, by UN/ECE Recommendation 20 code."""
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class FootprintRow:
    """The disclosed values of one lot."""

    identifier: str | None
    subject: bytes
    maker: Party | None
    energy_kwh: Decimal | None
    carbon_kg: Decimal | None
    scope: str | None
    """`operationalScope` in UNTP."""


@dataclass(frozen=True, slots=True)
class Footprint:
    rows: tuple[FootprintRow, ...]
    """The part first, then the lots it came from."""
    energy_kwh: Decimal | None
    carbon_kg: Decimal | None
    """Sums; None if a row covers more than this part, or if a carbon value covers more than its own production step."""


def is_footprint(fact: Fact) -> bool:
    return fact.thing == "lot" and fact.path[:2] in (_ENERGY, _CARBON)


def build_footprint(passport: Passport) -> Footprint | None:
    """Reads the disclosed energy and carbon values of the lots in a passport. None if nothing is disclosed."""
    trace = passport.trace
    by_lot: dict[bytes, dict[tuple[str | int, ...], Json]] = {}
    for fact in passport.facts:
        if is_footprint(fact):
            by_lot.setdefault(fact.subject, {})[fact.path[1:]] = fact.value
    makers = {made.lot: step.participant for step in trace.transformations for made in step.outputs}
    names = {trace.lot.subject: trace.lot.identifier, **{lot.subject: lot.identifier for lot in trace.upstream}}
    rows = [_row(lot, name, makers.get(lot), by_lot[lot]) for lot, name in names.items() if lot in by_lot]
    if not any(row.energy_kwh is not None or row.carbon_kg is not None for row in rows):
        return None
    # A document about a lot of several pieces covers parts of others too: such values must not be added up.
    whole = {row.subject for row in rows} <= _made_singly(trace)
    return Footprint(
        tuple(rows),
        _sum(row.energy_kwh for row in rows) if whole else None,
        _sum(row.carbon_kg for row in rows) if whole and all(row.scope == "GateToGate" for row in rows) else None,
    )


def _row(
    lot: bytes, identifier: str | None, maker: Party | None, fields: dict[tuple[str | int, ...], Json]
) -> FootprintRow:
    value, unit = _number(fields.get(("energy", "value"))), fields.get(("energy", "uom"))
    scope = fields.get(("emissionsScorecard", "operationalScope"))
    return FootprintRow(
        identifier=identifier,
        subject=lot,
        maker=maker,
        energy_kwh=value * _KWH[unit] if value is not None and isinstance(unit, str) and unit in _KWH else None,
        carbon_kg=_number(fields.get(("emissionsScorecard", "carbonFootprint"))),
        scope=scope if isinstance(scope, str) else None,
    )


def _number(value: Json | None) -> Decimal | None:
    """A finite number, also if written as text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or len(str(value)) > _MAX_DIGITS:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _made_singly(trace: Trace) -> set[bytes]:
    """Lots that were the only piece made in their step, so that their documents cover this part alone."""
    return {step.outputs[0].lot for step in trace.transformations if [made.quantity for made in step.outputs] == [1]}


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    found = [value for value in values if value is not None]
    return sum(found, Decimal(0)) if found else None


_PRODUCT = ("passport", "productName")


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the timeline."""

    time: datetime
    key: str
    """Key in the catalogue."""
    by: Party | None
    to: Party | None = None
    machine: Machine | None = None
    number: int | None = None
    """Number of the operation or the certificate."""


@dataclass(frozen=True, slots=True)
class Document:
    """Disclosed fields of a document, except those that are shown elsewhere on the page."""

    thing: str
    identifier: str | None
    fields: tuple[tuple[str, Json], ...]


@dataclass(frozen=True, slots=True)
class PassportView:
    passport: Passport
    product: str | None
    events: tuple[Event, ...]
    steps: tuple[Transformation, ...]
    """Steps in which the part, or lots it came from, were made; earliest first."""
    documents: tuple[Document, ...]
    footprint: Footprint | None
    latest: Certificate | None
    sound: bool
    """Whether the index has no failing or invalid certificate and no quarantine for the part now."""
    proof: Proof | None
    failure: str | None
    """Code of the error, if no proof could be built now."""


def build_view(passport: Passport, found: Proof | MillmarkError | None) -> PassportView:
    trace = passport.trace
    proof = found if isinstance(found, Proof) else None
    deciding = [one for one in trace.certificates if one.latest]
    waived = {one.inspector.participant for one in trace.waivers if one.holds}
    # No certificate is not a fault: not every order requires one, and buyers waive.
    doubtful = [one for one in deciding if not _is_good(one) and one.inspector.participant not in waived]
    stopped = trace.lot.state.is_quarantined or any(lot.quarantined for lot in trace.packed_in)
    return PassportView(
        passport=passport,
        product=_product(passport),
        events=tuple(sorted(_events(passport), key=lambda event: event.time)),
        steps=tuple(sorted(trace.transformations, key=lambda step: step.sequence)),
        documents=tuple(_documents(passport)),
        footprint=build_footprint(passport),
        latest=(doubtful or deciding)[-1] if deciding else None,
        sound=not doubtful and not stopped,
        proof=proof,
        failure=None if proof or found is None else str(found.code),  # type: ignore[union-attr]  # then it is an error
    )


def _is_good(certificate: Certificate) -> bool:
    return certificate.verdict is Verdict.PASS and certificate.status is CertificateStatus.VALID


def describe_name(catalogue: Catalogue, link: DigitalLink) -> list[tuple[str, str, str]]:
    """The code's key and qualifiers: (application identifier, its meaning, value)."""
    return [
        (ai, catalogue.say(f"ai.{ai}" if catalogue.knows(f"ai.{ai}") else "ai.other"), value)
        for ai, value in link.elements
    ]


def _product(passport: Passport) -> str | None:
    """The product's name, from the part's own document, else from its order's."""
    named = [fact for fact in passport.facts if fact.path == _PRODUCT and isinstance(fact.value, str)]
    own = [fact for fact in named if fact.subject == passport.trace.lot.subject and fact.thing == "lot"]
    order = [fact for fact in named if fact.thing == "order"]
    return str((own or order)[0].value)[:120] if own or order else None


def _events(passport: Passport) -> Iterator[Event]:
    trace = passport.trace
    if trace.order is not None and trace.order.placed_at is not None:
        yield Event(trace.order.placed_at, "event.ordered", trace.order.buyer, trace.order.coordinator)
    for assignment in trace.assignments:
        if assignment.started_at is not None:
            work = (assignment.owner, None, assignment.machine, assignment.operation + 1)
            yield Event(assignment.started_at, "event.started", *work)
            if assignment.state is AssignmentState.FINISHED and assignment.ended_at is not None:
                yield Event(assignment.ended_at, "event.finished", *work)
    for certificate in trace.certificates:
        if certificate.issued_at is not None:
            key = f"event.{certificate.verdict.name.lower()}"
            yield Event(certificate.issued_at, key, certificate.inspector, number=certificate.certificate)
        if certificate.revoked_at is not None:
            yield Event(certificate.revoked_at, "event.revoked", certificate.inspector, number=certificate.certificate)
    for waiver in trace.waivers:
        if waiver.time is not None:
            yield Event(waiver.time, "event.GateWaived", waiver.buyer, waiver.inspector)
    yield from (_custody(change) for change in trace.custody if change.time is not None)


def _custody(change: CustodyChange) -> Event:
    assert change.time is not None  # noqa: S101  # narrows the type: the caller asked
    return Event(change.time, f"event.{change.kind}", change.from_, change.to)


def _documents(passport: Passport) -> Iterator[Document]:
    trace = passport.trace
    names = {trace.lot.subject: trace.lot.identifier, **{lot.subject: lot.identifier for lot in trace.upstream}}
    if trace.order is not None:
        names[trace.order.subject] = trace.order.identifier
    found: dict[tuple[str, bytes, int], list[Fact]] = {}
    for fact in passport.facts:
        if not is_footprint(fact) and fact.path != _PRODUCT:
            found.setdefault((fact.thing, fact.subject, fact.record), []).append(fact)
    for (thing, subject, _), facts in found.items():
        yield Document(thing, names.get(subject), tuple((_label(fact.path), fact.value) for fact in facts))


def _label(path: Sequence[str | int]) -> str:
    """The path of a field as text, without the leading `passport`, which means nothing to readers."""
    return " › ".join(str(step) for step in (path[1:] if path[0] == "passport" and len(path) > 1 else path))
