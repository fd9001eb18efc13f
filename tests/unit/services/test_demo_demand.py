"""The demonstration's forecasts: made before their weeks came, of what a ledger shows, without further packages."""

from __future__ import annotations

import sys

import pytest

from services.lab.demo.demand import COMING, SCORED, WEEKS, Demand, forecast_demand
from services.planning.forecast.document import parse_forecast
from services.planning.forecast.weeks import begin_s
from services.products.loading import Catalogue


@pytest.fixture(scope="module")
def demand() -> Demand:
    with pytest.MonkeyPatch.context() as patch:
        for package in ("statsforecast", "lightgbm", "torch"):
            patch.setitem(sys.modules, package, None)  # as if it were not installed
        return forecast_demand(Catalogue().find("appliance"))


def test_the_earlier_forecast_is_scored_by_all_the_weeks_that_came_after_it(demand: Demand) -> None:
    score, [total] = demand.score, demand.score.totals
    assert (score.weeks, score.skipped) == (SCORED, 1)
    assert begin_s(total.weeks[0]) > demand.earlier.cut.time_s
    assert begin_s(total.weeks[-1]) < demand.coming.cut.time_s
    assert demand.earlier.orders == 2 * (WEEKS - SCORED)
    assert demand.orders == demand.coming.orders == 2 * WEEKS + 2
    assert all(18 <= pieces <= 30 for pieces in total.actual)


def test_both_forecasts_are_documents_of_the_ledger_that_the_orders_are_on(demand: Demand) -> None:
    for one, weeks in ((demand.earlier, SCORED + 1), (demand.coming, COMING)):
        assert one.weeks == weeks
        assert parse_forecast(one.to_bytes()) == one
        assert one.model["method"] == "millmark.demand.plain"
        assert all(part.low is not None for part in one.totals())
    assert demand.earlier.ledger == demand.coming.ledger
    assert demand.earlier.cut.block < demand.coming.cut.block
    assert {one.key.option for one in demand.coming.series} > {"", "colour"}


def test_what_is_printed_says_where_the_past_is_from(demand: Demand) -> None:
    origin, earlier, coming = demand.describe()
    assert "62 orders drawn at random over 30 weeks, on a ledger of its own whose clock was moved" in origin
    assert f"{demand.score.forecast} pieces; {demand.score.actual} came" in earlier
    assert "of the naive forecast" in earlier
    assert "of 10 weeks within the 80 % interval" in earlier
    assert "`plan forecast make` compares more" in coming
    told = demand.to_json()
    assert told["history"] == "drawn, on a ledger of its own whose clock was moved"
