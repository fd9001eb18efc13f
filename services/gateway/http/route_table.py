"""All routes of a gateway. Each is one row with its permission rule and documentation; all else is derived from it.

A route without a row is refused to everybody. What a caller sees of a route's results is decided by the queries
(millmark.ledger.provenance.permissions).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from millmark.ledger import canonical, event_json
from millmark.services.access import ForbiddenError
from millmark.services.access.rules import MAX_BODY_BYTES, Rule

Examples: TypeAlias = "Mapping[str, Callable[[], object]]"
"""Example responses by name: functions that return a view or its JSON form, called when the document is built."""


@dataclass(frozen=True, slots=True)
class Route:
    """The declaration of a route, from which permissions, audit, documentation and examples are derived."""

    method: str
    path: str
    """As registered with the router, including converters."""
    rule: Rule
    operation: str | None = None
    """Operation id in the OpenAPI document; None for pages, which are not part of it."""
    examples: Examples = field(default_factory=dict)
    body_example: object = None
    """JSON form of a request body; None if there is nothing to show."""
    views: tuple[type, ...] = ()
    """What a successful response has one of: views or pydantic models. A view's model is made with the document."""
    paged: bool = False
    """Whether it has a page of them."""


_MAX_JSON_DEPTH = 64
_ANALYSIS = threading.RLock()  # the document may be built in another thread than a request is routed


class _JsonRequest(Request):
    """A request whose JSON has one meaning: of a member that is there twice, FastAPI's own parser takes the last, and
    a filter in front of the gateway perhaps the first."""

    _parsed: canonical.Json = None

    async def parse(self, most: int) -> None:
        """Raises CanonicalError. A missing body is FastAPI's to refuse."""
        if body := await self.body():
            self._parsed = event_json.parse_value(body, max_bytes=most, max_depth=_MAX_JSON_DEPTH).value

    async def json(self) -> canonical.Json:
        """What FastAPI asks for, if the body is declared as JSON."""
        return self._parsed


class _LazyRoute(APIRoute):
    """A route that asks the application's guard first, and that FastAPI analyses when it is first requested or
    documented: analysing takes a millisecond, and a gateway that starts has 150 routes."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, methods: Collection[str], **declared: Any) -> None:
        self._declared = {"methods": methods, **declared}
        # What matching needs: other routes than the requested one are matched, too.
        self.path, self.endpoint, self.methods = path, endpoint, set(methods)
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not a dependency: FastAPI reads and parses the body before it solves any, so that a caller without a
        # credential could keep a connection by sending its body slowly.
        state = scope["app"].state
        if scope["method"] not in (self.methods or ()):
            await state.guard.refuse(Request(scope))
            await super().handle(scope, receive, send)
            return
        elsewhere = state.guard.find_elsewhere(Request(scope))
        if elsewhere is not None:
            await elsewhere(scope, receive, send)
            return
        await state.guard(Request(scope))
        if state.routes.find_rule(scope["method"], self.path).limits is None:
            await super().handle(scope, receive, send)
        else:
            await state.costly.serve(scope["state"]["principal"], super().handle, scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None or isinstance(self.body_field.field_info, Form):
            return handle

        async def handle_json(request: Request) -> Response:
            rule = request.app.state.routes.find_rule(request.method, self.path)
            strict = _JsonRequest(request.scope, request.receive)
            # Here, not when FastAPI asks: it answers whatever fails in its parsing alike, without a cause.
            await strict.parse(rule.body_bytes)
            return await handle(strict)

        return handle_json

    def __getattr__(self, name: str) -> Any:
        """Called for attributes that are absent, as all are that come from the analysis."""
        with _ANALYSIS:
            declared = self.__dict__.pop("_declared", None)
            if declared is not None:
                super().__init__(self.path, self.endpoint, **declared)
        return object.__getattribute__(self, name)


class RouteTable:
    """Registers all routes of the application, so that none can be registered without its row."""

    def __init__(self, app: FastAPI) -> None:
        """Routes become the application's own: those of an included router would be built a second time at the first
        request, which took as long as all else that a gateway does to start."""
        self._app = app
        self._rows: dict[tuple[str, str], Route] = {}
        self._long_bodies: list[tuple[str, re.Pattern[str], int]] = []
        self._free: list[tuple[str, re.Pattern[str]]] = []

    def add(self, route: Route, endpoint: Callable[..., Any], **documented: Any) -> None:
        """Registers the route; `documented` is passed on to FastAPI. Raises ValueError if the table already has this
        method and path."""
        key = (route.method, route.path)
        if key in self._rows:
            raise ValueError(f"{route.method} {route.path} is declared twice")
        self._rows[key] = route
        # The middleware needs the limit before the router has matched, so it is looked up by pattern.
        if route.rule.body_bytes != MAX_BODY_BYTES:
            self._long_bodies.append((route.method, compile_path(route.path)[0], route.rule.body_bytes))
        if not route.rule.cost:
            self._free.append((route.method, compile_path(route.path)[0]))
        self._app.router.add_api_route(
            route.path,
            endpoint,
            methods=[route.method],
            operation_id=route.operation,
            include_in_schema=route.operation is not None,
            route_class_override=_LazyRoute,
            **documented,
        )

    def __iter__(self) -> Iterator[Route]:
        """Yields the rows in order of declaration."""
        return iter(self._rows.values())

    def get(self, method: str, path: str) -> Route | None:
        return self._rows.get((method, path))

    def find_rule(self, method: str, path: str) -> Rule:
        """The permission rule of a route. Raises ForbiddenError for a route without a row."""
        row = self.get(method, path)
        # Closed by default: a route that reaches the router in another way is of no use to anybody.
        if row is None:
            raise ForbiddenError("no rule says who may use this route", hint="report it as a defect of this program")
        return row.rule

    def most_body_bytes(self, method: str, path: str) -> int:
        """Maximum length of a request's body in bytes, determined before routing."""
        fits = (most for verb, pattern, most in self._long_bodies if verb == method and pattern.fullmatch(path))
        return next(fits, MAX_BODY_BYTES)

    def is_free(self, method: str, path: str) -> bool:
        """Whether a request costs nothing, determined before routing."""
        return any(verb == method and pattern.fullmatch(path) for verb, pattern in self._free)

    def is_audited(self, method: str, path: str) -> bool:
        """Tells whether a request is audited; also True for a route without a row, whose requests are refused."""
        row = self.get(method, path)
        return row is None or row.rule.audited

    def is_page(self, method: str, path: str) -> bool:
        """Whether the route is a page for browsers."""
        row = self.get(method, path)
        return row is not None and row.rule.page

    def allowed_methods(self, path: str) -> str:
        """Value of the Allow header for a path."""
        methods = {route.method for route in self if route.path == path}
        return ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}))
