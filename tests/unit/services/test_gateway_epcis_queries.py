"""Queries under a name: made, listed, shown, asked, deleted; whose they are; what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from millmark.services.access import SignIn
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.epcis.endpoints import EVENTS
from millmark.services.gateway.epcis.named_queries import QUERIES
from millmark.services.gateway.epcis.schemas import QUERY_EXAMPLE
from millmark.services.interop.epcis.event_queries import PARAMETERS
from millmark.services.settings import Auth
from tests.support.epcis_events import THING, WORLD, capture, document, find, found
from tests.support.fake_world import COORDINATOR, SMITH, build_world
from tests.support.gateway_client import Caller
from tests.support.interop import CORPUS
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign_in
from tests.support.stores import new_store

Json = dict[str, Any]
BINDINGS = CORPUS / "epcis2" / "gs1" / "REST Bindings"
needs_bindings = pytest.mark.skipif(not BINDINGS.exists(), reason="GS1's REST bindings are not at hand")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with new_store(tmp_path_factory.mktemp("queries")) as store:
        caller = Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"))))
        assert capture(caller, document(*WORLD))["success"]
        yield caller


@pytest.fixture
def caller(site: Caller) -> Iterator[Caller]:
    """There are events and no queries, and none stays."""
    yield site
    while names := [one["name"] for one in site.ask(f"{QUERIES}?perPage=200").json()]:
        for name in names:
            assert site.ask(f"{QUERIES}/{name}", "DELETE").status_code == 204


def make(caller: Caller, name: str = "mine", **query: object) -> httpx.Response:
    return caller.ask(QUERIES, "POST", {"name": name, "query": query})


def results(caller: Caller, name: str = "mine", paging: str = "") -> list[str]:
    return [one["eventID"][-2:] for one in found(caller.ask(f"{QUERIES}/{name}/events{paging}"))]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, str(answer.json()["type"]).removeprefix("epcisException:")


def test_made_listed_shown_asked_and_deleted(caller: Caller) -> None:
    answer = make(caller, EQ_bizStep=["shipping", "commissioning"], MATCH_epc=[THING])
    assert (answer.status_code, answer.headers["location"]) == (201, f"{QUERIES}/mine")
    assert answer.headers["gs1-epcis-version"] == "2.0.0"
    definition = {"name": "mine", "query": {"EQ_bizStep": ["shipping", "commissioning"], "MATCH_epc": [THING]}}
    assert answer.json() == caller.ask(answer.headers["location"]).json() == definition
    assert caller.ask(QUERIES).json() == [definition]
    assert results(caller) == ["01"]
    body = caller.ask(f"{QUERIES}/mine/events").json()
    assert body["epcisBody"]["queryResults"]["queryName"] == "mine"
    assert caller.ask(f"{QUERIES}/mine", "DELETE").status_code == 204
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        assert problem(caller.ask(f"{QUERIES}/mine{path}", method)) == (404, "NoSuchNameException")
    assert make(caller, eventType=["ObjectEvent"]).status_code == 201


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ({}, ""),
        ({"eventType": ["TransformationEvent", "AggregationEvent"]}, "eventType=TransformationEvent|AggregationEvent"),
        ({"GE_eventTime": "2026-03-02T08:05:00Z"}, "GE_eventTime=2026-03-02T08:05:00Z"),
        ({"EXISTS_errorDeclaration": None}, "EXISTS_errorDeclaration=true"),
        ({"EXISTS_errorDeclaration": 0}, "EXISTS_errorDeclaration=false"),
        ({"eventCountLimit": 2, "orderDirection": "ASC"}, "eventCountLimit=2&orderDirection=ASC"),
        ({"MATCH_anyEPC": ["urn:epc:idpat:sscc:*.*", "urn:x:y"]}, "MATCH_anyEPC=urn:epc:idpat:sscc:*.*"),
        ({"@context": ["https://example.com/context.jsonld"], "EQ_action": ["ADD"]}, "EQ_action=ADD"),
        ({"EQ_bizTransaction_po": ["urn:epcglobal:cbv:bt:9506000000005:PO-7"]},
         "EQ_bizTransaction_po=urn:epcglobal:cbv:bt:9506000000005:PO-7"),
    ],
)  # fmt: skip
def test_a_name_finds_what_the_address_finds(caller: Caller, query: Json, address: str) -> None:
    assert make(caller, **query).status_code == 201
    assert results(caller) == find(caller, address)


def test_pages_of_results_and_of_names(caller: Caller) -> None:
    for number in range(5):
        assert make(caller, f"q{number}", EQ_bizStep=["inspecting"]).status_code == 201
    names, path = [], f"{QUERIES}?perPage=2"
    while path:
        answer = caller.ask(path)
        names += [one["name"] for one in answer.json()]
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert names == [f"q{number}" for number in range(5)]
    seen, path = [], f"{QUERIES}/q1/events?perPage=1"
    while path:
        answer = caller.ask(path)
        seen += [one["eventID"][-2:] for one in found(answer)]
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert seen == results(caller, "q1")
    assert len(seen) > 1


def test_a_token_is_not_good_for_another_query_of_the_name(caller: Caller) -> None:
    assert make(caller, EQ_bizStep=["inspecting"]).status_code == 201
    path = caller.ask(f"{QUERIES}/mine/events?perPage=1").headers["link"].partition(">")[0].removeprefix("<")
    assert caller.ask(path).status_code == 200
    assert caller.ask(f"{QUERIES}/mine", "DELETE").status_code == 204
    assert make(caller, EQ_action=["OBSERVE"]).status_code == 201
    assert problem(caller.ask(path)) == (400, "QueryParameterException")


def test_a_name_is_given_once_and_there_is_an_end(caller: Caller) -> None:
    assert make(caller).status_code == 201
    assert problem(make(caller, EQ_action=["ADD"])) == (409, "ResourceAlreadyExistsException")
    assert problem(make(caller, "SimpleEventQuery")) == (409, "ResourceAlreadyExistsException")
    for number in range(99):
        assert make(caller, f"q{number}").status_code == 201
    assert problem(make(caller, "one-more")) == (400, "ValidationException")
    assert caller.ask(f"{QUERIES}/q7", "DELETE").status_code == 204
    assert make(caller, "one-more").status_code == 201


def test_queries_are_a_companys_own(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        build_world(store)
        add_keys(store, SMITH, COORDINATOR)
        app = create_gateway(
            GatewayParts(store, build_policy(Auth.REQUIRED, url=ORIGIN, owner=20), clock=lambda: NOW_S)
        )

        def ask(participant: int, path: str, method: str = "GET", body: object = None) -> httpx.Response:
            bearer = "Bearer " + sign_in(SignIn(store, ORIGIN), participant).token
            return Caller(app).ask(path, method, body, Host="gateway.example", Authorization=bearer)

        body = {"name": "mine", "query": {"EQ_action": ["ADD"]}}
        assert ask(SMITH, QUERIES, "POST", body).status_code == 201
        assert ask(COORDINATOR, QUERIES).json() == []
        for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
            foreign = ask(COORDINATOR, f"{QUERIES}/mine{path}", method)
            unknown = ask(COORDINATOR, f"{QUERIES}/none{path}", method)
            assert problem(foreign) == problem(unknown) == (404, "NoSuchNameException")
            assert foreign.json()["detail"].replace("mine", "none") == unknown.json()["detail"]
        assert ask(COORDINATOR, QUERIES, "POST", body).status_code == 201
        assert ask(SMITH, f"{QUERIES}/mine").json() == body


@pytest.mark.parametrize("name", ["stream=true", "minute=5&hour=1", "initialRecordTime=2026-03-02T08:05:00Z"])
def test_nobody_is_subscribed_over_websocket(caller: Caller, name: str) -> None:
    assert make(caller).status_code == 201
    assert problem(caller.ask(f"{QUERIES}/mine/events?{name}")) == (400, "SubscriptionControlsException")
    upgraded = caller.ask(f"{QUERIES}/mine/events", Connection="Upgrade", Upgrade="websocket")
    assert problem(upgraded) == (400, "SubscriptionControlsException")
    assert f"POST {QUERIES}/mine/subscriptions" in upgraded.json()["hint"]


@pytest.mark.parametrize("paging", ["?EQ_action=ADD", "?perPage=0", "?nextPageToken=AAAA", "?perPage=1&perPage=1"])
def test_only_pages_are_asked_for(caller: Caller, paging: str) -> None:
    assert make(caller).status_code == 201
    assert problem(caller.ask(f"{QUERIES}/mine/events{paging}")) == (400, "QueryParameterException")


@pytest.mark.parametrize(
    "query",
    [
        {"EQ_nothing": ["x"]}, {"EQ_action": "ADD"}, {"EQ_action": ["LOOK"]}, {"EQ_action": []}, {"EQ_action": [1]},
        {"EQ_action": None}, {"EQ_action": {"a": 1}}, {"EQ_bizStep": ["shipping|receiving"]}, {"EQ_bizStep": [""]},
        {"GE_eventTime": ["2026-03-02T08:05:00Z"]}, {"GE_eventTime": "yesterday"}, {"GE_eventTime": 5},
        {"eventCountLimit": "2"}, {"eventCountLimit": 0}, {"eventCountLimit": 1.5}, {"eventCountLimit": True},
        {"eventCountLimit": 1, "maxEventCount": 1}, {"orderBy": ["eventTime"]}, {"orderDirection": "UP"},
        {"EXISTS_errorDeclaration": "true"}, {"EXISTS_errorDeclaration": 2}, {"perPage": 5}, {"nextPageToken": "x"},
        {"MATCH_epc": ["urn:epc:idpat:sgtin:9506000.*.A1"]}, {"MATCH_epc": ["A1"]}, {"WD_readPoint": ["urn:x:y"]},
        {"MATCH_epc": ["urn:x:y"] * 101}, {"EQ_action": [["ADD"]]}, {"eventType": ["Event"]},
    ],
)  # fmt: skip
def test_questions_that_are_refused(caller: Caller, query: Json) -> None:
    assert problem(make(caller, **query)) == (400, "QueryParameterException")
    assert caller.ask(QUERIES).json() == []


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "ValidationException"),
        (b"[]", 400, "ValidationException"),
        (b"{", 400, "ValidationException"),
        (b'{"name": "a"}', 400, "ValidationException"),
        (b'{"query": {}}', 400, "ValidationException"),
        (b'{"name": "a", "query": {}, "more": 1}', 400, "ValidationException"),
        (b'{"name": "a", "query": []}', 400, "ValidationException"),
        (b'{"name": 1, "query": {}}', 400, "ValidationException"),
        (b'{"name": "", "query": {}}', 400, "ValidationException"),
        (b'{"name": "a/b", "query": {}}', 400, "ValidationException"),
        (b'{"name": "a\\n", "query": {}}', 400, "ValidationException"),
        (b'{"name": "a", "name": "b", "query": {}}', 400, "ValidationException"),
        (b'{"name": "' + b"a" * 65 + b'", "query": {}}', 400, "ValidationException"),
        (b'{"name": "a", "query": {"@context": ' + b"[" * 100 + b"]" * 100 + b"}}", 400, "ValidationException"),
        (b" " * 70_000, 413, "CaptureLimitExceededException"),
    ],
)
def test_what_is_no_definition(caller: Caller, body: bytes, status: int, kind: str) -> None:
    answer = caller.ask(QUERIES, "POST", body, Content_Type="application/json")
    assert problem(answer) == (status, kind)


def test_another_form_is_refused(caller: Caller) -> None:
    body = json.dumps({"name": "a", "query": {}}).encode()
    answer = caller.ask(QUERIES, "POST", body, Content_Type="application/xml")
    assert problem(answer) == (415, "UnsupportedMediaTypeException")
    answer = caller.ask(QUERIES, "POST", body, Content_Type="application/json", Accept="application/xml")
    assert problem(answer) == (406, "NotAcceptableException")
    assert caller.ask(QUERIES).json() == []


def example(name: str) -> object:
    if name in ("eventCountLimit", "maxEventCount"):
        return 5
    if name.startswith("EXISTS_"):
        return 1
    if name.startswith(("GE_", "LT_")):
        return "2026-03-02T08:05:00Z"
    words = {"eventType": "ObjectEvent", "EQ_action": "ADD", "EQ_bizStep": "shipping", "EQ_disposition": "in_transit"}
    words |= {"EQ_errorReason": "incorrect_data"}
    words |= {f"EQ_persistentDisposition_{way}": "damaged" for way in ("set", "unset")}
    if name.startswith("order"):
        return {"orderBy": "eventTime", "orderDirection": "ASC"}[name]
    return [words.get(name, THING)]


@needs_bindings
@pytest.mark.parametrize("name", [one for one in PARAMETERS if one not in ("perPage", "nextPageToken")])
def test_what_is_taken_is_in_the_schema_of_the_standard(caller: Caller, name: str) -> None:
    schema = jsonschema_rs.validator_for(
        json.loads((BINDINGS / "query-schema.json").read_bytes()), validate_formats=True
    )
    named = name.replace("TYPE", "owning_party" if "bizTransaction" not in name else "po")
    query = {named: example(name)}
    schema.validate(query)
    assert make(caller, "one", **query).status_code == 201
    others: list[object] = ["x", ["x", 1], {}]
    for wrong in others:
        if not schema.is_valid({named: wrong}):
            assert make(caller, "wrong", **{named: wrong}).status_code == 400, wrong


@needs_bindings
def test_the_routes_are_those_of_the_standard(caller: Caller) -> None:
    theirs = json.loads((BINDINGS / "openapi.json").read_bytes())["paths"]
    ours = caller.ask("/openapi.json").json()["paths"]
    for path in ("/queries", "/queries/{queryName}", "/queries/{queryName}/events"):
        known = {method for method in theirs[path] if method in ("get", "post", "delete")}
        assert ours["/epcis/v2" + path.replace("{queryName}", "{name}")].keys() == known
    assert QUERY_EXAMPLE["query"].keys() <= set(PARAMETERS)
    assert caller.ask(EVENTS).status_code == 200


def test_a_query_that_would_not_be_read_again_is_not_kept(caller: Caller) -> None:
    numbers = ",".join(["1e15"] * 6000)  # each is sixteen digits once it is written out
    for context in ("1e20", f"[{numbers}]"):
        body = f'{{"name": "odd", "query": {{"@context": {context}}}}}'
        answer = caller.ask(QUERIES, "POST", body.encode(), Content_Type="application/json")
        assert answer.status_code == 400, answer.text
    assert caller.ask(QUERIES).json() == []
