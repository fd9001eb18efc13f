"""What goes wrong on the way, and how it is recorded: a part that fails on its pallet, a coordinator that vanishes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.records import (
    AcceptCustody,
    AcceptRevision,
    CompleteOrder,
    Item,
    OrderTerms,
    ProposeRevision,
    Reinstate,
    ReturnLot,
    Suspend,
    UnpackLots,
    Verdict,
)
from millmark.services.lab.demo.consortium import NOTHING, hash_of
from millmark.services.lab.demo.inspection import inspect_parts
from millmark.services.lab.demo.production import Job, Line
from millmark.services.lab.demo.queued import Queued

__all__ = ["Absence", "send_back", "suspend_coordinator"]

_MIN_ORDERS = 3
"""With fewer, everything goes well, so that something is delivered in the ordinary way."""


def send_back(line: Line, pallet: bytes, load: Sequence[Job], row: int, window: Sequence[int], now: int) -> Job | None:
    """Fails a part of `load` that lies on `pallet` at the carrier, and returns it to its maker, quarantined.

    `window` is what is measured there, and `row` its place in the data. Returns the part's job; None if the load is too
    small, or the window passes again.
    """
    job = next((one for one in load if not one.reworked), None)
    if job is None or job.part is None or len(load) < _MIN_ORDERS:
        return None
    inspect_parts(line, [job], [window], now)
    if job.verdict is not Verdict.FAIL:
        return None
    job.window = row
    consortium = line.consortium
    maker, carrier = consortium.makers[-1], consortium.carrier
    reason = consortium.document(carrier, {"reason": "failed on arrival at the carrier"})
    consortium.queue(carrier, [UnpackLots(pallet, (job.lot,))])
    offer = consortium.queue(carrier, [ReturnLot(job.lot, maker.number, hash_of(job.part), reason)])
    items = (Item(job.lot, job.order.subject),)
    consortium.queue_naming(maker, [offer], lambda: [AcceptCustody(items, offer.sequences()[0], NOTHING)])
    line.events.append(
        f"{job.part.identifier} failed on its pallet: {carrier.name} unpacked it and sent it back to {maker.name}, "
        f"where it is quarantined; the other {len(load) - 1} went on"
    )
    return job


@dataclass(frozen=True, slots=True)
class Absence:
    """The coordinator of an order is gone, and the buyer names another one."""

    line: Line
    job: Job
    terms: OrderTerms
    """With the other one."""
    suspended: Queued
    proposal: Queued

    def succeed(self) -> None:
        """The other one agrees, and completes the order; then the coordinator is found again. The suspension is final:
        in a block before it, the agreement would be recorded as well, and wait for the coordinator to agree."""
        consortium, order = self.line.consortium, self.job.order
        gone, successor = consortium.coordinator, consortium.carrier
        consortium.queue_naming(successor, [self.proposal], self._agree)
        completed = consortium.queue(successor, [CompleteOrder(order.subject, NOTHING)])
        consortium.queue_after(completed, consortium.owner, [Reinstate(gone.number)])
        self.line.events.append(
            f"{gone.name} vanished: {consortium.buyer.name} and {successor.name} agreed that the latter coordinates "
            f"{order.identifier}, which was completed and delivered without it"
        )

    def _agree(self) -> list[AcceptRevision]:
        return [AcceptRevision(self.job.order.subject, self.terms, self.proposal.sequences()[0])]


def suspend_coordinator(line: Line, passed: Sequence[Job]) -> Absence | None:
    """Has the coordinator vanish before the orders are completed. Returns what becomes of one of them; None if there
    are too few."""
    ordinary = [job for job in passed if not job.reworked]
    if len(ordinary) < _MIN_ORDERS:
        return None
    job, consortium = ordinary[-1], line.consortium
    buyer, gone = consortium.buyer, consortium.coordinator
    reason = consortium.document(buyer, {"reason": "does not answer any more"})
    suspended = consortium.queue(consortium.owner, [Suspend(gone.number, reason)], after_others=False)
    terms = dataclasses.replace(job.terms, coordinator=consortium.carrier.number)
    proposal = consortium.queue(buyer, [ProposeRevision(job.order.subject, terms)], after_others=False)
    return Absence(line, job, terms, suspended, proposal)
