"""All routes of the portal, and what its failures look like."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from ledger.errors import IdentifierError, NotFoundError
from ledger.store import Store
from services.portal.pages import Pages
from services.portal.passports import Passports
from services.portal.proofs import Proofs

__all__ = ["Portal"]


class Portal:
    """`origin` is the address under which callers reach the gateway."""

    def __init__(self, store: Store, origin: str, proofs: Proofs, clock: Callable[[], int]) -> None:
        self.pages = Pages(secure=origin.startswith("https:"))
        self._passports = Passports(store, self.pages, proofs, origin, clock)

    def add_routes(self, router: APIRouter) -> None:
        router.add_api_route("/portal/assets/{tag}/{name}", self.asset, include_in_schema=False)
        self._passports.add_routes(router)

    def asset(self, request: Request, tag: str, name: str) -> Response:
        found = self.pages.asset(request, name, tag)
        if found is None:
            raise NotFoundError("there is no such file")
        return found

    def refuse(self, request: Request, error: Exception, status: int) -> Response:
        """The page of a failure. What is unknown, foreign, or asked for with a wrong salt looks the same."""
        key = "unknown" if status in (401, 403, 404) else "malformed" if isinstance(error, IdentifierError) else ""
        reason = str(error) if isinstance(error, IdentifierError) else None
        return self.pages.render(
            request,
            "message.html",
            status=404 if key == "unknown" else status,
            key=key or ("failed" if status >= 500 else "refused"),
            reason=reason,
        )
