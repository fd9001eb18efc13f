"""What does not work, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Param
from fastapi.routing import APIRoute

import millmark.ledger.errors
from millmark.ledger.errors import (
    ChainError,
    ChainUnreachableError,
    ContractRefusedError,
    IdentifierError,
    IndexHaltedError,
    InputError,
    MillmarkError,
    NotFoundError,
    NotInstalledError,
    PlanRefusedError,
    SettingsError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    WrongChainError,
)
from millmark.services.access.rules import PUBLIC
from millmark.services.audit import AuditError, AuditTamperedError
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.http.problems import build_problem
from millmark.services.gateway.http.route_table import Route
from millmark.services.store import open_store
from tests.support.fake_world import World
from tests.support.gateway_client import Caller, build_caller

_NO_NUMBERS = ("01", "%2B1", "1.0", "1_0", "%201", "1%0A", "-0", "1e0", "0x1", "%EF%BC%91")
"""Which pydantic alone reads as numbers, mostly."""


@pytest.fixture(scope="module")
def caller(world: World) -> Caller:
    return build_caller(world.store)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/trace/part-17", 404, "not-found"),
        ("/v1/trace/https://id.gs1.org/01/09506000134353/21/A", 400, "identifier-malformed"),
        ("/v1/trace/urn%3Aexample%3Aa%20b", 400, "identifier-malformed"),
        ("/v1/trace/%ff%00", 400, "identifier-malformed"),
        ("/v1/trace/urn:example:mill", 404, "not-found"),
        ("/v1/trace/urn:example:nothing", 404, "not-found"),
        (f"/v1/trace/0x{'00' * 32}", 404, "not-found"),
        ("/v1/trace/", 422, "request-malformed"),
        (f"/v1/trace/urn:example:{'a' * 2048}", 422, "request-malformed"),
        ("/v1/trace/urn:example:hip-1?depth=0", 422, "request-malformed"),
        *((f"/v1/participants/{number}", 422, "request-malformed") for number in _NO_NUMBERS),
        *((f"/v1/trace/urn:example:hip-1?depth={number}", 422, "request-malformed") for number in _NO_NUMBERS),
        ("/v1/trace/urn:example:hip-1?depth=257", 422, "request-malformed"),
        ("/v1/trace/urn:example:hip-1?lots=10001", 422, "request-malformed"),
        ("/v1/trace/urn:example:hip-1?lots=many", 422, "request-malformed"),
        ("/v1/certificates/999999", 404, "not-found"),
        ("/v1/certificates/0", 422, "request-malformed"),
        ("/v1/certificates/-1", 422, "request-malformed"),
        ("/v1/certificates/one", 422, "request-malformed"),
        (f"/v1/certificates/{2**40}", 422, "request-malformed"),
        (f"/v1/certificates/{10**30}", 422, "request-malformed"),
        ("/v1/certificates/1/", 404, "path-unknown"),
        ("/v1/recall", 400, "input-unusable"),
        ("/v1/recall?model=9&lot=urn:example:bar", 400, "input-unusable"),
        ("/v1/recall?model=1", 404, "not-found"),
        ("/v1/recall?model=0", 422, "request-malformed"),
        ("/v1/trace/urn:example:hip-1?direction=left", 422, "request-malformed"),
        ("/v1/recall?machine=1", 400, "input-unusable"),
        ("/v1/recall?machine=0&since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z", 400, "input-unusable"),
        ("/v1/recall?machine=1&since=2026-01-01T00:00:00&until=2026-01-02T00:00:00Z", 400, "input-unusable"),
        ("/v1/recall?machine=1&since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", 400, "input-unusable"),
        ("/v1/recall?machine=99&since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z", 404, "not-found"),
        ("/v1/recall?machine=1&since=yesterday&until=2026-01-01T00:00:00Z", 422, "request-malformed"),
        ("/v1/recall?model=9&since=2026-01-01T00:00:00Z", 400, "input-unusable"),
        ("/v1/recall?lot=part-17", 404, "not-found"),
        ("/v1/recall?lot=urn:example:hip", 404, "not-found"),
        ("/v1/recall?lot=", 422, "request-malformed"),
        ("/v1/recall?lots=100001&model=9", 422, "request-malformed"),
        (f"/v1/recall?lot={'a' * 8192}", 414, "uri-too-long"),
        (f"/{'a' * 8192}", 414, "uri-too-long"),
        ("/nowhere", 404, "path-unknown"),
        ("/v1/traces", 404, "path-unknown"),
        ("/redoc", 404, "path-unknown"),
    ],
)
def test_refusals(caller: Caller, path: str, status: int, code: str) -> None:
    found = caller.problem(path)
    assert (found["status"], found["type"]) == (status, f"urn:millmark:problem:{code}")
    assert found["title"]
    assert found["detail"]


def test_numbers_in_paths_and_queries_are_digits_alone(caller: Caller) -> None:
    """Of every route, also of those that not everybody may use."""
    routes = [route for route in caller.app.routes if isinstance(route, APIRoute)]
    fields = [one for route in routes for one in get_flat_params(route.dependant) if isinstance(one.field_info, Param)]
    numbers = [one for one in fields if type(one.validate("1", {}, loc=())[0]) is int]
    assert {"id", "limit", "quorum", "depth"} <= {one.alias for one in numbers}
    assert not [one.alias for one in numbers for text in ("01", "+1", "1_0") if not one.validate(text, {}, loc=())[1]]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "MADE-UP"])
def test_methods_that_would_change_something(caller: Caller, method: str) -> None:
    assert caller.problem("/v1/status", method)["type"] == "urn:millmark:problem:method-refused"
    assert caller.ask("/v1/trace/urn:example:hip-1", method).headers["allow"] == "GET, HEAD, OPTIONS"


def test_nothing_indexed_yet(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'empty.db'}") as store:
        found = build_caller(store).problem("/v1/trace/urn:example:hip-1")
    assert (found["status"], found["detail"]) == (404, "nothing is indexed yet")
    assert found["hint"] == "follow the chain first"


def _failing(world: World, error: Exception) -> FastAPI:
    app = create_gateway(GatewayParts(world.store, build_policy("loopback-open")))

    def fail() -> None:
        raise error

    app.state.routes.add(Route("GET", "/fails", PUBLIC), fail)
    return app


def test_what_is_not_foreseen_is_logged_and_not_told(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    found = Caller(_failing(world, RuntimeError("secret of the house"))).problem("/fails")
    assert (found["status"], found["type"]) == (500, "urn:millmark:problem:unexpected")
    assert "secret" not in json.dumps(found)
    failure, request = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert (failure["level"], failure["request_id"]) == ("error", found["request_id"])
    assert failure["exception"][0]["exc_value"] == "secret of the house"
    assert (request["route"], request["status"]) == ("/fails", 500)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("x"), 404),
        (InputError("x"), 400),
        (IdentifierError("x"), 400),
        (SettingsError("x"), 500),
        (ChainUnreachableError("x"), 503),
        (WrongChainError("x"), 502),
        (ContractRefusedError("LotUnknown", {}), 409),
        (ChainError("x"), 502),
        (StoreDamagedError("x"), 503),
        (IndexHaltedError("x"), 503),
        (MillmarkError("x"), 500),
    ],
)
def test_status_by_nearest_class(world: World, error: MillmarkError, status: int) -> None:
    found = Caller(_failing(world, error)).problem("/fails")
    assert (found["status"], found["type"]) == (status, f"urn:millmark:problem:{error.code}")


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (StoreError("x"), "10"),
        (AuditError("x"), "10"),
        (ChainUnreachableError("x"), "10"),
        (StoreBusyError("x"), "5"),
        (StoreDamagedError("x"), None),
        (AuditTamperedError(1, "x"), None),
        (SettingsError("x"), None),
    ],
)
def test_what_may_pass_says_when_to_ask_again(world: World, error: MillmarkError, after: str | None) -> None:
    assert Caller(_failing(world, error)).ask("/fails").headers.get("retry-after") == after


def _classes(root: type[MillmarkError]) -> Iterator[type[MillmarkError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _classes(kind)


_ARGUMENTS: dict[type[MillmarkError], tuple[Any, ...]] = {
    ContractRefusedError: ("Name", {}),
    PlanRefusedError: ("sums", "the cost is another one"),
    NotInstalledError: ("the embedded chain", "eth-tester", "devchain"),
}


def test_every_failure_of_the_ledger_is_a_problem() -> None:
    for kind in _classes(MillmarkError):
        if kind.__module__ != millmark.ledger.errors.__name__:
            continue
        found = build_problem(kind(*_ARGUMENTS.get(kind, ("cause",))), "r")
        assert 400 <= found.status < 600
        assert found.title == found.title.strip(".") != ""


def test_addresses_of_node_and_database_stay_inside() -> None:
    error = ChainUnreachableError("the chain at https://user:word@node:8545/key does not answer", hint="check")
    assert build_problem(error, "r").detail == "the chain at (address withheld) does not answer"
    store = StoreError('postgresql://me@db/x cannot be used: connection to server at "10.0.0.5", port 5432 failed')
    assert build_problem(store, "r").detail == "(address withheld) cannot be used"
    refused = IdentifierError("https://id.gs1.org/01/x is no link")
    assert build_problem(refused, "r").detail == "https://id.gs1.org/01/x is no link"


def test_details_are_short() -> None:
    assert len(build_problem(InputError("x" * 5000), "r").detail) == 1000
