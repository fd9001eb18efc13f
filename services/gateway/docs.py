"""Adds what FastAPI's OpenAPI document lacks: problems under their media type, headers, 304, and examples.

Its routes serve the document, and its content as plain HTML. The page loads nothing, so it works offline, and no third
party learns who reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
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
    hint="check its spelling, or use its subject: identifiers are not on the chain",
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
