"""What an order and its lots should always be able to come to, and by whose acts."""

from __future__ import annotations

from tests.support.model.layout import Columns, Mask
from tests.support.model.world import BUYER, TROUBLE, Act, Kind, Lot, Order

__all__ = [
    "in_standing",
    "lot_acts_only",
    "lot_ended",
    "lot_kept",
    "order_acts_only",
    "order_delivered",
    "order_ended",
    "without_scrapping",
]

_FIRST_OF_LOTS = Kind.COMMISSION


def order_ended(s: Columns) -> Mask:
    return (s["os"] == Order.DELIVERED) | (s["os"] == Order.ENDED) | (s["os"] == Order.CLOSED)


def order_delivered(s: Columns) -> Mask:
    return s["os"] == Order.DELIVERED


def lot_ended(s: Columns, lot: int) -> Mask:
    """Never made, scrapped, sold, or delivered with its order."""
    state = s[f"s{lot}"]
    gone = (state == Lot.NONE) | (state == Lot.SPENT) | (state == Lot.SOLD)
    return gone | at_the_buyer(s, lot) & (s["os"] == Order.DELIVERED)


def lot_kept(s: Columns, lot: int) -> Mask:
    """Not lost, that is: sold, or free at the buyer; also what was scrapped long ago."""
    state = s[f"s{lot}"]
    return (state == Lot.NONE) | (state == Lot.SPENT) | (state == Lot.SOLD) | at_the_buyer(s, lot)


def at_the_buyer(s: Columns, lot: int) -> Mask:
    return (s[f"h{lot}"] == BUYER) & (s[f"s{lot}"] == Lot.HELD) & (s[f"k{lot}"] == 0)


def in_standing(act: Act) -> bool:
    """Acts of companies that may act now, of the council in their aid, and time. No guard lets a suspended one act."""
    return act.kind not in TROUBLE


def order_acts_only(act: Act) -> bool:
    """Of those, what no lot is needed for."""
    alone = act.kind < _FIRST_OF_LOTS and act.kind != Kind.CONFIRM_DELIVERY
    return alone or act.kind in (Kind.WAIT, Kind.END_ABANDONED)


def lot_acts_only(act: Act) -> bool:
    """Of those, what no side of the order is needed for in its order."""
    of_lots = _FIRST_OF_LOTS <= act.kind < Kind.ORDER_MOVES or act.kind in (Kind.PASS_SECOND, Kind.FAIL_SECOND)
    return in_standing(act) and of_lots


def without_scrapping(act: Act) -> bool:
    return in_standing(act) and act.kind != Kind.SCRAP
