"""Inspection of parts: measured windows are anchored, judged by the quality model, and certified."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ledger.evidence import SALT_BYTES, EvidenceEntry
from ledger.records import IssueCertificate, Statement
from ledger.store import Book
from quality import Inference
from services.inspections.statements import InspectedEntry, to_ledger_verdict
from services.lab.demo.production import Job, Line

__all__ = ["inspect_parts"]

YEAR_S = 365 * 24 * 3600


def inspect_parts(line: Line, jobs: Sequence[Job], windows: Sequence[Sequence[int]], now: int) -> None:
    """Anchors the test bench's measurement of each part, and certifies the model's verdict on it.

    `now` is Unix time in seconds.
    """
    bench, inspector = line.plant.bench, line.consortium.inspector
    salts = [secrets.token_bytes(SALT_BYTES) for _ in jobs]
    measured = list(zip(jobs, windows, salts, strict=True))
    entries = [bench.cut(job.lot, window, salt) for job, window, salt in measured]
    line.consortium.record(inspector, [bench.anchor()])  # a certificate must name an anchored leaf
    inferences = [
        _infer(line, _inspected(line, job, entry), window, salt)
        for (job, window, salt), entry in zip(measured, entries, strict=True)
    ]
    records = []
    for job, entry, inference in zip(jobs, entries, inferences, strict=True):
        job.verdict = to_ledger_verdict(inference.verdict)
        line.certificates.append(job.verdict)
        records.append(IssueCertificate(_state(line, job, entry, inference, now)))
    certificates = line.consortium.record(inspector, records)
    # Stored afterwards, because the book keeps inferences by the certificate's sequence.
    with line.consortium.store.transaction() as connection:
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
        claims_root=line.consortium.document({"inspection": "acoustic, end of line", "part": job.index + 1}),
    )


def _inspected(line: Line, job: Job, entry: EvidenceEntry) -> InspectedEntry:
    return InspectedEntry(job.lot, line.plant.bench.stream, entry.index, entry.leaf_hash)
