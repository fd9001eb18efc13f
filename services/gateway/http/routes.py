"""Declares documented routes, one row each: path, operation id, summary, response, permission rule, and examples.

routes = Routes(table, "provenance", PROBLEMS_400_404)

@routes.get("/v1/recall", "recall", "Find what a bad lot affected", Recall, rule=Rule(Scope.PROVENANCE), examples=...)
def recall(principal: CurrentPrincipal) -> Response: ...
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Required, TypeAlias, TypedDict, TypeVar, Unpack, get_args

from fastapi import Response
from pydantic import BaseModel

from millmark.services.access.rules import Rule
from millmark.services.gateway.http.paging import page_of
from millmark.services.gateway.http.responses import PROBLEMS_400, PROBLEMS_404, Problems, refer_to
from millmark.services.gateway.http.route_table import Examples, Route, RouteTable
from millmark.services.gateway.http.schemas import model_of

F = TypeVar("F", bound=Callable[..., Any])
View: TypeAlias = "type | types.UnionType | None"
"""The view that is returned, or a union of views; None if it is not a view."""
Models: TypeAlias = "tuple[type[BaseModel], ...]"
"""The models of a successful response; several if it has one of them."""
_NO_EXAMPLES: Examples = {}


class Options(TypedDict, total=False):
    """The keyword members of a row. `rule` is required."""

    rule: Required[Rule]
    examples: Examples
    body_example: object
    """Example of the request body, as JSON."""
    responses: Problems
    """Problems, in place of those common to the group."""
    response_model: type[BaseModel] | None
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
        return self._declare("GET", path, operation, summary, (page_of(view),), **listed)

    def one(self, path: str, operation: str, summary: str, view: type, **row: Unpack[Options]) -> Callable[[F], F]:
        """Declares a GET route of one resource, which answers 404 if there is none."""
        found: Options = {"responses": PROBLEMS_404, **row}
        return self.get(path, operation, summary, view, **found)

    def get(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("GET", path, operation, summary, _models_of(view), **row)

    def post(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("POST", path, operation, summary, _models_of(view), **row)

    def put(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("PUT", path, operation, summary, _models_of(view), **row)

    def patch(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("PATCH", path, operation, summary, _models_of(view), **row)

    def delete(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("DELETE", path, operation, summary, _models_of(view), **row)

    def _declare(
        self,
        method: str,
        path: str,
        operation: str,
        summary: str,
        models: Models,
        *,
        rule: Rule,
        examples: Examples = _NO_EXAMPLES,
        body_example: object = None,
        response_model: type[BaseModel] | None = None,
        responses: Problems | None = None,
        **documented: Any,
    ) -> Callable[[F], F]:
        models = models if response_model is None else (response_model,)
        problems = self.problems if responses is None else responses
        # The model is not FastAPI's business: endpoints return complete responses, which it does not validate.
        documented |= {"responses": {**_success(models, documented), **problems}, "response_model": None}

        def register(endpoint: F) -> F:
            route = Route(method, path, rule, operation, examples, body_example, models)
            self.table.add(route, endpoint, summary=summary, tags=[self.tag], **documented)
            return endpoint

        return register


def _models_of(view: View) -> Models:
    return () if view is None else tuple(model_of(one) for one in (get_args(view) or (view,)))


def _success(models: Models, documented: Mapping[str, Any]) -> Problems:
    """The successful response, if it has one of these models."""
    references = [refer_to(model) for model in models]
    if not references:
        return {}
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {documented.get("status_code", 200): {"content": {"application/json": {"schema": schema}}}}
