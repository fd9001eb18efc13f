"""A factor table for tests, and a time at which it holds."""

from __future__ import annotations

from datetime import date

from millmark.ledger.footprint import Factor, FactorKind, FactorTable

__all__ = ["FACTORS", "TIME_S"]

TIME_S = 1_767_225_600
"""1 January 2026."""
_YEAR = (date(2026, 1, 1), date(2026, 12, 31))
_SOURCE = "made up for tests, edition 1"
FACTORS = FactorTable(
    (
        Factor("bearing", FactorKind.MATERIAL, 450_000, "mg/piece", _SOURCE, "DE", *_YEAR),
        Factor("contract", FactorKind.MARKET, 120_000, "mg/kWh", _SOURCE, "DE", *_YEAR),
        Factor("grid", FactorKind.LOCATION, 380_000, "mg/kWh", _SOURCE, "DE", *_YEAR),
        Factor("scrap", FactorKind.MATERIAL, 700_000, "mg/kg", _SOURCE, "DE", *_YEAR),
        Factor("steel", FactorKind.MATERIAL, 1_900_000, "mg/kg", _SOURCE, "DE", *_YEAR),
        Factor("truck", FactorKind.TRANSPORT, 95_000, "mg/tkm", _SOURCE, "DE", *_YEAR),
    )
)
