"""Builds bundles as a company's gateway does: from an index of a bundle world, and its secrets in the book."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.chain import fetch_checkpoint, fetch_trust
from millmark.ledger.checkpoint import SignedCheckpoint
from millmark.ledger.provenance import build_bundle, parse_disclosing
from millmark.ledger.store import Book, Store
from millmark.ledger.trust import BelievedBlock, TrustFile
from tests.support.bundle_world import BundleWorld


@dataclass
class BundleService:
    """Builds bundles and trust files for lots of a bundle world."""

    world: BundleWorld
    store: Store

    def bundle(
        self,
        names: Sequence[str],
        words: Sequence[str] = (),
        *,
        unrelated: bool = False,
        checkpoint: SignedCheckpoint | None = None,
    ) -> bytes:
        lots = [self.world.lots[name] for name in names]
        disclosing = parse_disclosing(list(words), unrelated=unrelated)
        return build_bundle(self.store, self.world.consortium.chain, lots, disclosing, checkpoint)

    def trust(self, number: int | None = None) -> TrustFile:
        chain = self.world.consortium.chain
        point = fetch_checkpoint(chain, number)
        return fetch_trust(chain, {}, BelievedBlock(point.block_number, point.block_hash))


def keep_secrets(world: BundleWorld, store: Store) -> None:
    """Stores the world's identifiers, documents, evidence and inferences in the book."""
    with store.transaction() as connection:
        book = Book(connection)
        for identity in world.identities.values():
            book.add_identity(identity)
        for root, claims in world.documents.items():
            book.put_document(root, json.dumps(claims.to_json()))
        for machine, log in world.logs.items():
            book.add_evidence(world.streams[machine], log.entries)
        for certificate in world.inspections:
            shown = world.inference_of(certificate)
            book.put_inference(certificate, shown.salt, shown.window, shown.logits)
