"""Cuts the signal of each lot into windows. Pure: the same log entries yield the same windows after a restart."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Window", "Windows"]

_MOST_LOTS = 1000
"""Number of lots with an unfinished window. Beyond it, the lot with the oldest latest event is dropped."""


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive samples of one lot, in the order of the log."""

    lot: str
    order: str | None
    leaf: int
    """Index of the event that completed it."""
    number: int
    """Number among the windows that this event completed, from 0."""
    samples: tuple[int, ...]


@dataclass(slots=True)
class _Signal:
    """Samples of one lot that do not fill a window yet."""

    samples: list[int] = field(default_factory=list)
    skip: int = 0
    """Number of samples still to be skipped before the next window, if the hop is longer than the width."""


class Windows:
    """Cuts windows of `width` samples; each starts `hop` samples after the previous one."""

    def __init__(self, width: int, hop: int) -> None:
        self._width = width
        self._hop = hop
        self._signals: OrderedDict[str, _Signal] = OrderedDict()

    @property
    def has_unfinished(self) -> bool:
        """Whether any lot has samples that a later window needs, or still has samples to skip."""
        return any(signal.samples or signal.skip for signal in self._signals.values())

    def feed(self, leaf: int, lot: str, order: str | None, samples: Sequence[int]) -> list[Window]:
        """Adds an event's samples and returns the windows that they complete. `leaf`: the event's index."""
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
