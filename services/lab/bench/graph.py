"""A plant's genealogy, drawn from a seed: what the genealogy benchmark asks about.

Lots stand in tiers, as in assembly: what is bought, parts of it, parts of those, and so on. A step takes one to four
lots that stand near each other in the tier below and makes one to four; one in twenty also takes something bought for
it from any tier below. A few coils of material go into a twentieth of the second tier each. The same numbers give the
same plant on every machine; figures measured on it say nothing of a real one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.ids import Identity, SubjectKind

__all__ = ["Plant", "Step", "draw_plant"]

_TIERS = 20
_NEAR = 6
"""How far from its own place, in lots, a step takes its inputs."""
_SIZES = (1, 1, 2, 4)
"""Lots made by one step, each as likely as the others."""
_COIL_SHARE = 20
"""A coil goes into one of so many parts of the second tier."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transformation: lots in, lots out, by number; each output is made by one step alone, from lower numbers."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plant:
    """Lots 0 to `lots - 1`, in the order in which they were made."""

    lots: int
    width: int
    """Lots of one tier."""
    coils: tuple[int, ...]
    """Bought lots that go into a whole stretch of parts."""
    steps: tuple[Step, ...]

    @property
    def finished(self) -> range:
        """The lots of the last tier."""
        return range(self.lots - self.width, self.lots)

    def identity(self, lot: int | str) -> Identity:
        """What a lot is called."""
        return Identity(SubjectKind.LOT, 1, f"urn:example:plant:{lot}", bytes(32))

    def subject(self, lot: int) -> bytes:
        """As on chain."""
        return self.identity(lot).subject


def draw_plant(lots: int, seed: int) -> Plant:
    """A plant of about so many lots, rounded down to whole tiers; at least one lot a tier."""
    dice = random.Random(seed)  # noqa: S311  # a graph, no secret
    width = max(1, lots // _TIERS)
    coils = tuple(range(0, width, max(1, width // 5)))
    steps = (step for tier in range(1, _TIERS) for step in _tier(dice, tier, width, coils))
    return Plant(width * _TIERS, width, coils, tuple(steps))


def _tier(dice: random.Random, tier: int, width: int, coils: tuple[int, ...]) -> Iterator[Step]:
    place = 0
    while place < width:
        size = min(dice.choice(_SIZES), width - place)
        inputs = {_near(dice, place, width) + (tier - 1) * width for _ in range(dice.randint(1, 4))}
        if dice.random() < 1 / 20:
            inputs.add(_near(dice, place, width) + dice.randrange(tier) * width)
        if tier == 1:
            inputs.update(coil for coil in coils if 0 <= place - coil < width // _COIL_SHARE)
        made = range(tier * width + place, tier * width + place + size)
        yield Step(tuple(sorted(inputs)), tuple(made))
        place += size


def _near(dice: random.Random, place: int, width: int) -> int:
    return min(max(place + dice.randint(-_NEAR, _NEAR), 0), width - 1)
