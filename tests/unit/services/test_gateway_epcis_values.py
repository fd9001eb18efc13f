"""EPCIS 2.0 over HTTP: the lists of values, whose they are, and their pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx
import pytest

from millmark.ledger.store import Store
from millmark.services.access import SignIn
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.interop.epcis.event_queries import ALL_RUNS, CONTEXT, EVENT_TYPES, EventQueries, Place
from millmark.services.interop.epcis.repository import EpcisEventRow, EpcisRepository, EpcisTermRow
from millmark.services.interop.epcis.tree import BIZ_STEPS, DISPOSITIONS
from millmark.services.settings import Auth
from tests.support.epcis_events import capture, document, event
from tests.support.fake_world import COORDINATOR, SMITH, build_world
from tests.support.gateway_client import Caller
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign_in
from tests.support.stores import new_store

OWNER = 20
OWN_STEP, OTHER_STEP = "https://example.org/steps/etching", "https://example.org/steps/welding"
LINKS = [f"https://id.gs1.org/01/09506000134352/21/A{serial}" for serial in range(1, 6)]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Callable[..., httpx.Response]]]:
    with new_store(tmp_path_factory.mktemp("values")) as store:
        build_world(store)
        add_keys(store, SMITH, COORDINATOR)
        app = create_gateway(
            GatewayParts(store, build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER), clock=lambda: NOW_S)
        )

        def speak(participant: int) -> Callable[..., httpx.Response]:
            bearer = "Bearer " + sign_in(SignIn(store, ORIGIN), participant).token
            return lambda *arguments: Caller(app).ask(*arguments, Host="gateway.example", Authorization=bearer)

        body = document(
            event(1, epcList=LINKS[:3], bizStep=OWN_STEP, bizLocation={"id": "urn:epc:id:sgln:9506000.00001.7"}),
            event(2, epcList=LINKS[3:], bizStep="shipping", disposition="in_transit"),
        )
        assert speak(SMITH)("/epcis/v2/capture", "POST", body).json()["success"]
        other = document(event(3, epcList=["urn:epc:id:sgtin:9506000.013435.B1"], bizStep=OTHER_STEP))
        assert speak(COORDINATOR)("/epcis/v2/capture", "POST", other).json()["success"]
        yield speak


def pages(ask: Callable[..., httpx.Response], resource: str, per_page: int = 200) -> list[list[str]]:
    path, told = f"/epcis/v2/{resource}?perPage={per_page}", list[list[str]]()
    while path:
        answer = ask(path)
        assert answer.status_code == 200, answer.text
        told.append(answer.json()["member"])
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        assert len(told) < 60
    return told


def values(ask: Callable[..., httpx.Response], resource: str) -> list[str]:
    return [one for page in pages(ask, resource) for one in page]


def test_the_standards_values_come_first_and_once(people: Callable[[int], Callable[..., httpx.Response]]) -> None:
    smith = people(SMITH)
    assert values(smith, "eventTypes") == list(EVENT_TYPES)
    assert values(smith, "bizSteps") == [*BIZ_STEPS, OWN_STEP]
    assert values(smith, "dispositions") == list(DISPOSITIONS)
    answer = smith("/epcis/v2/bizSteps?perPage=1").json()
    assert answer == {"@context": [CONTEXT], "type": "Collection", "member": [BIZ_STEPS[0]]}


def test_values_of_events_are_for_who_sent_them(people: Callable[[int], Callable[..., httpx.Response]]) -> None:
    """Those of others would tell what others do, and what their things are called."""
    smith, hub = people(SMITH), people(COORDINATOR)
    assert OTHER_STEP not in values(smith, "bizSteps")
    assert OWN_STEP not in values(hub, "bizSteps")
    assert values(smith, "epcs") == LINKS
    assert [one[-2:] for one in values(hub, "epcs")] == ["B1"]
    assert len(values(smith, "bizLocations")) == 1
    assert values(hub, "bizLocations") == []


def test_a_value_leads_to_its_events(people: Callable[[int], Callable[..., httpx.Response]]) -> None:
    smith = people(SMITH)
    for resource in ("bizLocations", "readPoints", "epcs"):
        for value in values(smith, resource):
            path = f"/epcis/v2/{resource}/{httpx.QueryParams({'x': value})}".replace("x=", "")
            found = smith(f"{path}/events").json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
            assert found, value


@pytest.mark.parametrize("per_page", [1, 2, 3, 7, 40])
def test_pages_add_up(people: Callable[[int], Callable[..., httpx.Response]], per_page: int) -> None:
    smith = people(SMITH)
    for resource in ("bizSteps", "epcs", "eventTypes"):
        told = pages(smith, resource, per_page)
        assert [one for page in told for one in page] == values(smith, resource)
        assert {len(page) for page in told[:-1]} <= {per_page}
        assert told[-1]


def test_a_page_is_of_one_list_and_one_caller(people: Callable[[int], Callable[..., httpx.Response]]) -> None:
    smith, hub = people(SMITH), people(COORDINATOR)
    link = smith("/epcis/v2/bizSteps?perPage=2").headers["link"].partition(">")[0].removeprefix("<")
    assert hub(link).status_code == 400
    assert smith(link.replace("bizSteps", "dispositions")).status_code == 400
    assert smith("/epcis/v2/bizSteps?EQ_bizStep=shipping").status_code == 400


def test_the_operator_of_an_open_gateway_sees_the_values_of_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    with new_store(tmp_path_factory.mktemp("open")) as store:
        caller = Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"))))
        assert values(caller.ask, "epcs") == []
        assert capture(caller, document(event(1, epcList=LINKS[:1])))["success"]
        assert values(caller.ask, "epcs") == LINKS[:1]


OTHERS, PER_PAGE = 11_000, 30


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Many values of another company, and one of its steps in very many runs; a few values of Smith's among them."""
    with new_store(tmp_path_factory.mktemp("many")) as store:
        own = {OTHERS // 2: "urn:example:00005499x", OTHERS: "urn:example:99999999"}
        events, terms = list[EpcisEventRow](), list[EpcisTermRow]()
        for number in range(1, OTHERS + 1):
            sender = SMITH if number in own else COORDINATOR
            events.append(EpcisEventRow(number, sender, str(number), "", "", 0, 0, bytes(32), number, "", ""))
            value = own.get(number, f"urn:example:{number:08}")
            terms += [EpcisTermRow("epc", value, number, 1), EpcisTermRow("bizStep", "urn:example:step", number, 1)]
        with store.transaction() as connection:
            EpcisRepository(connection).add(events, terms)
        yield store


def walk(queries: EventQueries, *fields: str) -> list[list[str]]:
    told = list[list[str]]()
    place: Place | None = ("", 0)
    while place is not None:
        page, place = queries.values(fields, "", place, PER_PAGE)
        told.append(page)
        assert len(told) < 1_000
    return told


def test_what_is_read_for_a_page_is_bounded_for_who_sent_little(many: Store) -> None:
    smith = walk(EventQueries(many, SMITH, SMITH), "epc", "parentID")
    assert smith == [[], ["urn:example:00005499x"], ["urn:example:99999999"]], "5,000 runs a page"
    assert walk(EventQueries(many, SMITH, SMITH), "bizStep") == [[], ["urn:example:step"]], "one step, in all events"


def test_a_value_in_very_many_runs_is_listed_once_and_does_not_shorten_a_page(many: Store) -> None:
    everything = EventQueries(many, OWNER, None)
    assert walk(everything, "bizStep") == [["urn:example:step"]]
    told = walk(everything, "epc")
    assert {len(page) for page in told[:-1]} == {PER_PAGE}
    listed = [value for page in told for value in page]
    assert len(set(listed)) == len(listed) == OTHERS
    assert listed == sorted(listed)


def test_what_begins_as_the_standards_values_is_passed_over(many: Store) -> None:
    found, place = EventQueries(many, OWNER, None).values(("bizStep", "epc"), "urn:example:s", ("urn:example:9", 0), 5)
    assert (found, place) == (["urn:example:99999999"], None)
    assert EventQueries(many, OWNER, None).values(("epc",), "", ("urn:example:99999999", ALL_RUNS), 5) == ([], None)


def test_a_link_of_an_earlier_version_goes_on_after_its_value(tmp_path_factory: pytest.TempPathFactory) -> None:
    with new_store(tmp_path_factory.mktemp("earlier")) as store:
        app = create_gateway(GatewayParts(store, build_policy("loopback-open")))
        caller = Caller(app)
        assert capture(caller, document(event(1, epcList=LINKS)))["success"]
        token = app.state.pager.seal(json.dumps(["/epcis/v2/epcs", [], None]), (0, LINKS[1]))
        assert caller.ask(f"/epcis/v2/epcs?nextPageToken={quote(token)}").json()["member"] == LINKS[2:]
