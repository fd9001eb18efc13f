"""Forecasts of demand from a company's own orders: made, recorded, shown, scored and exported. See FORECASTS.md."""

from __future__ import annotations

__all__: list[str] = []
