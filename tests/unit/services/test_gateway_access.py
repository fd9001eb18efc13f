"""Who may call which route: every route by every kind of caller. And what stands before: host, body, headers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from millmark.ledger.records import ALL_ROLES, Role
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import CredentialKind, Scope
from millmark.services.access.credentials import issue
from millmark.services.access.repository import AccessRepository
from millmark.services.access.rules import PUBLIC, Rule, Without
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway, docs
from millmark.services.gateway.docs import build_access_table, replace_table
from millmark.services.gateway.http.route_table import Route, RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.gateway.recording.writes import WRITES
from millmark.services.settings import Auth
from tests.support.fake_world import build_world
from tests.support.figures import Tell
from tests.support.gateway_client import Caller, build_caller
from tests.support.portal_pages import PAGES
from tests.support.sign_in import NOW_S, ORIGIN, add_keys, sign, signer_of
from tests.support.stores import new_store
from tests.unit.services.test_access_credentials import FORGED

OWNER, NO_ROLE, SUSPENDED = 20, 21, 22
BY_ROLE = {role: 10 + place for place, role in enumerate(Role)}
"""A participant of each single role."""
ADMITTED = [(number, role) for role, number in BY_ROLE.items()] + [(OWNER, ALL_ROLES), (NO_ROLE, Role(0))]
HOST = "gateway.example"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("access")) as store:
        build_world(store)
        with store.transaction() as connection:
            rows = [
                ParticipantRow(number, number, roles, 1, False, False, 0, 0, 1, bytes(32)) for number, roles in ADMITTED
            ]
            Rows(connection).insert(
                [*rows, ParticipantRow(SUSPENDED, SUSPENDED, int(ALL_ROLES), 1, True, False, 0, 0, 1, bytes(32))]
            )
        add_keys(store, OWNER, NO_ROLE, SUSPENDED, *BY_ROLE.values())
        yield store


def guarded(store: Store) -> FastAPI:
    policy, limiter = build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER), Limiter(Rates(1e9, 1e9))
    return create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, limiter=limiter, absent_every_s=0))


@pytest.fixture(scope="module")
def caller(store: Store) -> Caller:
    return Caller(guarded(store))


def token(
    store: Store, participant: int, scopes: list[Scope], kind: CredentialKind = CredentialKind.SESSION, age_s: int = 0
) -> str:
    key = signer_of(participant).address if kind is CredentialKind.SESSION else b""
    with store.transaction() as connection:
        repository = AccessRepository(connection)
        return issue(repository, kind, participant, scopes, now_s=NOW_S - age_s, life_s=900, key=key)[0]


Shown = Callable[[Store], str | None]
"""A fresh credential each time: some routes end what they are asked with."""
REFUSED: dict[str, Shown] = {
    "anonymous": lambda _: None,
    "forged": lambda _: "Bearer mms_0123456789ab_" + "A" * 43,
    "other scheme": lambda store: "Basic " + token(store, OWNER, list(Scope)),
    "no scheme": lambda store: token(store, OWNER, list(Scope)),
    "expired": lambda store: "Bearer " + token(store, OWNER, list(Scope), age_s=900),
    "suspended": lambda store: "Bearer " + token(store, SUSPENDED, list(Scope)),
}
ROLES: dict[str, Shown] = {
    role.name or "": lambda store, number=number: "Bearer " + token(store, number, list(Scope))  # type: ignore[misc]  # bound early
    for role, number in BY_ROLE.items()
}
KEYS: dict[str, Shown] = {
    f"key {scope}": lambda store, scope=scope: (  # type: ignore[misc]  # bound early
        "Bearer " + token(store, BY_ROLE[Role.MANUFACTURER], [scope], CredentialKind.API_KEY)
    )
    for scope in Scope
}
OTHERS: dict[str, Shown] = {
    "no role": lambda store: "Bearer " + token(store, NO_ROLE, list(Scope)),
    "owner": lambda store: "Bearer " + token(store, OWNER, list(Scope)),
}
CALLERS = {**REFUSED, **ROLES, **KEYS, **OTHERS}
EVERYBODY = frozenset(CALLERS)
KNOWN = frozenset(ROLES) | frozenset(KEYS) | {"owner"}
READERS = frozenset(ROLES) | {"key provenance", "owner"}
SENDERS = frozenset(ROLES) - {"AUDITOR"} | {"key capture", "owner"}
FOLLOWERS = frozenset(ROLES) | {"key events", "owner"}
RELAYED = frozenset(ROLES) | {"key relay", "owner"}
EPCIS = ("capture", "capture/{id}", "events", "events/{id:path}")
DOCUMENT_READERS = frozenset(ROLES) | {"key documents", "owner"}
OWNER_ALONE = frozenset({"owner"})
MATRIX: dict[tuple[str, str], frozenset[str]] = {
    ("GET", "/health"): EVERYBODY,
    ("GET", "/ready"): EVERYBODY,
    ("GET", "/metrics"): OWNER_ALONE,
    ("GET", "/docs"): EVERYBODY,
    ("GET", "/openapi.json"): EVERYBODY,
    ("GET", "/v1/sign-in"): EVERYBODY,
    ("POST", "/v1/sessions"): EVERYBODY,
    ("POST", "/v1/people/sessions"): EVERYBODY,
    ("GET", "/v1/session"): KNOWN,
    ("DELETE", "/v1/session"): KNOWN,
    ("GET", "/v1/trace/{identifier:path}"): READERS,
    ("GET", "/v1/search"): READERS,
    ("GET", "/v1/recall"): READERS - {"CARRIER"},
    ("GET", "/v1/directory"): READERS,
    ("GET", "/v1/participants"): READERS,
    ("GET", "/v1/participants/{number}"): READERS,
    ("GET", "/v1/models"): READERS,
    ("GET", "/v1/models/{id}"): READERS,
    ("GET", "/v1/machines"): READERS,
    ("GET", "/v1/machines/{id}"): READERS,
    ("GET", "/v1/orders"): READERS,
    ("GET", "/v1/orders/{subject}"): READERS,
    ("GET", "/v1/assignments"): READERS,
    ("GET", "/v1/assignments/{id}"): READERS,
    ("GET", "/v1/assignments/{id}/evidence"): READERS,
    ("GET", "/v1/assignments/{id}/registers"): OWNER_ALONE,
    ("GET", "/v1/calls"): OWNER_ALONE,
    ("GET", "/v1/calls/{root}"): OWNER_ALONE,
    ("GET", "/v1/offers"): OWNER_ALONE,
    ("GET", "/v1/plans/{root}"): OWNER_ALONE,
    ("GET", "/v1/plans/{root}/check"): OWNER_ALONE,
    ("GET", "/v1/forecasts"): OWNER_ALONE,
    ("GET", "/v1/forecasts/{id}"): OWNER_ALONE,
    ("GET", "/v1/forecasts/{id}/score"): OWNER_ALONE,
    ("GET", "/v1/causes"): OWNER_ALONE,
    ("POST", "/v1/causes"): OWNER_ALONE,
    ("GET", "/v1/causes/{id}"): OWNER_ALONE,
    ("POST", "/v1/causes/{id}/dismissal"): OWNER_ALONE,
    ("POST", "/v1/machines/{machine}/mended"): OWNER_ALONE,
    ("GET", "/v1/setpoints"): OWNER_ALONE,
    ("POST", "/v1/setpoints"): OWNER_ALONE,
    ("GET", "/v1/setpoints/{id}"): OWNER_ALONE,
    ("GET", "/v1/lots"): READERS,
    ("GET", "/v1/lots/{subject}"): READERS,
    ("GET", "/v1/lots/{subject}/custody"): READERS,
    ("GET", "/v1/lots/{subject}/footprint"): OWNER_ALONE,
    ("GET", "/v1/certificates"): READERS,
    ("GET", "/v1/certificates/{id}"): READERS,
    ("GET", "/v1/certificates/{id}/evidence"): READERS,
    ("GET", "/v1/streams"): READERS,
    ("GET", "/v1/streams/{subject}"): READERS,
    ("GET", "/v1/streams/{subject}/anchors"): READERS,
    ("GET", "/v1/streams/{subject}/inclusion"): READERS,
    ("GET", "/v1/streams/{subject}/consistency"): READERS,
    ("GET", "/v1/bundles"): READERS,
    ("GET", "/v1/trust"): READERS,
    **{("POST", write.path): OWNER_ALONE for write in WRITES},
    ("POST", "/v1/names"): OWNER_ALONE,
    ("GET", "/v1/records"): OWNER_ALONE,
    ("GET", "/v1/records/{id}"): OWNER_ALONE,
    ("GET", "/v1/status"): OWNER_ALONE,
    ("GET", "/v1/contexts"): EVERYBODY,
    ("GET", "/v1/contexts/{name}"): EVERYBODY,
    ("GET", "/.well-known/did.json"): EVERYBODY,
    ("GET", "/v1/status-lists/{number}"): EVERYBODY,
    ("GET", "/v1/certificates/{id}/credential"): READERS,
    ("GET", "/v1/events"): FOLLOWERS,
    ("GET", "/v1/webhooks"): FOLLOWERS,
    ("POST", "/v1/webhooks"): FOLLOWERS,
    ("GET", "/v1/webhooks/{id}"): FOLLOWERS,
    ("DELETE", "/v1/webhooks/{id}"): FOLLOWERS,
    ("POST", "/v1/webhooks/{id}/resume"): FOLLOWERS,
    ("POST", "/v1/webhooks/{id}/secret"): FOLLOWERS,
    ("POST", "/v1/relay"): RELAYED,
    ("GET", "/v1/relay/{digest}"): RELAYED,
    ("GET", "/v1/relay/keys/{address}"): RELAYED,
    ("POST", "/v1/relay/simulations"): RELAYED,
    **{("OPTIONS", f"/epcis/v2/{path}"): EVERYBODY for path in EPCIS},
    ("POST", "/epcis/v2/capture"): SENDERS,
    ("GET", "/epcis/v2/capture"): SENDERS,
    ("GET", "/epcis/v2/capture/{id}"): SENDERS,
    ("POST", "/epcis/v2/events"): SENDERS,
    ("GET", "/epcis/v2/events"): READERS,
    ("GET", "/epcis/v2/events/{id:path}"): READERS,
    ("GET", "/v1/documents"): DOCUMENT_READERS,
    ("POST", "/v1/documents"): frozenset({"owner"}),
    ("GET", "/v1/documents/{id}"): DOCUMENT_READERS,
    ("PATCH", "/v1/documents/{id}"): frozenset({"owner"}),
    ("DELETE", "/v1/documents/{id}"): frozenset({"owner"}),
    ("POST", "/v1/documents/{id}/versions"): frozenset({"owner"}),
    ("GET", "/v1/documents/{id}/versions/{version}"): DOCUMENT_READERS,
    ("PUT", "/v1/documents/{id}/grants/{participant}"): frozenset({"owner"}),
    ("DELETE", "/v1/documents/{id}/grants/{participant}"): frozenset({"owner"}),
    ("PUT", "/v1/handovers/{digest}"): EVERYBODY,  # the signature in its first line decides
    ("PUT", "/v1/recipient-key"): DOCUMENT_READERS,
    ("GET", "/v1/recipient-keys/{participant}"): DOCUMENT_READERS,
}
"""Written out, not derived from the rules: who may call the route."""


def served(app: Starlette) -> set[tuple[str, str]]:
    """Every method and path that the router knows."""
    routes = [
        one for route in app.routes for one in getattr(getattr(route, "original_router", None), "routes", [route])
    ]
    return {(method, getattr(one, "path", "")) for one in routes for method in getattr(one, "methods", ())}


def test_every_route_has_a_row_and_every_row_a_route(caller: Caller) -> None:
    routes = {(method, path) for method, path in served(caller.app) if method != "HEAD"}
    rows = {(route.method, route.path) for route in caller.app.state.routes}
    assert routes == rows == set(MATRIX) | set(PAGES)


def test_a_route_without_a_row_is_answered_to_nobody(store: Store) -> None:
    app = guarded(store)
    app.add_api_route("/v1/forgotten", lambda: {"secret": 1}, include_in_schema=False)
    for shown in CALLERS.values():
        answer = ask(Caller(app), "GET", "/v1/forgotten", shown(store))
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:millmark:problem:forbidden")


def test_a_route_is_not_declared_without_a_rule() -> None:
    routes: Any = Routes(RouteTable(FastAPI()), "tag", {})
    for declare in (routes.get, routes.post, routes.put, routes.patch, routes.delete):
        with pytest.raises(TypeError, match="rule"):
            declare("/v1/forgotten", "forgotten", "Forgotten")
    assert not list(routes.table)


def test_a_route_is_declared_once() -> None:
    table = RouteTable(FastAPI())
    table.add(Route("GET", "/v1/twice", PUBLIC), lambda: None)
    with pytest.raises(ValueError, match="GET /v1/twice is declared twice"):
        table.add(Route("GET", "/v1/twice", Rule(Without.SCOPE)), lambda: None)


def test_access_md_has_the_table_of_the_rows(caller: Caller) -> None:
    """`scripts/access` prints it anew."""
    text = (Path(docs.__file__).parent / "ACCESS.md").read_text("utf-8")
    assert replace_table(text, build_access_table(caller.app.state.routes)) == text


def fill(path: str) -> str:
    """A path that the route takes."""
    part = "urn:example:hip-1"
    values = {"identifier:path": part, "epc:path": part, "id:path": "urn:example:event", "subject": "0x" + "1a" * 32}
    values |= {"id": "1", "number": "1"}
    return re.sub(r"{(.+?)}", lambda found: values.get(found[1], found[1]), path)


def ask(caller: Caller, method: str, path: str, credential: str | None) -> httpx.Response:
    path = fill(path)
    headers = {} if credential is None else {"Authorization": credential}
    return caller.ask(path, method, Host=HOST, **headers)


def test_how_many_cells_there_are(tell: Tell) -> None:
    tell(f"{len(MATRIX) * len(CALLERS)} cells of access, {len(MATRIX)} routes by {len(CALLERS)} callers")
    assert all(may <= EVERYBODY for may in MATRIX.values())


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize(("method", "path"), MATRIX)
def test_every_route_by_every_caller(caller: Caller, store: Store, method: str, path: str, who: str) -> None:
    answer = ask(caller, method, path, CALLERS[who](store))
    if who in MATRIX[method, path]:
        assert answer.status_code not in (401, 403)
        return
    expected = 401 if who in REFUSED else 403
    assert answer.status_code == expected
    assert answer.headers.get("www-authenticate") == ("Bearer" if expected == 401 else None)
    assert set(answer.json()) == {"type", "title", "status", "detail", "hint", "request_id"}


def test_malformed_parameters_are_not_looked_at_before_the_caller_is(caller: Caller) -> None:
    assert caller.ask("/v1/certificates/none", Host=HOST).status_code == 401
    assert caller.ask("/v1/recall?lots=many", Host=HOST).status_code == 401


def test_forged_credentials_open_no_route(caller: Caller, store: Store) -> None:
    """Those that fit into a header at all."""
    genuine, refused = token(store, OWNER, list(Scope), CredentialKind.API_KEY), 0
    for name, forge in FORGED.items():
        forged = forge(genuine)
        if forged.isascii() and forged.isprintable() and forged.strip() == forged and len(forged) < 8_000:
            assert ask(caller, "GET", "/v1/session", f"Bearer {forged}").status_code == 401, name
            refused += 1
    assert refused >= 30
    assert ask(caller, "GET", "/v1/session", f"Bearer {genuine}").status_code == 200


def test_two_credentials_are_none(caller: Caller, store: Store) -> None:
    good = "Bearer " + token(store, OWNER, list(Scope))
    assert ask(caller, "GET", "/v1/session", f"{good}, {good}").status_code == 401


def test_from_message_to_session_and_out(caller: Caller, store: Store) -> None:
    signer = signer_of(BY_ROLE[Role.BUYER])
    offer = caller.ask(f"/v1/sign-in?address=0x{signer.address.hex()}", Host=HOST).json()
    body = {"message": offer["message"], "signature": sign(offer["message"], signer)}
    opened = caller.ask("/v1/sessions", "POST", body, Host=HOST)
    assert (opened.status_code, opened.headers["cache-control"]) == (201, "no-store")
    bearer = "Bearer " + opened.json()["token"]
    assert (opened.json()["participant"], opened.json()["roles"]) == (BY_ROLE[Role.BUYER], ["buyer"])
    assert ask(caller, "GET", "/v1/session", bearer).json()["roles"] == ["buyer"]
    again = caller.ask("/v1/sessions", "POST", body, Host=HOST)
    assert (again.status_code, again.json()["type"]) == (401, "urn:millmark:problem:sign-in-refused")
    assert ask(caller, "DELETE", "/v1/session", bearer).status_code == 204
    assert ask(caller, "GET", "/v1/session", bearer).status_code == 401


def test_an_api_key_does_not_sign_out(caller: Caller, store: Store) -> None:
    bearer = "Bearer " + token(store, OWNER, [Scope.STATUS], CredentialKind.API_KEY)
    assert ask(caller, "DELETE", "/v1/session", bearer).status_code == 404
    assert ask(caller, "GET", "/v1/session", bearer).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[]", 422),
        (b'{"message": 1, "signature": "0x"}', 422),
        (json.dumps({"message": "x", "signature": "0x" + "0" * 129}).encode(), 422),
        (json.dumps({"message": "x" * 2049, "signature": "0x" + "0" * 130}).encode(), 422),
        (json.dumps({"message": "x", "signature": "0x" + "0" * 130, "participant": 1}).encode(), 422),
        (json.dumps({"message": "x", "signature": "0x" + "0" * 130}).encode(), 401),
        (b'{"message": "' + b"x" * 65_536 + b'"}', 413),
        (b"[" * 20_000, 400),
        (b"\xff\xfe", 400),
    ],
)
def test_bodies_that_sign_nobody_in(caller: Caller, body: bytes, status: int) -> None:
    answer = caller.ask("/v1/sessions", "POST", body, Host=HOST, Content_Type="application/json")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "address", ["", "0x", "0x" + "g" * 40, "0x" + "1" * 41, "0x6813eb9362372EEF6200f3b1dbC3f819671cBA69"]
)
def test_nothing_is_offered_to_what_is_no_address(caller: Caller, address: str) -> None:
    assert caller.ask(f"/v1/sign-in?address={address}", Host=HOST).status_code in (400, 422)


@pytest.mark.parametrize(
    "host", ["evil.example", "gateway.example.evil.example", "10.0.0.1", "", "gateway.example:x", "a@gateway.example"]
)
def test_other_hosts_are_refused(caller: Caller, host: str) -> None:
    answer = caller.ask("/health", Host=host)
    assert (answer.status_code, answer.json()["type"]) == (421, "urn:millmark:problem:host-refused")


@pytest.mark.parametrize("host", ["gateway.example", "GATEWAY.example", "gateway.example:443"])
def test_our_host_is_not(caller: Caller, host: str) -> None:
    assert caller.ask("/health", Host=host).status_code == 200


@pytest.mark.parametrize(("method", "path"), MATRIX)
def test_no_page_of_another_site_reads_an_answer(caller: Caller, store: Store, method: str, path: str) -> None:
    bearer = CALLERS["owner"](store)
    assert bearer is not None
    for verb in (method, "OPTIONS"):
        answer = caller.ask(
            fill(path),
            verb,
            Host=HOST,
            Authorization=bearer,
            Origin="https://evil.example",
            Access_Control_Request_Method=method,
        )
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "set-cookie" not in answer.headers


def test_the_allow_header_says_what_a_path_takes(caller: Caller) -> None:
    assert caller.app.state.routes.allowed_methods("/v1/session") == "DELETE, GET, HEAD, OPTIONS"
    answer = caller.ask("/v1/sessions", "PUT", Host=HOST)
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")


def test_the_document_says_where_a_credential_is_needed(caller: Caller, store: Store) -> None:
    document = caller.ask("/openapi.json", Host=HOST).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            [who] = [
                MATRIX[verb, known]
                for verb, known in MATRIX
                if (verb, known.replace(":path}", "}")) == (method.upper(), path)
            ]
            assert ("security" in operation) is (who != EVERYBODY), path
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    opened = build_caller(store).ask("/openapi.json").json()
    assert "securitySchemes" not in opened["components"]


def test_who_is_open_on_the_loopback_is_the_operator(store: Store) -> None:
    caller = build_caller(store, clock=lambda: NOW_S)
    assert caller.ask("/v1/session").json()["owner"] is True
    assert caller.ask("/v1/status").status_code == 200
    assert caller.ask("/v1/session", Authorization="Bearer nonsense").status_code == 401
    for header in ("Forwarded", "X_Forwarded_For", "X_Forwarded_Host", "X_Real_IP"):
        assert caller.ask("/v1/status", **{header: "127.0.0.1"}).status_code == 401
    for header in ("Via", "X_Forwarded_Proto", "CF_Connecting_IP", "True_Client_IP"):
        assert caller.ask("/v1/status", **{header: "127.0.0.1"}).status_code == 401

    async def through_a_proxy(scope: AsgiScope, receive: Receive, send: Send) -> None:
        await caller.app({**scope, "http_version": "1.0"}, receive, send)

    assert Caller(cast("Starlette", through_a_proxy)).ask("/v1/status").status_code == 401


@pytest.mark.parametrize("number", BY_ROLE.values())
def test_what_is_foreign_answers_as_what_is_not_there(caller: Caller, store: Store, number: int) -> None:
    """None of them has a part in anything that is recorded."""
    bearer = "Bearer " + token(store, number, list(Scope))
    pairs = [
        ("/v1/trace/{}", "urn:example:hip-1", "urn:example:hip-9"),
        ("/v1/trace/{}", "urn:example:rail", "urn:example:raid"),
        ("/v1/certificates/{}", "21", "22"),
        ("/v1/recall?model={}", "9", "7"),
        ("/v1/recall?lot={}", "urn:example:billet", "urn:example:bullet"),
        ("/v1/recall?machine={}&since=2025-01-01T00:00:00Z&until=2026-01-01T00:00:00Z", "8", "7"),
    ]
    for path, foreign, absent in pairs:
        found, none = (ask(caller, "GET", path.format(name), bearer) for name in (foreign, absent))
        owned = ask(caller, "GET", path.format(foreign), CALLERS["owner"](store))
        assert (owned.status_code, found.status_code, none.status_code) == (200, none.status_code, none.status_code), (
            path
        )
        assert _told(found, foreign) == _told(none, absent)


def _told(answer: httpx.Response, name: str) -> tuple[object, ...]:
    """All of an answer but its id, and what was asked."""
    body = answer.json()
    del body["request_id"]
    headers = {key: value for key, value in answer.headers.items() if key not in ("x-request-id", "content-length")}
    return answer.status_code, json.dumps(body).replace(name, "NAME"), headers
