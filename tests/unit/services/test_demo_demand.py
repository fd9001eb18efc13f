"""The demonstration's forecasts: made before their weeks came, of what a ledger shows, without further packages."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator

import pytest

from millmark.services.demo.demand import COMING, SCORED, WEEKS, Demand, forecast_demand
from millmark.services.planning.forecast.document import begin_s, parse_forecast, week_text
from millmark.services.products.loading import Catalogue
from tests.support.demand_home import open_demand_home
from tests.support.gateway_client import SESSION, Browser, Caller
from tests.support.sign_in import ORIGIN


@pytest.fixture(scope="module")
def demand(tmp_path_factory: pytest.TempPathFactory) -> Demand:
    with pytest.MonkeyPatch.context() as patch:
        for package in ("statsforecast", "lightgbm", "torch"):
            patch.setitem(sys.modules, package, None)  # as if it were not installed
        return forecast_demand(Catalogue().find("appliance"), tmp_path_factory.mktemp("demand") / "forecasts")


@pytest.fixture(scope="module")
def browser(demand: Demand) -> Iterator[Browser]:
    """Of somebody of the coordinator, at the gateway on the home that was left, with its chain made again."""
    with open_demand_home(demand.home) as opened:
        yield Browser(Caller(opened.gateway(ORIGIN)), {SESSION: opened.session(int(time.time()))})


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


@pytest.mark.parametrize(("language", "scored"), [("en", "Weeks scored"), ("zh", "已评分的周")])
def test_the_portal_of_the_home_that_is_left_shows_chart_score_and_options(
    demand: Demand, browser: Browser, language: str, scored: str
) -> None:
    page = browser.get(f"/portal/demand?lang={language}")
    assert page.status_code == 200
    options = {(one.key.option, one.key.value) for one in demand.coming.series}
    assert page.text.count('<svg class="fan"') == len(options) > 10
    assert demand.coming.digest.hex() in page.text
    [row] = re.findall(rf"<tr>(?:(?!</tr>).)*{demand.earlier.digest.hex()}.*?</tr>", page.text, re.DOTALL)
    shown = re.findall(r'class="number">(?:<span[^>]*>)?([^<]+)', row)
    score = demand.score
    assert shown[:3] == [str(SCORED), str(score.forecast), str(score.actual)]
    assert scored in row
    share = {"en": "% of the product", "zh": "占该产品需求的"}[language]
    assert page.text.count(share) == len({one for one in options if all(one)})


def test_the_ledger_of_the_home_has_both_forecasts(demand: Demand, browser: Browser) -> None:
    for one in (demand.coming, demand.earlier):
        page = browser.get(f"/portal/demand/{one.digest.hex()}?lang=en").text
        assert week_text(one.first_week) in page
        assert "The ledger does not have this forecast yet" not in page
