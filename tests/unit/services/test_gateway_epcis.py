"""EPCIS 2.0 over HTTP: capture, jobs, events, queries; who sees which event; what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from ledger.canonical import canonical_json
from ledger.evidence import build_leaf_data
from ledger.ids import Identity, SubjectKind
from ledger.merkle import leaf_hash
from ledger.records import Contract
from ledger.store import Book, Store
from services.access import SignIn
from services.gateway import build_policy, create_gateway
from services.gateway.epcis import endpoints
from services.gateway.epcis.endpoints import CAPTURE, EVENTS
from services.gateway.epcis.negotiation import MOST_EVENTS
from services.gateway.policy import Auth
from services.interop.epcis import library as epcis_library
from services.interop.epcis.documents import hash_events
from services.interop.epcis.intake import stream_of
from services.interop.epcis.library import CONTEXT
from services.interop.epcis.schema import document_faults, event_faults
from tests.support.fake_chain import digest
from tests.support.fake_ledger import NONE, PIECE
from tests.support.fake_world import CARRIER, COORDINATOR, SMITH, World, build_world
from tests.support.gateway_client import Caller
from tests.support.interop import CORPUS
from tests.support.receiver import wait_until
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign_in
from tests.support.stores import new_store

Json = dict[str, Any]
HOST = "gateway.example"
GS1 = CORPUS / "epcis2" / "gs1"
THING = "urn:epc:id:sgtin:9506000.013435.A1"
LINK = "https://id.gs1.org/01/09506000134352/21/A1"


def event(number: int = 1, **fields: Any) -> Json:
    found = {
        "type": "ObjectEvent",
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "eventTime": f"2026-03-02T09:{number % 60:02}:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        "epcList": [THING],
        "action": "OBSERVE",
        "bizStep": "inspecting",
        **fields,
    }
    return {name: value for name, value in found.items() if value is not None}


def document(*events: object, **fields: Any) -> Json:
    return {
        "@context": [CONTEXT, {"example": "https://example.com/ns/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T09:30:00Z",
        "epcisBody": {"eventList": list(events)},
        **fields,
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        yield store


@pytest.fixture
def caller(store: Store) -> Caller:
    return Caller(create_gateway(store, build_policy()))


def capture(caller: Caller, body: object, **headers: str) -> Json:
    answer = caller.ask(CAPTURE, "POST", body, **headers)
    assert answer.status_code == 202, answer.text
    found: Json = answer.json()
    return found


def statuses(job: Json) -> list[str]:
    return [one["status"] for one in job["events"]]


def found(answer: httpx.Response) -> list[Json]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert document_faults(body) == []
    events: list[Json] = body["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert [event_faults(one) for one in events] == [[]] * len(events)
    return events


def find(caller: Caller, query: str = "") -> list[str]:
    return [one["eventID"][-2:] for one in found(caller.ask(f"{EVENTS}?{query}"))]


# Capture


def test_captures_that_would_wait_for_too_many_others_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody else writes into the database, threads are not all spent on waiting."""
    monkeypatch.setattr(endpoints, "_WAITING", 0)
    caller = Caller(create_gateway(store, build_policy()))
    with ThreadPoolExecutor(2) as pool:
        with store.transaction():
            both = [pool.submit(caller.ask, CAPTURE, "POST", document(event(one))) for one in (1, 2)]
            wait_until(lambda: any(one.done() for one in both))
        answers = sorted((one.result(20) for one in both), key=lambda answer: answer.status_code)
    assert [one.status_code for one in answers] == [202, 503]
    assert answers[1].headers["retry-after"] == "1"
    assert len(find(caller)) == 1


def test_what_is_captured_is_evidence_with_its_hash(caller: Caller, store: Store) -> None:
    body = document(event(1), event(2))
    job = capture(caller, body)
    assert (job["success"], job["running"], statuses(job)) == (True, False, ["accepted"] * 2)
    assert [one["hash"] for one in job["events"]] == hash_events(json.dumps(body).encode())
    with store.reading() as connection:
        entries = Book(connection).evidence(stream_of(0)).entries
    assert [one.entry["event"] for one in entries if isinstance(one.entry, dict)] == [event(1), event(2)]
    for one, told in zip(entries, job["events"], strict=True):
        assert leaf_hash(build_leaf_data(one.salt, one.entry)).hex() == told["evidence"]["leaf_hash"]
        assert one.index == told["evidence"]["index"]
        assert one.salt.hex() not in json.dumps(job)


def test_what_came_before_is_a_duplicate_however_it_is_written(caller: Caller) -> None:
    capture(caller, document(event(1)))
    again = event(1, eventTime="2026-03-02T08:01:00Z", epcList=[LINK], recordTime="2026-03-02T08:02:00Z")
    job = capture(caller, document(event(2), again, event(2)))
    assert statuses(job) == ["accepted", "duplicate", "duplicate"]
    assert job["success"] is True
    assert find(caller) == ["02", "01"]


def test_one_bad_event_keeps_all_out_unless_told_otherwise(caller: Caller) -> None:
    body = document(event(1), event(2, bizStep="transforming"), event(3))
    job = capture(caller, body)
    assert (job["success"], statuses(job)) == (False, ["rolled-back", "rejected", "rolled-back"])
    assert find(caller) == []
    job = capture(caller, body, GS1_Capture_Error_Behaviour="proceed")
    assert (job["success"], statuses(job)) == (False, ["accepted", "rejected", "accepted"])
    [error] = job["errors"]
    assert (error["type"], error["status"]) == ("epcisException:ValidationException", 400)
    assert error["detail"].startswith("/epcisBody/eventList/1/bizStep: ")
    assert find(caller) == ["03", "01"]


def test_under_one_id_the_last_event_is_found_and_all_are_when_asked_for(caller: Caller) -> None:
    wrong = event(1, errorDeclaration={"declarationTime": "2026-03-03T00:00:00Z", "reason": "did_not_occur"})
    assert statuses(capture(caller, document(event(1), wrong, wrong))) == ["accepted", "accepted", "duplicate"]
    [shown] = found(caller.ask(f"{EVENTS}/{quote(wrong['eventID'])}"))
    assert shown["errorDeclaration"] == wrong["errorDeclaration"]
    assert find(caller, f"EQ_eventID={wrong['eventID']}") == ["01", "01"]


def test_an_event_without_an_id_has_its_hash_as_id(caller: Caller) -> None:
    [told] = capture(caller, document(event(1, eventID=None)))["events"]
    assert told["eventID"] == told["hash"]
    [shown] = found(caller.ask(f"{EVENTS}/{quote(told['hash'], safe='')}"))
    assert shown["eventID"] == told["hash"]
    assert shown["recordTime"].endswith("Z")


def test_records_that_would_follow_are_told_and_their_salts_are_not(caller: Caller, store: Store) -> None:
    [told] = capture(caller, document(event(1, action="ADD", bizStep="commissioning")))["events"]
    assert [one["kind"] for one in told["records"]] == ["ReceiveLot"]
    with store.reading() as connection:
        [(kept,)] = connection.exec_driver_sql("SELECT proposal FROM epcis_events").all()
    [salt] = json.loads(kept)["salts"].values()
    assert salt not in json.dumps(told)


def test_an_empty_list_is_a_job_too(caller: Caller) -> None:
    assert capture(caller, document())["events"] == []


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "ValidationException"),
        (b"[]", 400, "ValidationException"),
        (b"{}", 400, "ValidationException"),
        (b"<epcis:EPCISDocument/>", 400, "ValidationException"),
        (b'{"type": "EPCISDocument", "type": "EPCISDocument"}', 400, "ValidationException"),
        (b"[" * 5000, 400, "ValidationException"),
        (b"\xff", 400, "ValidationException"),
        (json.dumps({**document(), "schemaVersion": "two"}).encode(), 400, "ValidationException"),
        (json.dumps({**document(), "creationDate": "today"}).encode(), 400, "ValidationException"),
        (json.dumps(document(*[{}] * (MOST_EVENTS + 1))).encode(), 413, "CaptureLimitExceededException"),
        (b" " * ((4 << 20) + 1), 413, "CaptureLimitExceededException"),
    ],
)
def test_what_is_no_document_captures_nothing(caller: Caller, body: bytes, status: int, kind: str) -> None:
    answer = caller.ask(CAPTURE, "POST", body, Content_Type="application/json")
    assert (answer.status_code, answer.json()["type"]) == (status, f"epcisException:{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert caller.ask(CAPTURE).json() == []


@pytest.mark.parametrize("kind", ["application/xml", "text/plain", "", "application/jsonp"])
def test_bodies_of_other_kinds_are_refused(caller: Caller, kind: str) -> None:
    answer = caller.ask(CAPTURE, "POST", json.dumps(document(event())).encode(), Content_Type=kind)
    assert (answer.status_code, answer.json()["type"]) == (415, "epcisException:UnsupportedMediaTypeException")


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/xml"},
        {"GS1_EPCIS_Min": "2.1"},
        {"GS1_EPCIS_Max": "1.2"},
        {"GS1_CBV_Min": "3"},
        {"GS1_CBV_Max": "one"},
        {"GS1_EPC_Format": "Always_EPC_URN"},
    ],
)
def test_answers_that_cannot_be_given_are_refused(caller: Caller, headers: dict[str, str]) -> None:
    answer = caller.ask(EVENTS, **headers)
    assert (answer.status_code, answer.json()["type"]) == (406, "epcisException:NotAcceptableException")


@pytest.mark.parametrize(
    "headers", [{"GS1_EPCIS_Min": "1.2", "GS1_EPCIS_Max": "2.0"}, {"Accept": "application/ld+json"}]
)
def test_answers_in_a_version_that_is_spoken(caller: Caller, headers: dict[str, str]) -> None:
    assert caller.ask(EVENTS, **headers).headers["gs1-epcis-version"] == "2.0.0"


def test_an_unknown_behaviour_is_refused(caller: Caller) -> None:
    answer = caller.ask(CAPTURE, "POST", document(event()), GS1_Capture_Error_Behaviour="all")
    assert (answer.status_code, answer.json()["type"]) == (400, "epcisException:ValidationException")


@pytest.mark.parametrize(
    "path",
    [
        CAPTURE,
        f"{CAPTURE}/{'0' * 24}",
        EVENTS,
        f"{EVENTS}/urn:x",
        "/epcis/v2/epcs/urn:x/events",
        "/epcis/v2/queries",
        "/epcis/v2/queries/q",
        "/epcis/v2/queries/q/events",
    ],
)
def test_discovery(caller: Caller, path: str) -> None:
    answer = caller.ask(path, "OPTIONS")
    assert answer.status_code == 204
    assert answer.headers["gs1-epcis-min"] == answer.headers["gs1-cbv-max"] == "2.0.0"
    assert answer.headers["gs1-vendor-version"].startswith("millmark/")
    assert "OPTIONS" in answer.headers["allow"]
    assert ("gs1-epcis-capture-limit" in answer.headers) == (path == CAPTURE)


def test_a_job_is_found_again(caller: Caller) -> None:
    answer = caller.ask(CAPTURE, "POST", document(event(1)))
    assert caller.ask(answer.headers["location"]).json() == answer.json()
    assert caller.ask(f"{CAPTURE}/{'0' * 24}").json()["type"] == "epcisException:NoSuchResourceException"
    assert caller.ask(f"{CAPTURE}/x").status_code == 400
    second = capture(caller, document(event(2)))
    page = caller.ask(f"{CAPTURE}?perPage=1")
    assert [one["captureID"] for one in page.json()] == [second["captureID"]]
    following = page.headers["link"].removeprefix("<").partition(">")[0]
    assert caller.ask(following).json() == [answer.json()]


# One event


def test_one_event_alone(caller: Caller) -> None:
    answer = caller.ask(EVENTS, "POST", {"@context": CONTEXT, **event(1)})
    assert answer.status_code == 201
    [shown] = found(caller.ask(answer.headers["location"]))
    assert shown["epcList"] == [THING]
    again = caller.ask(EVENTS, "POST", {"@context": CONTEXT, **event(1)})
    assert (again.status_code, again.json()["type"]) == (409, "epcisException:ResourceAlreadyExistsException")


@pytest.mark.parametrize("body", [event(1), document(event(1)), {"@context": CONTEXT, **event(1, bizStep="x y")}])
def test_one_event_that_is_none(caller: Caller, body: Json) -> None:
    answer = caller.ask(EVENTS, "POST", body)
    assert (answer.status_code, answer.json()["type"]) == (400, "epcisException:ValidationException")


# Queries

PARTY = "urn:epc:id:pgln:9506000.00001"
WORLD = [
    event(1, readPoint={"id": "urn:epc:id:sgln:9506000.00001.5"}, disposition="in_transit", bizStep="shipping"),
    event(2, action="ADD", bizStep="commissioning", epcList=[], quantityList=[
        {"epcClass": "urn:epc:class:lgtin:9506000.013435.L7", "quantity": 3, "uom": "KGM"}]),
    event(3, bizLocation={"id": "https://id.gs1.org/414/9506000000015"}, sourceList=[
        {"type": "owning_party", "source": PARTY}], persistentDisposition={"set": ["damaged"]}),
    {
        **event(4, epcList=None, action=None, bizStep=None),
        "type": "TransformationEvent",
        "transformationID": "urn:epc:id:gdti:9506000.00001.T1",
        "inputEPCList": ["urn:epc:id:sgtin:9506000.013435.IN"],
        "outputEPCList": ["urn:epc:id:sgtin:9506000.013435.OUT"],
    },
    {**event(5, epcList=None), "type": "AggregationEvent", "parentID": "urn:epc:id:sscc:9506000.0000000001",
     "childEPCs": [THING]},
    event(6, errorDeclaration={"declarationTime": "2026-03-03T00:00:00Z", "reason": "incorrect_data"},
          bizTransactionList=[{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9506000000005:PO-7"}]),
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with new_store(tmp_path_factory.mktemp("epcis")) as store:
        caller = Caller(create_gateway(store, build_policy()))
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
def test_questions(library: Caller, query: str, expected: str) -> None:
    assert find(library, query) == expected.split()


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
def test_questions_that_are_refused(library: Caller, query: str) -> None:
    answer = library.ask(f"{EVENTS}?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, "epcisException:QueryParameterException")


def test_more_events_than_are_wanted_are_refused(library: Caller) -> None:
    answer = library.ask(f"{EVENTS}?maxEventCount=5")
    assert (answer.status_code, answer.json()["type"]) == (413, "epcisException:QueryTooLargeException")


@pytest.mark.parametrize("query", ["", "&orderDirection=ASC", f"&MATCH_epc={THING}", "&orderBy=recordTime"])
def test_pages_leave_nothing_out_and_show_nothing_twice(library: Caller, query: str) -> None:
    expected = find(library, query.removeprefix("&"))
    path, seen = f"{EVENTS}?perPage=1{query}", []
    while path:
        answer = library.ask(path)
        seen += [one["eventID"][-2:] for one in found(answer)]
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert seen == expected


def test_a_token_is_good_for_its_own_question_alone(library: Caller) -> None:
    token = library.ask(f"{EVENTS}?perPage=1").headers["link"].partition("nextPageToken=")[2].partition(">")[0]
    assert library.ask(f"{EVENTS}?perPage=1&EQ_action=OBSERVE&nextPageToken={token}").status_code == 400
    assert library.ask(f"{CAPTURE}?perPage=1&nextPageToken={token}").status_code == 400


def test_events_of_one_thing(library: Caller) -> None:
    answer = library.ask(f"/epcis/v2/epcs/{quote(LINK, safe='')}/events?perPage=2")
    assert [one["eventID"][-2:] for one in found(answer)] == ["06", "05"]
    assert library.ask(f"/epcis/v2/epcs/{THING}/events?MATCH_anyEPC=urn:x:y").status_code == 400


# GS1's documents


def gs1_documents() -> list[Path]:
    return sorted((GS1 / "JSON").rglob("*.jsonld"))


@pytest.mark.skipif(not gs1_documents(), reason="GS1's documents are not at hand")
def test_every_document_of_gs1_is_taken_and_given_out_again(caller: Caller) -> None:
    documents, taken = 0, 0
    for path in gs1_documents():
        job = capture(caller, path.read_bytes(), Content_Type="application/ld+json")
        assert job["success"], (path, job["errors"])
        documents += 1
        for told in job["events"]:
            if told["status"] == "accepted":
                [shown] = found(caller.ask(f"{EVENTS}/{quote(told['eventID'], safe='')}"))
                assert hash_events(json.dumps(shown).encode()) == [told["hash"]], path
                taken += 1
    assert (documents, taken) == (47, 48)


# Who sees which event

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
    told.fake.chain.record(
        Contract.LEDGER, "LotReceived", participant, lot, (lot,), quantity=1, unit=PIECE, claims_root=NONE
    )
    with told.store.transaction() as connection:
        Book(connection).add_identity(identity)


@pytest.fixture(scope="module")
def people(world: World) -> Callable[[int], Callable[..., httpx.Response]]:
    app = create_gateway(world.store, build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER), clock=lambda: NOW_S)

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
    monkeypatch.setattr(epcis_library, "_AT_ONCE", 2)
    monkeypatch.setattr(epcis_library, "_MOST_SCANNED", 4)
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


@pytest.mark.parametrize(("most", "status"), [(1, 413), (2, 413), (3, 200), (4, 200)])
def test_a_query_that_is_to_fail_fails_above_its_number_alone(caller: Caller, most: int, status: int) -> None:
    capture(caller, document(event(1), event(2), event(3)))
    answer = caller.ask(f"{EVENTS}?maxEventCount={most}")
    assert answer.status_code == status
    assert [one["eventID"][-2:] for one in found(caller.ask(f"{EVENTS}?eventCountLimit={most}"))] == ["03", "02", "01"][
        :most
    ]
