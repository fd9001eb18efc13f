"""Offers: an owner's answers to a call, as salted entries of kind `LeafKind.OFFER` in the stream of its machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.evidence import SALT_BYTES, LeafKind, build_leaf_data
from millmark.ledger.merkle import leaf_hash, verify_inclusion
from millmark.ledger.plans import call as form
from millmark.ledger.plans.plan import Cause, parse_cause

OFFER_FORMAT = "millmark.offer"
WITHDRAWAL_FORMAT = "millmark.offer-withdrawal"
MAX_WINDOWS = 100_000


@dataclass(frozen=True, slots=True)
class Offer:
    """One machine for one operation, at prices that depend on when it starts."""

    call: bytes
    """Digest of the call, 32 bytes."""
    owner: int
    """Participant whose machine it is."""
    machine: int
    order: bytes
    """Subject, 32 bytes."""
    operation: int
    """Number in the order's route, from 0."""
    duration: int
    """Slots that the operation takes."""
    setup: int
    """Slots that must lie free before it when the operation before on the machine is of another family."""
    family: str
    """Operations of one family need no setup between them; may be empty."""
    windows: tuple[tuple[int, int, int], ...]
    """First start, last start (included), price; ascending and disjoint."""
    wh: int
    """Energy of the operation, Wh."""
    co2e_mg: int
    """Greenhouse gases of the operation, mg CO2e."""
    until: int
    """Unix seconds until which the offer is valid."""

    def __post_init__(self) -> None:
        form.check_size(self.call, "the call of an offer", 32)
        form.check_range(self.owner, "the owner of an offer", 1, form.MAX_ID)
        form.check_range(self.machine, "the machine of an offer", 1, form.MAX_ID)
        form.check_size(self.order, "the order of an offer", 32)
        form.check_range(self.operation, "the operation of an offer", 0, form.MAX_OPERATIONS - 1)
        form.check_range(self.duration, "the duration of an offer", 1, form.MAX_SLOTS)
        form.check_range(self.setup, "the setup of an offer", 0, form.MAX_SLOTS)
        form.check_text(self.family, "the family of an offer", low=0)
        form.check_range(self.wh, "the Wh of an offer", 0, form.MAX_AMOUNT)
        form.check_range(self.co2e_mg, "the mg CO2e of an offer", 0, form.MAX_AMOUNT)
        form.check_range(self.until, "the end of validity of an offer", 0, form.MAX_TIME)
        _check_windows(self.windows)

    def price_at(self, start: int) -> int | None:
        """Price when the operation starts in slot `start`; None when the offer does not allow that."""
        for first, last, price in self.windows:
            if first <= start <= last:
                return price
        return None

    def to_json(self) -> dict[str, Json]:
        return {
            "format": OFFER_FORMAT,
            "version": 1,
            "call": to_hex(self.call),
            "owner": self.owner,
            "machine": self.machine,
            "order": to_hex(self.order),
            "operation": self.operation,
            "duration": self.duration,
            "setup": self.setup,
            "family": self.family,
            "windows": [list(window) for window in self.windows],
            "wh": self.wh,
            "co2e_mg": self.co2e_mg,
            "until": self.until,
        }


@dataclass(frozen=True, slots=True)
class OfferWithdrawal:
    """Takes an offer back. Counts when it is anchored before the call closes, as the offer itself; later, it says that
    its owner asks to be planned without it."""

    call: bytes
    """Digest of the call, 32 bytes."""
    offer: bytes
    """Leaf hash of the offer, 32 bytes."""
    cause: Cause | None = None
    """Why, where something at the machine is the reason."""

    def __post_init__(self) -> None:
        form.check_size(self.call, "the call of a withdrawal", 32)
        form.check_size(self.offer, "the offer of a withdrawal", 32)

    def to_json(self) -> dict[str, Json]:
        shown: dict[str, Json] = {
            "format": WITHDRAWAL_FORMAT,
            "version": 1,
            "call": to_hex(self.call),
            "offer": to_hex(self.offer),
        }
        return shown if self.cause is None else {**shown, "cause": self.cause.to_json()}


@dataclass(frozen=True, slots=True)
class Anchored:
    """Where an entry lies in a stream, and the record that anchored it.

    That the ledger has this record, by the stream's owner and at this time, is for whoever reads the ledger to compare.
    """

    stream: bytes
    """Subject, 32 bytes."""
    leaf_index: int
    size: int
    """Number of leaves of the tree that was anchored."""
    root: bytes
    """Its root, 32 bytes."""
    proof: tuple[bytes, ...]
    """Inclusion proof of the entry in that tree."""
    record: int
    """Sequence number of the record `StreamAnchored`."""
    time: int
    """Time of its block, Unix seconds."""

    def __post_init__(self) -> None:
        form.check_size(self.stream, "the stream of an anchored entry", 32)
        form.check_range(self.size, "the tree size of an anchored entry", 1, form.MAX_ID)
        form.check_range(self.leaf_index, "the leaf index of an anchored entry", 0, self.size - 1)
        form.check_size(self.root, "the root of an anchored entry", 32)
        form.check_count(self.proof, "hashes in the proof of an anchored entry", 0, 64)
        for node in self.proof:
            form.check_size(node, "a hash in the proof of an anchored entry", 32)
        form.check_range(self.record, "the record of an anchored entry", 0, form.MAX_ID)
        form.check_range(self.time, "the time of an anchored entry", 0, form.MAX_TIME)

    def to_json(self) -> dict[str, Json]:
        return {
            "stream": to_hex(self.stream),
            "leaf_index": self.leaf_index,
            "size": self.size,
            "root": to_hex(self.root),
            "proof": [to_hex(node) for node in self.proof],
            "record": self.record,
            "time": self.time,
        }


Entry: TypeAlias = Offer | OfferWithdrawal


@dataclass(frozen=True, slots=True)
class OpenedOffer:
    """An offer, or the withdrawal of one, with what shows a reader that it is the leaf it claims to be."""

    entry: Entry
    salt: bytes
    """32 bytes."""
    anchored: Anchored | None = None
    """None in a file of a call that was not put on a ledger."""
    id: bytes = field(init=False)
    """RFC 9162 leaf hash, 32 bytes: what plans name the offer by."""

    def __post_init__(self) -> None:
        form.check_size(self.salt, "the salt of an offer", SALT_BYTES)
        object.__setattr__(self, "id", leaf_hash(build_leaf_data(LeafKind.OFFER, self.salt, self.entry.to_json())))

    def verify_anchored(self) -> None:
        """Raises ProofError unless the entry is in the tree that `anchored` states. True when there is none."""
        if (place := self.anchored) is not None:
            verify_inclusion(self.id, place.leaf_index, place.size, place.proof, place.root)

    def to_json(self) -> dict[str, Json]:
        return {
            "entry": self.entry.to_json(),
            "salt": to_hex(self.salt),
            "anchored": None if self.anchored is None else self.anchored.to_json(),
        }


def parse_offer(value: Json) -> Offer:
    """Build an offer from its JSON. Raises PlanError."""
    names = (
        *("call", "owner", "machine", "order", "operation", "duration", "setup", "family", "windows", "wh"),
        *("co2e_mg", "until"),
    )
    members = form.read_document(value, "an offer", OFFER_FORMAT, names)
    windows = form.read_array(members["windows"], "the windows of an offer")
    return Offer(
        call=form.read_bytes(members["call"], "the call of an offer"),
        owner=form.read_integer(members["owner"], "the owner of an offer"),
        machine=form.read_integer(members["machine"], "the machine of an offer"),
        order=form.read_bytes(members["order"], "the order of an offer"),
        operation=form.read_integer(members["operation"], "the operation of an offer"),
        duration=form.read_integer(members["duration"], "the duration of an offer"),
        setup=form.read_integer(members["setup"], "the setup of an offer"),
        family=form.read_text(members["family"], "the family of an offer"),
        windows=tuple(_parse_window(item) for item in windows),
        wh=form.read_integer(members["wh"], "the Wh of an offer"),
        co2e_mg=form.read_integer(members["co2e_mg"], "the mg CO2e of an offer"),
        until=form.read_integer(members["until"], "the end of validity of an offer"),
    )


def parse_offer_withdrawal(value: Json) -> OfferWithdrawal:
    """Build a withdrawal from its JSON. Raises PlanError."""
    has_cause = isinstance(value, dict) and "cause" in value
    names = ("call", "offer", "cause") if has_cause else ("call", "offer")
    members = form.read_document(value, "a withdrawal", WITHDRAWAL_FORMAT, names)
    return OfferWithdrawal(
        call=form.read_bytes(members["call"], "the call of a withdrawal"),
        offer=form.read_bytes(members["offer"], "the offer of a withdrawal"),
        cause=parse_cause(members["cause"]) if has_cause else None,
    )


def parse_opened_offer(value: Json) -> OpenedOffer:
    """Build an opened offer or withdrawal from its JSON. Raises PlanError."""
    members = form.read_object(value, "an opened offer", ("entry", "salt", "anchored"))
    entry, anchored = members["entry"], members["anchored"]
    is_withdrawal = isinstance(entry, dict) and entry.get("format") == WITHDRAWAL_FORMAT
    return OpenedOffer(
        entry=parse_offer_withdrawal(entry) if is_withdrawal else parse_offer(entry),
        salt=form.read_bytes(members["salt"], "the salt of an offer"),
        anchored=None if anchored is None else _parse_anchored(anchored),
    )


def _parse_anchored(value: Json) -> Anchored:
    what = "an anchored entry"
    members = form.read_object(value, what, ("stream", "leaf_index", "size", "root", "proof", "record", "time"))
    return Anchored(
        stream=form.read_bytes(members["stream"], f"the stream of {what}"),
        leaf_index=form.read_integer(members["leaf_index"], f"the leaf index of {what}"),
        size=form.read_integer(members["size"], f"the tree size of {what}"),
        root=form.read_bytes(members["root"], f"the root of {what}"),
        proof=tuple(
            form.read_bytes(item, f"a hash of {what}") for item in form.read_array(members["proof"], "a proof")
        ),
        record=form.read_integer(members["record"], f"the record of {what}"),
        time=form.read_integer(members["time"], f"the time of {what}"),
    )


def _parse_window(value: Json) -> tuple[int, int, int]:
    first, last, price = form.read_integers(value, "a window of an offer", 3)
    return first, last, price


def _check_windows(windows: Sequence[tuple[int, int, int]]) -> None:
    form.check_count(windows, "windows of an offer", 1, MAX_WINDOWS)
    end = -1
    for first, last, price in windows:
        if not end < first <= last <= form.MAX_SLOTS:
            raise PlanError(f"the window {first}-{last} of an offer is not ascending and apart from the one before")
        form.check_range(price, "the price of an offer", 0, form.MAX_AMOUNT)
        end = last
