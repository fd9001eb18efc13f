"""Forecasts of demand: integers by week from series of past demand, with intervals that need no distribution.

Knows nothing of orders or products: `millmark.services.planning.forecast` makes the series. FORECASTS.md, beside that
package, says what is done and why. Only `millmark.quality.demand.members` and `millmark.quality.demand.members` import
statsforecast and LightGBM, when they are called; short series are forecast with numpy alone.
"""

from __future__ import annotations

from millmark.quality.demand.engine import Forecast, Outcome, Setting, forecast_demand

__all__ = ["Forecast", "Outcome", "Setting", "forecast_demand"]
