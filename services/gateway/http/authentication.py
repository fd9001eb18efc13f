"""Authentication, rate limiting and authorization: the guard of every route, which runs before a body is read."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from millmark.ledger.store import Store
from millmark.services.access import (
    ANY_ROLE,
    OPERATOR,
    ForbiddenError,
    Principal,
    UnauthenticatedError,
    authenticate,
    build_refusal,
)
from millmark.services.access.rules import PersonRole, Rule
from millmark.services.access.signin import session_cookie
from millmark.services.gateway.http.errors import StaleIndexError
from millmark.services.gateway.http.policy import Policy
from millmark.services.gateway.http.rate_limits import Limiter
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.serving.connections import name_address
from millmark.services.serving.tls import CLIENT

Clock = Callable[[], int]
"""Returns seconds since 1970."""

_FORWARDED = (
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
_PORT = re.compile(r":[0-9]{1,5}$")
LIVE_HEADER = "x-millmark-live"
"""Sent by a page that loads itself again: nobody used it meanwhile."""
_MAX_WORKED = 10_000
_ANONYMOUS = Principal(participant=None, roles=0, scopes=frozenset(), credential="", owner=False, expires_at=0)
_OPERATOR = Principal(None, ANY_ROLE, PersonRole.ADMINISTRATOR.scopes, credential="", owner=True, expires_at=0)


class Authentication:
    """Stores the principal in the request's state. A route for which it did not run has no principal and
    fails."""

    def __init__(
        self,
        routes: RouteTable,
        store: Store,
        policy: Policy,
        clock: Clock,
        limiter: Limiter,
        verify_fresh: Callable[[], None] = lambda: None,
    ) -> None:
        """`verify_fresh` raises StaleIndexError while the index may lack suspensions and revoked keys."""
        self._verify_fresh = verify_fresh
        self._worked: OrderedDict[bytes, None] = OrderedDict()
        """Digests of credentials that worked, the latest last. That they work now is looked up each time."""
        self._routes, self._store, self._policy, self._clock, self._limiter = routes, store, policy, clock, limiter

    async def __call__(self, request: Request) -> None:
        """Raises UnauthenticatedError, ForbiddenError, StaleIndexError or RateLimitedError. Public routes read nothing
        from the database."""
        rule = self._routes.find_rule(request.method, request.scope["route"].path)
        cost = rule.cost_of(request.query_params)
        if rule.public:
            self._charge_address(request, cost)
            request.state.principal = _ANONYMOUS
            return
        try:
            principal = await self._identify(request, rule)
        except (UnauthenticatedError, StaleIndexError):
            # Failed attempts are charged to the address, so that guessing credentials is limited as well.
            self._charge_address(request, 1)
            raise
        if principal.participant is not None or principal.person:
            self._limiter.take(principal.participant or OPERATOR, cost)
        request.state.principal = principal  # before the rule is checked: the audit log names refused callers too
        rule.verify(principal)

    def find_elsewhere(self, request: Request) -> Response | None:
        """A redirect to the gateway's own name, for a browser that asks for a page at another name of this machine,
        where neither cookies nor passkeys are. None for all others. Raises RateLimitedError."""
        host, page = request.headers.get("host", ""), self._routes.is_page("GET", request.scope["route"].path)
        own = urlsplit(self._policy.origin)
        name, _, port = host.rpartition(":") if _PORT.search(host) else (host, "", "")
        if self._policy.named or not page or name.lower() == own.hostname or request.method != "GET":
            return None
        # Programs that ask for data, such as what a part's code links to, get it at any name.
        accepted = request.headers.get("accept", "*/*")
        if "text/html" not in accepted and "*/*" not in accepted:
            return None
        self._charge_address(request, 1)
        path = request.scope["raw_path"].decode("latin-1") + (f"?{request.url.query}" if request.url.query else "")
        # At the port of the request: a tunnel may end at another one than ours.
        return RedirectResponse(f"{own.scheme}://{own.hostname}{f':{port}' if port else ''}{path}", 307)

    async def refuse(self, request: Request) -> None:
        """Charges a request that no route serves to its address. Raises RateLimitedError."""
        self._charge_address(request, 1)

    def _charge_address(self, request: Request, cost: int) -> None:
        if cost:
            self._limiter.take(name_address(request.client.host if request.client else None), cost)

    async def _identify(self, request: Request, rule: Rule) -> Principal:
        given = self._session(request) if rule.page else request.headers.getlist("authorization")
        # Even an open gateway checks a credential that is sent.
        if not given and not self._policy.needs_credential and not _is_forwarded(request):
            return _OPERATOR
        if not given:
            raise UnauthenticatedError("a credential is required", hint="send Authorization: Bearer TOKEN")
        if not rule.monitoring:
            await run_in_threadpool(self._verify_fresh)  # it reads the database
        scheme, _, text = given[0].partition(" ")
        # A proxy in front might have judged another of several headers than we would.
        if len(given) > 1 or scheme.lower() != "bearer":
            raise UnauthenticatedError("the Authorization header is not a single bearer token", hint="send exactly one")
        self._verify_may_try(request, text)
        now_s, owner = self._clock(), self._policy.owner
        passive = rule.passive or LIVE_HEADER in request.headers
        find = partial(authenticate, self._store, text, now_s=now_s, owner=owner, passive=passive)
        principal = await run_in_threadpool(find)
        # A client certificate that names participants restricts which credentials work with it (ACCESS.md).
        named = getattr(request.state, CLIENT, None)
        if named and principal.participant not in named:
            raise build_refusal()  # the same error as for an unknown token: a stolen one is not confirmed
        self._remember(text)
        return principal

    def _verify_may_try(self, request: Request, text: str) -> None:
        """Raises RateLimitedError for a credential that has not worked before, from an address whose bucket is empty:
        looking it up would cost more than it is allowed. One that has worked is looked up in any case, since others
        behind the same address may have emptied the bucket."""
        if _digest(text) not in self._worked:
            self._limiter.verify_any(name_address(request.client.host if request.client else None))

    def _remember(self, text: str) -> None:
        digest = _digest(text)
        self._worked[digest] = None
        self._worked.move_to_end(digest)
        if len(self._worked) > _MAX_WORKED:
            self._worked.popitem(last=False)

    def _session(self, request: Request) -> list[str]:
        """The browser's session cookie, in the form of an Authorization header.

        Only pages accept the cookie, and they accept nothing else. So a page of another site cannot make a browser call
        the API with it (CSRF).
        """
        token = request.cookies.get(session_cookie(self._policy.origin))
        # Only session tokens: an API key pasted into a cookie must not open pages.
        return [] if not token else [f"Bearer {token}"] if token.startswith("mms_") else ["none"]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _is_forwarded(request: Request) -> bool:
    """Whether a proxy may have forwarded the request. Then anybody may be the caller, even if we listen on loopback
    only."""
    # HTTP/1.0 is what a widespread proxy speaks by default, without adding any header.
    return request.scope["http_version"] == "1.0" or any(name in request.headers for name in _FORWARDED)


async def require_guarded(request: Request) -> None:
    """Dependency of every route. Raises ForbiddenError for a route that the guard did not see, because it is not in the
    table: it is closed to everybody."""
    if not hasattr(request.state, "principal"):
        raise ForbiddenError("no rule says who may use this route", hint="report it as a defect of this program")


async def _principal_of(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


CurrentPrincipal = Annotated[Principal, Depends(_principal_of)]
"""Parameter type for routes that need to know the caller."""
