"""All routes of the portal, and what its failures look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ledger.errors import IdentifierError, NotFoundError
from ledger.store import Store
from services.access import SignIn, UnauthenticatedError
from services.portal.forms import Forms
from services.portal.listings import Listings
from services.portal.operations import Operations
from services.portal.pages import Pages
from services.portal.passports import Passports
from services.portal.proofs import Proofs
from services.portal.recalls import Recalls
from services.portal.sign_in import SigningIn, ask_to_sign_in
from services.portal.visible import Visible

__all__ = ["Portal"]


class Portal:
    """`origin` is the address under which callers reach the gateway, `status` how it does."""

    def __init__(
        self,
        store: Store,
        origin: str,
        proofs: Proofs,
        sign_in: SignIn,
        status: Callable[[], Any],
        clock: Callable[[], int],
    ) -> None:
        secure = origin.startswith("https:")
        self.pages, self.forms = Pages(secure=secure), Forms(secure=secure)
        self._parts = (
            SigningIn(store, self.pages, self.forms, sign_in, secure, clock),
            Listings(store, self.pages, self.forms),
            Recalls(store, self.pages, self.forms),
            Operations(store, self.pages, self.forms, status),
            Passports(store, self.pages, proofs, origin, clock),
            Visible(self.pages),
        )

    def build_routes(self) -> APIRouter:
        router = APIRouter()
        for path, answer in (("/", self.home), ("/portal", self.overview), ("/portal/assets/{tag}/{name}", self.asset)):
            router.add_api_route(path, answer, include_in_schema=False)
        for part in self._parts:
            part.add_routes(router)
        return router

    def home(self, request: Request) -> Response:
        return self.pages.render(request, "home.html")

    def overview(self, request: Request) -> Response:
        return self.pages.render(request, "overview.html", forms=self.forms)

    def asset(self, request: Request, tag: str, name: str) -> Response:
        """Raises NotFoundError."""
        found = self.pages.asset(request, name, tag)
        if found is None:
            raise NotFoundError("there is no such file")
        return found

    def refuse(self, request: Request, error: Exception, status: int) -> Response:
        """The page of a failure. What is unknown, foreign, or asked for with a wrong salt looks the same."""
        if isinstance(error, UnauthenticatedError):
            return ask_to_sign_in(request)
        key, reason = ("failed" if status >= 500 else "refused"), None
        if status in (403, 404):
            key, status = ("nothing" if request.url.path.startswith("/portal") else "unknown"), 404
        elif isinstance(error, IdentifierError):
            key, reason = "malformed", str(error)
        return self.pages.render(request, "message.html", status, key=key, reason=reason)
