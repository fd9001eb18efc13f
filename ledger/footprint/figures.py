"""Figures for people: kWh and kg where the ledger has Wh and mg. Apart, so that a verifier does not load decimals."""

from __future__ import annotations

from decimal import Decimal


def kilowatt_hours(wh: int) -> str:
    return f"{Decimal(wh).scaleb(-3):f}"


def kilograms(mg: int) -> str:
    """Three digits after the point: grams."""
    return f"{Decimal(mg).scaleb(-6).quantize(Decimal('0.001')):f}"


def percent(part: int, whole: int) -> str:
    """One digit after the point, rounded down."""
    found = part * 1000 // whole if whole else 0
    return f"{found // 10}.{found % 10} %"
