"""Inspection and delivery: parts are measured and certified; what passed goes through every order's gate."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.ledger.errors import InputError
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import (
    AcceptCustody,
    AcceptRevision,
    CompleteOrder,
    ConfirmDelivery,
    IssueCertificate,
    Item,
    OrderTerms,
    PackLots,
    ProposeRevision,
    ReceiveLot,
    Reinstate,
    ReturnLot,
    Statement,
    Suspend,
    UnpackLots,
    Verdict,
)
from millmark.ledger.store import Book
from millmark.quality import Inference, Inspector, to_fixed
from millmark.quality.data import Table, load_ford_a_test, load_table
from millmark.quality.fitting import find_defects
from millmark.services.demo.consortium import NOTHING, Company, Queued, hash_of
from millmark.services.demo.given import find_supplies
from millmark.services.demo.plant import PIECE, PREFIX, with_check_digit
from millmark.services.demo.production import PER_LOT, Job, Line, hand_over
from millmark.services.inspections.statements import InspectedEntry, to_ledger_verdict

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
    """Lets the coordinator vanish before the orders are completed. Returns the outcome for one of the orders; None if
    there are too few."""
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


YEAR_S = 365 * 24 * 3600
MAX_LOTS = 64
"""The most lots that one certificate by a procedure is about."""
AQL = "2.5"
PLANS = ((50, "C", 5, 0), (150, "F", 20, 1), (280, "G", 32, 2), (500, "H", 50, 3), (1200, "J", 80, 5))
"""Single sampling, normal inspection, general level II at this AQL (ISO 2859-1, tables 1 and 2-A): pieces up to which
the plan holds, code letter, sample size, acceptance number."""


def sample_components(line: Line, now: int) -> None:
    """Certifies all boxes of components at once, on a sample of their pieces. `now` is Unix time in seconds."""
    boxes, components = sorted(line.components[:MAX_LOTS]), find_supplies(line.plant.product).components
    pieces = len(boxes) * PER_LOT
    _, letter, size, accepted = next(plan for plan in PLANS if pieces <= plan[0])
    plan = {"standard": "ISO 2859-1", "sampling": "single, normal", "level": "II", "aql": AQL, "codeLetter": letter}
    found = {"lotSize": pieces, "sampleSize": size, "acceptance": accepted, "nonconforming": 0}
    inspector = line.consortium.inspector
    index, leaf = _note(line, f"dimensions of {components}", {"unit": "1e-6 m", **found})
    statement = Statement(
        items=tuple(Item(box, NOTHING) for box in boxes),
        model=0,
        verdict=Verdict.PASS,
        expires_at=now + YEAR_S,
        inference_digest=line.consortium.document(inspector, plan),
        claims_root=line.consortium.document(inspector, {"inspection": "incoming goods", **plan, **found}),
        stream=line.plant.bench.stream,
        leaf_index=index,
        leaf_hash=leaf,
    )
    told = (
        f"{pieces} {components} passed on a sample of {size} (ISO 2859-1, AQL {AQL}, letter {letter}); "
        f"lots: {len(boxes)}"
    )
    issued = line.consortium.queue(inspector, [IssueCertificate(statement)])
    line.consortium.when_final(issued, lambda made: line.events.append(f"certificate {made[0]}: {told}"))


def _note(line: Line, kind: str, values: dict[str, int | str | list[int]]) -> tuple[int, bytes]:
    """Has a measurement of the test bench anchored; returns index and leaf hash of its entry."""
    bench, node = line.plant.bench, line.plant.node
    if node is not None:
        return node.note({"kind": kind, **values})
    entry = bench.note(kind, values)
    line.consortium.queue(line.consortium.inspector, [bench.anchor()], after_others=False)
    return entry.index, entry.leaf_hash


def inspect_parts(line: Line, jobs: Sequence[Job], windows: Sequence[Sequence[int]], now: int) -> None:
    """Anchors the test bench's measurement of each part, and certifies the model's verdict on it: the inspector's node
    does both, if there is one.

    `now` is Unix time in seconds.
    """
    node = line.plant.node
    if node is None:
        verdicts = _certify(line, jobs, windows, now)
    else:
        line.consortium.await_mined()  # the parts, which the node looks for on the ledger
        verdicts = node.inspect([Item(job.lot, job.order.subject) for job in jobs], windows)
    for job, verdict in zip(jobs, verdicts, strict=True):
        job.verdict = verdict
    line.certificates += verdicts


def _certify(line: Line, jobs: Sequence[Job], windows: Sequence[Sequence[int]], now: int) -> list[Verdict]:
    """Anchors, inspects and certifies in this process."""
    bench, inspector = line.plant.bench, line.consortium.inspector
    salts = [secrets.token_bytes(SALT_BYTES) for _ in jobs]
    measured = list(zip(jobs, windows, salts, strict=True))
    entries = [bench.cut(job.lot, window, salt) for job, window, salt in measured]
    line.consortium.queue(inspector, [bench.anchor()], after_others=False)  # a certificate must name an anchored leaf
    line.consortium.send()  # the model takes its time
    inferences = [
        _infer(line, _inspected(line, job, entry), window, salt)
        for (job, window, salt), entry in zip(measured, entries, strict=True)
    ]
    records = [
        IssueCertificate(_state(line, job, entry, inference, now))
        for job, entry, inference in zip(jobs, entries, inferences, strict=True)
    ]
    issued = line.consortium.queue(inspector, records)
    # Stored afterwards, because the book keeps inferences by the certificate's sequence.
    line.consortium.when_final(issued, lambda made: _keep(inspector, made, inferences))
    return [to_ledger_verdict(inference.verdict) for inference in inferences]


def _keep(inspector: Company, certificates: Sequence[int], inferences: Sequence[Inference]) -> None:
    with inspector.store.transaction() as connection:
        book = Book(connection)
        for certificate, inference in zip(certificates, inferences, strict=True):
            book.put_inference(certificate, inference.salt, inference.window, inference.logits)


def _infer(line: Line, inspected: InspectedEntry, window: Sequence[int], salt: bytes) -> Inference:
    chain = line.consortium.chain
    context = inspected.build_context(chain.chain_id, chain.ledger)
    return line.plant.inspector.inspect(window, context=context, salt=salt)


def _state(line: Line, job: Job, entry: EvidenceEntry, inference: Inference, now: int) -> Statement:
    return _inspected(line, job, entry).build_statement(
        inference.digest,
        inference.verdict,
        order=job.order.subject,
        model=line.plant.model,
        expires_at=now + YEAR_S,
        claims_root=line.consortium.document(
            line.consortium.inspector, {"inspection": "acoustic, end of line", "part": job.index + 1}
        ),
    )


def _inspected(line: Line, job: Job, entry: EvidenceEntry) -> InspectedEntry:
    return InspectedEntry(job.lot, line.plant.bench.stream, entry.index, entry.leaf_hash)


_SYMPTOM_EVERY = 6
"""Every sixth window has the symptom: more than on a real line, so that a few orders suffice to show both verdicts."""


def load_windows(data: Path | None) -> Table:
    """The labelled windows of a file, or FordA's. Raises QualityError, and InputError for windows that the model cannot
    read."""
    table = load_ford_a_test() if data is None else load_table(data)
    _check_table(table)
    return table


def _check_table(table: Table) -> None:
    """Checks that the model can read the windows and that both labels occur. Raises InputError, QualityError."""
    width = Inspector(model_bytes()).model.width
    if table.values.shape[1] != width:
        raise InputError(f"each window has {table.values.shape[1]} values", hint=f"give windows of {width} values")
    find_defects(table.labels)


def model_bytes() -> bytes:
    """The quality model's file."""
    return (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()


def pick_windows(table: Table, count: int, spoiled: Collection[int] | None) -> NDArray[np.intp]:
    """Rows of the windows used for the parts, in the order of the data: with the symptom for what was spoiled, or for
    every sixth."""
    symptom = find_defects(table.labels)
    bad, good = np.flatnonzero(symptom), np.flatnonzero(~symptom)
    index = np.arange(count)
    every = index % _SYMPTOM_EVERY == _SYMPTOM_EVERY - 1
    with_symptom = every if spoiled is None else np.isin(index, sorted(spoiled))
    number = np.cumsum(with_symptom) - 1
    return np.where(with_symptom, bad[number % len(bad)], good[index % len(good)])


def find_failing(inspector: Inspector, table: Table, windows: NDArray[np.int64]) -> int | None:
    """The last row with the symptom, if the model fails it."""
    row = int(np.flatnonzero(find_defects(table.labels))[-1])
    verdict = to_ledger_verdict(inspector.inspect_all(windows[row : row + 1])[0].verdict)
    return row if verdict is Verdict.FAIL else None


def measure_accuracy(inspector: Inspector, table: Table) -> float:
    """Share of all windows for which the verdict agrees with the label."""
    inferences = inspector.inspect_all(to_fixed(table.values, inspector.model.decimals))
    failed = np.array([to_ledger_verdict(inference.verdict) is Verdict.FAIL for inference in inferences])
    return float((failed == find_defects(table.labels)).mean())
