"""Windows of a lot's signal: pure, and fed by the log alone, so that a restart cuts the same ones again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Window", "Windows"]

_MOST_LOTS = 1000
"""Lots with an unfinished window at one time; the one that was heard of least lately is dropped for another."""


@dataclass(frozen=True, slots=True)
class Window:
    """Samples of one lot, in the order of the log."""

    lot: str
    order: str | None
    leaf: int
    """Index of the event that completed it."""
    number: int
    """Among the windows that this event completed, from 0."""
    samples: tuple[int, ...]


@dataclass(slots=True)
class _Signal:
    samples: list[int] = field(default_factory=list)
    skip: int = 0
    """Samples between two windows, where the hop is longer than the width."""


class Windows:
    """Cuts windows of `width` samples, each beginning `hop` after the one before."""

    def __init__(self, width: int, hop: int) -> None:
        self._width = width
        self._hop = hop
        self._signals: OrderedDict[str, _Signal] = OrderedDict()

    @property
    def is_even(self) -> bool:
        """Whether no lot has samples that a later window needs, or lacks some that it is to pass over."""
        return not any(signal.samples or signal.skip for signal in self._signals.values())

    def feed(self, leaf: int, lot: str, order: str | None, samples: Sequence[int]) -> list[Window]:
        """The windows that an event's samples complete."""
        signal = self._signals.setdefault(lot, _Signal())
        self._signals.move_to_end(lot)
        if len(self._signals) > _MOST_LOTS:
            self._signals.popitem(last=False)
        dropped = min(signal.skip, len(samples))
        signal.skip -= dropped
        signal.samples += samples[dropped:]
        found: list[Window] = []
        while len(signal.samples) >= self._width:
            window = tuple(signal.samples[: self._width])
            found.append(Window(lot, order, leaf, len(found), window))
            signal.skip = max(self._hop - len(signal.samples), 0)
            del signal.samples[: self._hop]
        return found
