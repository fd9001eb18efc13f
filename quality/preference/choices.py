"""Choices among alternatives: what each alternative was like, which ones there were, and which one was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError

_MOST_CELLS = 100_000_000


@dataclass(frozen=True, slots=True)
class Choices:
    """N choices among J alternatives with K attributes."""

    attributes: NDArray[np.int64]
    """N x J x K."""
    available: NDArray[np.bool_]
    """N x J."""
    chosen: NDArray[np.int64]
    """N: the place of the alternative that was taken."""
    names: tuple[str, ...]
    """Names of the attributes."""
    scales: tuple[int, ...]
    """What each attribute is divided by before its coefficient applies."""
    people: NDArray[np.int64]
    """N: who chose; the choices of one person share that person's coefficients."""

    def __len__(self) -> int:
        return len(self.chosen)

    def pick(self, places: NDArray[np.int64] | Sequence[int]) -> Choices:
        """Some of the choices."""
        at = np.asarray(places, dtype=np.int64)
        return Choices(
            self.attributes[at], self.available[at], self.chosen[at], self.names, self.scales, self.people[at]
        )

    def scaled(self) -> NDArray[np.float64]:
        """N x J x K, divided by the scales; zero where an alternative is not available."""
        found: NDArray[np.float64] = self.attributes / np.asarray(self.scales, dtype=np.float64)
        return np.where(self.available[:, :, None], found, 0.0)


def build_choices(
    attributes: NDArray[np.int64],
    available: NDArray[np.bool_],
    chosen: NDArray[np.int64],
    names: Sequence[str],
    scales: Sequence[int] | None = None,
    people: NDArray[np.int64] | None = None,
) -> Choices:
    """Verifies shapes and that each choice was among the available alternatives. Raises InputError."""
    values, taken = np.asarray(attributes), np.asarray(chosen)
    if values.ndim != 3 or values.shape[:2] != np.shape(available) or taken.shape != values.shape[:1]:
        raise InputError(
            f"attributes of shape {values.shape} do not go with {np.shape(available)} flags, {taken.shape} choices",
            hint="give choices x alternatives x attributes",
        )
    if not np.issubdtype(values.dtype, np.integer) or not np.issubdtype(taken.dtype, np.integer):
        raise InputError("attributes and choices must be integers", hint="give cents, minutes, grams")
    count, alternatives, width = values.shape
    divisors = tuple(scales) if scales is not None else (1,) * width
    if width != len(names) or width != len(divisors) or len(set(names)) != width or any(one < 1 for one in divisors):
        raise InputError(f"{width} attributes need as many names, all different, and scales from 1 on")
    if values.size > _MOST_CELLS:
        raise InputError(f"{values.size} values are more than {_MOST_CELLS}", hint="take a sample of the choices")
    if count and not (taken.min() >= 0 and taken.max() < alternatives):
        raise InputError(f"a choice is none of the {alternatives} alternatives", hint="count alternatives from 0")
    there = np.asarray(available, dtype=bool)
    lacking = np.flatnonzero(~there[np.arange(count), taken])
    if len(lacking):
        raise InputError(
            f"choice {lacking[0] + 1} took alternative {taken[lacking[0]]}, which was not available",
            hint="correct its availability, or leave it out",
        )
    who = np.arange(count) if people is None else np.unique(np.asarray(people), return_inverse=True)[1]
    if who.shape != taken.shape:
        raise InputError(f"people lists {len(who)} for {count} choices", hint="give the person of each choice")
    return Choices(values.astype(np.int64), there, taken.astype(np.int64), tuple(names), divisors, who.astype(np.int64))
