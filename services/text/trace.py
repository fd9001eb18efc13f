"""Text output of traces and recalls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from millmark.ledger.errors import show_member
from millmark.ledger.provenance import Certificate, OrderTrace, Recall, Trace, answers
from millmark.ledger.records import LotState, Verdict
from millmark.ledger.verify.printable import printable, quoted
from millmark.ledger.verify.words.en import UNITS

_SHOWN = 20
"""Maximum number of lines per list; the JSON output has all."""


def describe_trace(trace: Trace) -> list[str]:
    """Lines about a lot: its order, makers, certificates, custody, packing, ancestors and descendants."""
    lines = [*_lot(trace.lot), ""]
    if trace.order is not None:
        lines += [*_order(trace.order), *_section("made by", map(_assignment, trace.assignments))]
    lines += _section("certificates", map(_certificate, trace.certificates))
    lines += _section("ATTENTION, one measurement for several", map(describe_shared, trace.shared_measurements))
    lines += _section("gates waived", map(_waiver, trace.waivers))
    lines += _section("custody", map(_custody, trace.custody))
    lines += _section("packed in", map(_related, trace.packed_in))
    lines += _section("contains", map(_related, trace.contents))
    lines += _section("made from", map(_related, trace.upstream))
    lines += _section("went into", map(_related, trace.downstream))
    return [*lines, *_cuts(trace.cuts), *_closing(trace.as_of, len(trace.records), trace.head)]


def describe_order(trace: OrderTrace) -> list[str]:
    """Lines about an order: its state, assignments, lots, certificates, and the lots around them."""
    lines = [*_order(trace.order), *_section("made by", map(_assignment, trace.assignments))]
    lines += _section("lots", map(_related, trace.lots))
    lines += _section("certificates", map(_certificate, trace.certificates))
    lines += _section("ATTENTION, one measurement for several", map(describe_shared, trace.shared_measurements))
    lines += _section("its lots were made from", map(_related, trace.upstream))
    lines += _section("its lots went into", map(_related, trace.downstream))
    return [*lines, *_cuts(trace.cuts), *_closing(trace.as_of, len(trace.records), trace.head)]


def describe_recall(recall: Recall) -> list[str]:
    """Lines about a recall: certificates, lots, orders and holders affected by a bad model, lot or machine."""
    lines = []
    if recall.model is not None:
        model = recall.model
        lines.append(
            f"model {model.model} ({show_member(model.state)}) of {_party(model.inspector)}, "
            f"digest 0x{model.digest.hex()}"
        )
    if recall.lot is not None:
        lines += _lot(recall.lot)
    if recall.machine is not None:
        machine = recall.machine.identifier or f"machine {recall.machine.machine}"
        lines.append(f"{machine} of {_party(recall.machine.owner)}, {_time(recall.since)} to {_time(recall.until)}")
    counts = recall.counts
    lines += _section(
        f"certificates: {counts.certificates}, in force: {counts.valid}", map(_certificate, recall.certificates)
    )
    lines += _section(
        f"lots reached: {counts.lots}, not spent: {counts.unspent}, quarantined: {counts.quarantined}",
        map(_related, recall.lots),
    )
    lines += _section(f"orders: {counts.orders}", map(_wanted, recall.orders))
    lines += _section(f"holders: {counts.holders}", map(_holder, recall.holders))
    return [*lines, *_cuts(recall.cuts), *_closing(recall.as_of, None, None)]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    if not found:
        return []
    more = [f"  ... and {len(found) - _SHOWN} more, see --json"] if len(found) > _SHOWN else []
    return [title, *(f"  {line}" for line in found[:_SHOWN]), *more]


def _lot(lot: answers.Lot) -> list[str]:
    where = f"held by {_party(lot.holder)}"
    if lot.counterparty is not None:
        where += f", {'offered to' if lot.state is LotState.OFFERED else 'quarantined by'} {_party(lot.counterparty)}"
    return [
        f"{lot.identifier or '0x' + lot.subject.hex()}",
        f"  lot of {lot.quantity} {_unit(lot.unit)}, {show_member(lot.state)}, {where}",
        f"  recorded as {lot.sequence} on {_time(lot.created_at)}, subject 0x{lot.subject.hex()}",
    ]


def _order(order: answers.Order) -> list[str]:
    gate = f"gate: {' and '.join(map(_gate, order.gates))}" if order.gates else "no gate"
    wanted = f"; {order.quantity} {_unit(order.unit or '')} wanted" if order.quantity else ""
    return [
        f"order {order.identifier or '0x' + order.subject.hex()}: {show_member(order.state)}",
        f"  placed {_time(order.placed_at)} by {_party(order.buyer)}",
        f"  coordinated by {_party(order.coordinator)}; {gate}{wanted}",
    ]


def _gate(gate: answers.Gate) -> str:
    return f"{_party(gate.inspector)} {'by procedure' if gate.model is None else f'on model {gate.model}'}"


def _waiver(waiver: answers.Waiver) -> str:
    known = "without a certificate" if waiver.certificate is None else f"knowing certificate {waiver.certificate}"
    return (
        f"gate of {_party(waiver.inspector)} waived by {_party(waiver.buyer)} {_time(waiver.time)}, {known}"
        f"{'' if waiver.holds else ', holds no more'}"
    )


def _assignment(assignment: answers.Assignment) -> str:
    machine = assignment.machine.identifier or f"machine {assignment.machine.machine}"
    evidence = f", evidence leaf {assignment.leaf_index}" if assignment.leaf_index is not None else ""
    return (
        f"operation {assignment.operation + 1}: {machine} of {_party(assignment.owner)}, "
        f"{show_member(assignment.state)} "
        f"{_time(assignment.ended_at or assignment.started_at or assignment.proposed_at)}{evidence}"
    )


def _certificate(certificate: Certificate) -> str:
    latest = "" if certificate.latest else ", does not decide about the lot"
    model = certificate.model
    by = "by procedure" if model is None else f"on model {model.model} 0x{model.digest.hex()[:16]}..."
    return (
        f"certificate {certificate.certificate}: "
        f"{show_member(certificate.verdict)}, {show_member(certificate.status)}{latest}; "
        f"{_party(certificate.inspector)} {_time(certificate.issued_at)} {by}, "
        f"{'procedure' if model is None else 'inference'} 0x{certificate.inference_digest.hex()[:16]}..."
    )


def describe_shared(shared: answers.SharedMeasurement) -> str:
    """Which certificates and operations name one entry of a stream."""
    named = [
        *(f"certificate {one}" for one in shared.certificates),
        *(f"operation of assignment {one}" for one in shared.assignments),
        *([f"{shared.others} that you may not see"] if shared.others else []),
    ]
    return f"entry {shared.leaf_index} of stream 0x{shared.stream.hex()[:16]}...: {', '.join(named)}"


def _custody(change: answers.CustodyChange) -> str:
    # CustodyOffered becomes "custody offered".
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", change.kind).lower()
    return f"{_time(change.time)} {words}: {_party(change.from_) if change.from_ else 'nobody'} -> {_party(change.to)}"


def _related(lot: answers.RelatedLot) -> str:
    verdict = f", {show_member(lot.verdict)} ({show_member(lot.status)})" if lot.verdict is not Verdict.NONE else ""
    name = lot.identifier or "0x" + lot.subject.hex()
    apart = ", quarantined with its carrier" if lot.quarantined and not lot.state.is_quarantined else ""
    what = f"{lot.quantity} {_unit(lot.unit)} {show_member(lot.state)} at {_party(lot.holder)}"
    return f"{'  ' * lot.depth}{name}: {what}{verdict}{apart}"


def _wanted(order: answers.Order) -> str:
    return f"{order.identifier or '0x' + order.subject.hex()}: {show_member(order.state)}, for {_party(order.buyer)}"


def _holder(holder: answers.Holder) -> str:
    name = holder.name or f"participant {holder.participant}"
    return f"{name}: {holder.lots} {'lot' if holder.lots == 1 else 'lots'}, {holder.quarantined} quarantined"


def describe_cut(cut: answers.Cut) -> str:
    """Text to follow "cut off: ": what was left out, at which limit, and the remedy."""
    if cut.limit == "depth":
        return f"{cut.part} at depth {cut.at}; use a larger depth"
    return f"{cut.part} at the limit of {cut.at}; use a larger limit"


def _cuts(cuts: Iterable[answers.Cut]) -> list[str]:
    return [f"cut off: {describe_cut(cut)}" for cut in cuts]


def _closing(as_of: answers.AsOf, records: int | None, head: bytes | None) -> list[str]:
    history = "" if records is None or head is None else f"{records} records, head 0x{head.hex()}; "
    return ["", f"{history}as of block {as_of.block_number}, {_time(as_of.time)}, from this company's own index"]


def _party(party: answers.Party) -> str:
    return printable(party.name) if party.name else f"participant {party.participant}"


def _unit(code: str) -> str:
    """The symbol of a known unit; what was recorded in quotation marks otherwise, since it may be any three bytes."""
    return UNITS.get(code) or quoted(code)


def _time(value: datetime | None) -> str:
    return "-" if value is None else value.strftime("%Y-%m-%d %H:%M:%SZ")
