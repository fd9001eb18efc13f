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
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ledger.bundle import Bundle, SealedRecord, parse_bundle
from ledger.canonical import Json
from ledger.claims import parse_claims
from ledger.evidence import build_inference_context
from ledger.ids import SubjectKind
from ledger.provenance import Disclosing, build_bundle
from ledger.records import Verdict
from ledger.store import Book, Rows
from ledger.store.rows import (
    AnchorRow,
    CertificateRow,
    DocumentRow,
    IdentityRow,
    RecordHistoryRow,
    RecordRow,
)
from quality import Inference
from quality.decision import Verdict as QualityVerdict
from services.lab.demo.production import Line

__all__ = ["CLASSES", "Secrets", "collect_published", "collect_secrets"]

CLASSES = ("names", "claims", "evidence", "inferences", "inputs", "bundle")
_OF_FIELD = {
    **dict.fromkeys(("order", "lot", "stream", "identifier_hash"), "names"),
    **dict.fromkeys(("claims_root", "reason_root", "card_root", "report_root"), "claims"),
    **dict.fromkeys(("leaf_hash", "root", "anchor_root"), "evidence"),
    "inference_digest": "inferences",
}
"""Class by event field, for the fields that VISIBLE.md calls a name or a hash."""
_IN_CLEAR = ("Participant", "Key", "Roles", "Model")
"""Prefixes of the registry's events whose subject is not secret: a number, or derived from a model's digest."""
_SHOWN = Disclosing(fields=(("passport",),))
"""Discloses one field of the orders' documents, so that the bundle holds hashes of all the others."""
_HASH = re.compile(r"(?:0x)?([0-9a-f]{64})")


@dataclass(slots=True)
class Secrets:
    """The values behind the hashes. The attacker knows all of them, but no salts."""

    identities: list[tuple[SubjectKind, int, str]] = field(default_factory=list)
    """Kind, creator and identifier of each subject."""
    documents: list[Json] = field(default_factory=list)
    streams: list[list[Json]] = field(default_factory=list)
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
            _read(json.loads(row.fields), "", found)
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
    secrets.streams = [[entry.entry for entry in machine.log.entries] for machine in line.plant.machines]
    with line.consortium.store.reading() as connection:
        rows, book = Rows(connection), Book(connection)
        secrets.identities = [(SubjectKind(row.kind), row.creator, row.identifier) for row in rows.scan(IdentityRow)]
        secrets.documents = [parse_claims(json.loads(row.document)).document for row in rows.scan(DocumentRow)]
        secrets.anchored = [(streams[row.stream], row.size) for row in rows.scan(AnchorRow)]
        kept = [(row, book.inference(row.sequence)) for row in rows.scan(CertificateRow)]
        secrets.inferences = [
            _inference(line, row, one.salt, one.input, json.loads(one.logits)) for row, one in kept if one is not None
        ]
    return secrets


def _inference(line: Line, row: CertificateRow, salt: bytes, quantised: bytes, logits: list[int]) -> Inference:
    chain = line.consortium.chain
    context = build_inference_context(
        chain_id=chain.chain_id,
        ledger=chain.ledger,
        lot=row.lot,
        stream=row.stream,
        leaf_index=row.leaf_index,
        leaf=row.leaf_hash,
    )
    verdict = QualityVerdict[Verdict(row.verdict).name]
    return Inference(context, line.plant.inspector.model_digest, salt, quantised, tuple(logits), verdict)


def _read(value: Json, name: str, found: dict[str, set[bytes]]) -> None:
    """Collects the hashes of an event by the names of its fields."""
    if isinstance(value, dict):
        for key, item in value.items():
            _read(item, key, found)
    elif isinstance(value, list):
        for item in value:
            _read(item, name, found)
    elif isinstance(value, str) and name in _OF_FIELD and (match := _HASH.fullmatch(value)):
        found[_OF_FIELD[name]].add(bytes.fromhex(match[1]))


def _read_bundle(bundle: Bundle) -> Iterator[bytes]:
    """Yields all 32-byte values of a bundle. In trie nodes, values at every offset, because RLP does not align them."""
    for record in bundle.records:
        yield from (record.data[at : at + 32] for at in range(0, len(record.data), 32))
    for history in bundle.histories:
        yield history.subject
        yield from (link.inner for link in history.records if isinstance(link, SealedRecord))
    for claims in bundle.claims:
        yield from claims.disclosure.proof
    for evidence in bundle.evidence:
        yield from (*evidence.inclusion, *evidence.consistency)
    for node in bundle.nodes:
        yield from (node[at : at + 32] for at in range(len(node) - 31))
