"""Forms that only our own pages can send (OWASP CSRF): a token that fits the browser's cookie and session."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ledger.errors import InputError
from services.access.cookies import form_cookie, session_cookie

__all__ = ["FormRefusedError", "Forms"]

_SANE = re.compile(r"[A-Za-z0-9_-]{43}")


class FormRefusedError(InputError):
    """A form was not sent from our own page, or is too old."""

    code = "form-refused"


class Forms:
    """Tokens are good for as long as this object: a restart makes people load the form again."""

    def __init__(self, *, secure: bool) -> None:
        self._key = secrets.token_bytes(32)
        self._secure = secure
        self._form, self._session = form_cookie(secure=secure), session_cookie(secure=secure)

    def cookie_of(self, request: Request) -> str:
        """The browser's form cookie; a new one where it has none."""
        kept = request.cookies.get(self._form, "")
        return kept if _SANE.fullmatch(kept) else secrets.token_urlsafe(32)

    def token(self, request: Request, cookie: str) -> str:
        """What goes into the form."""
        text = f"{cookie}|{request.cookies.get(self._session, '')}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def keep(self, answer: Response, request: Request, cookie: str) -> None:
        """Has the browser keep a new cookie."""
        if request.cookies.get(self._form) != cookie:
            answer.set_cookie(self._form, cookie, secure=self._secure, httponly=True, samesite="strict")

    def verify(self, request: Request, token: str) -> None:
        """Raises FormRefusedError unless one of our pages, shown in this browser in this session, sent the form."""
        cookie = request.cookies.get(self._form, "")
        fits = hmac.compare_digest(self.token(request, cookie).encode(), token.encode("utf-8", "replace"))
        if not cookie or not fits or _is_foreign(request):
            raise FormRefusedError("the form was not sent from a page of ours, or is too old", hint="load it again")


def _is_foreign(request: Request) -> bool:
    """What browsers say of where a request comes from. `null` is what they say where no referrer is to be told."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin", "null")
    return origin != "null" and urlsplit(origin).netloc != request.headers.get("host")
