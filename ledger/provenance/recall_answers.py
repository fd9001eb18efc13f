"""The answers of recalls, ready for output. Conventions are those of millmark.ledger.provenance.answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.provenance.answers import AsOf, Certificate, Cut, Lot, Machine, Model, Order, RelatedLot
from millmark.ledger.provenance.jsonform import Printable


@dataclass(frozen=True, slots=True)
class Holder(Printable):
    """A participant who holds recalled lots."""

    participant: int
    name: str | None
    lots: int
    """Number of unspent lots that it holds."""
    quarantined: int
    """Number of these that are quarantined, or packed in a quarantined lot."""


@dataclass(frozen=True, slots=True)
class RecallCounts(Printable):
    """Numbers of what a recall lists."""

    lots: int
    unspent: int
    """Lots with a quantity left."""
    quarantined: int
    """Unspent lots that are quarantined, or packed in a quarantined lot."""
    certificates: int
    valid: int
    """Certificates with the status `valid`."""
    orders: int
    holders: int


@dataclass(frozen=True, slots=True)
class Recall(Printable):
    """What is affected when a model, a lot or a machine turns out to be bad."""

    as_of: AsOf
    model: Model | None
    """The recalled model, if the recall is of a model."""
    lot: Lot | None
    """The recalled lot, if the recall is of a lot."""
    machine: Machine | None
    """The recalled machine, if the recall is of a machine."""
    since: datetime | None
    """Start of the time in which the machine was bad."""
    until: datetime | None
    """End of the time in which the machine was bad."""
    counts: RecallCounts
    certificates: tuple[Certificate, ...]
    """For a model, all certificates that name it; otherwise all certificates on the lots of this answer."""
    lots: tuple[RelatedLot, ...]
    """The lots that are affected directly, at depth 0, then all lots that were made from them."""
    orders: tuple[Order, ...]
    """The orders for which the lots were made."""
    holders: tuple[Holder, ...]
    """The participants who hold unspent lots of this answer."""
    truncated: bool
    """Whether a limit of the request cut off a list of lots."""
    cuts: tuple[Cut, ...]
    """The lists that were cut off."""
