"""Gateways without a socket, and who asks them: programs, clients of HTTP, and browsers without scripts."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.applications import Starlette

from millmark.ledger.events import Header
from millmark.ledger.events.lots import LotReceived
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.records import Contract
from millmark.ledger.store import Book, Store
from millmark.services.access.rules import PersonRole
from millmark.services.client import Client, Retries
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.settings import Auth
from tests.support.fake_ledger import NONE, PIECE, FakeChain, digest
from tests.support.fake_world import SMITH, World, build_world
from tests.support.sign_in import NOW_S, ORIGIN, enter_person

LINK = "https://id.gs1.org/01/09506000134352/21/A-1"
SLASHED = "https://id.gs1.org/01/09506000134352/21/A%2F1"
"""A link whose serial number contains a slash, which is not a path separator."""
HOST = "gateway.example"
SESSION, FORM = "__Host-millmark-session-443", "__Host-millmark-form-443"
FREE = Rates(1e9, 1e9)
"""Of requests, so many that none is refused."""

if find_spec("sniffio") is None:
    # httpx tries to import it with every request; so that is refused without a search of all folders.
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # as the import system allows


@functools.cache
def _main_loop() -> asyncio.Runner:
    """Of the main thread, for all its requests: each new loop would start a new worker thread."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


@contextmanager
def running(app: Starlette) -> Iterator[Caller]:
    """Runs the application's threads; for the main thread."""
    lifespan = app.router.lifespan_context(app)
    _main_loop().run(lifespan.__aenter__())
    try:
        yield Caller(app)
    finally:
        _main_loop().run(lifespan.__aexit__(None, None, None))


@dataclass(frozen=True)
class Caller:
    """Calls the application."""

    app: Starlette

    def ask(self, path: str, method: str = "GET", body: object = None, **headers: str) -> httpx.Response:
        """Sends a request. Underscores in header names stand for hyphens. A body that is not bytes is sent as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            named["Content-Type"] = "application/json"
        request = self._ask(method, path, named, body)
        if threading.current_thread() is threading.main_thread():
            return _main_loop().run(request)
        return asyncio.run(request)

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers, content=body)

    def problem(self, path: str, method: str = "GET") -> dict[str, Any]:
        answer = self.ask(path, method)
        assert answer.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = answer.json()
        assert found["status"] == answer.status_code
        assert found["request_id"] == answer.headers["x-request-id"]
        assert "Traceback" not in answer.text
        return found


def build_caller(store: Store, owner: int | None = None, **parts: Any) -> Caller:
    """A gateway over the store: at ORIGIN, for who signs in with its owner, or, without an owner, on the loopback and
    open to all. `parts`: more of its GatewayParts, or others than these."""
    if owner is None:
        return Caller(create_gateway(GatewayParts(store, build_policy("loopback-open"), **parts)))
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=owner)
    common: dict[str, Any] = {"clock": lambda: NOW_S, "limiter": Limiter(FREE), "absent_every_s": 0}
    return Caller(create_gateway(GatewayParts(store, policy, **{**common, **parts})))


@dataclass
class Bridge(httpx.BaseTransport):
    """Passes a client's requests to an application. `after` is called once a record was taken, to send it."""

    caller: Caller
    after: Callable[[], None] = lambda: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.caller.ask(request.url.raw_path.decode(), request.method, request.read(), **request.headers)
        if answer.status_code == httpx.codes.ACCEPTED:
            self.after()
        # Its content is not encoded any more.
        headers = [one for one in answer.headers.multi_items() if one[0] not in ("content-encoding", "content-length")]
        return httpx.Response(answer.status_code, content=answer.content, headers=headers)


def client_of(
    app: Starlette, headers: Mapping[str, str] | None = None, origin: str = "http://localhost"
) -> httpx.Client:
    """A client of the application, as if it were at this origin."""
    return httpx.Client(base_url=origin, headers=headers, transport=Bridge(Caller(app)))


@dataclass
class Pauses:
    """A clock that only sleeping moves."""

    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def clock(self) -> float:
        return sum(self.slept)


@dataclass
class Browser:
    """Keeps cookies; does not follow redirects by itself."""

    caller: Caller
    cookies: dict[str, str] = field(default_factory=dict)
    host: str = HOST

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._keep(self.caller.ask(path, Host=self.host, **self._cookies(), **headers))

    def head(self, path: str) -> httpx.Response:
        return self._keep(self.caller.ask(path, "HEAD", Host=self.host, **self._cookies()))

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> httpx.Response:
        body = urlencode(fields).encode()
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        return self._keep(self.caller.ask(path, "POST", body, Host=self.host, **self._cookies(), **kind, **headers))

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def _keep(self, answer: httpx.Response) -> httpx.Response:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not self.cookies[name]:
                del self.cookies[name]
        return answer


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


def enter(store: Store, caller: Caller, owner: int, role: PersonRole) -> Browser:
    """The browser of a person of the owner's with this role, signed in."""
    return Browser(caller, {SESSION: enter_person(store, owner, f"Mei {role}", role)})


def fields_of(page: str, action: str = "/portal/act/") -> dict[str, str]:
    """What a browser would send of the first form that posts to this action; to it or below, with `/` at its end."""
    whole = re.escape(action) + ('[^"]*' if action.endswith("/") else "")
    form = re.search(rf'<form method="post" action="[^"]*{whole}".*?</form>', page, re.DOTALL)
    assert form is not None, page
    sent: dict[str, str] = {}
    for found in re.finditer(r"<input ([^>]*)>", form[0]):
        marks = dict(re.findall(r'(\w+)="([^"]*)"', found[1]))
        if marks.get("type") != "checkbox" or "checked" in found[1]:
            sent[marks["name"]] = unescape(marks.get("value", ""))
    for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n?(.*?)</textarea>', form[0], re.DOTALL):
        sent[name] = unescape(text)
    for name, options in re.findall(r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        sent[name] = "" if chosen is None else unescape(chosen[1])
    return sent


def act(browser: Browser, path: str, entries: Mapping[str, str] | None = None) -> httpx.Response:
    """Opens a form, fills it in, and confirms the summary: what a person does. Returns the last answer."""
    page = browser.get(path)
    assert page.status_code == 200, page.text
    action = path.partition("?")[0]
    if f'action="{action}/confirm"' not in page.text or entries:
        page = browser.post(action, {**fields_of(page.text, action), **(entries or {})})
        assert page.status_code == 200, read(page.text)
    return browser.post(f"{action}/confirm", fields_of(page.text, f"{action}/confirm"))


def read(page: str) -> str:
    """The words between the page's menu and its foot, in one line."""
    main = page.partition("<main")[2].partition("</main>")[0]
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", main.partition(">")[2])).split())
    return words.replace(" ,", ",")


def post(browser: Browser, path: str, page: str, **more: str) -> httpx.Response:
    """Sends the form of a page that posts to this path."""
    return browser.post(path, {**fields_of(page, path), **more})


@dataclass
class FakeNode:
    chain: FakeChain

    def header(self, number: int | None = None) -> Header:
        return self.chain.header(-1 if number is None else number)


@dataclass
class ServedChain(FakeChain):
    """A fake chain that can be unreachable, or raise other errors."""

    broken: Exception | None = None
    node: FakeNode = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.node = FakeNode(self)

    def genesis_hash(self) -> bytes:
        self._verify_up()
        return super().genesis_hash()

    def sequence(self, contract: Contract) -> int:
        self._verify_up()
        return self.sequences[contract]

    def _verify_up(self) -> None:
        if self.broken is not None:
            raise self.broken


def build_linked_world(store: Store) -> World:
    """The small world, with two lots under GS1 Digital Links."""
    world = build_world(store)
    for link in (LINK, SLASHED):
        identity = Identity(SubjectKind.LOT, SMITH, link, digest("salt", link))
        lot = identity.subject
        world.fake.chain.record(LotReceived(1, PIECE, NONE), SMITH, lot, (lot,))
        with store.transaction() as connection:
            Book(connection).add_identity(identity)
        world.lots[link] = lot
    world.follow()
    return world


def scripted_client(pauses: Pauses, answer: Callable[[httpx.Request], httpx.Response], **retries: float) -> Client:
    """A client whose gateway is a function."""
    kept = Retries(sleep=pauses.sleep, clock=pauses.clock, **retries)  # type: ignore[arg-type]  # numbers alike
    return Client("http://localhost", "key", retries=kept, transport=httpx.MockTransport(answer))
