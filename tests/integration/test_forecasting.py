"""A company forecasts its demand from orders placed over weeks, records it, and is scored by what the ledger shows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from millmark.ledger.chain import HttpTransport, Node
from millmark.ledger.errors import MillmarkError
from millmark.services.client import open_gateway
from millmark.services.planning.forecast.scoring import ForecastFound, ForecastListed, ScoreFound
from tests.support.planning_homes import Homes, found_homes

pytestmark = pytest.mark.integration

WEEK_S = 7 * 86_400
KETTLE = ("size=1.7-l", "colour=white", "supply=230-V", "plug=type-F", "control=switch", "cable_mm=1000")


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    with found_homes(tmp_path_factory.mktemp("forecasting"), ["Hub"]) as homes:
        homes.call("Hub", "streams", "open", "urn:example:plans")
        yield homes


def place(homes: Homes, name: str, quantity: int = 4) -> None:
    options = [word for option in KETTLE for word in ("--option", option)]
    homes.call(
        "Hub",
        *("orders", "place", f"urn:example:{name}", "--coordinator", "1", "--due", "2100-01-01"),
        *("--quantity", str(quantity), "--product", "appliance", *options),
    )


def pass_weeks(homes: Homes, weeks: int = 1) -> None:
    Node(HttpTransport(homes.chain_url)).wait(weeks * WEEK_S)


def refused(homes: Homes, *words: str) -> str:
    with pytest.raises(MillmarkError) as error:
        homes.call("Hub", "plan", "forecast", *words)
    assert "\n" not in str(error.value)
    return str(error.value)


def show(homes: Homes, *words: str) -> list[dict[str, object]]:
    found: dict[str, list[dict[str, object]]] = json.loads(homes.call("Hub", "plan", "forecast", *words, "--json"))
    return found[{"list": "forecasts", "show": "quantities", "score": "scores"}[words[0]]]


def test_orders_become_a_forecast_that_the_ledger_scores(homes: Homes) -> None:
    assert "no order counts" in refused(homes, "make")
    for week in range(10):
        place(homes, f"kettle-{week}", 4 + week % 2)
        pass_weeks(homes)
    place(homes, "withdrawn", 900)
    homes.call("Hub", "orders", "cancel", "withdrawn", "--reason", "ordered twice")

    said = homes.call("Hub", "plan", "forecast", "make", "--weeks", "4")
    assert "1 products over 4 weeks" in said
    assert "from 10 orders" in said
    assert any("1 orders were cancelled or ended: not counted" in told for told in homes.said)
    [listed] = show(homes, "list")
    assert listed["anchored"] is True

    shown = show(homes, "show")
    totals = [one["quantity"] for one in shown if not one["option"]]
    white = [one["quantity"] for one in shown if (one["option"], one["value"]) == ("colour", "white")]
    assert all(isinstance(one, int) and 3 <= one <= 6 for one in totals)
    assert white == totals
    assert {one["quantity"] for one in shown if (one["option"], one["value"]) == ("colour", "red")} == {0}

    assert "no week has ended yet" in refused(homes, "score")
    pass_weeks(homes)
    place(homes, "next", 5)
    pass_weeks(homes)
    place(homes, "after", 4)
    with open_gateway(homes.folder / "Hub") as gateway:
        assert len(list(gateway.iterate_orders())) == 13
    [total] = [one for one in show(homes, "score") if not one["option"]]
    assert (total["weeks"], total["actual"]) == (1, 5)
    assert "bias" in homes.call("Hub", "plan", "forecast", "score")
    with open_gateway(homes.folder / "Hub") as gateway:
        [one] = gateway.pages(ForecastListed, "/v1/forecasts")
        assert (one.weeks, one.orders, one.anchored) == (4, 10, True)
        found = gateway.get(ForecastFound, "/v1/forecasts/{}", one.forecast)
        assert list(found.series[0].quantities) == totals
        scored = gateway.get(ScoreFound, "/v1/forecasts/{}/score", one.forecast)
        assert (scored.weeks, scored.series[0].actual) == (1, 5)
