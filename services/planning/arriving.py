"""Verifies calls, offers and plans that other companies hand over, and keeps them.

Kept is what its author could make: a call by the coordinator of its orders, an offer by the owner of the machine, a
plan by the coordinator of its call. Whether an offer counts (in time, not doubled, not expired) is told when a plan is
made, by the ledger's times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from millmark.ledger.canonical import Json, canonical_json, to_hex
from millmark.ledger.claims import Claims
from millmark.ledger.errors import PlanError, Retry
from millmark.ledger.evidence import LeafKind
from millmark.ledger.plans.call import CALL_FORMAT, Call, Objective
from millmark.ledger.plans.offer import OFFER_FORMAT, WITHDRAWAL_FORMAT, Offer, OfferWithdrawal
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import (
    ChainIdentityRow,
    KeyRow,
    MachineRow,
    OrderRow,
    RecordRow,
    StreamRow,
)
from millmark.services.planning import omission, reading, stream_entries
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.offers import why_not_lawful
from millmark.services.planning.repository import CallRow, LeafRow, PlanningRepository, PlanRow, ReceiptRow, What


class CallUnknownError(PlanningError):
    """The call that an offer or a plan is for has not arrived here yet."""

    code = "call-unknown"
    retry = Retry.UNCHANGED


@dataclass(slots=True)
class Arrival:
    """What a hand-over because of an anchor brought, verified."""

    leaves: list[LeafRow] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    plans: list[PlanRow] = field(default_factory=list)
    roots: set[bytes] = field(default_factory=set)
    """Claims roots of the documents that may come with it."""


def verify_arrival(
    rows: Rows,
    record: RecordRow,
    ledger: ChainIdentityRow,
    recipient: int,
    opened: Sequence[stream_entries.OpenedLeaf],
    objectives: Iterable[Json],
    documents: Iterable[Claims],
) -> Arrival:
    """Verifies the entries that came because of a StreamAnchored. Raises PlanningError, and CallUnknownError for an
    offer or a plan whose call has not arrived here yet."""
    event = record.event()
    size, root = getattr(event, "size", 0), getattr(event, "root", b"")
    found = _Verifier(rows, record, ledger, recipient, {one.root: one for one in documents})
    for one in opened:
        leaf = stream_entries.verify_opened_leaf(one, size, root)
        try:
            found.add(one, leaf, size)
        except PlanError as error:
            raise PlanningError(f"entry {one.index} in it is malformed: {error.cause}") from None
    found.add_objectives(objectives)
    return found.arrival


class _Verifier:
    """Verifies the entries of one hand-over."""

    def __init__(
        self,
        rows: Rows,
        record: RecordRow,
        ledger: ChainIdentityRow,
        recipient: int,
        documents: Mapping[bytes, Claims],
    ) -> None:
        self._rows, self._record, self._ledger, self._recipient = rows, record, ledger, recipient
        self._documents = documents
        self._calls: dict[bytes, Call] = {}
        self.arrival = Arrival()

    def add(self, opened: stream_entries.OpenedLeaf, leaf: bytes, size: int) -> None:
        form = opened.entry.get("format") if isinstance(opened.entry, Mapping) else None
        forms: Mapping[tuple[object, LeafKind], Callable[[stream_entries.OpenedLeaf, bytes], tuple[str, bytes]]] = {
            (CALL_FORMAT, LeafKind.PLAN): self._call,
            (OFFER_FORMAT, LeafKind.OFFER): self._offer,
            (WITHDRAWAL_FORMAT, LeafKind.OFFER): self._withdrawal,
            (stream_entries.SEAL_FORMAT, LeafKind.PLAN): self._plan,
        }
        verify = forms.get((form, opened.kind))
        if verify is None:
            cause = f"entry {opened.index} in it is neither a call, an offer nor a plan"
            raise PlanningError(cause, hint="update this program")
        what, call = verify(opened, leaf)
        sender, proof = self._record.participant, b"".join(opened.proof)
        place = opened.index, opened.salt, opened.text, size, proof, self._record.sequence
        self.arrival.leaves.append(LeafRow(leaf, call, what, sender, self._record.subject, *place))

    def add_objectives(self, objectives: Iterable[Json]) -> None:
        commitments = {call.objective: row for row in self.arrival.calls for call in (self._calls[row.digest],)}
        for value in objectives:
            try:
                objective: Objective = Objective.parse(value)
            except PlanError as error:
                raise PlanningError(f"an objective in it is malformed: {error.cause}") from None
            row = commitments.get(objective.commitment)
            if row is None:
                raise PlanningError("an objective in it is not that of a call in it")
            row.objective = canonical_json(objective.to_json()).decode()

    def _call(self, opened: stream_entries.OpenedLeaf, leaf: bytes) -> tuple[str, bytes]:
        call = Call.parse(opened.entry)
        if (call.chain_id, call.ledger) != (self._ledger.chain_id, self._ledger.ledger):
            raise PlanningError("a call in it is for another ledger")
        if call.coordinator != self._record.participant:
            raise PlanningError(f"a call in it was made by participant {call.coordinator}, who is not its sender")
        for job in call.jobs:
            row = self._rows.get(OrderRow, job.order)
            if row is None or row.coordinator != call.coordinator:
                raise PlanningError(
                    f"the sender calls for offers for order {to_hex(job.order)}, which it does not coordinate"
                )
        self._calls[call.digest] = call
        self.arrival.calls.append(CallRow(call.digest, leaf, call.coordinator, call.closes, "", ""))
        return What.CALL, call.digest

    def _offer(self, opened: stream_entries.OpenedLeaf, _: bytes) -> tuple[str, bytes]:
        offer = Offer.parse(opened.entry)
        call = self._known(offer.call)
        self._verify_reader(call)
        machine = self._rows.get(MachineRow, offer.machine)
        reason = why_not_lawful(call, offer, {} if machine is None else {offer.machine: machine.owner})
        stream = self._rows.get(StreamRow, self._record.subject)
        if not reason and offer.owner != self._record.participant:
            reason = f"it was made by participant {offer.owner}, who is not its sender"
        if not reason and (stream is None or stream.machine != offer.machine):
            reason = f"it is not in a stream of machine {offer.machine}"
        if reason or machine is None:
            raise PlanningError(f"an offer in it cannot count: {reason}")
        self.arrival.roots.add(machine.claims_root)
        return What.OFFER, offer.call

    def _withdrawal(self, opened: stream_entries.OpenedLeaf, _: bytes) -> tuple[str, bytes]:
        withdrawal = OfferWithdrawal.parse(opened.entry)
        self._verify_reader(self._known(withdrawal.call))
        return What.WITHDRAWAL, withdrawal.call

    def _plan(self, opened: stream_entries.OpenedLeaf, leaf: bytes) -> tuple[str, bytes]:
        seal = stream_entries.parse_seal(opened.entry)
        call = self._known(seal.call)
        if call.coordinator != self._record.participant:
            raise PlanningError("a plan in it is not one of its sender's call")
        key = self._rows.get(KeyRow, seal.recover_signer(call.chain_id, call.ledger))
        if key is None or key.participant != call.coordinator or key.revoked_at:
            raise PlanningError("no active key of its sender signed a plan in it")
        claims = self._documents.get(seal.claims)
        if claims is None:
            raise PlanningError("the document of a plan in it is missing")
        # Owners get their part of the plan alone; who gets the whole of it needs no part.
        if stream_entries.read_plan(claims, seal) is None:
            stream_entries.read_part(claims, seal, self._recipient)
        self.arrival.roots.add(seal.claims)
        self.arrival.plans.append(PlanRow(seal.plan, seal.call, leaf, seal.claims, opened.index))
        return What.PLAN, seal.call

    def _known(self, digest: bytes) -> Call:
        call = self._calls.get(digest) or stream_entries.find_call(self._rows, digest)
        if call is None:
            # Call and offer come from two gateways, in either order. The sender tries again, so nothing is lost.
            raise CallUnknownError(
                "the call that it is about has not arrived here yet", hint="its coordinator's gateway hands it over"
            )
        self._calls[digest] = call
        return call

    def _verify_reader(self, call: Call) -> None:
        if self._recipient not in (call.coordinator, *call.readers):
            raise PlanningError("its call does not name this company as a reader of offers")


def keep_arrival(planning: PlanningRepository, arrival: Arrival) -> int:
    """Keeps it, in the caller's transaction. Returns how many entries are new."""
    new = sum(planning.add_leaf(row) for row in arrival.leaves)
    for call in arrival.calls:
        planning.put_call(call)
    for plan in arrival.plans:
        planning.put_plan(plan)
    return new


def is_coordinated(rows: Rows, sequence: int, participant: int) -> bool:
    """Whether offers came because of a record for calls that the participant coordinates."""
    offers = {row.call for row in rows.find(LeafRow, sequence=sequence) if row.what == What.OFFER}
    return any(row.coordinator == participant for row in rows.among(CallRow, "digest", offers))


def acknowledge(
    rows: Rows, book: Book, planning: PlanningRepository, sequence: int, recipient: int, signer: Signer, now_s: int
) -> list[ReceiptRow]:
    """The receipts for the offers that came because of a record and count: those given before, and new ones. Only the
    coordinator of their call gives any. Raises SigningError."""
    offers = [row for row in rows.find(LeafRow, sequence=sequence) if row.what == What.OFFER]
    given = dict(planning.receipts(row.leaf for row in offers))
    ledger = rows.get(ChainIdentityRow, 1)
    for digest in sorted({row.call for row in offers}):
        call = stream_entries.find_call(rows, digest)
        if ledger is None or call is None or call.coordinator != recipient:
            continue
        counts = reading.count_known(rows, book, planning, call).offers
        for row in offers:
            if row.call == digest and row.leaf in counts and row.leaf not in given:
                made = omission.sign_receipt(ledger.chain_id, ledger.ledger, digest, row.leaf, now_s, signer)
                given[row.leaf] = ReceiptRow(row.leaf, digest, now_s, made.signature)
    return [given[leaf] for leaf in sorted(given)]
