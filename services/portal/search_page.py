"""The search of the portal's bar: leads to the one thing that a text names, or lists those that it may mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.errors import IdentifierError, NotFoundError
from millmark.ledger.provenance.search import MAX_TEXT, Found, FoundKind, search
from millmark.ledger.store import Store
from millmark.services.portal.forms import Forms
from millmark.services.portal.lists import principal_of
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import MEMBERS, PageRoute

__all__ = ["SearchPage", "address_of"]

_RULE = replace(MEMBERS, by_name=True, cost=4)
_FOLDERS = {
    FoundKind.ORDER: "orders",
    FoundKind.LOT: "lots",
    FoundKind.MACHINE: "machines",
    FoundKind.STREAM: "streams",
    FoundKind.PARTICIPANT: "participants",
    FoundKind.MODEL: "models",
    FoundKind.CERTIFICATE: "certificates",
}


@dataclass(frozen=True, slots=True)
class SearchPage:
    store: Store
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/portal/search", self.show, _RULE),)

    def show(self, request: Request, q: str = "") -> Response:
        """Redirects to the page of the only thing that is found; otherwise lists what is. Things that the viewer may
        not see are treated as unknown."""
        try:
            found = search(self.store, q, principal_of(request).viewer)
        except (IdentifierError, NotFoundError):
            found = ()
        if len(found) == 1:
            return RedirectResponse(address_of(found[0]), 303)
        values: dict[str, Any] = {"asked": q.strip()[:MAX_TEXT], "found": [(one, address_of(one)) for one in found]}
        return self.pages.render(request, "search.html", 200 if found else 404, forms=self.forms, **values)


def address_of(found: Found) -> str:
    """Path of the page about a thing."""
    return f"/portal/{_FOLDERS[found.kind]}/{found.key.removeprefix('0x')}"
