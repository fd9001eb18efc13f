"""Routes as the document tells of them, each in a line: where it is, its name, in a few words, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from fastapi import APIRouter

from services.gateway.api.schemas import model_of
from services.gateway.http.paging import page_of
from services.gateway.http.responses import CHECKED, LOOKED_UP, PROBLEM, Problems

__all__ = ["LISTED", "Routes"]

LISTED: Problems = {400: PROBLEM, **CHECKED}
"""Of a list, whose cursor may be one of another list."""
F = TypeVar("F", bound=Callable[..., Any])
View: TypeAlias = "type | None"
"""What is given; None where it is no view."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Those of one tag. `problems` are what their answers may be instead, unless a route says otherwise; so may be
    whatever else FastAPI takes."""

    router: APIRouter
    tag: str
    problems: Problems

    def page(self, path: str, name: str, summary: str, view: type, problems: Problems = LISTED) -> Callable[[F], F]:
        """GET of a list, a page at a time."""
        return self._declare("GET", path, name, summary, response_model=page_of(view), responses=problems)

    def one(self, path: str, name: str, summary: str, view: type) -> Callable[[F], F]:
        """GET of a single thing, which may not be there."""
        return self.get(path, name, summary, view, responses=LOOKED_UP)

    def get(self, path: str, name: str, summary: str, view: View = None, **more: Any) -> Callable[[F], F]:
        return self._declare("GET", path, name, summary, **_gives(view), **more)

    def post(self, path: str, name: str, summary: str, view: View = None, **more: Any) -> Callable[[F], F]:
        return self._declare("POST", path, name, summary, **_gives(view), **more)

    def put(self, path: str, name: str, summary: str, view: View = None, **more: Any) -> Callable[[F], F]:
        return self._declare("PUT", path, name, summary, **_gives(view), **more)

    def patch(self, path: str, name: str, summary: str, view: View = None, **more: Any) -> Callable[[F], F]:
        return self._declare("PATCH", path, name, summary, **_gives(view), **more)

    def delete(self, path: str, name: str, summary: str, view: View = None, **more: Any) -> Callable[[F], F]:
        return self._declare("DELETE", path, name, summary, **_gives(view), **more)

    def _declare(self, method: str, path: str, name: str, summary: str, **more: Any) -> Callable[[F], F]:
        told = {"operation_id": name, "summary": summary, "tags": [self.tag], "responses": self.problems, **more}
        return self.router.api_route(path, methods=[method], **told)


def _gives(view: View) -> dict[str, Any]:
    return {} if view is None else {"response_model": model_of(view)}
