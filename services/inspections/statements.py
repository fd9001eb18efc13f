"""From an inference to what a certificate states: here alone a model's verdict becomes the ledger's, and back."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.evidence import build_inference_context
from ledger.records import Statement, Verdict
from quality.decision import Verdict as ModelVerdict

__all__ = ["InspectedEntry", "to_ledger_verdict", "to_model_verdict"]


def to_ledger_verdict(verdict: ModelVerdict) -> Verdict:
    """By name: that the numbers are the same is the business of neither side."""
    return Verdict[verdict.name]


def to_model_verdict(verdict: int) -> ModelVerdict:
    """From the ledger's number. Raises KeyError for a certificate without a verdict."""
    return ModelVerdict[Verdict(verdict).name]


@dataclass(frozen=True, slots=True)
class InspectedEntry:
    """An entry of evidence about a lot: what an inference is bound to, and its certificate names."""

    lot: bytes
    stream: bytes
    leaf_index: int
    leaf_hash: bytes

    def build_context(self, chain_id: int, ledger: bytes) -> bytes:
        """Binds an inference to this lot and this entry: its digest is worth nothing for another part."""
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
        """What is certified. `digest`: of the inference."""
        return Statement(
            lot=self.lot,
            order=order,
            model=model,
            verdict=to_ledger_verdict(verdict),
            expires_at=expires_at,
            inference_digest=digest,
            claims_root=claims_root,
            stream=self.stream,
            leaf_index=self.leaf_index,
            leaf_hash=self.leaf_hash,
        )
