"""Lots in the order in which they can have been made.

On chain no lot can come of itself: a transformation's outputs are new, and what it takes is there before it. Data from
elsewhere carries no such promise, so whoever imports it sorts it here first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from ledger.errors import GenealogyError

L = TypeVar("L", bound=Hashable)
_MOST_SHOWN = 8
"""Lots of a circle that an error names."""


def sort_lots(steps: Iterable[tuple[L, L]], show: Callable[[L], str] = str) -> list[L]:
    """All lots of (input, output) pairs, each after everything that it came of; otherwise in the order of the pairs.

    Takes time in proportion to the pairs. Raises GenealogyError, which names the lots of one circle through `show`,
    when something came of itself.
    """
    outputs: dict[L, list[L]] = {}
    missing: dict[L, int] = defaultdict(int)
    for before, after in dict.fromkeys(steps):
        outputs.setdefault(before, []).append(after)
        outputs.setdefault(after, [])
        missing[after] += 1
    ready = [lot for lot in outputs if not missing[lot]]
    for lot in ready:  # grows while it is walked
        for after in outputs[lot]:
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)
    if len(ready) < len(outputs):
        _refuse(_find_circle(outputs, set(ready)), show)
    return ready


def _find_circle(outputs: dict[L, list[L]], sorted_: set[L]) -> list[L]:
    """What is left over waits for something left over, so going back from anywhere leads into a circle."""
    before = {after: lot for lot, made in outputs.items() if lot not in sorted_ for after in made}
    lot = next(iter(before))
    seen: dict[L, int] = {}
    while lot not in seen:
        seen[lot] = len(seen)
        lot = before[lot]
    return list(seen)[seen[lot] :][::-1]


def _refuse(circle: list[L], show: Callable[[L], str]) -> None:
    shown = [show(lot) for lot in circle[:_MOST_SHOWN]]
    if len(circle) > _MOST_SHOWN:
        shown.append(f"... ({len(circle) - _MOST_SHOWN} more)")
    way = " -> ".join([*shown, show(circle[0])])
    raise GenealogyError(f"a lot came of itself: {way}", hint="correct the data: one of these steps is wrong")
