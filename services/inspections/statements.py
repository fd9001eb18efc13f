"""Statements of certificates, built from inferences; the only conversion between verdicts of models and ledger."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.evidence import build_inference_context
from millmark.ledger.records import Item, Statement, Verdict
from millmark.quality.inference import Verdict as ModelVerdict


def to_ledger_verdict(verdict: ModelVerdict) -> Verdict:
    """Converts by name, because neither side guarantees that their numbers agree."""
    return Verdict[verdict.name]


def to_model_verdict(verdict: int) -> ModelVerdict:
    """Converts the ledger's number of a verdict. Raises KeyError for a certificate without a verdict."""
    return ModelVerdict[Verdict(verdict).name]


@dataclass(frozen=True, slots=True)
class InspectedEntry:
    """The evidence entry about a lot that an inference is bound to and its certificate names."""

    lot: bytes
    stream: bytes
    leaf_index: int
    leaf_hash: bytes

    def build_context(self, chain_id: int, ledger: bytes) -> bytes:
        """The context that binds an inference to this lot and entry, so that its digest is useless for other parts."""
        return build_inference_context(
            chain_id=chain_id,
            ledger=ledger,
            lot=self.lot,
            stream=self.stream,
            leaf_index=self.leaf_index,
            leaf=self.leaf_hash,
        )

    def build_statement(
        self, digest: bytes, verdict: ModelVerdict, *, order: bytes, model: int, expires_at: int, claims_root: bytes
    ) -> Statement:
        """The statement to be certified. `digest` is that of the inference; `expires_at` is Unix time in seconds."""
        return Statement(
            items=(Item(self.lot, order),),
            model=model,
            verdict=to_ledger_verdict(verdict),
            expires_at=expires_at,
            inference_digest=digest,
            claims_root=claims_root,
            stream=self.stream,
            leaf_index=self.leaf_index,
            leaf_hash=self.leaf_hash,
        )
