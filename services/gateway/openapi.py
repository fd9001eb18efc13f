"""What FastAPI's OpenAPI document lacks: problems under their media type, headers, 304, and examples."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from services.gateway.examples import ETAG, build_examples, build_problem_example
from services.gateway.problems import MEDIA_TYPE
from services.gateway.rules import RULES

__all__ = ["complete_document"]

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "The token of a session (sign in with a participant's key), or an API key. 401 without one that "
    "counts, 403 when it lacks a scope or its participant a role.",
}

_REQUEST_ID = {
    "description": "Names this request in the operator's log; the caller's own X-Request-ID when it was a sane one.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}
_ETAG = {
    "description": "Changes with the answer.",
    "required": True,
    "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
    "example": ETAG,
}


def complete_document(document: dict[str, Any], *, secured: bool) -> dict[str, Any]:
    """Adds to the document in place, and gives it back. `secured` is whether callers need a credential."""
    examples = build_examples()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete_operation(operation, examples[operation["operationId"]])
            if secured and not _is_public(method, path):
                operation["security"] = [{"bearer": []}]
    if secured:
        document.setdefault("components", {})["securitySchemes"] = {"bearer": _BEARER}
    return document


def _is_public(method: str, path: str) -> bool:
    """The document writes paths without the converters that the router has."""
    return any(
        rule.public
        for (verb, known), rule in RULES.items()
        if verb == method.upper() and known.partition(":")[0] == path
    )


def _complete_operation(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    responses = operation["responses"]
    tagged = any(one["name"] == "If-None-Match" for one in operation.get("parameters", ()))
    for status, response in responses.items():
        response["headers"] = {"X-Request-ID": _REQUEST_ID}
        if status == "204":
            response["description"] = "It is done."
        elif status.startswith("2"):
            response["description"] = "The answer."
            shown = {name: {"value": view.to_json()} for name, view in examples.items()}
            response["content"]["application/json"]["examples"] = shown
        else:
            _complete_problem(status, response)
    if tagged:
        responses["200"]["headers"]["ETag"] = _ETAG
        headers = {"X-Request-ID": _REQUEST_ID, "ETag": _ETAG}
        responses["304"] = {"description": "The answer that is at hand is still right.", "headers": headers}


def _complete_problem(status: str, response: dict[str, Any]) -> None:
    phrase = HTTPStatus(int(status)).phrase if status.isdigit() else "Any other failure"
    response["description"] = f"{phrase}, as a problem (RFC 9457)."
    body = response["content"].pop("application/json")
    if status == "404":
        body["examples"] = {"unknown": {"value": build_problem_example().to_json()}}
    response["content"][MEDIA_TYPE] = body
