"""Requests to a gateway over HTTP: retried where that is safe, bounded in time and size, their failures typed."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from millmark.ledger import canonical, errors
from millmark.ledger.provenance.answers import Printable, to_plain
from millmark.services.client.errors import GatewayUnreachableError, ProblemError

V = TypeVar("V")

_TIMEOUT_S = 30.0
_CONNECT_S = 5.0
_MAX_ANSWER_BYTES = 64 << 20
_MAX_DEPTH = 64
_MAX_TEXT = 1000
_PROXY_FAILED = (502, 504)
_LATER = (409, 425, 429, 503)
"""Statuses after which the same request may succeed, if the gateway says when."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How long a call goes on trying. `sleep` and `clock` are for tests."""

    attempts: int = 6
    longest_s: float = 60.0
    """No attempt begins later than this after the first."""
    pause_s: float = 0.2
    """Before the second attempt; doubles with each, up to `most_pause_s`."""
    most_pause_s: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class Transport:
    """Asks a gateway, and reads what comes back.

    `token` is an API key or session token of the company. A call raises GatewayUnreachableError once its attempts are
    used up, and ProblemError if the gateway refuses it.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        retries: Retries | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
        unreachable_hint: str = "check its URL, and that it runs",
    ) -> None:
        self.url = url
        self.retries = retries or Retries()
        self._unreachable_hint = unreachable_hint
        # trust_env=False: no proxy and no .netrc from the environment, so that the token goes to this gateway only.
        self._http = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
            trust_env=False,
            verify=verify,
            transport=transport,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
        )

    def close(self) -> None:
        self._http.close()

    def get(self, view: type[V], path: str, /, *parts: object, **query: object) -> V:
        """Asks for one thing. `view` is the class that the route answers with, or dict for a document; `path` has {}
        for each of the parts."""
        return self._read_as(view, self._ask("GET", _fill(path, parts), query))

    def pages(self, view: type[V], path: str, /, *parts: object, **query: object) -> Iterator[V]:
        """Asks for all things of a list, page by page."""
        cursor = None
        while True:
            page = self._ask("GET", _fill(path, parts), {**query, "cursor": cursor})
            try:
                items, cursor = page["items"], page["next"]
            except (KeyError, TypeError):
                raise self._unusable("it has no page of a list") from None
            yield from (self._read_as(view, item) for item in items)
            if cursor is None:
                return

    def post(self, view: type[V], path: str, /, *parts: object, key: str | None = None, **members: object) -> V:
        """Sends members; those that are None are left out. `view` is type(None) where nothing comes back. With an
        idempotency key, where the route has one, it is sent again after a lost answer and done once."""
        return self._read_as(view, self._ask("POST", _fill(path, parts), {}, members, key))

    def _read_as(self, view: type[V], found: Any) -> V:
        try:
            read: Any = view.from_json(found) if issubclass(view, Printable) else found
        except ValueError as error:
            raise self._unusable(str(error)) from None
        if not isinstance(read, view):
            raise self._unusable(f"its answer is no {view.__name__}")
        return read

    def _unusable(self, cause: str) -> GatewayUnreachableError:
        return GatewayUnreachableError(
            f"what answers at {self.url} is not a gateway of this version: {cause}", hint=self._unreachable_hint
        )

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: Mapping[str, object] | None = None,
        key: str | None = None,
    ) -> Any:
        """Sends a request until it is answered. Members and parameters that are None are left out."""
        request = self._http.build_request(
            method,
            path,
            json=None if body is None else _given(body),
            params=_given(query),
            headers={} if key is None else {"Idempotency-Key": key},
        )
        # Any other write may have been done although its answer is lost: it is sent again only if nothing was sent.
        repeatable = method == "GET" or key is not None
        begun, attempt = self.retries.clock(), 0
        while True:
            attempt += 1
            answer, failure = self._try(request)
            pause = self._pause(answer, attempt)
            late = self.retries.clock() - begun + (pause or 0) > self.retries.longest_s
            if pause is None or late or attempt >= self.retries.attempts or not (repeatable or _is_unsent(failure)):
                return self._read(answer, failure)
            self.retries.sleep(pause)

    def _try(self, request: httpx.Request) -> tuple[httpx.Response | None, Exception | None]:
        try:
            answer = self._http.send(request, stream=True)
            try:
                content = b""
                for part in answer.iter_bytes():  # read in parts: a hostile gateway could send without end
                    content += part
                    if len(content) > _MAX_ANSWER_BYTES:
                        raise httpx.DecodingError("the answer is too long")
            finally:
                answer.close()
        except (httpx.TransportError, httpx.DecodingError) as error:
            return None, error
        return httpx.Response(answer.status_code, content=content, headers=_kept(answer)), None

    def _pause(self, answer: httpx.Response | None, attempt: int) -> float | None:
        """Seconds until the next attempt; None if it would be answered alike."""
        longest = min(self.retries.most_pause_s, self.retries.pause_s * 2.0 ** (attempt - 1))
        backoff = random.uniform(0.75, 1) * longest  # noqa: S311 - spreads attempts, nothing secret
        if answer is None or (answer.status_code in _PROXY_FAILED and not _is_problem(answer)):
            return backoff
        after = answer.headers.get("retry-after", "")
        if answer.status_code in _LATER and after.isdecimal():
            return max(float(after), backoff)
        # A proxy that has lost the gateway for a moment says no time; a gateway that could, would.
        return backoff if answer.status_code == 503 and not _is_problem(answer) else None

    def _read(self, answer: httpx.Response | None, failure: Exception | None) -> Any:
        if answer is None:
            cause = "its answer is unusable" if isinstance(failure, httpx.DecodingError) else "no gateway answers"
            raise GatewayUnreachableError(f"{cause} at {self.url}", hint=self._unreachable_hint) from failure
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            found: Any = canonical.parse_json(answer.content, max_bytes=_MAX_ANSWER_BYTES, max_depth=_MAX_DEPTH)
        except errors.CanonicalError:
            raise GatewayUnreachableError(
                f"what answers at {self.url} is not a gateway (status {answer.status_code})",
                hint=self._unreachable_hint,
            ) from None
        if answer.is_success:
            return found
        raise _problem(answer.status_code, found)


def _fill(path: str, parts: tuple[object, ...]) -> str:
    """The path; an identifier's own slashes do not separate."""
    return path.format(*(quote(str(to_plain(part)), safe="") for part in parts))


def _given(members: Mapping[str, object]) -> dict[str, Any]:
    return {name: to_plain(value) for name, value in members.items() if value is not None}


def _kept(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("content-type", "retry-after") if name in answer.headers}


def _is_problem(answer: httpx.Response) -> bool:
    return str(answer.headers.get("content-type", "")).startswith("application/problem+json")


def _is_unsent(failure: Exception | None) -> bool:
    return isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout)


def _problem(status: int, found: Any) -> ProblemError:
    """The problem as an error. Its texts are the gateway's own: one line, and not too long."""
    told = found if isinstance(found, dict) else {}
    return ProblemError(
        _line(told.get("type")).rpartition(":")[2] or "unknown",
        status,
        _line(told.get("detail")) or f"the gateway answers with status {status}",
        hint=_line(told.get("hint")),
        request_id=_line(told.get("request_id")),
    )


def _line(value: object) -> str:
    return " ".join(value.split())[:_MAX_TEXT] if isinstance(value, str) else ""
