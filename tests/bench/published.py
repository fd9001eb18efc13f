"""Collects the hashes that a ledger publishes, from logs and a bundle, and the secrets behind them, from the book.

names       subjects of orders, lots, machines and streams, and the identifier hashes that they are derived from
claims      claims roots, in all fields that carry one
evidence    leaf hashes, and roots of streams
inferences  inference digests
inputs      input commitments, which are given to auditors
bundle      all other 32-byte values in a bundle: hashes of withheld fields, proof nodes, state
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from millmark.ledger.bundle import Bundle, WithheldRecord, parse_bundle
from millmark.ledger.canonical import Json
from millmark.ledger.claims import parse_claims
from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.evidence import StreamAnchored
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.evidence import EvidenceEntry
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.records import Names
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.book_rows import DocumentRow, IdentityRow
from millmark.ledger.store.rows import AnchorRow, CertificateRow, RecordHistoryRow, RecordRow
from millmark.quality import Inference
from millmark.services.demo.production import Line
from millmark.services.inspections.statements import InspectedEntry, to_model_verdict

__all__ = ["CLASSES", "Secrets", "collect_published", "collect_secrets"]

CLASSES = ("names", "claims", "evidence", "inferences", "inputs", "bundle")
_IN_CLEAR = ("Participant", "Key", "Roles", "Model")
"""Prefixes of the registry's events whose subject is not secret: a number, or derived from a model's digest."""
_SHOWN = Disclosing(fields=(("passport",),))
"""Discloses one field of the orders' documents, so that the bundle holds hashes of all the others."""


@dataclass(slots=True)
class Secrets:
    """The values behind the hashes. The attacker knows all of them, but no salts."""

    identities: list[tuple[SubjectKind, int, str]] = field(default_factory=list)
    """Kind, creator and identifier of each subject."""
    documents: list[Json] = field(default_factory=list)
    streams: list[list[EvidenceEntry]] = field(default_factory=list)
    """The entries of each stream."""
    anchored: list[tuple[int, int]] = field(default_factory=list)
    """Anchors, each as an index into `streams` and a size."""
    inferences: list[Inference] = field(default_factory=list)


def collect_published(line: Line, lots: list[bytes], secrets: Secrets) -> dict[str, set[bytes]]:
    """The published hashes by class. `lots` are the parts of the bundle."""
    found: dict[str, set[bytes]] = {name: set() for name in CLASSES}
    store = line.consortium.store
    with store.reading() as connection:
        for row in Rows(connection).scan(RecordRow):
            if not row.kind.startswith(_IN_CLEAR):
                found["names"].add(row.subject)
            for name, value in _hashes(row.event()):
                found[name].add(value)
        found["names"] |= {row.subject for row in Rows(connection).scan(RecordHistoryRow)}
    found["inputs"] = {inference.input_commitment for inference in secrets.inferences}
    found["bundle"] = set(_read_bundle(parse_bundle(build_bundle(store, line.consortium.chain, lots, _SHOWN))))
    # Zeros mean "none" in several fields, and hide nothing.
    for values in found.values():
        values.discard(bytes(32))
    return found


def collect_secrets(line: Line) -> Secrets:
    """The secrets of the whole consortium, whose companies share one private book in the demo."""
    secrets, streams = Secrets(), {machine.stream: place for place, machine in enumerate(line.plant.machines)}
    secrets.streams = [machine.log.entries for machine in line.plant.machines]
    with line.consortium.store.reading() as connection:
        rows, book = Rows(connection), Book(connection)
        secrets.identities = [(SubjectKind(row.kind), row.creator, row.identifier) for row in rows.scan(IdentityRow)]
        secrets.documents = [parse_claims(json.loads(row.document)).document for row in rows.scan(DocumentRow)]
        secrets.anchored = [(streams[row.stream], row.size) for row in rows.scan(AnchorRow)]
        kept = [(row, book.inference(row.sequence)) for row in rows.scan(CertificateRow)]
        secrets.inferences = [
            _inference(line, row, one.salt, one.window, json.loads(one.logits)) for row, one in kept if one is not None
        ]
    return secrets


def _inference(line: Line, row: CertificateRow, salt: bytes, window: bytes, logits: list[int]) -> Inference:
    chain = line.consortium.chain
    inspected = InspectedEntry(row.lot, row.stream, row.leaf_index, row.leaf_hash)
    context, verdict = inspected.build_context(chain.chain_id, chain.ledger), to_model_verdict(row.verdict)
    return Inference(context, line.plant.inspector.model_digest, salt, window, tuple(logits), verdict)


def _hashes(event: Event) -> Iterator[tuple[str, bytes]]:
    """The hashes of an event that VISIBLE.md calls a name or a hash, with their class."""
    for what in (Names.ORDER, Names.LOT, Names.STREAM):
        yield from (("names", subject) for subject in event.subjects(what))
    yield from (("claims", root) for root in event.roots())
    leaf = event.leaf()
    if leaf is not None:
        yield "evidence", leaf.hash
    if isinstance(event, LotsTransformed):
        yield from (("names", output.identifier_hash) for output in event.transformation.outputs)
    elif isinstance(event, StreamAnchored):
        yield "evidence", event.root
    elif isinstance(event, CertificateIssued):
        yield "evidence", event.anchor_root
        yield "inferences", event.statement.inference_digest


def _read_bundle(bundle: Bundle) -> Iterator[bytes]:
    """Yields all 32-byte values of a bundle. In trie nodes, values at every offset, because RLP does not align them."""
    for record in bundle.records:
        yield from (record.data[at : at + 32] for at in range(0, len(record.data), 32))
    for history in bundle.histories:
        yield history.subject
        yield from (link.inner for link in history.records if isinstance(link, WithheldRecord))
    for claims in bundle.claims:
        yield from claims.disclosure.proof
    for evidence in bundle.evidence:
        yield from (*evidence.inclusion, *evidence.consistency)
    for node in bundle.nodes:
        yield from (node[at : at + 32] for at in range(len(node) - 31))
