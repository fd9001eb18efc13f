"""EPCIS 2.0 over HTTP: questions and their pages; who sees which event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import jsonschema_rs
import pytest

from millmark.ledger.canonical import canonical_json
from millmark.ledger.events.lots import LotReceived
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.store import Book
from millmark.services.access import SignIn
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.epcis.capture import CAPTURE
from millmark.services.gateway.epcis.endpoints import EVENTS
from millmark.services.interop.epcis import event_queries as epcis_queries
from millmark.services.interop.epcis.event_queries import PARAMETERS
from millmark.services.settings import Auth
from tests.support.epcis_events import LINK, PARTY, THING, WORLD, capture, document, event, find, found, statuses
from tests.support.fake_ledger import NONE, PIECE, digest
from tests.support.fake_world import CARRIER, COORDINATOR, SMITH, World, build_world
from tests.support.gateway_client import Caller
from tests.support.interop import CORPUS
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign_in
from tests.support.stores import new_store

BINDINGS = CORPUS / "epcis2" / "gs1" / "REST Bindings"


@pytest.fixture(scope="module")
def event_queries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with new_store(tmp_path_factory.mktemp("epcis")) as store:
        caller = Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"))))
        assert capture(caller, document(*WORLD))["success"]
        yield caller


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "06 05 04 03 02 01"),
        ("orderDirection=ASC", "01 02 03 04 05 06"),
        ("orderBy=recordTime&orderDirection=ASC", "01 02 03 04 05 06"),
        ("eventType=TransformationEvent|AggregationEvent", "05 04"),
        ("EQ_action=ADD", "02"),
        ("EQ_bizStep=shipping", "01"),
        ("EQ_bizStep=https://ref.gs1.org/cbv/BizStep-shipping", "01"),
        ("EQ_bizStep=shipping|urn:epcglobal:cbv:bizstep:commissioning", "02 01"),
        ("EQ_disposition=in_transit", "01"),
        ("EQ_persistentDisposition_set=damaged", "03"),
        ("EQ_persistentDisposition_unset=damaged", ""),
        ("EQ_readPoint=urn:epc:id:sgln:9506000.00001.5", "01"),
        ("EQ_readPoint=https://id.gs1.org/414/9506000000015/254/5", "01"),
        ("EQ_bizLocation=urn:epc:id:sgln:9506000.00001.0", "03"),
        ("EQ_transformationID=urn:epc:id:gdti:9506000.00001.T1", "04"),
        (f"MATCH_epc={THING}", "06 05 03 01"),
        (f"MATCH_epc={quote(LINK)}", "06 05 03 01"),
        ("MATCH_parentID=urn:epc:id:sscc:9506000.0000000001", "05"),
        ("MATCH_inputEPC=urn:epc:id:sgtin:9506000.013435.IN", "04"),
        ("MATCH_outputEPC=urn:epc:id:sgtin:9506000.013435.IN", ""),
        ("MATCH_anyEPC=urn:epc:id:sgtin:9506000.013435.IN|urn:epc:id:sscc:9506000.0000000001", "05 04"),
        ("MATCH_epcClass=https://id.gs1.org/01/09506000134352/10/L7", "02"),
        ("MATCH_anyEPCClass=urn:epc:class:lgtin:9506000.013435.L7", "02"),
        (f"EQ_source_owning_party={PARTY}", "03"),
        (f"EQ_destination_owning_party={PARTY}", ""),
        ("EQ_bizTransaction_po=urn:epcglobal:cbv:bt:9506000000005:PO-7", "06"),
        ("EXISTS_errorDeclaration=true", "06"),
        ("EXISTS_errorDeclaration=false", "06 05 04 03 02 01"),
        ("EQ_errorReason=incorrect_data", "06"),
        ("EQ_errorReason=did_not_occur", ""),
        ("EQ_eventID=urn:uuid:00000000-0000-4000-8000-000000000002", "02"),
        ("GE_eventTime=2026-03-02T08:05:00Z", "06 05"),
        ("GE_eventTime=2026-03-02T09:05:00%2B01:00&LT_eventTime=2026-03-02T08:06:00Z", "05"),
        ("LT_recordTime=2020-01-01T00:00:00Z", ""),
        ("GE_recordTime=2020-01-01T00:00:00Z&EQ_action=ADD", "02"),
        (f"MATCH_epc={THING}&EQ_bizStep=shipping", "01"),
        ("eventCountLimit=2", "06 05"),
        ("eventCountLimit=2&orderDirection=ASC", "01 02"),
        ("maxEventCount=6", "06 05 04 03 02 01"),
        ("MATCH_epc=urn:epc:idpat:sgtin:9506000.013435.*", "06 05 03 01"),
        ("MATCH_epc=urn:epc:idpat:sgtin:9506000.*.*", "06 05 03 01"),
        ("MATCH_epc=urn:epc:idpat:sgtin:*.*.*", "06 05 03 01"),
        ("MATCH_epc=urn:epc:idpat:sgtin:9506000.013436.*", ""),
        ("MATCH_epc=urn:epc:idpat:sgtin:9506001.*.*", ""),
        ("MATCH_epc=urn:epc:idpat:sscc:9506000.*", ""),
        ("MATCH_epc=urn:x:y|urn:epc:idpat:sgtin:9506000.013435.*", "06 05 03 01"),
        ("MATCH_anyEPC=urn:epc:idpat:sscc:9506000.*|urn:epc:id:sgtin:9506000.013435.OUT", "05 04"),
        ("MATCH_parentID=urn:epc:idpat:sscc:*.*", "05"),
        ("MATCH_inputEPC=urn:epc:idpat:sgtin:9506000.013435.*", "04"),
        ("MATCH_anyEPCClass=urn:epc:idpat:sgtin:9506000.*.*", ""),
    ],
)
def test_questions(event_queries: Caller, query: str, expected: str) -> None:
    assert find(event_queries, query) == expected.split()


@pytest.mark.parametrize(
    "query",
    [
        "EQ_nothing=1", "EQ_bizStep=", "EQ_bizStep=|", "EQ_action=LOOK", "eventType=Event", "perPage=0", "perPage=-1",
        "perPage=x", "perPage=1e9", "orderBy=disposition", "orderDirection=UP", "GE_eventTime=2026-03-02",
        "GE_eventTime=2026-03-02T08:05:00", "LT_eventTime=yesterday", "MATCH_epc=urn:epc:idpat:gid:1.2.*",
        "MATCH_epc=%00",
        "MATCH_epc=urn:epc:idpat:sgtin:9506000.*.A1", "MATCH_epc=urn:epc:idpat:sgtin:9506000.013435.A1",
        "MATCH_epc=urn:epc:idpat:sgtin:9506000.*", "MATCH_epc=urn:epc:idpat:sgtin:95*.*.*", "MATCH_epc=urn:epc:idpat:",
        "MATCH_epc=urn:epc:idpat:sgtin:9506000.1.*", "MATCH_epc=urn:epc:idpat:sgtin:_______.*.*",
        "MATCH_epc=A1", "EXISTS_errorDeclaration=maybe", "eventCountLimit=1&maxEventCount=1",
        "maxEventCount=201", "WD_readPoint=urn:x:y", "nextPageToken=AAAA", "EQ_bizStep=shipping&EQ_bizStep=shipping",
        "MATCH_epc=" + "|".join(["urn:x:y"] * 101),
    ],
)  # fmt: skip
def test_questions_that_are_refused(event_queries: Caller, query: str) -> None:
    answer = event_queries.ask(f"{EVENTS}?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, "epcisException:QueryParameterException")


def test_more_events_than_are_wanted_are_refused(event_queries: Caller) -> None:
    answer = event_queries.ask(f"{EVENTS}?maxEventCount=5")
    assert (answer.status_code, answer.json()["type"]) == (413, "epcisException:QueryTooLargeException")


@pytest.mark.parametrize("query", ["", "&orderDirection=ASC", f"&MATCH_epc={THING}", "&orderBy=recordTime"])
def test_pages_leave_nothing_out_and_show_nothing_twice(event_queries: Caller, query: str) -> None:
    expected = find(event_queries, query.removeprefix("&"))
    path, seen = f"{EVENTS}?perPage=1{query}", []
    while path:
        answer = event_queries.ask(path)
        seen += [one["eventID"][-2:] for one in found(answer)]
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert seen == expected


def test_a_token_is_good_for_its_own_question_alone(event_queries: Caller) -> None:
    token = event_queries.ask(f"{EVENTS}?perPage=1").headers["link"].partition("nextPageToken=")[2].partition(">")[0]
    assert event_queries.ask(f"{EVENTS}?perPage=1&EQ_action=OBSERVE&nextPageToken={token}").status_code == 400
    assert event_queries.ask(f"{CAPTURE}?perPage=1&nextPageToken={token}").status_code == 400


def example(name: str) -> object:
    if name in ("eventCountLimit", "maxEventCount"):
        return 6
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


@pytest.mark.skipif(not BINDINGS.exists(), reason="GS1's REST bindings are not at hand")
@pytest.mark.parametrize("name", [one for one in PARAMETERS if one not in ("perPage", "nextPageToken")])
def test_a_parameter_and_its_values_are_in_the_schema_of_the_standard(event_queries: Caller, name: str) -> None:
    schema = jsonschema_rs.validator_for(
        json.loads((BINDINGS / "query-schema.json").read_bytes()), validate_formats=True
    )
    named, value = name.replace("TYPE", "owning_party" if "bizTransaction" not in name else "po"), example(name)
    schema.validate({named: value})
    written = value[0] if isinstance(value, list) else "true" if name.startswith("EXISTS_") else value
    assert event_queries.ask(f"{EVENTS}?{named}={quote(str(written))}").status_code == 200


# Who sees which event

HOST = "gateway.example"
OWNER = 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("seen")) as store:
        told = build_world(store)
        add_keys(store, SMITH, COORDINATOR, CARRIER)
        for serial in ("A1", "A2"):
            _receive(told, SMITH, f"https://id.gs1.org/01/09506000134352/21/{serial}")
        _receive(told, CARRIER, "https://id.gs1.org/01/09506000134352/21/A2")  # gave its own lot the name of another's
        told.follow()
        yield told


def _receive(told: World, participant: int, link: str) -> None:
    identity = Identity(SubjectKind.LOT, participant, link, digest("salt", link, participant))
    lot = identity.subject
    told.fake.chain.record(LotReceived(1, PIECE, NONE), participant, lot, (lot,))
    with told.store.transaction() as connection:
        Book(connection).add_identity(identity)


@pytest.fixture(scope="module")
def people(world: World) -> Callable[[int], Callable[..., httpx.Response]]:
    app = create_gateway(
        GatewayParts(world.store, build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER), clock=lambda: NOW_S)
    )

    def speak(participant: int) -> Callable[..., httpx.Response]:
        bearer = "Bearer " + sign_in(SignIn(world.store, ORIGIN), participant).token
        return lambda *arguments, **headers: Caller(app).ask(*arguments, Host=HOST, Authorization=bearer, **headers)

    return speak


def test_an_event_is_there_for_who_sent_it_and_for_who_may_see_all_that_it_names(
    people: Callable[[int], Callable[..., httpx.Response]],
) -> None:
    hub, smith, carrier = (people(one) for one in (COORDINATOR, SMITH, CARRIER))
    body = document(
        event(1),
        event(2, epcList=[THING, "urn:epc:id:sgtin:9506000.013435.FOREIGN"]),
        event(3, epcList=["urn:epc:id:sgtin:9506000.013435.A2"]),
        event(4, epcList=[], quantityList=[{"epcClass": "urn:epc:idpat:sgtin:9506000.013435.*", "quantity": 1}]),
    )
    job = hub(CAPTURE, "POST", body).json()
    assert statuses(job) == ["accepted"] * 4
    assert [one["eventID"][-2:] for one in found(hub(EVENTS))] == ["04", "03", "02", "01"]
    assert [one["eventID"][-2:] for one in found(smith(EVENTS))] == ["01"]
    assert found(carrier(EVENTS)) == []
    for asked in (f"{CAPTURE}/{job['captureID']}", f"{EVENTS}/{event(2)['eventID']}"):
        foreign, unknown = smith(asked), smith(asked[:-2] + "99")
        assert foreign.status_code == unknown.status_code == 404
        assert {**foreign.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert smith(CAPTURE).json() == []
    again = smith(CAPTURE, "POST", body).json()
    assert statuses(again) == ["accepted"] * 4  # what others sent is nobody's business
    [shown] = found(smith(f"{EVENTS}/{event(2)['eventID']}"))
    assert shown["eventID"] == event(2)["eventID"]
    assert canonical_json(shown["epcList"]) == canonical_json(body["epcisBody"]["eventList"][1]["epcList"])


def pages_of(ask: Callable[..., httpx.Response], query: str) -> list[list[str]]:
    """The ends of the events' ids, page by page to the end."""
    path, told = f"{EVENTS}?{query}", []
    while path:
        answer = ask(path)
        told.append([one["eventID"][-2:] for one in found(answer)])
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        assert len(told) < 50
    return told


def test_a_page_looks_at_so_many_events_of_others_and_the_next_goes_on(
    people: Callable[[int], Callable[..., httpx.Response]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, smith, carrier = (people(one) for one in (COORDINATOR, SMITH, CARRIER))
    foreign = ["urn:epc:id:sgtin:9506000.013435.FOREIGN"]
    seen = {30, 34, 41}
    hub(CAPTURE, "POST", document(*(event(n, **({} if n in seen else {"epcList": foreign})) for n in range(30, 43))))
    query = "EQ_action=OBSERVE&orderDirection=ASC&GE_eventTime=" + quote(event(30)["eventTime"])
    whole = pages_of(smith, query)
    assert len(whole) == 1
    monkeypatch.setattr(epcis_queries, "_AT_ONCE", 2)
    monkeypatch.setattr(epcis_queries, "_MAX_SCANNED", 4)
    for per_page in (1, 2, 30):
        pages = pages_of(smith, f"{query}&perPage={per_page}")
        assert [one for page in pages for one in page] == whole[0]
        assert max(map(len, pages)) <= per_page
        assert [] in pages, "four of others in a row fill one"
    assert set(map(len, pages_of(carrier, query))) == {0}
    assert len(pages_of(carrier, query)) > 1
    for bound in ("eventCountLimit=30", "maxEventCount=30"):
        refused = smith(f"{EVENTS}?{query}&{bound}")
        assert (refused.status_code, refused.json()["type"]) == (413, "epcisException:QueryTooComplexException")


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with new_store(tmp_path) as store:
        yield Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"))))


@pytest.mark.parametrize(("most", "status"), [(1, 413), (2, 413), (3, 200), (4, 200)])
def test_a_query_that_is_to_fail_fails_above_its_number_alone(caller: Caller, most: int, status: int) -> None:
    capture(caller, document(event(1), event(2), event(3)))
    answer = caller.ask(f"{EVENTS}?maxEventCount={most}")
    assert answer.status_code == status
    assert [one["eventID"][-2:] for one in found(caller.ask(f"{EVENTS}?eventCountLimit={most}"))] == ["03", "02", "01"][
        :most
    ]
