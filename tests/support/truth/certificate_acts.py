"""What inspectors and auditors do in a random world."""

from __future__ import annotations

from millmark.ledger.canonical import sha256
from millmark.ledger.evidence import (
    EvidenceEntry,
    LeafKind,
    build_inference_context,
    build_leaf_data,
    build_window_commitment,
    build_window_entry,
)
from millmark.ledger.records import (
    Challenge,
    DemandOpening,
    IssueCertificate,
    Issued,
    Item,
    Measured,
    RevokeCertificate,
    Statement,
    Verdict,
)
from millmark.ledger.records import Inference as OpenedInference
from millmark.quality.inference import Inference, pack_window
from millmark.quality.inference import Verdict as ModelVerdict
from tests.support.truth.choices import DAY_S, Choices
from tests.support.truth.world import BENCHES, Inspected, model_digest

__all__ = ["CertificateActs"]


class CertificateActs(Choices):
    def certify(self) -> None:
        """By inference: on a window of the lot, on one of another lot, or on what nobody measured; with the verdict of
        the inference, or another one."""
        lot, name = self.lot(), self.world.choose.choice(list(BENCHES))
        verdict = Verdict.PASS if self.chance(0.65) else Verdict.FAIL
        inferred = verdict if self.chance(0.8) else Verdict(3 - verdict)
        window, salt = pack_window([self.count, *range(7, 22)]), sha256(lot + self.count.to_bytes(4, "big"))
        entry = self.window(lot, BENCHES[name], build_window_commitment(salt, window))
        leaf = entry.leaf_hash if self.chance(0.9) else sha256(b"nobody measured this")
        inference = self.infer(lot, name, (entry.index, leaf), inferred, salt, window)
        self.issue((lot,), name, self.world.models[name], verdict, inference.digest, entry, leaf, inference)

    def certify_many(self) -> None:
        """By procedure, on several lots."""
        name = self.world.choose.choice(list(BENCHES))
        lots = sorted({self.lot() for _ in range(3)})
        entry = self.window(lots[0], BENCHES[name], sha256(b"a gauge"))
        verdict = Verdict.PASS if self.chance(0.7) else Verdict.FAIL
        self.issue(tuple(lots), name, 0, verdict, sha256(entry.leaf_hash), entry, entry.leaf_hash, None)

    def window(self, lot: bytes, machine: str, commitment: bytes) -> EvidenceEntry:
        log = self.world.logs[machine]
        if log.entries and self.chance(0.2):
            return self.world.choose.choice(log.entries)
        self.count += 1
        last = log.tree.size
        entry = log.append(build_window_entry(lot, commitment, last, last, 0), kind=LeafKind.WINDOW)
        self.world.add_entry(machine, entry)
        return entry

    def infer(
        self, lot: bytes, name: str, leaf: tuple[int, bytes], verdict: Verdict, salt: bytes, window: bytes
    ) -> Inference:
        context = build_inference_context(
            chain_id=self.world.consortium.chain.chain_id,
            ledger=self.world.consortium.chain.ledger,
            lot=lot,
            stream=self.world.streams[BENCHES[name]],
            leaf_index=leaf[0],
            leaf=leaf[1],
        )
        logits = (-5,) if verdict is Verdict.PASS else (5,)
        return Inference(context, model_digest(name), salt, window, logits, ModelVerdict(int(verdict)))

    def issue(
        self, lots: tuple[bytes, ...], name: str, model: int, verdict: Verdict, digest: bytes, entry: EvidenceEntry,
        leaf: bytes, inference: Inference | None,
    ) -> None:  # fmt: skip
        world, machine = self.world, BENCHES[name]
        lasts = DAY_S * world.choose.choice([1, 30, 365])
        statement = Statement(
            items=tuple(Item(lot, self.order_of(lot)) for lot in lots), model=model, verdict=verdict,
            expires_at=world.now() + lasts, inference_digest=digest, claims_root=self.document("an inspection"),
            stream=world.streams[machine], leaf_index=entry.index, leaf_hash=leaf,
        )  # fmt: skip
        [number] = world.act(world.company(name), IssueCertificate(statement))
        size = world.anchored[machine]
        measured = entry if leaf == entry.leaf_hash else None
        world.issues[number] = Inspected(name, statement, measured, size, inference)

    def certificate(self) -> tuple[int, Inspected]:
        return self.world.choose.choice(list(self.world.issues.items()))

    def revoke(self) -> None:
        number, issued = self.certificate()
        lots = tuple(item.lot for item in issued.statement.items)
        self.world.act(self.world.company(issued.inspector), RevokeCertificate(lots, number, self.document("wrong")))

    def demand(self) -> None:
        number, issued = self.certificate()
        item = issued.statement.items[0]
        self.world.act(self.world.consortium.auditor, DemandOpening(item.lot, item.order, number))

    def open(self) -> None:
        """The inspector shows the inference that was demanded, or an auditor the one that differs from the verdict."""
        number, issued = self.certificate()
        world, shown, entry = self.world, issued.inference, issued.entry
        if shown is None or entry is None:
            raise LookupError
        company = world.company(issued.inspector) if self.chance(0.5) else world.consortium.auditor
        log = world.logs[BENCHES[issued.inspector]]
        opened = OpenedInference(shown.window, shown.salt, shown.logits, int(shown.verdict))
        leaf = build_leaf_data(entry.kind, entry.salt, entry.entry)
        measured = Measured(leaf, tuple(log.tree.inclusion_proof(entry.index, issued.anchor_size)))
        bare = Issued(issued.statement, issued.anchor_size, log.tree.root(issued.anchor_size))
        signer = world.company(issued.inspector).signer.address
        world.act(company, Challenge(number, signer, bare, opened, measured))
