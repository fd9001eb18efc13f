"""What rules of lots have in common: lots are made, taken from, and joined to orders.

A withheld record took an unknown quantity of a lot; from then on, `quantity` is the most that can be left.
"""

from __future__ import annotations

from millmark.ledger.events import Event
from millmark.ledger.records import LotState
from millmark.ledger.verify._state import Certificate, Entry, Lot, State, broken, hold
from millmark.ledger.verify.refusals import ReplayRefused

__all__ = ["MAX_LOTS", "consume", "join", "make", "own", "pass_withheld", "quarantine"]

MAX_LOTS = 64


def make(entry: Entry[Event], state: State, name: bytes, unit: bytes, quantity: int) -> Lot:
    """Create a lot of no order, held by the record's participant. Raises ReplayRefused."""
    hold(name not in state.lots and name not in state.orders, entry, "the lot was made before", name)
    hold(quantity > 0 and any(unit), entry, "the lot has no quantity, or no unit", name)
    lot = Lot(name, entry.sequence, entry.participant, None, unit, quantity, quantity, entry.participant)
    state.lots[name] = lot
    return lot


def join(lot: Lot, order: bytes) -> None:
    """Make a lot one of an order."""
    lot.order = order
    lot.orders.add(order)


def own(entry: Entry[Event], lot: Lot) -> Lot:
    """Return the lot if it is not packed and the record's participant has custody of it. Raises ReplayRefused."""
    hold(lot.parent is None, entry, "a packed lot moves on its own", lot.subject)
    if lot.custodian != entry.participant:
        raise broken(entry, f"participant {lot.custodian} has custody", lot.subject)
    return lot


def quarantine(lot: Lot, by: int, behind: Certificate | None) -> None:
    """Quarantine a lot in a participant's name, with the certificate behind it."""
    lot.state, lot.counterparty = LotState.QUARANTINED, by
    lot.standing(by).quarantining = behind


def consume(entry: Entry[Event], lot: Lot, quantity: int) -> None:
    """Take a quantity out of a lot. Raises ReplayRefused."""
    hold(quantity > 0, entry, "nothing is taken", lot.subject)
    hold(quantity <= lot.quantity, entry, f"{quantity} taken of {lot.quantity}", lot.subject)
    hold(not lot.contents, entry, "taken with lots packed in it", lot.subject)
    lot.quantity -= quantity
    if not lot.quantity:
        lot.state, lot.counterparty = LotState.SPENT, 0


def pass_withheld(lot: Lot, after: int) -> None:
    """Apply a withheld transformation, which took some of a lot after record `after`. Raises ReplayRefused."""
    free = lot.state in (LotState.HELD, LotState.QUARANTINED) and lot.parent is None and not lot.contents
    if not free or not lot.quantity:
        cause = "a withheld record follows, although nothing could be taken from the lot"
        raise ReplayRefused(cause, subject=lot.subject, sequence=after)
    lot.withheld += 1
    lot.quantity -= 1  # the least that it can have taken
    if not lot.quantity:
        lot.state, lot.counterparty = LotState.SPENT, 0
