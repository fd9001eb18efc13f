"""Sign-in and sign-out without scripts: the message is shown, signed with `millmark keys sign-in`, and its signature
pasted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.errors import NotFoundError, SigningError
from millmark.ledger.keys import parse_address
from millmark.ledger.store import Store
from millmark.services.access import CredentialKind, Principal, SignIn, SignInError, revoke
from millmark.services.access.credentials import SESSION_LIFE_S
from millmark.services.access.rules import Rule, Without
from millmark.services.access.signin import is_secure, session_cookie
from millmark.services.access.siwe import MAX_MESSAGE_CHARACTERS
from millmark.services.portal.forms import Forms
from millmark.services.portal.pages import SCRIPTED, Pages
from millmark.services.portal.routes import ANYBODY, PageRoute
from millmark.services.portal.written import say_error

__all__ = ["SIGN_IN", "SignInPages", "ask_to_sign_in", "safe_path"]

SIGN_IN = "/portal/sign-in"
_HOME = "/portal"
_OURS = re.compile(r"/portal(/[A-Za-z0-9._/-]*)?(\?[A-Za-z0-9._~%&=+:/-]*)?")
"""Paths allowed as destination after sign-in, so that a link cannot redirect to another site."""
_MAX_ADDRESS, _MAX_SIGNATURE, _MAX_TOKEN, _MAX_NEXT = 64, 200, 128, 1024


@dataclass(frozen=True, slots=True)
class SignInPages:
    store: Store
    pages: Pages
    forms: Forms
    sign_in: SignIn
    origin: str
    clock: Callable[[], int]
    offered: Callable[[], dict[str, Any]]
    """What else there is to sign in with (millmark.services.portal.people)."""

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute(SIGN_IN, self.offer, ANYBODY),
            PageRoute(SIGN_IN, self.accept, ANYBODY, method="POST"),
            PageRoute("/portal/sign-out", self.sign_out, Rule(Without.SCOPE, page=True), method="POST"),
        )

    def offer(self, request: Request, address: str = "", next: str = "") -> Response:  # `next`: name of the parameter
        """The form for an address, or the message to sign with its key."""
        message, refused, catalogue = None, "", self.pages.catalogue(request)
        if address:
            try:
                known = parse_address(address[:_MAX_ADDRESS].strip())
                message = self.sign_in.new_message(known, self.clock()).to_text()
            except SigningError:
                refused = catalogue.say("sign_in.no_address")
            except NotFoundError as error:
                refused = say_error(catalogue, error)
        return self._show(request, address, safe_path(next), message, refused, 400 if refused else 200)

    def accept(
        self,
        request: Request,
        message: Annotated[str, Form(max_length=MAX_MESSAGE_CHARACTERS)],
        signature: Annotated[str, Form(max_length=_MAX_SIGNATURE)],
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        next: Annotated[str, Form(max_length=_MAX_NEXT)] = "",  # name of the parameter
    ) -> Response:
        """Opens a session for the signer and sets its cookie. Raises FormRefusedError."""
        self.forms.verify(request, token)
        text = message.replace("\r\n", "\n")  # forms submit lines with CR LF
        try:
            session = self.sign_in.accept(text, signature.strip().lower(), self.clock())
        except SignInError as error:
            return self._show(request, "", safe_path(next), text, say_error(self.pages.catalogue(request), error), 401)
        # 303 makes the browser follow with GET, so that a reload does not submit the form again.
        answer = RedirectResponse(safe_path(next), 303)
        name = session_cookie(self.origin)
        answer.set_cookie(
            name, session.token, max_age=SESSION_LIFE_S, secure=is_secure(self.origin), httponly=True, samesite="strict"
        )
        # Who signed in is known now, for the audit log; the request itself may still do nothing else.
        request.state.principal = Principal(session.row.participant, 0, frozenset(), session.row.id, False, 0)
        return answer

    def sign_out(self, request: Request, token: Annotated[str, Form(max_length=_MAX_TOKEN)]) -> Response:
        """Ends the session. Raises FormRefusedError."""
        self.forms.verify(request, token)
        credential = request.state.principal.credential
        if credential:
            revoke(self.store, credential, CredentialKind.SESSION, now_s=self.clock())
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(
            session_cookie(self.origin), secure=is_secure(self.origin), httponly=True, samesite="strict"
        )
        return answer

    def _show(
        self, request: Request, address: str, after: str, message: str | None, refused: str, status: int
    ) -> Response:
        values: dict[str, Any] = {
            "address": address[:_MAX_ADDRESS],
            "next": after,
            "message": message,
            "refused": refused,
            **self.offered(),
        }
        return self.pages.render(request, "sign_in.html", status, headers=SCRIPTED, forms=self.forms, **values)


def ask_to_sign_in(request: Request) -> Response:
    """Redirects a browser to the form, and from there back to the current page if it can be loaded again."""
    here = f"{request.url.path}?{request.url.query}".rstrip("?")
    wanted = here if request.method == "GET" and _OURS.fullmatch(here) else _HOME
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': wanted})}", 303)


def safe_path(path: str) -> str:
    """The path, if it is one of the portal's, or the portal's first page."""
    return path if len(path) <= _MAX_NEXT and _OURS.fullmatch(path) else _HOME
