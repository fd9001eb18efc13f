"""Pages of documents: those that a company shares, and downloads of what the reader may have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Request
from starlette.responses import Response, StreamingResponse

from millmark.ledger.canonical import to_hex
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import listings
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.documents import Documents
from millmark.services.portal.forms import Forms
from millmark.services.portal.lists import PAGE_ITEMS, Filters, Lists, principal_of
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import PageRoute
from millmark.services.serving.parameters import WholeNumber

__all__ = ["DocumentPages"]

_READ = Rule(Scope.DOCUMENTS, page=True)
_ABOUT = replace(_READ, by_name=True)
_FETCH = Rule(Scope.DOCUMENTS, page=True, cost=10)
_SEALED = "application/vnd.millmark.sealed-document"
_MAX_ABOUT = 200
_Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
_Version = Annotated[WholeNumber, Path(ge=1, le=2**31)]


@dataclass(frozen=True, slots=True)
class DocumentPages:
    documents: Documents
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/documents", self.list, _ABOUT, menu="documents", folded=True),
            PageRoute("/portal/documents/{id}", self.show, _READ),
            PageRoute("/portal/documents/{id}/{version}", self.download, _FETCH),
        )

    def list(self, request: Request, about: str = "") -> Response:
        """Documents that the viewer may see; with `about`, those of a lot or an order. Raises NotFoundError if that is
        not visible."""

        def find(viewer: int | None, after: int | None, _: Filters, newest_first: bool) -> listings.Page[Any]:
            if not about:
                return self.documents.latest(after, PAGE_ITEMS, viewer, newest_first=newest_first)
            name = "0x" + about if len(about) == 64 else about
            return listings.Page(self.documents.page(name, "", _MAX_ABOUT, viewer).documents, None)

        return Lists(self.pages, self.forms).show(
            request, "documents.html", find, kept={"about": about}, about=about, address=_address
        )

    def show(self, request: Request, id: _Id) -> Response:  # name of the parameter
        """The page of a document. Raises NotFoundError if it does not exist for the viewer."""
        principal = principal_of(request)
        values: dict[str, Any] = {"one": self.documents.get(id, principal.viewer), "address": _address}
        return self.pages.render(request, "document.html", forms=self.forms, **values)

    def download(self, request: Request, id: _Id, version: _Version) -> Response:  # name of the parameter
        """A version: its content for the company itself, sealed for the key of any other. Raises NotFoundError,
        DocumentError, and RecipientKeyError if that company has published no key."""
        principal = principal_of(request)
        if principal.viewer is None:
            row, content = self.documents.open(id, version)
            # As a file, whatever it claims to be: what a company stores must not run as a page of the portal.
            return Response(content, headers=_as_file(row.name), media_type="application/octet-stream")
        sealed = self.documents.fetch(id, version, principal.participant, principal.viewer)
        headers = {**_as_file(f"{id}.sealed"), "Content-Length": str(sealed.size)}
        return StreamingResponse(sealed.stream(), headers=headers, media_type=_SEALED)


def _as_file(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }


def _address(kind: SubjectKind, subject: bytes) -> str:
    """Path of the page about what a document is about."""
    return f"/portal/{'orders' if kind is SubjectKind.ORDER else 'lots'}/{to_hex(subject)[2:]}"
