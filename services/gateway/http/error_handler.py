"""Converts exceptions to responses: problems for programs, pages for browsers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.http.errors import TryLaterError
from services.gateway.http.problems import MEDIA_TYPE, Problem, build_problem
from services.gateway.http.route_table import RouteTable

__all__ = ["ErrorHandler"]


@dataclass(frozen=True, slots=True)
class ErrorHandler:
    """The application's only exception handler. The middleware also uses it for requests that never reach a route."""

    routes: RouteTable
    error_page: Callable[[Request, Exception, int], Response]
    """Builds the page for an exception, given the status that an API route would have."""
    reword: Callable[[str, Problem], Problem]
    """Adapts a problem under a path to the standard that governs the path."""

    async def handle(self, request: Request, error: Exception) -> Response:
        """Handles an exception, and OPTIONS requests to routes that do not declare the method. Responses have no CORS
        headers, so pages of other sites cannot read them."""
        route = getattr(request.scope.get("route"), "path", "")
        allowed = self.routes.allowed_methods(route)
        if request.method == "OPTIONS" and isinstance(error, HTTPException) and error.status_code == 405:
            return Response(status_code=204, headers={"Allow": allowed})
        # Errors that ask to retry keep their form even on pages, because of Retry-After.
        if self.routes.is_page(request.method, route) and not isinstance(error, TryLaterError):
            return self.error_page(request, error, build_problem(error, request.state.request_id).status)
        return self.respond(error, request.state.request_id, request.scope["path"], allowed)

    def respond(self, error: Exception, request_id: str, path: str, allowed: str = "") -> Response:
        """Converts an exception to a problem. `allowed` is the value of the Allow header of a 405."""
        problem = self.reword(path, build_problem(error, request_id))
        headers = {"Allow": allowed} if problem.status == 405 else {}
        if problem.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, TryLaterError):
            headers["Retry-After"] = str(error.retry_after_s)
        return Response(json.dumps(problem.to_json()), problem.status, headers, MEDIA_TYPE)
