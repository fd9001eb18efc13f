"""Steps: what a record took and made, and so which part of the step's footprint each lot has.

Scrap and loss have no part: what was used for them goes to what is good. What is left over of the material has its part
of the material by quantity, and nothing of the operation. By-products in a third unit have no part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.errors import FootprintError
from millmark.ledger.footprint.amounts import ALL, Amounts, Part
from millmark.ledger.footprint.document import Footprint, Other, Own, Share
from millmark.ledger.footprint.factors import FactorTable

_NONE = Part(0, 0, 1)


@dataclass(frozen=True, slots=True)
class Taken:
    """A quantity of a lot that goes into a step."""

    lot: bytes
    quantity: int
    component: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A transformation, as its record has it."""

    taken: tuple[Taken, ...] = ()
    made: tuple[tuple[bytes, int], ...] = ()
    """Lots in the output unit, with their quantities, in the record's order."""
    left: tuple[tuple[bytes, int], ...] = ()
    """Lots of left-over material, in the input unit where the output unit is another."""
    loss: int = 0
    """In the input unit."""

    @property
    def good(self) -> int:
        """Quantity of what was made."""
        return sum(quantity for _, quantity in self.made)


def expected_part(step: Step, lot: bytes) -> Part:
    """A lot's part of a step: by quantity among what was made, nothing for a by-product; all of what was kept of the
    material, for left-over material."""
    if any(name == lot for name, _ in step.left):
        return ALL
    return _among(step.made, lot, step.good)


def expected_kept(step: Step, lot: bytes) -> Part:
    """Which part of the material a lot and its likes have. Raises FootprintError if more is left than was taken."""
    rest = sum(one.quantity for one in step.taken if not one.component) - step.loss
    left = sum(quantity for _, quantity in step.left)
    if not left:
        return ALL
    if any(name == lot for name, _ in step.left):
        return _among(step.left, lot, rest)
    return Part(left, rest, rest)


def _among(lots: Iterable[tuple[bytes, int]], lot: bytes, of: int) -> Part:
    start = 0
    for name, quantity in lots:
        if name == lot:
            return Part(start, start + quantity, of)
        start += quantity
    return _NONE


def use_factors(table: FactorTable, own: Iterable[Own], other: Iterable[Other]) -> dict[str, object]:
    """The members `table` and `used` of a footprint. Raises FactorError for a key that the table lacks."""
    keys = {key for one in own for key in (one.location, one.market)} | {one.factor for one in other}
    return {"table": table.digest, "used": tuple(table.get(key) for key in sorted(keys))}


def build_footprint(
    step: Step,
    lot: bytes,
    *,
    sources: Mapping[bytes, tuple[Amounts, Part]],
    own: Sequence[Own] = (),
    other: Sequence[Other] = (),
    table: FactorTable,
    time_s: int,
    estimated: Collection[bytes] = (),
    part: Part | None = None,
) -> Footprint:
    """The footprint of a lot that a step made.

    `sources`: of each lot that was taken, its amounts and the part that was taken of it. Those in `estimated` have no
    footprint, and are among `other` by a secondary factor. `part`: of a lot that was reworked and keeps its name, all.
    Raises FootprintError for a lot that has neither, and FactorError.
    """
    left_over = any(name == lot for name, _ in step.left)
    shares = []
    for taken in step.taken:
        if taken.lot in sources and not (left_over and taken.component):
            amounts, used = sources[taken.lot]
            shares.append(Share(taken.lot, used, amounts, taken.component))
        elif taken.lot not in sources and taken.lot not in estimated:
            raise FootprintError(
                f"the lot 0x{taken.lot.hex()} has no footprint", hint="state a secondary factor for what is taken of it"
            )
    own, other = ((), ()) if left_over else (tuple(own), tuple(other))
    chosen = use_factors(table, own, other)
    return Footprint(
        time_s=time_s,
        own=own,
        shares=tuple(shares),
        other=other,
        kept=expected_kept(step, lot),
        part=expected_part(step, lot) if part is None else part,
        **chosen,  # type: ignore[arg-type]  # table and used
    )
