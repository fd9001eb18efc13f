"""`millmark login` and `millmark logout`: a person's session at their company's gateway, for the home's commands."""

from __future__ import annotations

import contextlib
import sys
import webbrowser
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import typer

from millmark.ledger.errors import InputError, SettingsError
from millmark.services.access.people.people import challenge_of, digits_of, new_verifier
from millmark.services.client.login import Login, forget_login, read_login, write_login
from millmark.services.commands.loopback_code import await_code, listen_for_code
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
