"""The documentation routes: the OpenAPI document, and its content as plain HTML. The page loads nothing, so it works
offline, and no third party learns who reads it."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

from services.access.rules import PUBLIC
from services.gateway.http.route_table import Route, RouteTable

__all__ = ["add_documentation"]

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
