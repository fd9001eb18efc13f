"""Every thing by every company: owner, holder, ancestor's maker, party, sibling, stranger, anonymous; and lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import jsonschema_rs
import pytest

from millmark.ledger.merkle import verify_consistency, verify_inclusion
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import AnchorRow, AssignmentRow, ParticipantRow, StreamRow
from millmark.services.access import Scope, new_api_key
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.settings import Auth
from tests.support.fake_world import (
    AUDITOR,
    BUYER,
    CARRIER,
    COORDINATOR,
    INSPECTOR,
    OTHER_BUYER,
    SMITH,
    World,
    build_world,
)
from tests.support.figures import Tell
from tests.support.gateway_client import Caller
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store
from tests.unit.ledger.test_provenance_permissions import LOTS, MACHINE, ORDERS

HOST = "gateway.example"
OWNER, STRANGER = 50, 99
TENANTS = {
    "gateway's owner": OWNER,
    "holder": BUYER,
    "maker of it and its ancestors": SMITH,
    "coordinator": COORDINATOR,
    "inspector": INSPECTOR,
    "former holder": CARRIER,
    "holder of a sibling": OTHER_BUYER,
    "auditor": AUDITOR,
    "stranger": STRANGER,
    "anonymous": None,
}
EVERYONE = frozenset(one for one in TENANTS.values() if one is not None)
OPEN = {"/v1/participants/{number}", "/v1/models/{id}"}
"""What they say is on the chain, which every participant reads."""


@dataclass(frozen=True)
class Thing:
    """A thing under a route, and under which name there is none."""

    route: str
    name: str
    path: str
    absent: str
    seers: frozenset[int]


class Site:
    """The small world behind a gateway, and a key of each tenant."""

    def __init__(self, store: Store) -> None:
        self.world: World = build_world(store)
        with store.transaction() as connection:
            rows = Rows(connection)
            known = rows.get(ParticipantRow, SMITH)
            assert known is not None
            rows.insert([replace(known, number=one, sequence=one, keys=0) for one in (OWNER, STRANGER)])
            self.assignments = {row.sequence: row.order for row in rows.find(AssignmentRow)}
            streams = rows.find(StreamRow)
            self.anchors = {
                row.subject: [one.sequence for one in rows.find(AnchorRow, stream=row.subject)] for row in streams
            }
        policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER)
        limiter = Limiter(Rates(1e9, 1e9))
        self.caller = Caller(
            create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, limiter=limiter, absent_every_s=0))
        )
        scopes = [Scope.PROVENANCE]
        self.keys = {
            one: new_api_key(store, one, scopes, "test", now_s=NOW_S, life_s=900)[0] for one in sorted(EVERYONE)
        }

    def ask(self, path: str, tenant: int | None) -> httpx.Response:
        headers = {} if tenant is None else {"Authorization": f"Bearer {self.keys[tenant]}"}
        return self.caller.ask(path, Host=HOST, **headers)

    def things(self) -> Iterator[Thing]:
        world = self.world
        for route in ("/v1/lots/{subject}", "/v1/lots/{subject}/custody", "/v1/trace/{identifier:path}"):
            for name, subject in world.lots.items():
                yield _subject(route, name, subject, LOTS[name])
        for route in ("/v1/orders/{subject}", "/v1/trace/{identifier:path}"):
            for name, subject in world.orders.items():
                yield _subject(route, name, subject, ORDERS[name])
        by_order = {subject: ORDERS[name] for name, subject in world.orders.items()}
        for sequence, order in self.assignments.items():
            yield _number("/v1/assignments/{id}", sequence, by_order[order])
        finished = next(iter(self.assignments))
        yield _number("/v1/assignments/{id}/evidence", finished, by_order[self.assignments[finished]])
        for route in ("/v1/certificates/{id}", "/v1/certificates/{id}/evidence"):
            for name, sequence in world.certificates.items():
                yield _number(route, sequence, LOTS[name.removesuffix(" again")])
        yield _number("/v1/machines/{id}", world.machine, MACHINE)
        for model in (world.model, world.spare_model):
            yield _number("/v1/models/{id}", model, set(EVERYONE))
        yield _number("/v1/participants/{number}", SMITH, set(EVERYONE))
        streams = {"telemetry": world.stream, **world.logs}
        for name, owner in (("telemetry", SMITH), ("plans", COORDINATOR), ("audit log", AUDITOR)):
            first, second = self.anchors[streams[name]]
            for route in (
                "",
                "/anchors",
                f"/inclusion?index=0&anchor={first}",
                f"/consistency?first={first}&second={second}",
            ):
                yield _subject("/v1/streams/{subject}" + route, name, streams[name], {owner})


def _subject(route: str, name: str, subject: bytes, seers: set[int]) -> Thing:
    places = re.compile(r"{[^}]+}")
    path, absent = (places.sub("0x" + one.hex(), route) for one in (subject, b"\x77" * 32))
    return Thing(route.partition("?")[0], name, path, absent, frozenset(seers | {OWNER}))


def _number(route: str, number: int, seers: set[int]) -> Thing:
    places = re.compile(r"{[^}]+}")
    path, absent = (places.sub(str(one), route) for one in (number, 999_999))
    return Thing(route, str(number), path, absent, frozenset(seers | {OWNER}))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("objects")) as store:
        yield Site(store)


def told(answer: httpx.Response, thing: Thing) -> tuple[object, ...]:
    """All of an answer but its id, and what was asked."""
    body = answer.json()
    del body["request_id"]
    text = json.dumps(body)
    for path in (thing.path, thing.absent):
        for name in re.findall(r"0x[0-9a-f]{64}|[0-9]+", path.partition("/v1/")[2]):
            text = re.sub(rf"\b{name}\b", "NAME", text)
    headers = {key: value for key, value in answer.headers.items() if key not in ("x-request-id", "content-length")}
    return answer.status_code, text, headers


def test_every_thing_by_every_company(site: Site, tell: Tell) -> None:
    cells = 0
    for thing in site.things():
        for label, tenant in TENANTS.items():
            answer = site.ask(thing.path, tenant)
            case = (thing.path, thing.name, label)
            if tenant is None:
                assert answer.status_code == 401, case
            elif tenant in thing.seers:
                assert answer.status_code == 200, (case, answer.text)
            else:
                none = site.ask(thing.absent, tenant)
                assert answer.status_code == none.status_code == 404, (case, answer.text)
                assert told(answer, thing) == told(none, thing), case
            cells += 1
    tell(f"{cells} cells of things by companies")
    assert cells > 400


def test_answers_have_no_member_that_the_document_does_not_name(site: Site) -> None:
    """Whoever asks: schemas are served open, and are closed here."""
    document = site.ask("/openapi.json", OWNER).json()
    for component in document["components"]["schemas"].values():
        component["additionalProperties"] = False
    validators = {
        path: jsonschema_rs.validator_for({**_answer_schema(taken["get"]), "components": document["components"]})
        for path, taken in document["paths"].items()
        if "get" in taken and "200" in taken["get"]["responses"] and path.startswith("/v1/")
    }
    checked = 0
    for thing in site.things():
        for tenant in sorted(thing.seers):
            route = thing.route.replace(":path}", "}")
            validators[route].validate(site.ask(thing.path, tenant).json())
            checked += 1
    assert checked > 150


def _answer_schema(operation: dict[str, Any]) -> dict[str, Any]:
    bodies: list[dict[str, Any]] = list(operation["responses"]["200"]["content"].values())
    schema: dict[str, Any] = bodies[0].get("schema", {})
    return schema


def test_every_route_with_a_thing_in_it_is_in_the_table(site: Site) -> None:
    rows = [route for route in site.caller.app.state.routes if route.method == "GET"]
    routes = {route.path for route in rows if route.path.startswith("/v1/") and "{" in route.path}
    assert routes == {thing.route for thing in site.things()} | ELSEWHERE


ELSEWHERE = {
    "/v1/documents/{id}",
    "/v1/documents/{id}/versions/{version}",
    "/v1/recipient-keys/{participant}",
    "/v1/records/{id}",
    "/v1/assignments/{id}/registers",
    "/v1/calls/{root}",
    "/v1/plans/{root}",
    "/v1/plans/{root}/check",
    "/v1/causes/{id}",
    "/v1/forecasts/{id}",
    "/v1/forecasts/{id}/score",
    "/v1/setpoints/{id}",
    "/v1/lots/{subject}/footprint",
    "/v1/webhooks/{id}",
    "/v1/relay/{digest}",
    "/v1/relay/keys/{address}",
    "/v1/status-lists/{number}",
    "/v1/contexts/{name}",
    "/v1/certificates/{id}/credential",
}
"""Routes whose things have a table of their own, in another test, or that are the gateway's owner's alone."""


LISTS = {
    "/v1/lots": ("subject", LOTS, "lots"),
    "/v1/orders": ("subject", ORDERS, "orders"),
    "/v1/certificates": ("certificate", LOTS, "certificates"),
}


@pytest.mark.parametrize("tenant", sorted(EVERYONE))
@pytest.mark.parametrize("path", LISTS)
def test_lists_have_what_there_is_and_nothing_else(site: Site, path: str, tenant: int) -> None:
    member, seers, names = LISTS[path]
    things: dict[str, bytes | int] = getattr(site.world, names)
    expected = {
        one if isinstance(one, int) else "0x" + one.hex()
        for name, one in things.items()
        if tenant in seers[name.removesuffix(" again")] | {OWNER}
    }
    for limit in (1, 2, 200):
        found = walk(site, f"{path}?limit={limit}", tenant)
        assert len(found) == len(expected)
        assert {one[member] for one in found} == expected


@pytest.mark.parametrize("tenant", sorted(EVERYONE))
def test_machines_and_assignments_go_with_orders(site: Site, tenant: int) -> None:
    by_order = {subject: ORDERS[name] for name, subject in site.world.orders.items()}
    expected = [number for number, order in site.assignments.items() if tenant in by_order[order] | {OWNER}]
    found = walk(site, "/v1/assignments?limit=1", tenant)
    assert [one["assignment"] for one in found] == expected
    machines = [one["machine"] for one in walk(site, "/v1/machines", tenant)]
    assert (site.world.machine in machines) is (tenant in MACHINE | {OWNER})


def walk(site: Site, path: str, tenant: int | None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    cursor = ""
    for _ in range(1000):
        page = site.ask(path + cursor, tenant).json()
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"{'&' if '?' in path else '?'}cursor={page['next']}"
    raise AssertionError("the list has no end")


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/v1/lots?state=quarantined", 0),
        ("/v1/lots?state=spent", 1),
        ("/v1/lots?identifier=urn:example:hip-1", 1),
        ("/v1/lots?identifier=urn:example:hip-1&state=spent", 0),
        ("/v1/lots?identifier=urn:example:none", 0),
        (f"/v1/lots?custodian={BUYER}", 2),
        ("/v1/orders?identifier=urn:example:hip", 1),
        ("/v1/orders?state=in_production", 2),
        (f"/v1/orders?buyer={OTHER_BUYER}", 1),
        (f"/v1/orders?coordinator={SMITH}", 0),
        ("/v1/assignments?state=finished", 1),
        (f"/v1/assignments?owner={SMITH}&machine=8", 2),
        (f"/v1/certificates?inspector={INSPECTOR}", 4),
        ("/v1/certificates?model=999", 0),
        ("/v1/models?state=approved", 2),
        ("/v1/models?state=withdrawn", 0),
        (f"/v1/machines?owner={SMITH}", 1),
        ("/v1/participants", 9),
    ],
)
def test_filters(site: Site, path: str, count: int) -> None:
    assert len(walk(site, path, OWNER)) == count


def test_one_stream_and_the_list_tell_the_same_machine(site: Site) -> None:
    listed = {one["subject"]: one["machine"] for one in walk(site, "/v1/streams", OWNER)}
    assert listed.keys() == {"0x" + one.hex() for one in (site.world.stream, *site.world.logs.values())}
    for subject, machine in listed.items():
        assert site.ask(f"/v1/streams/{subject}", OWNER).json()["machine"] == machine
        assert (machine is None) is (subject != "0x" + site.world.stream.hex())


def test_a_filter_finds_nothing_foreign(site: Site) -> None:
    for name, subject in site.world.lots.items():
        found = walk(site, f"/v1/lots?identifier=urn:example:{name.replace(' ', '-')}", CARRIER)
        assert [one["subject"] for one in found] == (["0x" + subject.hex()] if CARRIER in LOTS[name] else [])
        certificates = walk(site, f"/v1/certificates?lot=0x{subject.hex()}", CARRIER)
        assert not certificates or CARRIER in LOTS[name]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/lots?state=packed",
        "/v1/lots?custodian=0",
        "/v1/lots?order=0x12",
        "/v1/lots?order=urn:example:hip",
        "/v1/lots/urn:example:hip-1",
        "/v1/lots/0x" + "A" * 64,
        "/v1/machines/0",
        "/v1/machines/1099511627776",
        "/v1/participants/4294967296",
        "/v1/models/x",
        "/v1/streams/0x" + "0" * 64 + "/inclusion?index=-1&anchor=1",
        "/v1/streams/0x" + "0" * 64 + "/inclusion?index=0",
        "/v1/streams/0x" + "0" * 64 + "/consistency?first=1",
    ],
)
def test_what_is_malformed_is_refused(site: Site, path: str) -> None:
    assert site.ask(path, OWNER).status_code == 422


def test_proofs_hold(site: Site) -> None:
    number = site.world.certificates["hip 1"]
    answer = site.ask(f"/v1/certificates/{number}/evidence", OWNER)
    found = answer.json()
    raw = {name: bytes.fromhex(found[name][2:]) for name in ("leaf_hash", "stream")}
    anchor, latest = found["anchor"], found["latest"]
    inclusion, consistency = ([bytes.fromhex(one[2:]) for one in found[way]] for way in ("inclusion", "consistency"))
    root, newest = (bytes.fromhex(one["root"][2:]) for one in (anchor, latest))
    verify_inclusion(raw["leaf_hash"], found["leaf_index"], anchor["size"], inclusion, root)
    verify_consistency(anchor["size"], latest["size"], consistency, root, newest)
    assert found["shown"]["entry"] == {"reading": 0}
    again = site.caller.ask(
        f"/v1/certificates/{number}/evidence",
        Host=HOST,
        Authorization=f"Bearer {site.keys[OWNER]}",
        If_None_Match=answer.headers["etag"],
    )
    assert (again.status_code, again.content) == (304, b"")


def test_entries_are_shown_to_the_gateways_company_alone(site: Site) -> None:
    for thing in site.things():
        if "evidence" in thing.route or "inclusion" in thing.route:
            for tenant in thing.seers:
                shown = site.ask(thing.path, tenant).json()["shown"]
                assert (shown is not None) is (tenant == OWNER)


def test_a_search_finds_for_each_company_what_it_may_see(site: Site) -> None:
    for name, subject in site.world.lots.items():
        for tenant in TENANTS.values():
            answer = site.ask(f"/v1/search?text=0x{subject.hex()}", tenant)
            if tenant is None:
                assert answer.status_code == 401
                continue
            found = [one["key"] for one in answer.json()["found"]]
            assert (answer.status_code, found == ["0x" + subject.hex()]) == (200, tenant in LOTS[name] | {OWNER}), (
                name,
                tenant,
            )


@pytest.mark.parametrize("text", ["", "%00", "a" * 5000, "%E2%80%AE"])
def test_a_search_for_what_nothing_can_be_called_is_refused(site: Site, text: str) -> None:
    assert site.ask(f"/v1/search?text={text}", OWNER).status_code in (400, 422)
