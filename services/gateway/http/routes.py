"""Declares documented routes, one row each: path, operation id, summary, answer, permission rule, and examples.

routes = Routes(table, "provenance", PROBLEMS_400_404)

@routes.get("/v1/recall", "recall", "What a bad lot reached", Recall, rule=Rule(Scope.PROVENANCE), examples=...)
def recall(principal: CurrentPrincipal) -> Response: ...
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Required, TypeAlias, TypedDict, TypeVar, Union, Unpack, get_args

from fastapi import Response

from services.access.rules import Rule
from services.gateway.http.paging import page_of
from services.gateway.http.responses import PROBLEMS_400, PROBLEMS_404, Problems
from services.gateway.http.route_table import Examples, Route, RouteTable
from services.gateway.http.schemas import model_of

__all__ = ["Options", "Routes"]

F = TypeVar("F", bound=Callable[..., Any])
View: TypeAlias = "type | types.UnionType | None"
"""The answer, or a union of the answers; None where it is not a view."""
_NO_EXAMPLES: Examples = {}


class Options(TypedDict, total=False):
    """The members of a row that go by name. Without `rule`, a route cannot be declared."""

    rule: Required[Rule]
    examples: Examples
    body_example: object
    """Shown for the request body, as JSON."""
    responses: Problems
    """Instead of the problems that all routes of the group have."""
    response_model: Any
    """Pydantic model of an answer that is not a view; None for no model at all."""
    response_class: type[Response]
    status_code: int
    description: str
    """Instead of the endpoint's docstring."""
    openapi_extra: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes under one tag. `problems` are the failures that the document lists unless a row says otherwise."""

    table: RouteTable
    tag: str
    problems: Problems

    def page(self, path: str, operation: str, summary: str, view: type, **row: Unpack[Options]) -> Callable[[F], F]:
        """GET of a list, a page at a time. The cursor may be one of another list."""
        listed: Options = {"responses": PROBLEMS_400, **row}
        return self._declare("GET", path, operation, summary, response_model=page_of(view), **listed)

    def one(self, path: str, operation: str, summary: str, view: type, **row: Unpack[Options]) -> Callable[[F], F]:
        """GET of a single thing, which may not be there."""
        found: Options = {"responses": PROBLEMS_404, **row}
        return self.get(path, operation, summary, view, **found)

    def get(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("GET", path, operation, summary, **_with_model(view, row))

    def post(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("POST", path, operation, summary, **_with_model(view, row))

    def put(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("PUT", path, operation, summary, **_with_model(view, row))

    def patch(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("PATCH", path, operation, summary, **_with_model(view, row))

    def delete(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("DELETE", path, operation, summary, **_with_model(view, row))

    def _declare(
        self,
        method: str,
        path: str,
        operation: str,
        summary: str,
        *,
        rule: Rule,
        examples: Examples = _NO_EXAMPLES,
        body_example: object = None,
        **documented: Any,
    ) -> Callable[[F], F]:
        def register(endpoint: F) -> F:
            route = Route(method, path, rule, operation, examples, body_example)
            told = {"summary": summary, "tags": [self.tag], "responses": self.problems, **documented}
            self.table.add(route, endpoint, **told)
            return endpoint

        return register


def _with_model(view: View, row: Options) -> Options:
    if view is None:
        return row
    models = tuple(model_of(one) for one in (get_args(view) or (view,)))
    return {"response_model": Union[models], **row}  # noqa: UP007  # the members are known only now
