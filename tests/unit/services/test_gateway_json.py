"""JSON that two readers would read differently is refused at every route that takes JSON."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import MetaData, select

from millmark.ledger.store import Store
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.relay import Relay
from tests.support.company_site import open_site
from tests.support.figures import Tell
from tests.support.gateway_client import Caller

_PLACE = re.compile(r"{.+?}")
_EVENT = {
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
    "type": "ObjectEvent",
    "eventTime": "2020-03-04T11:00:30.5+01:00",
    "eventTimeZoneOffset": "+01:00",
    "epcList": ["urn:epc:id:sgtin:4012345.011111.1"],
    "action": "OBSERVE",
}
EXAMPLES: dict[str, Any] = {
    "captureEvents": {
        "@context": _EVENT["@context"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2020-03-04T11:00:30.5+01:00",
        "epcisBody": {"eventList": [{name: member for name, member in _EVENT.items() if name != "@context"}]},
    },
    "captureEvent": _EVENT,
}
"""Bodies of routes whose own documentation has none, by operation."""


@dataclass(frozen=True)
class Asked:
    """A route that takes JSON, with a body that it takes."""

    method: str
    path: str
    body: Any
    media_types: tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    store: Store
    caller: Caller
    routes: list[Asked]

    def ask(self, asked: Asked, body: bytes, media_type: str) -> tuple[int, dict[str, Any]]:
        answer = self.caller.ask(
            asked.path, asked.method, body, Content_Type=media_type, Idempotency_Key=str(uuid.uuid4())
        )
        return answer.status_code, answer.json()

    def rows(self) -> dict[str, list[Any]]:
        """All that the database has."""
        with self.store.reading() as connection:
            tables = MetaData()
            tables.reflect(connection)
            return {name: sorted(map(repr, connection.execute(select(table)))) for name, table in tables.tables.items()}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    for site in open_site(tmp_path_factory.mktemp("json")):
        chain = site.world.chain
        app = create_gateway(
            GatewayParts(
                site.store,
                build_policy("loopback-open"),
                recording=(chain, site.signer),
                name_keys=site.name_keys,
                relay=Relay(chain, chain, site.store, site.signer),
            )
        )
        yield Commands(site.store, Caller(app), list(_taking_json(app)))


def _taking_json(app: Any) -> Iterator[Asked]:
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            types = tuple(one for one in content if one.endswith("json"))
            if types:
                told = content[types[0]].get("examples", {}).values()
                body = EXAMPLES.get(operation["operationId"]) or next((one["value"] for one in told), {"member": 1})
                filled = _PLACE.sub(lambda found: "0x" + "1a" * 32 if found[0] == "{subject}" else "1", path)
                yield Asked(method.upper(), filled, body, types)


def doubled(body: Any) -> Iterator[bytes]:
    """The body with one member twice, of the same value: at its top, and inside each member that is an object."""
    first, value = next(iter(body.items()), ("member", 1))
    body = body or {first: value}
    yield json.dumps(body)[:-1].encode() + f", {json.dumps(first)}: {json.dumps(value)}}}".encode()
    for name, inner in body.items():
        if isinstance(inner, dict) and inner:
            whole = json.dumps({**body, name: "INNER"})
            for text in doubled(inner):
                yield whole.replace('"INNER"', text.decode()).encode()


def test_a_member_that_is_there_twice_is_refused_by_every_route(commands: Commands, tell: Tell) -> None:
    before, cases = commands.rows(), 0
    for asked in commands.routes:
        for media_type in {*asked.media_types, "application/json; charset=utf-8"}:
            for body in doubled(asked.body):
                status, problem = commands.ask(asked, body, media_type)
                assert status == 400, (asked, body, problem)
                assert "more than once" in problem["detail"], (asked, problem)
                assert problem["hint"], asked
                cases += 1
    assert commands.rows() == before
    tell(f"{cases} bodies with a member twice refused by {len(commands.routes)} routes")
    assert len(commands.routes) > 55


def test_the_same_bodies_with_each_member_once_are_not_refused_for_it(commands: Commands) -> None:
    for asked in commands.routes:
        status, problem = commands.ask(asked, json.dumps(asked.body).encode(), asked.media_types[0])
        assert status != 500, (asked, problem)
        assert "more than once" not in problem.get("detail", ""), asked


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"a": 9007199254740993}', "cannot be represented exactly"),
        (b'{"a": NaN}', "cannot be represented exactly"),
        (b'{"a": 1e999}', "cannot be represented exactly"),
        (b'{"a": "\\ud800"}', "lone surrogate"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{", "not JSON"),
        (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", "nested more than 64"),
        (b"[" * 20_000, "nested more than 64"),
    ],
)
def test_what_two_readers_read_differently_is_refused_with_its_cause(
    commands: Commands, body: bytes, detail: str
) -> None:
    status, problem = commands.ask(Asked("POST", "/v1/lots/receive", None, ()), body, "application/json")
    assert (status, problem["type"]) == (400, "urn:millmark:problem:json-not-canonical")
    assert detail in problem["detail"]
    assert problem["hint"]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
def test_json_that_is_not_declared_as_such_records_nothing(commands: Commands, media_type: str) -> None:
    before = commands.rows()
    body = {"identifier": "urn:example:bar-9", "quantity": 1, "unit": "H87"}
    status, _ = commands.ask(Asked("POST", "/v1/lots/receive", None, ()), json.dumps(body).encode(), media_type)
    assert status == 422
    assert commands.rows() == before
