"""Builds the report of a verified bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledger.bundle import Bundle
from ledger.events import Event
from ledger.trust import BelievedBlock
from ledger.verify._attention import attention
from ledger.verify._descent import outermost
from ledger.verify._disclosed import disclosed, proved
from ledger.verify._head import head
from ledger.verify._not_proved import not_proved
from ledger.verify._origin import origin
from ledger.verify._state import Certificate, Entry, Lot
from ledger.verify._status import Verified, foremost, status_of
from ledger.verify._verdicts import parts
from ledger.verify.report import (
    AsOf,
    CertificateReport,
    DisclosedField,
    EvidenceReport,
    PartReport,
    Report,
    Work,
    moment,
)

__all__ = ["build_report"]

_SECTIONS = (head, parts, attention, origin, disclosed, proved, not_proved)


def build_report(verified: Verified) -> Report:
    """Build the report of everything that the bundle proves or discloses."""
    bundle, state, entries = verified.bundle, verified.state, verified.by_sequence
    return Report(
        statements=tuple(one for section in _SECTIONS for one in section(verified)),
        as_of=_as_of(verified),
        parts=tuple(_part(verified, lot) for lot in verified.parts),
        certificates=tuple(_certificate(verified, one, state.lots[one.lot]) for one in state.certificates.values()),
        disclosed=tuple(
            DisclosedField(
                record=claims.record,
                kind=entries[claims.record].kind,
                root=claims.root,
                path=claims.disclosure.paths[place],
                value=field.value,
            )
            for claims in bundle.claims
            for place, field in claims.disclosure.shown
        ),
        evidence=tuple(_evidence(bundle, entries)),
        inferences=tuple(inference.record for inference in bundle.inferences),
        not_followed=tuple(sorted(verified.not_followed)),
    )


def _as_of(verified: Verified) -> AsOf:
    proof, checkpoint = verified.headers[0], verified.headers[-1]
    return AsOf(
        chain_id=verified.bundle.chain_id,
        ledger=verified.bundle.ledger,
        block_number=proof.number,
        block_hash=proof.hash,
        block_time=moment(proof.timestamp),
        age_s=verified.now_s - proof.timestamp,
        checkpoint_number=checkpoint.number,
        checkpoint_hash=checkpoint.hash,
        believed="block" if isinstance(verified.trust.checkpoint, BelievedBlock) else "cosigned",
    )


def _part(verified: Verified, lot: Lot) -> PartReport:
    state = verified.state
    order = state.order_of(lot)
    ancestors = verified.ancestors[lot.subject]
    deciding = foremost(verified, lot)
    return PartReport(
        subject=lot.subject,
        identifier=verified.identifiers.get(lot.subject),
        state=lot.state,
        quantity=lot.quantity,
        unit=lot.unit.rstrip(b"\0").decode("ascii", "replace"),
        made_by=verified.party(lot.maker),
        from_outside=lot.from_outside,
        made_at=moment(state.entries_of[lot.subject][lot.sequence].time),
        made_on=tuple(_work(verified, [state.lots[name] for name in ancestors] + [lot])),
        order=lot.order,
        order_identifier=None if lot.order is None else verified.identifiers.get(lot.order),
        buyer=None if order is None else verified.party(order.buyer),
        holder=verified.party(outermost(state, lot).custodian),
        quarantined_by=verified.party(lot.counterparty) if lot.state.is_quarantined else None,
        certificate=None if deciding is None else _certificate(verified, deciding, lot),
        ancestors=tuple(sorted(ancestors)),
    )


def _work(verified: Verified, lots: Sequence[Lot]) -> Iterator[Work]:
    for lot in sorted(lots, key=lambda one: one.sequence):
        for order, number, _ in lot.work:
            done = verified.state.orders[order].assignments[number]
            identifier = verified.machine(done.machine).identifier
            yield Work(lot.subject, done.operation, done.machine, identifier, verified.party(done.owner))


def _certificate(verified: Verified, certificate: Certificate, lot: Lot) -> CertificateReport:
    return CertificateReport(
        sequence=certificate.sequence,
        lot=lot.subject,
        issuer=verified.party(certificate.issuer),
        model=certificate.model,
        verdict=certificate.verdict,
        status=status_of(verified, certificate, verified.time, lot),
        state=certificate.state,
        executed=certificate.executed,
        latest=any(one is certificate for one in verified.state.deciding(lot)),
        issued_at=moment(certificate.issued_at),
        expires_at=moment(certificate.expires_at),
        expired_now=certificate.expires_at <= verified.now_s,
    )


def _evidence(bundle: Bundle, entries: dict[int, Entry[Event]]) -> Iterator[EvidenceReport]:
    for evidence in bundle.evidence:
        leaf = entries[evidence.record].event.leaf()
        assert leaf is not None  # noqa: S101  # narrows the type: step 9 refused evidence of other records
        shown = evidence.shown
        yield EvidenceReport(
            record=evidence.record,
            stream=leaf.stream,
            leaf_index=leaf.index,
            entry=None if shown is None else shown.entry,
            shown=shown is not None,
        )
