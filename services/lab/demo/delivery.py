"""Delivery: passed parts go on pallets to the carrier and on to the buyer, through every order's gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import CompleteOrder, ConfirmDelivery, Item, PackLots, ReceiveLot, UnpackLots, Verdict
from millmark.services.lab.demo.consortium import NOTHING, hash_of
from millmark.services.lab.demo.plant import PIECE, PREFIX, with_check_digit
from millmark.services.lab.demo.production import Job, Line, hand_over
from millmark.services.lab.demo.troubles import suspend_coordinator

__all__ = ["deliver_parts"]

PER_PALLET = 8
LookAgain: TypeAlias = Callable[[bytes, Sequence[Job]], Job | None]
"""Takes a pallet and what was packed on it; returns the job of a part that failed there and was sent back."""


def deliver_parts(line: Line, look_again: LookAgain | None = None) -> None:
    """Packs the passed parts, transfers custody twice, unpacks; then coordinator and buyer close the orders.

    The coordinator of one vanishes on the way. `look_again` may fail a part of the first pallet, and send it back.
    """
    consortium = line.consortium
    passed = [job for job in line.jobs if job.verdict is Verdict.PASS]
    loads = [passed[start : start + PER_PALLET] for start in range(0, len(passed), PER_PALLET)]
    packings = []
    consignments = []
    for pallet, load in zip(_pallets(line, len(loads)), loads, strict=True):
        items = sorted((Item(job.lot, job.order.subject) for job in load), key=lambda item: item.lot)
        packings.append(PackLots(pallet, tuple(item.lot for item in items)))
        consignments.append((Item(pallet, NOTHING), *items))  # a lot is followed by its content, in ascending order
    absence = suspend_coordinator(line, passed)
    consortium.queue(consortium.makers[-1], packings)
    arrived = hand_over(consortium, consortium.makers[-1], consortium.carrier, consignments)
    # What fails is not taken over any more.
    consortium.finish([arrived, absence.suspended] if absence else [arrived])
    consortium.release()
    if absence:
        absence.succeed()
    if loads and look_again and (failed := look_again(consignments[0][0].lot, loads[0])):
        passed.remove(failed)
        consignments[0] = tuple(item for item in consignments[0] if item.lot != failed.lot)
    hand_over(consortium, consortium.carrier, consortium.buyer, consignments)
    unpacked = [UnpackLots(pallet.lot, tuple(item.lot for item in items)) for pallet, *items in consignments]
    consortium.queue(consortium.buyer, unpacked)
    _close(line, passed, absence.job if absence else None)


def _close(line: Line, passed: list[Job], completed: Job | None) -> None:
    consortium = line.consortium
    consortium.release()
    open_orders = [job for job in passed if job is not completed]
    consortium.queue(consortium.coordinator, [CompleteOrder(job.order.subject, NOTHING) for job in open_orders])
    consortium.queue(consortium.buyer, [ConfirmDelivery(job.order.subject, (job.lot,), NOTHING) for job in passed])
    for job in passed:
        job.delivered = True


def _pallets(line: Line, count: int) -> list[bytes]:
    """Receives empty pallets, each identified by an SSCC; returns their subjects."""
    maker = line.consortium.makers[-1]
    keys = [with_check_digit(f"3{PREFIX}{number:09d}") for number in range(1, count + 1)]
    pallets = [line.consortium.name(SubjectKind.LOT, maker, f"https://id.gs1.org/00/{key}") for key in keys]
    claims = line.consortium.document(maker, {"unit": "pallet"})
    line.consortium.queue(maker, [ReceiveLot(hash_of(pallet), 1, PIECE, claims) for pallet in pallets])
    return [pallet.subject for pallet in pallets]
