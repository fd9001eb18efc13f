"""Inspection: of parts, whose measured windows are anchored, judged by the quality model and certified; of
components, by a sample.

Where the inspector has a node, it does this for parts, and writes and anchors all that is measured; a certificate by a
sample has no inference, so it is made here. Without a node, all is done here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry
from millmark.ledger.records import IssueCertificate, Item, Statement, Verdict
from millmark.ledger.store import Book
from millmark.quality import Inference
from millmark.services.inspections.statements import InspectedEntry, to_ledger_verdict
from millmark.services.lab.demo.company import Company
from millmark.services.lab.demo.consortium import NOTHING
from millmark.services.lab.demo.factories import find_supplies
from millmark.services.lab.demo.production import PER_LOT, Job, Line

__all__ = ["inspect_parts", "sample_components"]

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
