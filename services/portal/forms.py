"""CSRF protection: forms carry a token that is bound to the browser's cookie and session (OWASP)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from millmark.ledger.errors import InputError
from millmark.services.access.signin import form_cookie, is_secure, session_cookie

__all__ = ["FormRefusedError", "Forms"]

_SANE = re.compile(r"[A-Za-z0-9_-]{43}")


class FormRefusedError(InputError):
    """A form was not sent from a page of this portal, or is too old."""

    code = "form-refused"


class Forms:
    """Issues and verifies tokens. `key` returns the key that all processes behind one URL share."""

    def __init__(self, key: Callable[[], bytes], origin: str) -> None:
        self._key = key
        self._secure = is_secure(origin)
        self._form, self._session = form_cookie(origin), session_cookie(origin)

    def cookie_of(self, request: Request) -> str:
        """The browser's form cookie, or a new one if it has none."""
        kept = request.cookies.get(self._form, "")
        return kept if _SANE.fullmatch(kept) else secrets.token_urlsafe(32)

    def token(self, request: Request, cookie: str) -> str:
        """The token to put into the form."""
        text = f"{cookie}|{request.cookies.get(self._session, '')}"
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()

    def seed(self, request: Request, code: str) -> bytes:
        """32 bytes that only this browser's session can have made again by sending the form with this code."""
        text = f"once|{code}|{request.cookies.get(self._form, '')}|{request.cookies.get(self._session, '')}"
        return hmac.new(self._key(), text.encode(), hashlib.sha256).digest()

    def keep(self, answer: Response, request: Request, cookie: str) -> None:
        """Sets the cookie in the response, if the browser does not have it."""
        if request.cookies.get(self._form) != cookie:
            answer.set_cookie(self._form, cookie, secure=self._secure, httponly=True, samesite="strict")

    def verify(self, request: Request, token: str) -> None:
        """Verifies that a form is from a page of this portal, for this browser and session. Raises FormRefusedError."""
        cookie = request.cookies.get(self._form, "")
        fits = hmac.compare_digest(self.token(request, cookie).encode(), token.encode("utf-8", "replace"))
        if not cookie or not fits or _is_foreign(request):
            raise FormRefusedError(
                "the form was not sent from a page of this portal, or is too old", hint="load the form again"
            )


def _is_foreign(request: Request) -> bool:
    """Whether the browser reports another site as origin. It sends `null` if no referrer may be disclosed."""
    # Browsers that send neither header are judged by the token alone.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin", "null")
    return origin != "null" and urlsplit(origin).netloc != request.headers.get("host")
