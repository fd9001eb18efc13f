"""Forecasts over the API: listed page by page, each with its series. Scores need a chain, which
tests/integration/test_forecasting.py has."""

from __future__ import annotations

import pytest

from millmark.ledger.evidence import EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.store import Book
from millmark.services.planning.forecast.document import ForecastDocument, seal_of
from millmark.services.planning.forecast.making import make_forecast
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from tests.support.forecast_samples import IDENTITY, sample
from tests.support.gateway_client import Caller, build_caller
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def documents() -> list[ForecastDocument]:
    return [make_forecast(sample(), IDENTITY, weeks) for weeks in (2, 3, 4)]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, documents: list[ForecastDocument]) -> Caller:
    store, stream = new_store(tmp_path_factory.mktemp("forecasts")), b"\x2a" * 32
    with store.transaction() as connection:
        for place, document in enumerate(documents):
            entry, salt = seal_of(document.digest), bytes([place]) * 32
            leaf = leaf_hash(build_leaf_data(LeafKind.EVENT, salt, entry))
            Book(connection).add_evidence(stream, [EvidenceEntry(place, salt, entry, leaf)])
            row = document.digest, stream, place, document.cut.block, document.cut.time_s, document.to_bytes().decode()
            ForecastRepository(connection).add(ForecastRow(*row))
    return build_caller(store)


def test_all_forecasts_are_listed_page_by_page(caller: Caller, documents: list[ForecastDocument]) -> None:
    found, path = [], "/v1/forecasts?limit=2"
    while path:
        page = caller.ask(path).json()
        found += page["items"]
        path = f"/v1/forecasts?limit=2&cursor={page['next']}" if page["next"] else ""
    assert [one["forecast"] for one in found] == sorted("0x" + one.digest.hex() for one in documents)
    assert {one["weeks"] for one in found} == {2, 3, 4}
    assert all(one["anchored"] is False and one["products"] == 1 for one in found)


def test_a_forecast_has_its_series_and_the_work_that_they_need(
    caller: Caller, documents: list[ForecastDocument]
) -> None:
    [document] = [one for one in documents if one.weeks == 3]
    found = caller.ask(f"/v1/forecasts/0x{document.digest.hex()}").json()
    assert [one["quantities"] for one in found["series"]] == [list(one.quantities) for one in document.series]
    assert found["series"][0]["low"] == list(document.series[0].low or ())
    assert [one["kind"] for one in found["capacity"]] == ["moulding"]
    assert caller.ask(f"/v1/forecasts/0x{'00' * 32}").status_code == 404


def test_without_a_chain_nothing_is_scored_and_that_is_said(caller: Caller, documents: list[ForecastDocument]) -> None:
    answer = caller.ask(f"/v1/forecasts/0x{documents[0].digest.hex()}/score")
    assert answer.status_code == 503
    assert "follows no chain" in answer.json()["detail"]
