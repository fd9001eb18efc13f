"""Offers: an owner's answers to a call, as salted entries of kind `LeafKind.OFFER` in the stream of its machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from millmark.ledger.errors import PlanError
from millmark.ledger.evidence import LeafKind, build_leaf_data
from millmark.ledger.merkle import leaf_hash, verify_inclusion
from millmark.ledger.plans import form
from millmark.ledger.plans.form import LEFT_OUT, Amount, Between, Called, Form, Hash, Id, OperationNumber, Slot, Time
from millmark.ledger.plans.plan import Cause

OFFER_FORMAT = "millmark.offer"
WITHDRAWAL_FORMAT = "millmark.offer-withdrawal"
MAX_WINDOWS = 100_000


@dataclass(frozen=True, slots=True)
class Offer(Form):
    """One machine for one operation, at prices that depend on when it starts."""

    WHAT, FORMAT = "an offer", OFFER_FORMAT
    call: Hash
    """Digest of the call."""
    owner: Id
    """Participant whose machine it is."""
    machine: Id
    order: Hash
    """Subject."""
    operation: OperationNumber
    """Number in the order's route, from 0."""
    duration: Annotated[int, Between(1, form.MAX_SLOTS)]
    """Slots that the operation takes."""
    setup: Slot
    """Slots that must lie free before it when the operation before on the machine is of another family."""
    family: Annotated[str, form.Characters(0, form.MAX_TEXT)]
    """Operations of one family need no setup between them; may be empty."""
    windows: tuple[Annotated[tuple[int, int, int], Called("a window of an offer")], ...]
    """First start, last start (included), price; ascending and disjoint."""
    wh: Annotated[Amount, Called("Wh")]
    """Energy of the operation, Wh."""
    co2e_mg: Annotated[Amount, Called("mg CO2e")]
    """Greenhouse gases of the operation, mg CO2e."""
    until: Annotated[Time, Called("end of validity")]
    """Unix seconds until which the offer is valid."""

    def verify(self) -> None:
        form.check_count(self.windows, "windows of an offer", 1, MAX_WINDOWS)
        end = -1
        for first, last, price in self.windows:
            if not end < first <= last <= form.MAX_SLOTS:
                raise PlanError(f"the window {first}-{last} of an offer is not ascending and apart from the one before")
            form.check_range(price, "the price of an offer", 0, form.MAX_AMOUNT)
            end = last

    def price_at(self, start: int) -> int | None:
        """Price when the operation starts in slot `start`; None when the offer does not allow that."""
        for first, last, price in self.windows:
            if first <= start <= last:
                return price
        return None


@dataclass(frozen=True, slots=True)
class OfferWithdrawal(Form):
    """Takes an offer back. Counts when it is anchored before the call closes, as the offer itself; later, it says that
    its owner asks to be planned without it."""

    WHAT, FORMAT = "a withdrawal", WITHDRAWAL_FORMAT
    call: Hash
    """Digest of the call."""
    offer: Hash
    """Leaf hash of the offer."""
    cause: Annotated[Cause | None, LEFT_OUT] = None
    """Why, where something at the machine is the reason."""


@dataclass(frozen=True, slots=True)
class Anchored(Form):
    """Where an entry lies in a stream, and the record that anchored it.

    That the ledger has this record, by the stream's owner and at this time, is for whoever reads the ledger to compare.
    """

    WHAT = "an anchored entry"
    stream: Hash
    """Subject."""
    leaf_index: int
    size: Annotated[Id, Called("tree size")]
    """Number of leaves of the tree that was anchored."""
    root: Hash
    """Its root."""
    proof: tuple[Annotated[Hash, Called("a hash in the proof of an anchored entry")], ...]
    """Inclusion proof of the entry in that tree."""
    record: Annotated[int, Between(0, form.MAX_ID)]
    """Sequence number of the record `StreamAnchored`."""
    time: Time
    """Time of its block, Unix seconds."""

    def verify(self) -> None:
        form.check_range(self.leaf_index, "the leaf index of an anchored entry", 0, self.size - 1)
        form.check_count(self.proof, "hashes in the proof of an anchored entry", 0, 64)


Entry: TypeAlias = Offer | OfferWithdrawal


@dataclass(frozen=True, slots=True)
class OpenedOffer(Form):
    """An offer, or the withdrawal of one, with what shows a reader that it is the leaf it claims to be."""

    WHAT = "an opened offer"
    entry: Entry
    salt: Annotated[Hash, Called("the salt of an offer")]
    anchored: Anchored | None = None
    """None in a file of a call that was not put on a ledger."""
    id: bytes = field(init=False)
    """RFC 9162 leaf hash, 32 bytes: what plans name the offer by."""

    def verify(self) -> None:
        object.__setattr__(self, "id", leaf_hash(build_leaf_data(LeafKind.OFFER, self.salt, self.entry.to_json())))

    def verify_anchored(self) -> None:
        """Raises ProofError unless the entry is in the tree that `anchored` states. True when there is none."""
        if (place := self.anchored) is not None:
            verify_inclusion(self.id, place.leaf_index, place.size, place.proof, place.root)
