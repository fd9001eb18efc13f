"""What forecast quantities need of machines: the signal to their owners, who learn kinds and minutes, no products."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from millmark.services.planning.forecast.document import NeededCapacity, SeriesForecast
from millmark.services.planning.forecast.history import History, Key

_LATEST: Final = 500
"""Orders of a product whose work counts: what is ordered now is like what was ordered lately."""


def find_needed(history: History, series: Sequence[SeriesForecast], weeks: int) -> Iterator[NeededCapacity]:
    """For each kind of capability the minutes of each week: quantities times the mean minutes of a piece over the
    product's latest orders, rounded up. Products whose documents are not here say nothing about work."""
    summed: defaultdict[str, list[list[int]]] = defaultdict(lambda: [[0] * weeks for _ in range(3)])
    for one in series:
        if one.key.option:
            continue
        pieces, minutes = _work(history, one.key)
        ends = one.quantities, one.low or one.quantities, one.high or one.quantities
        for kind, whole in minutes.items():
            for place, counts in enumerate(ends):
                for week, count in enumerate(counts):
                    summed[kind][place][week] += -(-count * whole // pieces)
    for kind, (needed, low, high) in sorted(summed.items()):
        yield NeededCapacity(kind, tuple(needed), tuple(low), tuple(high))


def _work(history: History, key: Key) -> tuple[int, dict[str, int]]:
    """Pieces of the latest orders, and the minutes of all of them by kind."""
    pieces, minutes = 0, defaultdict[str, int](int)
    orders = [one for one in history.orders if (one.product, one.unit) == (key.product, key.unit) and one.minutes]
    for one in orders[-_LATEST:]:
        pieces += one.quantity
        for kind, each in one.minutes.items():
            minutes[kind] += one.quantity * each
    return max(pieces, 1), dict(minutes)
