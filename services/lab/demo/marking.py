"""What is written on a piece, and into its passport, because of the product that was ordered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from millmark.ledger.canonical import Json
from millmark.ledger.products import Configuration, Product, Step, build_mark, element_string

__all__ = ["build_marks", "find_letter", "find_material"]

_SHELF_LIFE_S: Final = 5 * 365 * 24 * 3600
"""From the day on which it is due; for pieces that are marked with their expiry."""


def find_material(made: Configuration) -> str:
    """What it is made of, as ordered."""
    found = next((key for key in ("material", "fabric") if key in made.options), None)
    return "PP" if found is None else str(made.options[found])


def find_letter(product: Product, step: Step) -> str:
    """Beginning of the serial numbers of what a step makes: its first letter, and its place if another one has that."""
    names = [one.name for one in product.route]
    letter, place = step.name[0].upper(), names.index(step.name)
    return letter if all(name[0].upper() != letter for name in names[:place]) else f"{letter}{place + 1}-"


def build_marks(product: Product, serial: str, batch: str, due_at: int) -> dict[str, Json]:
    """What the finished piece is marked with beside its GTIN, where the product asks for it. `due_at` is Unix time in
    seconds."""
    if not product.marks:
        return {}
    due, expiry = (
        datetime.fromtimestamp(time_s, UTC).strftime("%y%m%d") for time_s in (due_at, due_at + _SHELF_LIFE_S)
    )
    values = {"10": batch, "11": due, "17": expiry, "21": serial}
    return {"udi": element_string(build_mark(product, {ai: values[ai] for ai in product.marks}))}
