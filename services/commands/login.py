"""`millmark login` and `millmark logout`: a person's session at their company's gateway, for the home's commands."""

from __future__ import annotations

import contextlib
import sys
import webbrowser
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from ledger.errors import InputError
from services.access.people.pairing import challenge_of, digits_of, new_verifier
from services.client.login import Login, forget_login, read_login, write_login
from services.commands.loopback_code import await_code, listen_for_code
from services.options import AsJson
from services.output import print_json, print_lines, warn
from services.settings import read_settings

__all__ = ["register"]

_WAIT_S = 300.0


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
    if not gateway.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise InputError(f"{gateway[:80]} is not a safe address", hint="give one that begins with https://")
    verifier = new_verifier()
    challenge = challenge_of(verifier)
    with listen_for_code() as listening:
        address = f"{gateway}/portal/pairing?{urlencode({'challenge': challenge, 'port': listening.port})}"
        warn(f"Open {address}")
        warn(f"and agree there if it shows {digits_of(challenge)}")
        if browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(address)
        code = await_code(listening, _WAIT_S, typed=sys.stdin if sys.stdin.isatty() else None)
    login = Login.redeem(gateway, code, verifier, authority)
    write_login(context.obj, login)
    if as_json:
        print_json({"gateway": login.gateway, "person": login.name, "expires_at": login.expires_at})
        return
    print_lines(f"signed in at {login.gateway} as {login.name}; `millmark logout` ends it")


def run_logout(context: typer.Context) -> None:
    """End the session of `millmark login`, and forget its token."""
    login = read_login(context.obj)
    if login is None:
        raise InputError("nobody is signed in in this home", hint="see `millmark login`")
    forget_login(context.obj)
    ended = login.close()
    print_lines(
        f"signed out of {login.gateway}" if ended else f"the token is forgotten; {login.gateway} did not answer"
    )
