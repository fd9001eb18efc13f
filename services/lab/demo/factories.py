"""Which factory does what, with which machines and from which material, for the product of the demonstration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.products import ChoiceOption, FromOption, IntegerOption, Product, Step, Value

__all__ = ["FACTORIES", "MARKED", "Factory", "Supplies", "build_factories", "find_supplies"]

FACTORIES: Final = 3
MARKED: Final = ("10", "11", "17", "21")
"""Application identifiers that the last factory can mark a piece with: batch, production date, expiry, serial."""
_EQUIPMENT: Final[Mapping[str, tuple[str, str]]] = {
    "forging": ("FORGE", "forging press"),
    "turning": ("LATHE", "turning centre"),
    "assembly": ("CELL", "assembly cell"),
    "milling": ("MILL", "five-axis milling centre"),
    "cleaning": ("BATH", "cleaning and finishing line"),
    "packing": ("PACK", "sterile packing line"),
    "moulding": ("MOULD", "injection moulding machine"),
    "electrical-test": ("TEST", "electrical safety tester"),
    "cutting": ("CUTTER", "cutting table"),
    "sewing": ("SEWER", "sewing line"),
    "finishing": ("PRESS", "finishing press"),
}
"""Name of the machines for a kind of operation, and what they are."""


@dataclass(frozen=True, slots=True)
class Factory:
    """A maker's two machines, which are alike."""

    kinds: tuple[str, ...]
    """Kinds of operation, in the route's order."""
    name: str
    equipment: str
    capability: tuple[Json, ...]
    """What both machines declare (millmark.ledger.plans.capability)."""


@dataclass(frozen=True, slots=True)
class Supplies:
    """What one piece is made from."""

    material: str
    """Beginning of the batch numbers of what the first factory works on."""
    material_item: str
    """Its item reference, the digits of the GTIN behind the company prefix."""
    component: str
    """Beginning of the batch numbers of what the last factory adds, of which a piece takes one."""
    component_item: str
    components: str
    """What that is, in the plural."""
    grams: int
    loss_g: int
    """Grams that the first operation loses."""


_SUPPLIES: Final[Mapping[str, Supplies]] = {
    "crankshaft": Supplies("HEAT", "00101", "BOX", "00202", "bearings", 5_000, 200),
    "implant": Supplies("BAR", "00303", "TRAY", "00404", "sterile trays", 1_400, 1_050),
    "appliance": Supplies("SACK", "00505", "KIT", "00606", "test labels", 640, 40),
    "garment": Supplies("ROLL", "00707", "BAG", "00808", "garment bags", 310, 60),
}
_OTHERWISE: Final = Supplies("BATCH", "00909", "BOX", "01010", "components", 1_000, 100)


def find_supplies(product: Product) -> Supplies:
    """What a piece of the product is made from; for a product that is not shipped, an invented material."""
    return _SUPPLIES.get(product.product, _OTHERWISE)


def build_factories(product: Product) -> tuple[Factory, ...]:
    """Shares the route among three factories: the first and the last do what the route begins and ends with, the second
    everything between.

    Raises InputError for a route that cannot be shared so that every order visits all three.
    """
    first, last = product.route[0], product.route[-1]
    between = [step for step in product.route if step.need.kind not in (first.need.kind, last.need.kind)]
    always = [step for step in (first, *between, last) if step.when is None]
    if first.when or last.when or first.need.kind == last.need.kind or len(always) < FACTORIES:
        raise InputError(
            f"the demonstration's three factories cannot share the route of {product.product}",
            hint="its first and last step, and one of another kind between them, must be done for every order",
        )
    unknown = [ai for ai in product.marks if ai not in MARKED]
    if unknown:
        raise InputError(f"the demonstration cannot mark a piece with ({unknown[0]})", hint=f"it can {MARKED}")
    main = next(step for step in between if step.when is None)
    kinds = [(first.need.kind,), tuple(dict.fromkeys(step.need.kind for step in between)), (last.need.kind,)]
    named = [_EQUIPMENT.get(one.need.kind, (one.need.kind.upper(), one.need.kind)) for one in (first, main, last)]
    return tuple(
        Factory(one, name, equipment, tuple(_capability(product, kind) for kind in one))
        for one, (name, equipment) in zip(kinds, named, strict=True)
    )


def _capability(product: Product, kind: str) -> Json:
    """Limits of a machine that can do every step of a kind, whatever is chosen."""
    limits: dict[str, list[Value]] = {}
    for step in product.route:
        if step.need.kind == kind:
            for key, possible in _values(product, step).items():
                limits.setdefault(key, []).extend(possible)
    return {"kind": kind, "limits": {key: _limit(values) for key, values in limits.items()}}


def _values(product: Product, step: Step) -> dict[str, Sequence[Value]]:
    """The values that a step can need; of a number, the least and the most."""
    known, found = product.by_key, dict[str, Sequence[Value]]()
    for key, needed in step.need.values.items():
        option = known[needed.key] if isinstance(needed, FromOption) else None
        if isinstance(option, ChoiceOption):
            found[key] = option.values
        elif isinstance(option, IntegerOption):
            found[key] = (option.least, option.most)
        elif not isinstance(needed, FromOption):
            found[key] = (needed,)
    return found


def _limit(values: Iterable[Value]) -> Json:
    texts = sorted({one for one in values if isinstance(one, str)})
    numbers = [one for one in values if isinstance(one, int)]
    return list(texts) if texts else [min(numbers), max(numbers)]
