"""The OpenAPI document: complete, and true of real answers."""

from __future__ import annotations

import copy
import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from html import escape
from importlib.metadata import version
from typing import Any, cast

import jsonschema_rs
import pytest
import schemathesis
from fastapi.routing import APIRoute

from millmark.ledger.bundle import MEDIA_TYPE
from millmark.ledger.ids import canonical_identifier
from millmark.ledger.provenance import Certificate, OrderTrace, Recall, Trace
from millmark.ledger.provenance.answers import Printable
from millmark.services.gateway.api.credentials import CREDENTIAL_MEDIA, DID_MEDIA
from millmark.services.gateway.api.documents import SEALED_MEDIA_TYPE
from millmark.services.gateway.api.status import Health, Ready
from millmark.services.gateway.http.example_values import IDENTIFIER
from millmark.services.gateway.http.problems import Problem
from millmark.services.gateway.http.routes import model_of
from millmark.services.interop.contexts.published import CONTEXT_MEDIA
from millmark.services.views import GatewayStatus
from tests.support.fake_world import World, build_bad_world
from tests.support.gateway_client import Caller, build_caller, build_linked_world
from tests.support.stores import new_store

Json = dict[str, Any]
API = ("/v1/", "/epcis/", "/health", "/ready", "/metrics", "/.well-known/did.json")
"""What the document is about; the rest are pages."""
OTHER_MEDIA = {
    "getBundle": MEDIA_TYPE,
    "getMetrics": "text/plain",
    "fetchDocument": SEALED_MEDIA_TYPE,
    "getContext": CONTEXT_MEDIA,
    "getDidDocument": DID_MEDIA,
    "getStatusList": CREDENTIAL_MEDIA,
    "getCredential": CREDENTIAL_MEDIA,
}
"""Operations whose answer is no plain JSON."""
VIEWS: tuple[type, ...] = (Trace, OrderTrace, Certificate, Recall, GatewayStatus, Health, Ready, Problem)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("gateway")) as store:
        yield build_linked_world(store)


@pytest.fixture(scope="module")
def bad_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("gateway")) as store:
        yield build_bad_world(store)


@pytest.fixture(scope="module")
def caller(world: World) -> Caller:
    return build_caller(world.store)


@pytest.fixture(scope="module")
def document(caller: Caller) -> Json:
    return cast(Json, caller.ask("/openapi.json").json())


def operations(document: Json) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def verify(document: Json, schema: Json, value: object) -> None:
    """Schemas are served open; here nothing may be there that they do not name."""
    components = copy.deepcopy(document["components"])
    for component in components["schemas"].values():
        component["additionalProperties"] = False
    jsonschema_rs.validator_for({**schema, "components": components}, validate_formats=True).validate(value)


def answer_schema(document: Json, path: str, status: str = "200") -> Json:
    response = document["paths"][path]["get"]["responses"][status]
    (body,) = response["content"].values()
    return cast(Json, body["schema"])


def test_the_document_is_openapi_3_1(document: Json) -> None:
    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == version("millmark")


def test_every_route_is_in_the_document(caller: Caller, document: Json) -> None:
    routes = {
        route.path_format for route in caller.app.routes if isinstance(route, APIRoute) and route.include_in_schema
    }
    assert routes == set(document["paths"])
    assert set(document["paths"]) == {
        re.sub(r"{(\w+):path}", r"{\1}", route.path) for route in caller.app.state.routes if route.path.startswith(API)
    }


def test_every_operation_says_all_there_is_to_say(caller: Caller, document: Json) -> None:
    rows = {route.operation for route in caller.app.state.routes} - {None}
    assert {one["operationId"] for one in operations(document)} == rows
    for one in operations(document):
        assert one["summary"]
        assert one["description"]
        for parameter in one.get("parameters", ()):
            assert parameter["description"], parameter["name"]
            assert parameter["schema"]["examples"], parameter["name"]
        for status, response in one["responses"].items():
            assert response["description"]
            assert "X-Request-ID" in response["headers"]
            media = set(response.get("content", ())) - {"text/event-stream"}
            json_, nothing = {"application/json"}, set[str]()
            expected = {"200": json_, "201": json_, "202": json_, "204": nothing, "304": nothing}
            if one["operationId"] == "getReadiness":  # the same report, whatever it says
                expected["503"] = json_
            if one["operationId"] in OTHER_MEDIA and status == "200":
                json_ = {OTHER_MEDIA[one["operationId"]]}
                expected["200"] = json_
            assert media == expected.get(status, {"application/problem+json"})
            assert all(response["content"][kind]["examples"] for kind in media & json_ if "json" in kind)
        assert "default" in one["responses"]
        assert any(status.startswith("2") for status in one["responses"])


def test_examples_are_true(document: Json) -> None:
    checked = 0
    for operation in operations(document):
        for status, response in operation["responses"].items():
            for body in response.get("content", {}).values():
                for example in body.get("examples", {}).values():
                    verify(document, body["schema"], example["value"])
                    checked += 1
                assert (
                    "examples" in body
                    or status not in ("200", "201", "404")
                    or SEALED_MEDIA_TYPE in response["content"]
                )
    assert checked >= len(document["paths"])


def test_an_example_shows_what_became_of_records_of_events(document: Json) -> None:
    for path, method, status in (("capture", "post", "202"), ("capture/{id}", "get", "200")):
        answer = document["paths"][f"/epcis/v2/{path}"][method]["responses"][status]["content"]["application/json"]
        [event] = answer["examples"]["recorded"]["value"]["events"]
        [record] = event["recorded"]
        assert record == {"id": 17, "kind": "ReceiveLot", "state": "final", "done": True, "sequence": 412}


def test_the_identifiers_of_the_examples_are_one_thing(document: Json) -> None:
    identifier = document["paths"]["/v1/trace/{identifier}"]["get"]["parameters"][0]
    assert {canonical_identifier(one) for one in identifier["schema"]["examples"]} == {IDENTIFIER}


def test_real_answers_are_as_the_document_says(world: World, bad_world: World, document: Json) -> None:
    for told in (world, bad_world):
        caller = build_caller(told.store)
        paths = [("/v1/trace/{identifier}", f"/v1/trace/0x{lot.hex()}") for lot in told.lots.values()]
        paths += [("/v1/trace/{identifier}", f"/v1/trace/0x{order.hex()}") for order in told.orders.values()]
        paths += [("/v1/certificates/{id}", f"/v1/certificates/{number}") for number in told.certificates.values()]
        paths += [("/v1/recall", f"/v1/recall?model={model}") for model in (told.model, told.spare_model)]
        paths += [("/v1/recall", f"/v1/recall?lot=0x{told.lots['bar'].hex()}")]
        paths += [("/v1/status", "/v1/status"), ("/health", "/health")]
        for template, path in paths:
            answer = caller.ask(path)
            assert answer.status_code == 200, path
            verify(document, answer_schema(document, template), answer.json())


def test_real_problems_are_as_the_document_says(caller: Caller, document: Json) -> None:
    for path, status in (("/v1/trace/x%20y", "400"), ("/v1/trace/urn:example:x", "404"), ("/v1/trace/", "422")):
        problem = caller.problem(path)
        assert problem["status"] == int(status)
        verify(document, answer_schema(document, "/v1/trace/{identifier}", status), problem)


@pytest.mark.parametrize("view", VIEWS)
def test_schemas_have_the_fields_of_the_views(view: type, document: Json) -> None:
    schema = document["components"]["schemas"][view.__name__]
    names = [field.name.rstrip("_") for field in fields(view)]
    assert schema["required"] == list(schema["properties"]) == names


class Colour(enum.Enum):
    RED = 1
    DARK_BLUE = 2


@dataclass(frozen=True, slots=True)
class Inner(Printable):
    from_: bytes


@dataclass(frozen=True, slots=True)
class Outer(Printable):
    """Outside."""

    colour: Colour | None
    """Of the paint."""
    inner: tuple[Inner, ...]
    counts: Mapping[str, int]
    anything: object


def test_how_types_become_schemas() -> None:
    schema = model_of(Outer).model_json_schema()
    assert schema["description"] == "Outside."
    assert schema["properties"]["colour"] == {
        "anyOf": [{"enum": ["red", "dark_blue"], "type": "string"}, {"type": "null"}],
        "description": "Of the paint.",
        "title": "Colour",
    }
    assert schema["properties"]["inner"]["items"] == {"$ref": "#/$defs/Inner"}
    assert schema["properties"]["counts"]["additionalProperties"] == {"type": "integer"}
    assert schema["$defs"]["Inner"]["properties"]["from"]["pattern"] == "^0x[0-9a-f]*$"
    assert "description" not in schema["$defs"]["Inner"]
    view = Outer(Colour.DARK_BLUE, (Inner(b"\x01"),), {"a": 1}, [None])
    assert jsonschema_rs.is_valid(schema, view.to_json())


@dataclass(frozen=True, slots=True)
class Unprintable(Printable):
    value: complex


def test_what_has_no_json_form_is_refused_at_start() -> None:
    with pytest.raises(TypeError, match="complex"):
        model_of(Unprintable)


def test_the_page_says_what_the_document_says(caller: Caller, document: Json) -> None:
    page = caller.ask("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path, taken in document["paths"].items():
        for method, operation in taken.items():
            assert f"{method.upper()} {path}" in page.text
            assert escape(operation["summary"]) in page.text
    assert "<script" not in page.text
