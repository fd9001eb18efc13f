"""Declares documented routes, one row each: path, operation id, summary, response, permission rule, and examples.

routes = Routes(table, "provenance", PROBLEMS_400_404)

@routes.get("/v1/recall", "recall", "Find what a bad lot affected", Recall, rule=Rule(Scope.PROVENANCE), examples=...)
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
"""The view that is returned, or a union of views; None if it is not a view."""
_NO_EXAMPLES: Examples = {}


class Options(TypedDict, total=False):
    """The keyword members of a row. `rule` is required."""

    rule: Required[Rule]
    examples: Examples
    body_example: object
    """Example of the request body, as JSON."""
    responses: Problems
    """Problems, in place of those common to the group."""
    response_model: Any
    """Pydantic model of a response that is not a view; None for none."""
    response_class: type[Response]
    status_code: int
    description: str
    """Description, in place of the endpoint's docstring."""
    openapi_extra: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes with the same tag. `problems` are listed for every route that does not set `responses`."""

    table: RouteTable
    tag: str
    problems: Problems

    def page(self, path: str, operation: str, summary: str, view: type, **row: Unpack[Options]) -> Callable[[F], F]:
        """Declares a GET route of a paged list, which answers 400 to a cursor of another list."""
        listed: Options = {"responses": PROBLEMS_400, **row}
        return self._declare("GET", path, operation, summary, response_model=page_of(view), **listed)

    def one(self, path: str, operation: str, summary: str, view: type, **row: Unpack[Options]) -> Callable[[F], F]:
        """Declares a GET route of one resource, which answers 404 if there is none."""
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
            documentation = {"summary": summary, "tags": [self.tag], "responses": self.problems, **documented}
            self.table.add(route, endpoint, **documentation)
            return endpoint

        return register


def _with_model(view: View, row: Options) -> Options:
    if view is None:
        return row
    models = tuple(model_of(one) for one in (get_args(view) or (view,)))
    return {"response_model": Union[models], **row}  # noqa: UP007  # the members are known only now
