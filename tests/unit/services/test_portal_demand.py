"""The page of demand: its chart, its tables, what it says without forecast or chain, and to whom it is shown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.evidence import EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.store import Book
from millmark.quality.notes import Note
from millmark.services.pictures.plot import Fan, draw_fan
from millmark.services.planning.forecast.document import ForecastDocument, seal_of
from millmark.services.planning.forecast.making import make_forecast
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from millmark.services.portal.demand import build_products
from millmark.services.portal.pages import read_catalogues
from tests.support.fake_world import SMITH
from tests.support.forecast_samples import IDENTITY, grown, sample
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store

COUNTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=30)


@given(COUNTS, COUNTS, st.booleans(), st.integers(0, 30))
def test_everything_that_is_drawn_lies_within_the_chart(
    past: list[int], forecast: list[int], banded: bool, ended: int
) -> None:
    high = tuple(2 * one + 1 for one in forecast) if banded else None
    low = tuple(one // 2 for one in forecast) if banded else None
    fan = Fan(
        "s0", "Demand", "8 weeks", tuple(past), tuple(forecast), low, high, tuple(forecast[:ended]), ("a", "b", "c")
    )
    drawn = ElementTree.fromstring(draw_fan(fan, "en"))  # noqa: S314 - our own
    for path in drawn.iter("path"):
        for x, y in re.findall(r"(\d+) (-?\d+)", path.attrib["d"]):
            assert 0 <= int(x) <= 340
            assert 0 <= int(y) <= 150
    assert len(list(drawn.iter("circle"))) == min(ended, len(forecast))


def test_a_chart_without_a_past_and_markup_in_names_is_drawn() -> None:
    fan = Fan("s0", "<b>", "&", (), (0, 0), None, None, labels=("<i>", "2026-W48", "2026-W49"))
    drawn = draw_fan(fan, "en")
    ElementTree.fromstring(drawn)  # noqa: S314 - our own
    assert "<b>" not in drawn
    assert "<i>" not in drawn


@pytest.fixture(scope="module")
def document() -> ForecastDocument:
    return make_forecast(sample(), IDENTITY, 8)


@pytest.mark.parametrize(("language", "name"), [("en", "electric kettle"), ("zh", "电水壶")])
def test_what_came_is_shown_beside_what_was_forecast(document: ForecastDocument, language: str, name: str) -> None:
    [product] = build_products(document, grown(document, [12, 900, 14]), read_catalogues()[language])
    came = [one.came for one in product.whole.weeks]
    assert came == [12, 900, 14, None, None, None, None, None]
    assert product.whole.weeks[1].within is False
    assert product.whole.weeks[0].within is not None
    assert product.whole.name == name
    assert len({one.key for option in product.options for one in option.values}) == 13


def test_each_value_of_an_option_has_its_share_of_the_product(document: ForecastDocument) -> None:
    [product] = build_products(document, None, read_catalogues()["en"])
    for option in product.options:
        shares = [product.share_percent(one) for one in option.values]
        assert shares == [round(100 * one.total / product.whole.total) for one in option.values]
        if all(one.series.split == "history" for one in option.values):
            assert 98 <= sum(share or 0 for share in shares) <= 102
    nothing = replace(
        product,
        whole=replace(product.whole, series=replace(product.whole.series, quantities=(0, 0), low=None, high=None)),
    )
    assert nothing.share_percent(product.options[0].values[0]) is None


NOTES = {
    "en": "Only 3 weeks of history: their mean, and no interval.",
    "zh": "只有 3 周历史：采用其平均值，不给出区间。",
}


@pytest.mark.parametrize("language", NOTES)
def test_what_a_forecast_notes_is_said_in_the_language_of_the_page(language: str) -> None:
    catalogue = read_catalogues()[language]
    [product] = build_products(make_forecast(sample(3), IDENTITY, 8), None, catalogue)
    assert product.whole.note == NOTES[language]
    assert all(catalogue.knows(f"demand.note.{one.name.lower()}") for one in Note)


def test_a_note_of_another_version_stays_as_it_is(tmp_path: Path, document: ForecastDocument) -> None:
    series = tuple(replace(one, note="<b>no such note") for one in document.series)
    site = Site(new_store(tmp_path))
    record(site, replace(document, series=series))
    page = site.browser(OWNER).get("/portal/demand?lang=zh")
    assert '<p class="note" lang="en" translate="no">&lt;b&gt;no such note</p>' in page.text


def test_without_a_chain_neither_past_nor_hits_are_shown(document: ForecastDocument) -> None:
    [product] = build_products(document, None, read_catalogues()["en"])
    assert all(one.came is None for one in product.whole.weeks)
    assert 'class="past"' not in product.whole.picture
    assert product.whole.name == "appliance"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(new_store(tmp_path_factory.mktemp("demand")))


def record(site: Site, document: ForecastDocument) -> None:
    stream, entry, salt = b"\x2a" * 32, seal_of(document.digest), b"\1" * 32
    leaf = leaf_hash(build_leaf_data(LeafKind.EVENT, salt, entry))
    with site.store.transaction() as connection:
        Book(connection).add_evidence(stream, [EvidenceEntry(0, salt, entry, leaf)])
        cut, text = document.cut, document.to_bytes().decode()
        ForecastRepository(connection).add(ForecastRow(document.digest, stream, 0, cut.block, cut.time_s, text))


@pytest.fixture(scope="module")
def recorded(site: Site, document: ForecastDocument) -> str:
    """The forecast's digest."""
    record(site, document)
    return document.digest.hex()


def test_the_page_shows_the_latest_forecast_and_each_by_its_digest(site: Site, recorded: str) -> None:
    page = site.browser(OWNER).get("/portal/demand")
    assert page.status_code == 200
    assert "appliance" in page.text
    assert "The ledger does not have this forecast yet" in page.text
    assert "The chain does not say now which blocks are final." in page.text
    assert "Not scored: the chain does not answer now" in page.text
    assert page.text.count('<svg class="fan"') == 14
    assert site.browser(OWNER).get(f"/portal/demand/{recorded}").status_code == 200


@pytest.mark.parametrize("name", ["00" * 32, "xyz", "0x"])
def test_an_unknown_forecast_is_not_found(site: Site, recorded: str, name: str) -> None:
    assert site.browser(OWNER).get(f"/portal/demand/{name}").status_code == 404


def test_another_company_sees_no_forecast(site: Site, recorded: str) -> None:
    assert site.browser(SMITH).get("/portal/demand").status_code == 404


@pytest.mark.parametrize(
    ("chosen", "english", "chinese"),
    [
        ("Seasonal naive", "Seasonal naive forecast", "季节性朴素预测"),
        ("Smoothing", "Exponential smoothing", "指数平滑"),
        (
            "Median and Trees",
            "Mean of the models’ median and gradient-boosted trees",
            "多个模型的中位数与梯度提升树的平均",
        ),
        ("AutoETS", "AutoETS", "AutoETS"),
    ],
)
def test_the_model_is_named_in_the_readers_language(
    tmp_path: Path, document: ForecastDocument, chosen: str, english: str, chinese: str
) -> None:
    site = Site(new_store(tmp_path))
    record(site, replace(document, back_test=replace(document.back_test, chosen=chosen)))
    for language, heading, name in (("en", "Model", english), ("zh", "模型", chinese)):
        page = site.browser(OWNER).get(f"/portal/demand?lang={language}").text
        told = page.partition(f"<dt>{heading}</dt><dd>")[2].partition("<code")[0]
        assert re.sub("<[^>]+>", "", told).strip() == name


def test_before_the_first_forecast_the_command_is_named(tmp_path: Path) -> None:
    page = Site(new_store(tmp_path)).browser(OWNER).get("/portal/demand")
    assert page.status_code == 200
    assert "No forecast was made here yet." in page.text
    assert "millmark plan forecast make" in page.text
