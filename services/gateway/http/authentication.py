"""Authentication, rate limiting and authorization: the guard of every route, which runs before a body is read.

Before it stand what it keeps to: the policy, the rates, and the turns of costly requests.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millmark.ledger.errors import SettingsError
from millmark.ledger.store import Store
from millmark.services import access
from millmark.services.access import Principal, UnauthenticatedError, signin
from millmark.services.access.rules import PersonRole, Rule
from millmark.services.directory.document import is_loopback
from millmark.services.gateway.http.problems import BusyError, RateLimitedError, StaleIndexError
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.serving import connections, protocol
from millmark.services.serving.hosts import LOOPBACK_HOSTS
from millmark.services.settings import Auth, build_origin


@dataclass(frozen=True, slots=True)
class Policy:
    """Validated settings. Call `build_policy` to create one."""

    auth: Auth
    origin: str
    """Scheme, host and port at which callers reach the gateway. Sign-in messages are bound to it."""
    hosts: frozenset[str]
    """Accepted host names in the Host header, without ports. Requests for other names are misdirected, or come from a
    page whose domain was pointed at this gateway (DNS rebinding)."""
    owner: int | None
    """The participant that the gateway belongs to. It sees everything in the index and the book."""
    named: bool = True
    """Whether the settings give the origin. Otherwise nothing but a browser on this machine asks for pages, and one
    that asks at another name of the machine is sent to the origin, where its cookies and passkeys are."""

    @property
    def needs_credential(self) -> bool:
        return not self.auth.is_open


def build_policy(
    auth: str = Auth.REQUIRED,
    *,
    host: str = "127.0.0.1",
    port: int = 8600,
    url: str | None = None,
    owner: int | None = None,
    tls: bool = False,
    signs: bool = False,
) -> Policy:
    """The policy of a gateway that listens on `host`, with its own TLS if `tls`, and is reached at `url`, by default
    the address that it listens on. `signs`: it has a key to record with. Raises SettingsError for settings that would
    expose data or tokens to the network."""
    mode, local = Auth(auth), is_loopback(host)
    if url is None and not local:
        raise SettingsError(f"the gateway listens on {host}, but gateway_url is not set", hint="set gateway_url")
    origin = _origin(url or build_origin(host, port, tls=tls))
    reached = urlsplit(origin).hostname or ""
    name = f"[{reached}]" if ":" in reached else reached
    far = name not in LOOPBACK_HOSTS
    # A public URL means that a proxy forwards other machines' requests to the loopback address.
    if mode.is_open and (far or not local):
        raise SettingsError(
            f"gateway_auth is {mode}, but the gateway is reachable from other machines",
            hint="set gateway_auth to required, or listen on 127.0.0.1 without a gateway_url",
        )
    if signs and not mode.may_sign:
        raise SettingsError(
            f"gateway_auth is {mode}, but the gateway has a key: anybody on this machine could record with it",
            hint="set gateway_auth to required, or to loopback-open-signing if you mean that",
        )
    # On the loopback, http is allowed: no other machine can read along.
    if far and origin.startswith("http:"):
        raise SettingsError(
            f"gateway_url {origin} would send tokens unencrypted",
            hint="set gateway_tls_certificate, or put a TLS proxy in front of the gateway; set its https:// address",
        )
    # On loopback, a local proxy or tool may name the loopback address instead of the public name.
    return Policy(mode, origin, LOOPBACK_HOSTS | {name} if local else frozenset({name}), owner, url is not None)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    # Only one spelling: sign-in messages are compared with the origin as text.
    if not usable or url != f"{parts.scheme}://{parts.netloc}".lower() or "@" in parts.netloc:
        raise SettingsError(
            f"gateway_url {url[:100]!a} is not a valid origin",
            hint="give only scheme, host and port, in lower case: https://gateway.example",
        )
    return url


# Rate limits: a token bucket per caller, refilled at a steady rate.
#
# A participant has one bucket for all its credentials. Callers without a credential have one per IP address (for IPv6
# one per /64, the usual size of a subscriber's network). Behind a proxy they all share the proxy's address: set limits
# there.

BURST_S = 5
"""A full bucket holds the tokens of this many seconds."""
_MAX_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens per second. Most requests cost one token (`cost` in millmark.services.access.rules)."""

    participant: float = 200.0
    anonymous: float = 20.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Limiter:
    """The buckets of all callers, in bounded memory. The bucket that has been idle longest is evicted; it was full
    again by then, unless ten thousand other callers came within seconds."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._clock = rates, clock
        self._buckets: OrderedDict[int | str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: int | str, cost: int) -> None:
        """Takes `cost` tokens from the bucket of a participant (its number) or an address. Raises RateLimitedError, and
        takes none, if there are too few."""
        rate, most = self._rate_of(caller)
        with self._lock:
            bucket = self._refilled(caller, rate, most)
            # A request that costs more than a full bucket is let through when the bucket is full, and leaves a debt.
            missing = min(cost, most) - bucket.tokens
            if missing > 0:
                raise RateLimitedError("too many requests", retry_after_s=int(missing / rate) + 1)
            bucket.tokens -= cost

    def charge(self, caller: int | str, cost: int) -> None:
        """Takes `cost` tokens for what was done already, and leaves a debt if there are too few."""
        if cost > 0:
            rate, most = self._rate_of(caller)
            with self._lock:
                self._refilled(caller, rate, most).tokens -= cost

    def verify_any(self, caller: int | str) -> None:
        """Raises RateLimitedError if the caller's bucket is empty. Takes nothing."""
        rate, most = self._rate_of(caller)
        with self._lock:
            missing = min(1.0, most) - (self._refilled(caller, rate, most).tokens if caller in self._buckets else most)
        if missing > 0:
            raise RateLimitedError("too many requests", retry_after_s=int(missing / rate) + 1)

    def _rate_of(self, caller: int | str) -> tuple[float, float]:
        rate = self._rates.participant if isinstance(caller, int) else self._rates.anonymous
        return rate, max(rate * BURST_S, 1.0)

    def _refilled(self, caller: int | str, rate: float, most: float) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(most, now)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            # Kept in order of last use, so that the one to evict is found without a search.
            self._buckets.move_to_end(caller)
            bucket.tokens = min(most, bucket.tokens + (now - bucket.at_s) * rate)
            bucket.at_s = now
        return bucket

    def __len__(self) -> int:
        return len(self._buckets)


# Costly requests, such as traces and recalls, take turns: few at a time, fewer of one caller, and paid by their size.
#
# They wait here, before a server thread is taken, so that however many there are, other requests find a thread.

PER_CALLER: Final = 4
"""Costly requests of one participant that are under way, waiting ones included."""
_AT_ONCE: Final = 4
"""More would only take the interpreter lock from each other, and all finish later."""
_UNDER_WAY: Final = 64
BYTES_PER_TOKEN: Final = 50_000
"""About a hundred lots of a trace."""


class CostlyRequests:
    """The costly requests of one gateway. Belongs to the event loop."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._under_way: Counter[int | None] = Counter()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def serve(self, principal: Principal, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request once it is its turn. Raises RateLimitedError if the caller has too many under way, and
        BusyError if all together have."""
        caller = principal.participant
        if self._under_way[caller] >= PER_CALLER:
            raise RateLimitedError(f"{PER_CALLER} costly requests of yours are under way already", retry_after_s=1)
        if self._under_way.total() >= _UNDER_WAY:
            raise BusyError("too many costly requests are under way", retry_after_s=2)
        self._under_way[caller] += 1
        try:
            await self._turns.acquire()
            turn = _Turn(self._turns, send)
            try:
                await app(scope, receive, turn.send)
            finally:
                turn.end()
                if caller is not None:
                    self._limiter.charge(caller, turn.sent_bytes // BYTES_PER_TOKEN)
        finally:
            self._under_way[caller] -= 1


class _Turn:
    """Ends when the response starts, since its reader may be slow."""

    def __init__(self, turns: asyncio.Semaphore, send: Send) -> None:
        self._turns, self._send, self._ended = turns, send, False
        self.sent_bytes = 0

    async def send(self, message: Message) -> None:
        self.end()
        self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._turns.release()


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
_OPERATOR = Principal(None, access.ANY_ROLE, PersonRole.ADMINISTRATOR.scopes, credential="", owner=True, expires_at=0)


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
            self._limiter.take(principal.participant or access.OPERATOR, cost)
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
            self._limiter.take(connections.name_address(request.client.host if request.client else None), cost)

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
        find = partial(access.authenticate, self._store, text, now_s=now_s, owner=owner, passive=passive)
        principal = await run_in_threadpool(find)
        # A client certificate that names participants restricts which credentials work with it (ACCESS.md).
        named = getattr(request.state, protocol.CLIENT, None)
        if named and principal.participant not in named:
            raise access.build_refusal()  # the same error as for an unknown token: a stolen one is not confirmed
        self._remember(text)
        return principal

    def _verify_may_try(self, request: Request, text: str) -> None:
        """Raises RateLimitedError for a credential that has not worked before, from an address whose bucket is empty:
        looking it up would cost more than it is allowed. One that has worked is looked up in any case, since others
        behind the same address may have emptied the bucket."""
        if _digest(text) not in self._worked:
            self._limiter.verify_any(connections.name_address(request.client.host if request.client else None))

    def _remember(self, text: str) -> None:
        digest = _digest(text)
        self._worked[digest] = None
        self._worked.move_to_end(digest)
        if len(self._worked) > _MAX_WORKED:
            self._worked.popitem(last=False)

    def _session(self, request: Request) -> list[str]:
        """The browser's session cookie, in the form of an Authorization header.

        Only pages accept the cookie, and they accept nothing else. So a page of another site cannot make a browser call
        the API with it (CSRF)."""
        token = request.cookies.get(signin.session_cookie(self._policy.origin))
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
        raise access.ForbiddenError("no rule says who may use this route", hint="report it as a defect of this program")


async def _principal_of(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found


CurrentPrincipal = Annotated[Principal, Depends(_principal_of)]
"""Parameter type for routes that need to know the caller."""
