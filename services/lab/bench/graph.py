"""A random genealogy of a plant, generated from a seed, for the genealogy benchmark.

Lots are arranged in tiers, as in assembly: purchased lots, parts made from them, parts made from those, and so on. A
step takes one to four neighbouring lots of the tier below and makes one, two or four; one step in twenty also takes a
lot from any tier below. Each of a few coils of material goes into a twentieth of the second tier. The same seed
generates the same plant on every machine. Figures measured on it do not predict those of a real plant.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.ids import Identity, SubjectKind

__all__ = ["Plant", "Step", "draw_plant"]

_TIERS = 20
_NEAR = 6
"""Maximum distance, in lots, between a step's place and its inputs."""
_SIZES = (1, 1, 2, 4)
"""Numbers of lots that a step makes, all equally likely."""
_COIL_SHARE = 20
"""A coil goes into this fraction of the second tier: one in 20."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transformation between lots, given by number. Every output is made in a single step, and its number is
    higher than those of the step's inputs."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plant:
    """A genealogy of lots 0 to `lots - 1`, numbered in the order in which they are made."""

    lots: int
    width: int
    """Number of lots in one tier."""
    coils: tuple[int, ...]
    """Purchased lots that go into many neighbouring parts."""
    steps: tuple[Step, ...]

    @property
    def finished(self) -> range:
        """The lots of the last tier."""
        return range(self.lots - self.width, self.lots)

    def identity(self, lot: int | str) -> Identity:
        """Identity of a lot, with a zero salt."""
        return Identity(SubjectKind.LOT, 1, f"urn:example:plant:{lot}", bytes(32))

    def subject(self, lot: int) -> bytes:
        """Subject of a lot, 32 bytes."""
        return self.identity(lot).subject


def draw_plant(lots: int, seed: int) -> Plant:
    """Generates a plant of about `lots` lots, rounded down to whole tiers, with at least one lot per tier."""
    dice = random.Random(seed)  # noqa: S311  # a graph, not a secret
    width = max(1, lots // _TIERS)
    coils = tuple(range(0, width, max(1, width // 5)))
    steps = (step for tier in range(1, _TIERS) for step in _tier(dice, tier, width, coils))
    return Plant(width * _TIERS, width, coils, tuple(steps))


def _tier(dice: random.Random, tier: int, width: int, coils: tuple[int, ...]) -> Iterator[Step]:
    place = 0
    while place < width:
        size = min(dice.choice(_SIZES), width - place)
        # A set, because the same neighbour may be drawn twice.
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
