"""Every route's answer, in every way to ask for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from millmark.ledger.provenance import Direction, certificate, recall, trace
from tests.support.fake_world import World
from tests.support.gateway_client import LINK, SLASHED, Caller, build_caller


@pytest.fixture(scope="module")
def caller(world: World) -> Caller:
    return build_caller(world.store)


@pytest.mark.parametrize("name", ["urn:example:hip-1", "urn:example:hip", "URN:EXAMPLE:box", LINK, SLASHED])
def test_trace_by_identifier_as_written_and_encoded(world: World, caller: Caller, name: str) -> None:
    expected = trace(world.store, name).to_json()
    assert caller.ask(f"/v1/trace/{name}").json() == expected
    assert caller.ask(f"/v1/trace/{quote(name, safe='')}").json() == expected


def test_a_slash_in_a_serial_is_not_the_slash_of_the_path(world: World, caller: Caller) -> None:
    found = caller.ask(f"/v1/trace/{SLASHED}").json()
    assert found["lot"]["subject"] == "0x" + world.lots[SLASHED].hex()
    assert caller.ask(f"/v1/trace/{SLASHED.replace('%2F', '/')}").status_code == 400


def test_the_query_of_a_link_says_nothing(caller: Caller) -> None:
    assert caller.ask(f"/v1/trace/{LINK}?linkType=all").json() == caller.ask(f"/v1/trace/{LINK}").json()


def test_trace_by_subject(world: World, caller: Caller) -> None:
    subject = "0x" + world.lots["hip 1"].hex()
    assert caller.ask(f"/v1/trace/{subject}").json()["lot"]["identifier"] == "urn:example:hip-1"


def test_trace_within_limits(caller: Caller) -> None:
    found = caller.ask("/v1/trace/urn:example:bar?depth=1&lots=1").json()
    assert [lot["identifier"] for lot in found["downstream"]] == ["urn:example:billet"]
    assert caller.ask("/v1/trace/urn:example:hip?lots=1").json()["truncated"] is True
    assert found["cuts"] == [{"part": "downstream", "limit": "depth", "at": 1}]


@pytest.mark.parametrize("direction", list(Direction))
def test_trace_in_one_direction(world: World, caller: Caller, direction: Direction) -> None:
    found = caller.ask(f"/v1/trace/urn:example:billet?direction={direction.value}").json()
    assert found == trace(world.store, "urn:example:billet", direction=direction).to_json()


def test_certificate(world: World, caller: Caller) -> None:
    sequence = world.certificates["hip 2"]
    found = caller.ask(f"/v1/certificates/{sequence}").json()
    assert found == certificate(world.store, sequence).to_json()
    assert (found["verdict"], found["status"]) == ("pass", "valid")


def test_recall_of_a_model_or_a_lot(world: World, caller: Caller) -> None:
    by_model = caller.ask(f"/v1/recall?model={world.model}").json()
    assert by_model == recall(world.store, model=world.model).to_json()
    by_lot = caller.ask(f"/v1/recall?lot={quote('urn:example:billet', safe='')}").json()
    assert by_lot == recall(world.store, lot="urn:example:billet").to_json()
    assert caller.ask("/v1/recall?lot=urn:example:billet&lots=1").json()["truncated"] is True


@pytest.mark.parametrize("name", ["{number}", "urn:example:mill"])
def test_recall_of_a_machine(world: World, caller: Caller, name: str) -> None:
    machine = name.format(number=world.machine)
    found = caller.ask(f"/v1/recall?machine={machine}&since=2025-01-01T00:00:00Z&until=2026-01-01T00:00:00%2B02:00")
    since, until = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 22, tzinfo=UTC)
    assert found.json() == recall(world.store, machine=world.machine, since=since, until=until).to_json()
    assert found.json()["counts"]["lots"] == 5


def test_health(caller: Caller) -> None:
    assert caller.ask("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/v1/trace/urn:example:hip-1", "/v1/certificates/21", "/v1/recall?model=9"])
def test_what_is_at_hand_is_not_sent_again(world: World, caller: Caller, path: str) -> None:
    path = path.replace("/21", f"/{world.certificates['hip 1']}")
    first = caller.ask(path)
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = caller.ask(path, If_None_Match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert caller.ask(path, If_None_Match='"other"').content == first.content


@pytest.mark.parametrize("path", ["/v1/trace/urn:example:hip-1", "/v1/status", "/docs", "/openapi.json", "/health"])
def test_head_is_get_without_the_body(caller: Caller, path: str) -> None:
    full, head = caller.ask(path), caller.ask(path, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(full.content))


def test_options(caller: Caller) -> None:
    answer = caller.ask("/v1/status", "OPTIONS")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, "GET, HEAD, OPTIONS", b"")
    assert caller.ask("/nowhere", "OPTIONS").status_code == 404


@pytest.mark.parametrize("path", ["/health", "/docs", "/v1/trace/x", "/nowhere", "/v1/trace/urn:example:hip-1"])
def test_every_answer_has_an_id_and_the_security_headers(caller: Caller, path: str) -> None:
    headers = caller.ask(path).headers
    assert len(headers["x-request-id"]) == 32
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == ("private, no-cache" if "hip" in path else "no-store")
    assert "server" not in headers


def test_a_sane_request_id_is_kept(caller: Caller) -> None:
    assert caller.ask("/health", X_Request_ID="job-17.b").headers["x-request-id"] == "job-17.b"
    for given in ("", "a" * 65, "a b", "<script>", 'a"'):
        assert caller.ask("/health", X_Request_ID=given).headers["x-request-id"] != given


def test_one_log_line_a_request_without_identifiers(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    logging = build_caller(world.store)
    logging.ask(f"/v1/trace/{LINK}?depth=2", X_Request_ID="r1")
    logging.ask(f"/v1/recall?lot={LINK}", "HEAD", X_Request_ID="r2")
    out, err = capfd.readouterr()
    first, second = (json.loads(line) for line in err.splitlines())
    assert (first["request_id"], first["method"], first["status"]) == ("r1", "GET", 200)
    assert first["route"] == "/v1/trace/{identifier:path}"
    assert (second["request_id"], second["method"], second["route"]) == ("r2", "HEAD", "/v1/recall")
    assert out == ""
    assert "A-1" not in err
