"""A small factory on the embedded chain: its companies, and what they keep. What happens there is in
tests/support/bundle_chapters.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from millmark.ledger.bundle import EvidenceEntryShown, InferenceShown, ShownEvidence
from millmark.ledger.canonical import Json, sha256
from millmark.ledger.claims import Claims, build_claims
from millmark.ledger.events import Event, Recorded
from millmark.ledger.evidence import (
    EvidenceEntry,
    EvidenceLog,
    LeafKind,
    build_inference_context,
    build_leaf_data,
    build_window_commitment,
    build_window_entry,
)
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.names import derive_identity
from millmark.ledger.records import (
    Anchor,
    Challenge,
    Contract,
    DemandOpening,
    Input,
    IssueCertificate,
    Issued,
    Item,
    Measured,
    Output,
    Record,
    Rework,
    ReworkLot,
    Statement,
    Transformation,
    TransformationKind,
    TransformLots,
    Verdict,
)
from millmark.ledger.records import Inference as OpenedInference
from millmark.ledger.slots import inner_of
from millmark.quality.inference import Inference, pack_window
from millmark.quality.inference import Verdict as ModelVerdict
from millmark.services.demo.consortium import Company, Consortium

NOTHING = bytes(32)
GRAM, PIECE = b"GRM", b"H87"
YEAR_S = 365 * 86_400
ABSENCE_S = 15 * 86_400
"""Longer than a company must be unable to act before what it holds is reclaimed: 14 days."""
MODEL_DIGEST = sha256(b"a model's canonical bytes")


@dataclass
class Inspection:
    """What the inspector keeps about one certificate."""

    certificate: int
    lot: bytes
    statement: Statement
    entry: EvidenceEntry
    anchor_size: int
    inference: Inference


@dataclass
class BundleWorld:
    """The companies on their ledger, and everything that they keep off the chain."""

    consortium: Consortium
    model: int = 0
    packed_at: int = 0
    """When the box was packed, seconds since 1970."""
    machines: dict[str, int] = field(default_factory=dict)
    streams: dict[str, bytes] = field(default_factory=dict)
    logs: dict[str, EvidenceLog] = field(default_factory=dict)
    lots: dict[str, bytes] = field(default_factory=dict)
    orders: dict[str, bytes] = field(default_factory=dict)
    order_of: dict[bytes, bytes] = field(default_factory=dict)
    """The order of each lot that has one."""
    identities: dict[bytes, Identity] = field(default_factory=dict)
    documents: dict[bytes, Claims] = field(default_factory=dict)
    """By claims root."""
    inspections: dict[int, Inspection] = field(default_factory=dict)
    """By sequence of the certificate."""
    finished: dict[int, EvidenceEntry] = field(default_factory=dict)
    """By sequence of the record that finished the operation."""

    @property
    def maker(self) -> Company:
        return self.consortium.makers[0]

    def act(self, company: Company, *records: Record) -> list[int]:
        return self.consortium.record(company, records)

    def named(self, kind: SubjectKind, company: Company, name: str) -> Identity:
        """Creates the identity of `urn:example:NAME`."""
        chain, number = self.consortium.chain, company.number
        identity = derive_identity(chain, [company.name_key], kind, number, f"urn:example:{name}")
        self.identities[identity.subject] = identity
        return identity

    def document(self, document: Json) -> bytes:
        claims = build_claims(document)
        self.documents[claims.root] = claims
        return claims.root

    def now(self) -> int:
        chain = self.consortium.chain
        return chain.header(chain.final_number()).timestamp

    def recorded(self) -> list[Recorded[Event]]:
        """All records of the ledger, oldest first."""
        chain = self.consortium.chain
        blocks = [chain.recorded(chain.header(number)) for number in range(chain.final_number() + 1)]
        return [record for block in blocks for record in block if record.contract is Contract.LEDGER]

    def note(self, machine: str, values: Json) -> EvidenceEntry:
        """Adds an operation's measurement to a machine's log and anchors it."""
        return self._add(machine, values, LeafKind.OPERATION)

    def _add(self, machine: str, values: Json, kind: LeafKind) -> EvidenceEntry:
        log = self.logs[machine]
        entry = log.append(values, kind=kind)
        company = self.consortium.inspector if machine == "bench" else self.maker
        self.act(company, Anchor(self.streams[machine], log.tree.size, log.tree.root()))
        return entry

    def transform(
        self,
        kind: TransformationKind,
        inputs: dict[str, int],
        outputs: dict[str, int],
        order: str = "",
        *,
        units: tuple[bytes, bytes] = (PIECE, PIECE),
        yields: tuple[int, int] = (1, 1),
        loss: int = 0,
        used: Collection[str] = (),
        beside: Mapping[str, bytes] | None = None,
    ) -> int:
        """Transforms lots. `used`: those of the inputs that are components; `beside`: outputs with another unit."""
        beside, components = beside or {}, {self.lots[name] for name in used}
        made = [self.named(SubjectKind.LOT, self.maker, name) for name in outputs]
        taken = sorted((self.lots[name], quantity) for name, quantity in inputs.items())
        change = Transformation(
            kind=kind,
            order=self.orders[order] if order else NOTHING,
            operation=0,
            unit=units[0],
            output_unit=units[1],
            loss=loss,
            yield_in=yields[0],
            yield_out=yields[1],
            claims_root=self.document({"step": kind.name}),
            inputs=tuple(self._input(lot, quantity, component=lot in components) for lot, quantity in taken),
            outputs=tuple(
                Output(hash_of(identity), quantity, beside.get(name, units[1]), self._piece(identity))
                for identity, (name, quantity) in zip(made, outputs.items(), strict=True)
            ),
        )
        [sequence] = self.act(self.maker, TransformLots(change))
        self.lots.update({name: identity.subject for name, identity in zip(outputs, made, strict=True)})
        self.order_of.update({identity.subject: change.order for identity in made})
        return sequence

    def rework(self, lot: str, components: Collection[str], order: str = "") -> int:
        """Reworks a lot, which keeps its identifier; takes one of each component."""
        taken = sorted(self.lots[name] for name in components)
        change = Rework(
            lot=self.lots[lot],
            order=self.orders[order] if order else NOTHING,
            operation=0,
            claims_root=self.document({"rework": lot}),
            components=tuple(self._input(one, 1, component=True) for one in taken),
        )
        [sequence] = self.act(self.maker, ReworkLot(change))
        return sequence

    def _input(self, lot: bytes, quantity: int, *, component: bool) -> Input:
        return Input(lot, self.order_of.get(lot, NOTHING), quantity, component)

    def _piece(self, identity: Identity) -> bytes:
        return self.document({"piece": identity.identifier})

    def certify(self, lot: str, verdict: Verdict, order: str = "", inferred: Verdict | None = None) -> int:
        """Issues a certificate and returns its sequence. `inferred`: the inference's verdict, if it is to differ from
        the statement's."""
        window, salt = pack_window([len(self.inspections), *range(7, 22)]), sha256(b"input" + self.lots[lot])
        entry = self.cut(lot, build_window_commitment(salt, window))
        inference = self._inference(self.lots[lot], entry, inferred or verdict, salt, window)
        statement = Statement(
            items=(Item(self.lots[lot], self.orders[order] if order else NOTHING),),
            model=self.model,
            verdict=verdict,
            expires_at=self.now() + YEAR_S,
            inference_digest=inference.digest,
            claims_root=self.document({"inspection": lot, "limits": {"noise": 9}, "passed": verdict == Verdict.PASS}),
            stream=self.streams["bench"],
            leaf_index=entry.index,
            leaf_hash=entry.leaf_hash,
        )
        [certificate] = self.act(self.consortium.inspector, IssueCertificate(statement))
        size = self.logs["bench"].tree.size
        self.inspections[certificate] = Inspection(certificate, self.lots[lot], statement, entry, size, inference)
        return certificate

    def cut(self, lot: str, commitment: bytes) -> EvidenceEntry:
        """Adds a window of a lot to the bench's log and anchors it."""
        last = self.logs["bench"].tree.size
        return self._add("bench", build_window_entry(self.lots[lot], commitment, last, last, 0), LeafKind.WINDOW)

    def _inference(self, lot: bytes, entry: EvidenceEntry, verdict: Verdict, salt: bytes, window: bytes) -> Inference:
        context = build_inference_context(
            chain_id=self.consortium.chain.chain_id,
            ledger=self.consortium.chain.ledger,
            lot=lot,
            stream=self.streams["bench"],
            leaf_index=entry.index,
            leaf=entry.leaf_hash,
        )
        logits = (-5,) if verdict is Verdict.PASS else (5,)
        return Inference(context, MODEL_DIGEST, salt, window, logits, ModelVerdict(int(verdict)))

    def demand(self, company: Company, lot: str, certificate: int, order: str) -> None:
        self.act(company, DemandOpening(self.lots[lot], self.orders[order], certificate))

    def open(self, company: Company, certificate: int) -> None:
        """Opens the inference on the chain, which upholds or refutes the certificate."""
        inspection = self.inspections[certificate]
        statement = inspection.statement
        issued = Issued(statement, inspection.anchor_size, self.logs["bench"].tree.root(inspection.anchor_size))
        shown = inspection.inference
        opened = OpenedInference(shown.window, shown.salt, shown.logits, int(shown.verdict))
        entry, tree = inspection.entry, self.logs["bench"].tree
        leaf = build_leaf_data(entry.kind, entry.salt, entry.entry)
        measured = Measured(leaf, tuple(tree.inclusion_proof(entry.index, inspection.anchor_size)))
        self.act(company, Challenge(certificate, self.consortium.inspector.signer.address, issued, opened, measured))

    def measured(self) -> list[int]:
        """The certificates whose evidence is kept."""
        return list(self.inspections)

    def lied(self, certificate: int) -> bool:
        """Whether the inspector's verdict differs from the inference's."""
        inspection = self.inspections[certificate]
        return int(inspection.inference.verdict) != inspection.statement.verdict

    def evidence_of(self, certificate: int, *, shown: bool = True) -> ShownEvidence:
        inspection, log = self.inspections[certificate], self.logs["bench"]
        entry = inspection.entry
        return ShownEvidence(
            record=certificate,
            inclusion=tuple(log.tree.inclusion_proof(entry.index, inspection.anchor_size)),
            consistency=tuple(log.tree.consistency_proof(inspection.anchor_size)),
            shown=EvidenceEntryShown(entry.kind, entry.salt, entry.entry) if shown else None,
        )

    def finish_evidence_of(self, record: int) -> ShownEvidence:
        entry, tree = self.finished[record], self.logs["press"].tree
        return ShownEvidence(
            record,
            tuple(tree.inclusion_proof(entry.index)),
            (),
            EvidenceEntryShown(entry.kind, entry.salt, entry.entry),
        )

    def inference_of(self, certificate: int) -> InferenceShown:
        inference = self.inspections[certificate].inference
        return InferenceShown(certificate, inference.salt, inference.window, inference.logits)


def inner(record: Recorded[Event]) -> bytes:
    """The hash that a link of a history has for the record."""
    return inner_of(
        sequence=record.sequence,
        participant=record.participant,
        key=record.key,
        data=record.data,
        block_time=record.block_time,
    )


def hash_of(identity: Identity) -> bytes:
    """The salted hash of an identity's identifier."""
    return identifier_hash(identity.salt, identity.identifier)
