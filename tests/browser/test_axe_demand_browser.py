"""axe-core finds nothing on the pages of demand and process, in each state that they can be in: at 390 and 1280 pixels,
in both languages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page

from millmark.ledger.evidence import EvidenceEntry, EvidenceLog, LeafKind, build_leaf_data
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import MachineRow, StreamRow
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import session_cookie
from millmark.services.planning.forecast.document import ForecastDocument, seal_of
from millmark.services.planning.forecast.making import make_forecast
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from millmark.services.setpoints.document import (
    Forecast,
    MachineReading,
    SetpointDocument,
    SetpointValue,
    build_state_data,
)
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow
from tests.browser.test_portal_browser import open_context
from tests.support.forecast_samples import IDENTITY, sample
from tests.support.looking import find_violations, read_axe
from tests.support.portal_world import PortalWorld, serve_world

pytestmark = pytest.mark.browser

MAKER = "Alder Forge"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """The gateway of a company that has machines."""
    with serve_world(tmp_path_factory.mktemp("portal"), owner=MAKER) as world:
        yield world


def keep(world: PortalWorld, document: ForecastDocument) -> None:
    stream, entry, salt = document.digest, seal_of(document.digest), b"\1" * 32
    leaf = leaf_hash(build_leaf_data(LeafKind.EVENT, salt, entry))
    with world.store.transaction() as connection:
        Book(connection).add_evidence(stream, [EvidenceEntry(0, salt, entry, leaf)])
        cut, text = document.cut, document.to_bytes().decode()
        ForecastRepository(connection).add(ForecastRow(document.digest, stream, 0, cut.block, cut.time_s, text))


def own_stream(world: PortalWorld) -> StreamRow:
    with world.store.reading() as connection:
        rows, me = Rows(connection), world.company(MAKER).number
        machine = rows.find(MachineRow, owner=me)[0]
        return rows.find(StreamRow, machine=machine.number)[0]


def report(world: PortalWorld) -> None:
    """An hour of a machine."""
    stream, now_s = own_stream(world), int(time.time()) - 7200
    with world.store.transaction() as connection:
        log, book = EvidenceLog(), Book(connection)
        kept = book.evidence(stream.subject).entries
        for place in range(60):
            values = {"temperature": (2099 + place % 7, 1), "speed": (330, 1)}
            reading = MachineReading(now_s + 60 * place, values, 900_000, 700_000, 198)
            log.append({"id": f"state/{place}", "data": build_state_data(reading)})
        added = [replace(one, index=one.index + len(kept)) for one in log.entries]
        book.add_evidence(stream.subject, added)


def propose(world: PortalWorld) -> None:
    stream, now_s = own_stream(world), int(time.time())
    expected, present = Forecast(900, 400, 900_000, 800_000), Forecast(1000, 500, 900_000, 700_000)
    value = SetpointValue("speed_set", 1, 330, 365)
    document = SetpointDocument(
        stream.machine, "9d" * 32, (value,), 3600, expected, present, "EUR/100", "drift: the temperature drifts"
    )
    with world.store.transaction() as connection:
        kept = SetpointRepository(Rows(connection))
        place = kept.next_number(), stream.machine, stream.subject, document.digest, document.build().decode()
        kept.add(SetpointRow(*place, now_s, now_s + 3600))


def few(world: PortalWorld) -> None:
    """Too few weeks for an interval."""
    keep(world, make_forecast(sample(3), replace(IDENTITY, chain_id=3), 4))


def many(world: PortalWorld) -> None:
    made = make_forecast(sample(), IDENTITY, 8)
    keep(world, replace(made, cut=replace(made.cut, block=made.cut.block + 1)))


STATES: dict[str, tuple[str, Callable[[PortalWorld], None] | None]] = {
    "no forecast": ("demand", None),
    "no reading": ("process", None),
    "too few weeks": ("demand", few),
    "forecasts": ("demand", many),
    "readings": ("process", report),
    "proposal": ("process", propose),
}
"""In the order in which they come about. The extra `forecast` changes nothing here: no page needs it."""


def measure(page: Page, origin: str, path: str) -> Iterator[str]:
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        for language in ("en", "zh"):
            answer = page.goto(f"{origin}/portal/{path}?lang={language}")
            assert answer is not None
            assert answer.status == 200
            assert page.evaluate("document.documentElement.lang").startswith(language)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width, language)
            yield from (f"{path}, {width} pixels, {language}: {one}" for one in find_violations(page))


@pytest.fixture
def page(chromium: Browser, world: PortalWorld) -> Iterator[Page]:
    """Signed in as somebody of the company."""
    context = open_context(chromium, locale="en-GB")
    context.add_init_script(read_axe())
    token = world.session(world.company(MAKER), "Mei", PersonRole.ADMINISTRATOR)
    context.add_cookies([{"name": session_cookie(world.origin), "value": token, "url": world.origin}])
    yield context.new_page()
    context.close()


def test_axe_finds_nothing_on_demand_and_process_in_any_state(page: Page, world: PortalWorld) -> None:
    wrong, texts = [], {}
    for name, (path, change) in STATES.items():
        if change is not None:
            change(world)
        wrong += [f"{name}: {one}" for one in measure(page, world.origin, path)]
        texts[name] = page.locator("main").inner_text()
    assert wrong == [], "\n".join(one[:200] for one in wrong)
    assert len(set(texts.values())) == len(STATES), "each state looks different"
