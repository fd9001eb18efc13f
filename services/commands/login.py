"""`millmark login` and `millmark logout`: a person's session at their company's gateway, for the home's commands."""

from __future__ import annotations

import contextlib
import select
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Annotated, Generic, TextIO, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import typer

from millmark.ledger.errors import InputError, MillmarkError, SettingsError
from millmark.services.access.people.people import CODE, challenge_of, digits_of, new_verifier
from millmark.services.client.login import Login, forget_login, read_login, write_login
from millmark.services.output import AsJson, print_json, print_lines, warn
from millmark.services.settings import read_settings

_WAIT_S = 300.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts to which a token may go without TLS."""


def register(app: typer.Typer) -> None:
    app.command("login", epilog="Example: millmark login https://gateway.example")(run_login)
    app.command("logout", epilog="Example: millmark logout")(run_logout)


def run_login(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Argument(help="Address of your company's gateway; that of the settings if omitted.")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option(help="Certificate to trust, if the gateway's is not publicly known.", dir_okay=False)
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the browser; otherwise the address is printed.")] = True,
    as_json: AsJson = False,
) -> None:
    """Sign in as a person: the browser opens, shows the same digits as here, and you agree there. The session lasts a
    working day while it is used; its token is kept in the home, readable by you alone."""
    gateway = (url or read_settings(context.obj).origin).rstrip("/")
    if not _is_safe(gateway):
        raise InputError(f"{gateway[:80]} is not a safe address", hint="give one that begins with https://")
    verifier = new_verifier()
    challenge = challenge_of(verifier)
    redeem = partial(_redeem, gateway, verifier, authority)
    with listen_for_code(redeem) as listening:
        address = f"{gateway}/portal/pairing?{urlencode({'challenge': challenge, 'port': listening.port})}"
        warn(f"Open {address}")
        warn(f"and agree there if it shows {digits_of(challenge)}")
        if browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(address)
        login = await_code(listening, _WAIT_S, typed=sys.stdin if sys.stdin.isatty() else None)
    _keep(context.obj, login)
    if as_json:
        print_json(context, {"gateway": login.gateway, "person": login.name, "expires_at": login.expires_at})
        return
    print_lines(f"signed in at {login.gateway} as {login.name}; `millmark logout` ends it")


def run_logout(context: typer.Context) -> None:
    """End the session of `millmark login`, and forget its token."""
    login = read_login(context.obj)
    if login is None:
        raise InputError("nobody is signed in in this home", hint="see `millmark login`")
    login.close()  # first: a token that is still valid must not be lost sight of
    forget_login(context.obj)
    print_lines(f"signed out of {login.gateway}")


def _is_safe(gateway: str) -> bool:
    """Whether a token may be sent there: with TLS, or to this machine."""
    try:
        parts = urlsplit(gateway)
        host, _ = parts.hostname, parts.port  # `port` raises for one that is none
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _redeem(gateway: str, verifier: str, authority: Path | None, code: str) -> Login | None:
    """None for a code that the gateway refuses. Raises SettingsError."""
    try:
        return Login.redeem(gateway, code, verifier, authority)
    except InputError:
        return None


def _keep(home: Path, login: Login) -> None:
    """Keeps the session instead of the earlier one, which is ended."""
    try:
        earlier = read_login(home)
    except SettingsError:  # a file that is none is replaced, too
        earlier = None
    write_login(home, login)
    if earlier is not None:
        try:
            earlier.close()
        except SettingsError as error:
            warn(f"the earlier session was not ended: {error}")


# Waits for the code that a browser brings to a program on the same machine, or that a person types.
# Any page in the browser, and any program on the machine, can send something to the port. So what does not look like a
# code is not tried, a code that is refused ends nothing, and "Signed in" is said only once a code was redeemed.

T = TypeVar("T")
_MAX_TRIED = 5
"""Codes that are tried, so that nobody can have the gateway asked without end."""
_HINT = "start again: `millmark login`"
_TITLE = "<!doctype html><title>Millmark</title>"
_DONE = f"{_TITLE}<p>Signed in. You can close this page.<p>已登录，可关闭此页面。".encode()
_REFUSED = f"{_TITLE}<p>Not signed in: the program did not get a valid code.<p>未登录：程序未收到有效的代码。".encode()


@dataclass
class Listening(Generic[T]):
    """A server on a port of the loopback that the system chose, and what came of the codes."""

    server: HTTPServer
    redeem: Callable[[str], T | None]
    tried: int = 0
    redeemed: T | None = None
    failure: MillmarkError | None = None

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def take(self, code: str) -> bool:
        """Whether the code was redeemed, now or before. One that does not look like a code is not tried."""
        if self.redeemed is None and self.failure is None and CODE.fullmatch(code) and self.tried < _MAX_TRIED:
            self.tried += 1
            try:
                self.redeemed = self.redeem(code)
            except MillmarkError as error:
                # Raised by `await_code`: a server's handler would only print it.
                self.failure = error
        return self.redeemed is not None


@contextmanager
def listen_for_code(redeem: Callable[[str], T | None]) -> Iterator[Listening[T]]:
    """`redeem` returns None for a code that is refused."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            given = parse_qs(urlsplit(self.path).query).get("code", [""])[0]
            taken = listening.take(given)
            self.send_response(200 if taken else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(_DONE if taken else _REFUSED)

        def log_message(self, *_: object) -> None:
            """Requests hold the code, which is for nobody's terminal."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    listening = Listening(server, redeem)
    try:
        yield listening
    finally:
        server.server_close()


def await_code(listening: Listening[T], longest_s: float, typed: TextIO | None) -> T:
    """What the code was redeemed for. Raises InputError after `longest_s` or too many refused codes, and what `redeem`
    raises."""
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline and listening.tried < _MAX_TRIED:
        watched: list[HTTPServer | TextIO] = [listening.server, *([typed] if typed is not None else [])]
        ready, _, _ = select.select(watched, [], [], min(1.0, longest_s))
        if listening.server in ready:
            listening.server.handle_request()
        elif ready and typed is not None:
            line = typed.readline()
            if not line:
                typed = None  # its end is ready for ever; the browser may still bring the code
            elif line.strip() and not listening.take(line.strip()) and listening.failure is None:
                warn("this is not a valid code")
        if listening.failure is not None:
            raise listening.failure
        if listening.redeemed is not None:
            return listening.redeemed
    if listening.tried >= _MAX_TRIED:
        raise InputError("too many codes were refused", hint=_HINT)
    raise InputError("nobody agreed in the browser in time", hint=_HINT)
