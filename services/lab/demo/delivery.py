"""Delivery: passed parts go on pallets to the carrier and on to the buyer, through every order's gate."""

from __future__ import annotations

from ledger.ids import SubjectKind
from ledger.records import CompleteOrder, ConfirmDelivery, Item, PackLots, ReceiveLot, UnpackLots, Verdict
from services.lab.demo.consortium import NOTHING, hash_of
from services.lab.demo.plant import PIECE, PREFIX, with_check_digit
from services.lab.demo.production import Job, Line, hand_over

__all__ = ["deliver_parts"]

PER_PALLET = 8


def deliver_parts(line: Line) -> None:
    """Packs the passed parts, transfers custody twice, unpacks; then coordinator and buyer close the orders."""
    consortium = line.consortium
    passed = [job for job in line.jobs if job.verdict is Verdict.PASS]
    loads = [passed[start : start + PER_PALLET] for start in range(0, len(passed), PER_PALLET)]
    packings = []
    consignments = []
    for pallet, load in zip(_pallets(line, len(loads)), loads, strict=True):
        items = sorted((Item(job.lot, job.order.subject) for job in load), key=lambda item: item.lot)
        packings.append(PackLots(pallet, tuple(item.lot for item in items)))
        consignments.append((Item(pallet, NOTHING), *items))  # a lot is followed by its content, in ascending order
    consortium.record(consortium.makers[-1], packings)
    hand_over(consortium, consortium.makers[-1], consortium.carrier, consignments)
    hand_over(consortium, consortium.carrier, consortium.buyer, consignments)
    consortium.record(consortium.buyer, [UnpackLots(packing.parent, packing.lots) for packing in packings])
    _close(line, passed)


def _close(line: Line, passed: list[Job]) -> None:
    consortium = line.consortium
    consortium.record(consortium.coordinator, [CompleteOrder(job.order.subject, NOTHING) for job in passed])
    consortium.record(consortium.buyer, [ConfirmDelivery(job.order.subject, (job.lot,), NOTHING) for job in passed])
    for job in passed:
        job.delivered = True


def _pallets(line: Line, count: int) -> list[bytes]:
    """Receives empty pallets, each identified by an SSCC; returns their subjects."""
    maker = line.consortium.makers[-1]
    keys = [with_check_digit(f"3{PREFIX}{number:09d}") for number in range(1, count + 1)]
    pallets = [line.consortium.name(SubjectKind.LOT, maker, f"https://id.gs1.org/00/{key}") for key in keys]
    claims = line.consortium.document({"unit": "pallet"})
    line.consortium.record(maker, [ReceiveLot(hash_of(pallet), 1, PIECE, claims) for pallet in pallets])
    return [pallet.subject for pallet in pallets]
