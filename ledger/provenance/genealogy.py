"""Sorts lots topologically: each after all lots from which it was made.

On the chain, no lot can be made from itself: a transformation's outputs are new, and its inputs exist before it. Data
from elsewhere have no such guarantee, so importers sort them here first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from ledger.errors import GenealogyError

L = TypeVar("L", bound=Hashable)
_MAX_SHOWN = 8
"""Lots of a cycle that an error names."""


def sort_lots(steps: Iterable[tuple[L, L]], show: Callable[[L], str] = str) -> list[L]:
    """Return all lots of (input, output) pairs, each after its inputs; otherwise in the order of the pairs.

    Takes time proportional to the number of pairs (Kahn's algorithm). Raises GenealogyError if a lot is made from
    itself; `show` formats the lots that the error names.
    """
    outputs: dict[L, list[L]] = {}
    missing: dict[L, int] = defaultdict(int)
    for before, after in dict.fromkeys(steps):
        outputs.setdefault(before, []).append(after)
        outputs.setdefault(after, [])
        missing[after] += 1
    ready = [lot for lot in outputs if not missing[lot]]
    for lot in ready:  # grows during the loop
        for after in outputs[lot]:
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)
    if len(ready) < len(outputs):
        _refuse(_find_cycle(outputs, set(ready)), show)
    return ready


def _find_cycle(outputs: dict[L, list[L]], sorted_: set[L]) -> list[L]:
    # Every lot that is left has an input that is left, so walking backwards from any of them ends in a cycle.
    before = {after: lot for lot, made in outputs.items() if lot not in sorted_ for after in made}
    lot = next(iter(before))
    seen: dict[L, int] = {}
    while lot not in seen:
        seen[lot] = len(seen)
        lot = before[lot]
    return list(seen)[seen[lot] :][::-1]


def _refuse(cycle: list[L], show: Callable[[L], str]) -> None:
    shown = [show(lot) for lot in cycle[:_MAX_SHOWN]]
    if len(cycle) > _MAX_SHOWN:
        shown.append(f"... ({len(cycle) - _MAX_SHOWN} more)")
    path = " -> ".join([*shown, show(cycle[0])])
    raise GenealogyError(f"a lot is made from itself: {path}", hint="correct the data: one of these steps is wrong")
