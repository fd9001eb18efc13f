"""EPCIS 2.0 over HTTP: the lists of values, whose they are, and their pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from services.access import SignIn
from services.gateway import GatewayParts, build_policy, create_gateway
from services.gateway.http.policy import Auth
from services.interop.epcis.event_queries import CONTEXT
from services.interop.epcis.query_parameters import EVENT_TYPES
from services.interop.epcis.vocabulary import BIZ_STEPS, DISPOSITIONS
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
