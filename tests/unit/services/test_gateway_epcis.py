"""EPCIS 2.0 over HTTP: capture, jobs, single events, GS1's documents; what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from millmark.ledger.evidence import build_leaf_data
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.store import Book, Store
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.epcis import capture as capture_module
from millmark.services.gateway.epcis.capture import CAPTURE
from millmark.services.gateway.epcis.endpoints import EVENTS
from millmark.services.gateway.epcis.search import MAX_EVENTS
from millmark.services.interop.epcis.capture import stream_of
from millmark.services.interop.epcis.documents import hash_events
from millmark.services.interop.epcis.event_queries import CONTEXT
from tests.support.epcis_events import LINK, THING, Json, capture, document, event, find, found, statuses
from tests.support.gateway_client import Caller
from tests.support.interop import CORPUS, GS1_TWICE
from tests.support.patience import wait_until
from tests.support.stores import copy_database, new_store

GS1 = CORPUS / "epcis2" / "gs1"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Caller]]:
    """One for all tests, each of which finds its store empty: most of a test's time would be a gateway's start."""
    with new_store(tmp_path_factory.mktemp("epcis")) as store:
        limiter = Limiter(Rates(1e9, 1e9))  # a minute's requests of all tests come within seconds
        yield store, Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"), limiter=limiter)))


@pytest.fixture
def store(gateway: tuple[Store, Caller], tmp_path: Path) -> Store:
    with new_store(tmp_path) as empty:
        copy_database(empty, gateway[0])
    return gateway[0]


@pytest.fixture
def caller(gateway: tuple[Store, Caller], store: Store) -> Caller:
    return gateway[1]


# Capture


def test_captures_that_would_wait_for_too_many_others_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody else writes into the database, threads are not all spent on waiting."""
    monkeypatch.setattr(capture_module, "_WAITING", 0)
    caller = Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"))))
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
        assert leaf_hash(build_leaf_data(one.kind, one.salt, one.entry)).hex() == told["evidence"]["leaf_hash"]
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


def test_a_new_lot_has_no_name_without_the_companys_name_key(caller: Caller, store: Store) -> None:
    [told] = capture(caller, document(event(1, action="ADD", bizStep="commissioning")))["events"]
    assert told["records"] == []
    assert "named by its company's gateway" in told["evidence_only"][0]
    with store.reading() as connection:
        assert connection.exec_driver_sql("SELECT proposal FROM epcis_events").all() == [("",)]


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
        (
            json.dumps(document(event())).encode().replace(b'"eventID"', b'"eventID": "urn:x:1", "eventID"'),
            400,
            "ValidationException",
        ),
        (b"[" * 5000, 400, "ValidationException"),
        (b"\xff", 400, "ValidationException"),
        (json.dumps({**document(), "schemaVersion": "two"}).encode(), 400, "ValidationException"),
        (json.dumps({**document(), "creationDate": "today"}).encode(), 400, "ValidationException"),
        (json.dumps(document(*[{}] * (MAX_EVENTS + 1))).encode(), 413, "CaptureLimitExceededException"),
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


# GS1's documents


def gs1_documents() -> list[Path]:
    return sorted((GS1 / "JSON").rglob("*.jsonld"))


@pytest.mark.skipif(not gs1_documents(), reason="GS1's documents are not at hand")
def test_every_document_of_gs1_with_one_meaning_is_taken_and_given_out_again(caller: Caller) -> None:
    documents, taken = 0, 0
    for path in gs1_documents():
        if path.stem == GS1_TWICE:
            answer = caller.ask(CAPTURE, "POST", path.read_bytes(), Content_Type="application/ld+json")
            assert (answer.status_code, "'eventID' more than once" in answer.json()["detail"]) == (400, True)
            continue
        job = capture(caller, path.read_bytes(), Content_Type="application/ld+json")
        assert job["success"], (path, job["errors"])
        documents += 1
        for told in job["events"]:
            if told["status"] == "accepted":
                [shown] = found(caller.ask(f"{EVENTS}/{quote(told['eventID'], safe='')}"))
                assert hash_events(json.dumps(shown).encode()) == [told["hash"]], path
                taken += 1
    assert (documents, taken) == (46, 47)
