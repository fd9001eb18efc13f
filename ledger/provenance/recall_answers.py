"""What a recall says, ready to be printed; as ledger.provenance.answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.provenance.answers import AsOf, Certificate, Cut, Lot, Machine, Model, Order, RelatedLot
from ledger.provenance.jsonform import Printable


@dataclass(frozen=True, slots=True)
class Holder(Printable):
    """A participant who has some of it."""

    participant: int
    name: str | None
    lots: int
    """How many that are not spent."""
    quarantined: int
    """How many of these go nowhere."""


@dataclass(frozen=True, slots=True)
class RecallCounts(Printable):
    """How many of what a recall lists."""

    lots: int
    unspent: int
    """Lots of which something is left."""
    quarantined: int
    """Unspent lots that go nowhere."""
    certificates: int
    valid: int
    """Certificates that still count."""
    orders: int
    holders: int


@dataclass(frozen=True, slots=True)
class Recall(Printable):
    """What must be looked at when a model, a lot or a machine turns out bad."""

    as_of: AsOf
    model: Model | None
    """The model that was asked about."""
    lot: Lot | None
    """The lot that was asked about."""
    machine: Machine | None
    """The machine that was asked about."""
    since: datetime | None
    """With a machine: from when on its work is in doubt."""
    until: datetime | None
    """With a machine: up to when its work is in doubt."""
    counts: RecallCounts
    certificates: tuple[Certificate, ...]
    """Of a model: all on it. Otherwise: all on the lots of this answer."""
    lots: tuple[RelatedLot, ...]
    """The lots themselves at depth 0, then all that was made of them."""
    orders: tuple[Order, ...]
    """Those that the lots were made for."""
    holders: tuple[Holder, ...]
    """Who has any of it that is not spent."""
    truncated: bool
    """Whether more was made of the lots than was asked for."""
    cuts: tuple[Cut, ...]
    """What was left out."""
