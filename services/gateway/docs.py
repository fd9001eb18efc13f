"""Adds what FastAPI's OpenAPI document lacks: problems under their media type, headers, 304, and examples.

Its routes serve the document, and its content as plain HTML. The page loads nothing, so it works offline, and no third
party learns who reads it.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.models import Schema
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from millmark.ledger.provenance.answers import Printable
from millmark.services.access import ANY_ROLE, Scope
from millmark.services.access.rules import MAX_BODY_BYTES, PUBLIC, Rule
from millmark.services.gateway.http import example_values, middleware, problems
from millmark.services.gateway.http.route_table import Examples, Route, RouteTable
from millmark.services.gateway.http.routes import ETAG_EXAMPLE, model_of, models_of, refer_to

BEGIN, END = "<!-- routes -->", "<!-- end of routes -->"
"""Lines that enclose the table in ACCESS.md."""
_TABLE_HEAD = ("| route | for | scope | roles | cost | body |", "|---|---|---|---|---|---|")


def build_access_table(routes: RouteTable) -> str:
    """One line per route of the API. Pages are left out; ACCESS.md describes them in prose."""
    lines = [_describe(route) for route in routes if not route.rule.page]
    return "\n".join((*_TABLE_HEAD, *sorted(lines, key=lambda line: line.split("`")[1].split()[::-1])))


def replace_table(text: str, table: str) -> str:
    """ACCESS.md with a new table. Raises ValueError if the text lacks the two enclosing lines."""
    before, found, rest = text.partition(f"{BEGIN}\n")
    _, closed, after = rest.partition(f"\n{END}")
    if not found or not closed:
        raise ValueError(f"the text lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _describe(route: Route) -> str:
    rule = route.rule
    body = "" if rule.body_bytes == MAX_BODY_BYTES else f"{rule.body_bytes // 1024:,} KiB"
    scope = rule.scope if isinstance(rule.scope, Scope) else ""
    cells = (f"`{route.method} {route.path}`", _audience(rule), scope, _roles(rule), rule.cost, body)
    return "| " + " | ".join(str(cell) or "–" for cell in cells) + " |"


def _audience(rule: Rule) -> str:
    if rule.public:
        return "anybody"
    return "owner" if rule.owner else "participants"


def _roles(rule: Rule) -> str:
    if rule.public:
        return ""
    if rule.roles == ANY_ROLE:
        return "any"
    missing = ANY_ROLE & ~rule.roles
    if len(missing) == 1:
        return f"any but {(missing.name or '').lower()}"
    return ", ".join((role.name or "").lower() for role in rule.roles)


# Python code of the methods and types of `millmark.services.client`, made from the OpenAPI document.
#
# `scripts/generate_client` writes them; a test holds the checked-in code equal to what this module makes.

_Schema = Mapping[str, Any]
NOT_IN_CLIENT: Mapping[str, str] = {
    "addDocument": "its body is the document, not JSON: `millmark documents` encrypts and sends it",
    "addDocumentVersion": "as addDocument",
    "fetchDocument": "its answer is sealed for the recipient: `millmark documents fetch`",
    "followEvents": "a feed without an end: a webhook delivers the same",
    "getMetrics": "text for Prometheus",
    "handOver": "gateways hand over to each other: `millmark handovers`",
}
"""Operations without a method, and why."""
_TAGS_ELSEWHERE = {"relay", "epcis"}
"""millmark.services.relay has the client of the first; the second is GS1's own API."""
_ROOMS = {
    "orders": "orders",
    "assignments": "orders",
    "calls": "planning",
    "offers": "planning",
    "plans": "planning",
    "forecasts": "planning",
    "lots": "lots",
    "custody": "custody",
    "certificates": "inspections",
    "models": "inspections",
    "machines": "machines",
    "streams": "machines",
    "documents": "documents",
    "recipient-key": "documents",
    "recipient-keys": "documents",
    "webhooks": "documents",
}
"""The module that has the methods of a path, by the path's first part; the others are in `general`."""
_HEAD = """\"\"\"{about}. Written by scripts/generate_client: change the API, not this.\"\"\"

from __future__ import annotations
"""
_PLAIN = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "null": "None"}


def build_client(document: Mapping[str, Any]) -> dict[str, str]:
    """The source of each module, by its path below services/client; not yet formatted."""
    code = _Code(document)
    rooms: dict[str, list[str]] = defaultdict(list)
    for path, operations in sorted(document["paths"].items()):
        for verb, operation in operations.items():
            if not _TAGS_ELSEWHERE & set(operation["tags"]) and operation["operationId"] not in NOT_IN_CLIENT:
                rooms[_room(path)] += code.method(path, verb.upper(), operation)
    files = {f"methods/{room}.py": _room_module(room, "\n".join(lines), code) for room, lines in rooms.items()}
    return {**files, "methods/__init__.py": _whole(rooms), "shapes.py": code.shapes()}


def _room(path: str) -> str:
    return _ROOMS.get(path.removeprefix("/v1/").partition("/")[0], "general")


def _class_of(room: str) -> str:
    return f"{room.capitalize()}Methods"


def _room_module(room: str, methods: str, code: _Code) -> str:
    bare = re.sub(r'""".*?"""', "", methods, flags=re.DOTALL)
    used, typing = (
        ", ".join(name for name in names if re.search(rf"\b{name}\b", bare))
        for names in (sorted(code.needed), ("Any", "Literal", "cast"))
    )
    iterator = "from collections.abc import Iterator\n" if "Iterator[" in methods else ""
    return (
        f"{_HEAD.format(about=f'Methods of the API: {room}')}\n{iterator}from typing import {typing}\n\n"
        f"from millmark.services.client.shapes import {used}\n"
        f"from millmark.services.client.transport import Methods\n\n"
        f'__all__ = ["{_class_of(room)}"]\n\n\nclass {_class_of(room)}(Methods):\n{methods}'
    )


def _whole(rooms: Mapping[str, object]) -> str:
    names = sorted(rooms)
    imports = "".join(f"from millmark.services.client.methods.{room} import {_class_of(room)}\n" for room in names)
    bases = ", ".join(map(_class_of, names))
    return (
        f"{_HEAD.format(about='All methods of the API')}\n{imports}\n"
        f'__all__ = ["AllMethods"]\n\n\nclass AllMethods({bases}):\n    """Every operation of the API."""\n'
    )


class _Code:
    """Writes methods, and remembers the schemas that they need."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]
        self.needed: set[str] = set()

    def method(self, path: str, verb: str, operation: _Schema) -> Iterator[str]:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation["operationId"]).lower()
        parameters = [one for one in operation.get("parameters", ()) if one["in"] != "header"]
        in_path = [one for one in parameters if one["in"] == "path"]
        query = [one for one in parameters if one["in"] == "query"]
        keyed = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
        answer = self._answer(operation)
        place = "f" * bool(in_path) + json.dumps(re.sub(r"{(\w+)}", r"{self.quote(\1)}", path))
        about = textwrap.fill(f"{operation['summary']}.", 105, subsequent_indent=" " * 8)
        said = f'"""{about}\n\n        {verb} {path}\n        """'
        own = [f"{one['name']}: {self._type(one['schema'])}" for one in in_path]
        if any(one["name"] == "cursor" for one in query):
            item = self._type(self._schemas[answer]["properties"]["items"]["items"])
            filters = [one for one in query if one["name"] != "cursor"]
            yield from self._lines(
                "iterate_" + name.removeprefix("list_"),
                [*own, "*", *self._options(filters)],
                f"Iterator[{item}]",
                said.replace('"""', '"""All pages: ', 1),
                f"return self._pages({', '.join([place, *_named(filters)])})",
            )
        rest, sent = self._sent(operation, keyed)
        arguments = ", ".join([json.dumps(verb), place, *sent, *_named(query)])
        call = f"self._ask({arguments})"
        result = call if answer == "None" else f"return cast({json.dumps(answer)}, {call})"
        options = [*rest, *self._options(query)]
        yield from self._lines(name, [*own, *(["*", *options] if options else [])], answer, said, result)

    def _lines(self, name: str, arguments: list[str], answer: str, said: str, body: str) -> Iterator[str]:
        yield f"    def {name}({', '.join(['self', *arguments])}) -> {answer}:\n        {said}\n        {body}\n"

    def _options(self, query: list[_Schema]) -> Iterator[str]:
        for one in query:
            kind = self._type(one["schema"])
            yield f"{one['name']}: {kind}" if one["required"] else f"{one['name']}: {_or_none(kind)} = None"

    def _sent(self, operation: _Schema, keyed: bool) -> tuple[list[str], list[str]]:
        """The parameters for body and key, and the arguments that pass them on."""
        if "requestBody" not in operation:
            return [], []
        body = self._schemas[_referred(operation["requestBody"]["content"]["application/json"]["schema"])]
        members, needed = body.get("properties", {}), body.get("required", ())
        # Those that must be given come first, although all are named.
        names = sorted(members, key=lambda one: one not in needed)
        parameters = [
            f"{one}: {self._type(members[one])}"
            if one in needed
            else f"{one}: {_or_none(self._type(members[one]))} = None"
            for one in names
        ]
        body_of = "body={" + ", ".join(f'"{one}": {one}' for one in members) + "}"
        return parameters + ["key: str | None = None"] * keyed, [body_of] + ["key=self.key(key)"] * keyed

    def _answer(self, operation: _Schema) -> str:
        found = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        content = found.get("content")
        return self._type(next(iter(content.values()))["schema"]) if content else "None"

    def _type(self, schema: _Schema) -> str:
        if "$ref" in schema:
            return self._named_type(_referred(schema))
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(map(self._type, schema["anyOf"])))
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(one) for one in schema['enum'])}]"
        kind = schema.get("type", "object")
        if kind == "array":
            return f"list[{self._type(schema['items'])}]"
        if kind == "object":
            values = schema.get("additionalProperties")
            return f"dict[str, {self._type(values)}]" if isinstance(values, Mapping) else "dict[str, Any]"
        return _PLAIN[kind]

    def _named_type(self, name: str) -> str:
        if name.endswith("Fields"):  # of one kind of record each, as in ledger/EVENTS.md
            return "dict[str, Any]"
        if "enum" in self._schemas[name]:
            return self._type(self._schemas[name])
        if name not in self.needed:
            self.needed.add(name)
            for member in self._schemas[name].get("properties", {}).values():
                self._type(member)
        return name

    def shapes(self) -> str:
        """The module of all types that the methods need."""
        names = sorted(self.needed)
        listed = ", ".join(json.dumps(name) for name in names)
        shapes = "\n\n".join(map(self._shape, names))
        return (
            f"{_HEAD.format(about='What goes to a gateway and comes back, as JSON')}\n"
            f"from typing import Any, Literal, NotRequired, TypedDict\n\n__all__ = [{listed}]\n\n\n{shapes}\n"
        )

    def _shape(self, name: str) -> str:
        schema = self._schemas[name]
        needed = schema.get("required", ())
        members = {
            one: kind if one in needed else f"NotRequired[{kind}]"
            for one, kind in ((one, self._type(value)) for one, value in schema["properties"].items())
        }
        if "from" in members:  # a word of Python's own
            # Quoted: the functional form is evaluated at once, where a type may be declared further down.
            listed = ", ".join(f'"{one}": {json.dumps(kind)}' for one, kind in members.items())
            return f'{name} = TypedDict("{name}", {{{listed}}})\n'
        lines = "".join(f"    {one}: {kind}\n" for one, kind in members.items())
        return f"class {name}(TypedDict):\n{lines}"


def _referred(schema: _Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _named(query: list[_Schema]) -> list[str]:
    return [f"{one['name']}={one['name']}" for one in query]


def _or_none(kind: str) -> str:
    return kind if kind.endswith("None") else f"{kind} | None"


_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A session token (sign in with a participant's key) or an API key. 401 without a valid one, 403 if "
    "it lacks the scope or its participant lacks the role.",
}

_REQUEST_ID = {
    "description": "Identifies this request in the operator's log, unless its head was refused: as too long, or as no "
    "HTTP. A valid X-Request-ID in the request is kept.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}
_ETAG = {
    "description": "Changes whenever the response does; a weak one (`W/`), whenever what matters in it does.",
    "required": True,
    "schema": {"type": "string", "pattern": '^(W/)?"[0-9a-f]{32}"$'},
    "example": ETAG_EXAMPLE,
}


_RETRY_AFTER = {
    "description": "Seconds after which the same request may be sent again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
    "example": 2,
}
_REPLAYED = {
    "description": "`true` if this is the stored response to an earlier request with the same key.",
    "schema": {"type": "string", "enum": ["true"]},
}
_LOCATION = {
    "description": "The status of the record.",
    "required": True,
    "schema": {"type": "string", "pattern": "^/v1/records/[0-9]+$"},
    "example": "/v1/records/17",
}


_UNKNOWN = problems.Problem(
    type="urn:millmark:problem:not-found",
    title="Nothing is known under that name",
    status=404,
    detail=f"{example_values.IDENTIFIER} is not known here",
    hint="check its spelling, or give its subject: the chain keeps no identifiers",
    request_id="1f0c6e0e5a8b4c55a3b8b6a3b1a0c9d2",
)


def complete_document(document: dict[str, Any], routes: RouteTable, *, secured: bool) -> dict[str, Any]:
    """Completes the document in place and returns it. `secured`: whether callers need a credential."""
    _add_schemas(document, {model_of(problems.Problem), *(model for route in routes for model in models_of(route))})
    rows = {route.operation: route for route in routes}
    for operations in document["paths"].values():
        for operation in operations.values():
            row = rows[operation["operationId"]]
            _complete_operation(operation, row.examples)
            _complete_body(operation, row)
            if secured and not row.rule.public:
                operation["security"] = [{"bearer": []}]
    if secured:
        document.setdefault("components", {})["securitySchemes"] = {"bearer": _BEARER}
    return document


def _add_schemas(document: dict[str, Any], models: Iterable[type[BaseModel]]) -> None:
    """Adds the schemas of the models and of what they contain, with their members in FastAPI's order."""
    _, added = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    known = document.setdefault("components", {}).get("schemas", {})
    for name, schema in added["$defs"].items():
        known[name] = jsonable_encoder(Schema(**schema), by_alias=True, exclude_none=True)
    document["components"]["schemas"] = dict(sorted(known.items()))


def _complete_operation(operation: dict[str, Any], examples: Examples) -> None:
    responses = operation["responses"]
    headers = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
    for status, response in responses.items():
        response["headers"] = {"X-Request-ID": _REQUEST_ID}
        if not status.startswith("2") and _is_problem(response):
            _complete_problem(status, response)
        else:
            _complete_answer(status, response, examples)
            if "Idempotency-Key" in headers:
                response["headers"][middleware.REPLAYED] = _REPLAYED
            if status == "202" and operation["tags"] == ["recording"]:
                response["headers"]["Location"] = _LOCATION
    if "If-None-Match" in headers:
        responses["200"]["headers"]["ETag"] = _ETAG
        known = {"X-Request-ID": _REQUEST_ID, "ETag": _ETAG}
        responses["304"] = {"description": "The response that you already have is still valid.", "headers": known}
    if "If-Match" in headers:
        responses["412"] = {
            **responses["default"],
            "description": "The resource has changed, as a problem (RFC 9457).",
            "headers": {"X-Request-ID": _REQUEST_ID},
        }
        if "200" in responses:
            responses["200"]["headers"]["ETag"] = _ETAG
    for status in ("409", "429") if "Idempotency-Key" in headers else ("429",):
        _add_later(status, responses)


def _complete_body(operation: dict[str, Any], row: Route) -> None:
    if row.body_example is not None:
        operation["requestBody"]["content"]["application/json"]["examples"] = {"plain": {"value": row.body_example}}


def _complete_answer(status: str, response: dict[str, Any], examples: Examples) -> None:
    content = response.get("content", {})
    if status.startswith("2"):
        response["description"] = "Success." if content else "Success, without content."
    for body in content.values():
        if examples and "examples" not in body:
            body["examples"] = {name: {"value": _as_json(build())} for name, build in examples.items()}


def _as_json(example: object) -> object:
    return example.to_json() if isinstance(example, Printable) else example


def _add_later(status: str, responses: dict[str, Any]) -> None:
    """Adds the problem for a request that may be sent again."""
    responses[status] = {
        **responses["default"],
        "description": f"{HTTPStatus(int(status)).phrase}, as a problem (RFC 9457).",
        # A conflict may also be one that time does not solve: a name that is taken.
        "headers": {"X-Request-ID": _REQUEST_ID, "Retry-After": {**_RETRY_AFTER, "required": status != "409"}},
    }


def _is_problem(response: dict[str, Any]) -> bool:
    """Whether it is one; a readiness report is the same with every status."""
    schema = response.get("content", {}).get("application/json", {}).get("schema")
    return bool(schema == refer_to(problems.Problem))


def _complete_problem(status: str, response: dict[str, Any]) -> None:
    phrase = HTTPStatus(int(status)).phrase if status.isdigit() else "Any other failure"
    response["description"] = f"{phrase}, as a problem (RFC 9457)."
    # FastAPI documents all bodies as application/json; problems have a media type of their own.
    body = response["content"].pop("application/json")
    if status == "404":
        body["examples"] = {"unknown": {"value": _UNKNOWN.to_json()}}
    response["content"][problems.MEDIA_TYPE] = body


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}"
    "code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f2f4f7;padding:1rem;overflow-x:auto}"
    "h2{border-top:1px solid #ccd3db;padding-top:1rem}"
    "th,td{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}"
)


def add_documentation(table: RouteTable, app: FastAPI) -> None:
    table.add(Route("GET", "/openapi.json", PUBLIC), lambda: JSONResponse(app.openapi()))
    table.add(Route("GET", "/docs", PUBLIC), lambda: HTMLResponse(_build_page(app.openapi())))


def _build_page(document: dict[str, Any]) -> str:
    """A section per operation with parameters, responses and an example."""
    info = document["info"]
    sections = [
        _section(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        '<p>For programs: <a href="/openapi.json">OpenAPI 3.1 document</a>, with the schema of every response.</p>'
        f"{''.join(sections)}</body></html>"
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(_parameter(one) for one in operation.get("parameters", ()))
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    )
    return (
        f"<h2>{escape(operation['summary'])}</h2><p><code>{escape(method.upper())} {escape(path)}</code></p>"
        f"<p>{escape(operation['description'])}</p><table>{parameters}{answers}</table>{_examples(operation)}"
    )


def _parameter(one: dict[str, Any]) -> str:
    where = f"{one['in']}{', required' if one['required'] else ''}"
    return f"<tr><td><code>{escape(one['name'])}</code> ({where})</td><td>{escape(one['description'])}</td></tr>"


def _examples(operation: dict[str, Any]) -> str:
    answers = [
        one["content"] for status, one in operation["responses"].items() if status[0] == "2" and "content" in one
    ]
    shown: dict[str, Any] = next(
        (body["examples"] for content in answers for body in content.values() if "examples" in body), {}
    )
    return "".join(
        f"<details><summary>Example: {escape(name)}</summary>"
        f"<pre>{escape(json.dumps(example['value'], indent=2))}</pre></details>"
        for name, example in shown.items()
    )
