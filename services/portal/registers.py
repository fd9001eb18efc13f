"""Pages about what the consortium has: certificates, companies, evidence streams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Request
from markupsafe import Markup, escape
from starlette.responses import RedirectResponse, Response, StreamingResponse

from millmark.ledger import canonical, errors, signatures
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import certificate, consortium, listings
from millmark.ledger.provenance.answers import Certificate
from millmark.ledger.provenance.search import MAX_TEXT, Found, FoundKind, search
from millmark.ledger.records import Role, Verdict
from millmark.ledger.store import Store
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.acts import About
from millmark.services.directory import document, repository
from millmark.services.documents import Documents
from millmark.services.portal import pages as portal
from millmark.services.portal.acting.acting import Acting
from millmark.services.serving.requests import WholeNumber

_VERDICTS = portal.Filter("verdict", (Verdict.PASS, Verdict.FAIL))
_ROLES = portal.Filter("role", tuple(Role))


@dataclass(frozen=True, slots=True)
class Registers:
    store: Store
    pages: portal.Pages
    forms: portal.Forms
    acting: Acting

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (
            portal.PageRoute(
                "/portal/certificates", self.certificates, portal.MEMBERS, menu="certificates", folded=True
            ),
            portal.PageRoute("/portal/certificates/{number}", self.certificate, portal.MEMBERS),
            portal.PageRoute(
                "/portal/participants", self.participants, portal.MEMBERS, menu="participants", folded=True
            ),
            portal.PageRoute("/portal/participants/{number}", self.participant, portal.MEMBERS),
            portal.PageRoute("/portal/streams", self.streams, portal.MEMBERS, menu="streams", folded=True),
            portal.PageRoute("/portal/streams/{subject}", self.stream, portal.MEMBERS),
        )

    def certificates(self, request: Request) -> Response:
        principal = portal.principal_of(request)
        find_certificates = portal.find_in(listings.certificates, self.store)

        def find(
            viewer: int | None, after: int | None, wanted: portal.Filters, newest_first: bool
        ) -> listings.Page[Any]:
            page = find_certificates(None if _audits(principal) else viewer, after, wanted, newest_first)
            return replace(page, items=self._without_names(page.items, viewer))

        return self._lists.show(request, "certificates.html", find, _VERDICTS)

    def certificate(self, request: Request, number: portal.Number) -> Response:
        """The page of a certificate. Raises NotFoundError if it is unknown or not visible."""
        principal = portal.principal_of(request)
        found = certificate(self.store, number, viewer=None if _audits(principal) else principal.viewer)
        lots = listings.certified_lots(self.store, number, principal.viewer)
        (shown,) = self._without_names([found], principal.viewer)
        offers = self.acting.offers_on(principal, About.CERTIFICATE, str(number))
        return self.pages.render(request, "certificate.html", forms=self.forms, one=shown, lots=lots, offers=offers)

    def _without_names(self, found: Sequence[Certificate], viewer: int | None) -> tuple[Certificate, ...]:
        """Certificates, without the names of lots that the viewer must not see: those are from this gateway's book."""
        seen = listings.visible_lots(self.store, {one.lot for one in found}, viewer)
        return tuple(one if one.lot in seen else replace(one, identifier=None) for one in found)

    def participants(self, request: Request) -> Response:
        def find(_: int | None, after: int | None, wanted: portal.Filters, newest_first: bool) -> listings.Page[Any]:
            role = Role(int(wanted.get("role", 0)))
            members = [one for one in consortium.participants(self.store) if not role or _word(role) in one.roles]
            return listings.cut_numbered(members, after, portal.PAGE_ITEMS, newest_first=newest_first)

        return self._lists.show(request, "participants.html", find, _ROLES, directory=self._directory())

    def participant(self, request: Request, number: portal.Number) -> Response:
        """The page of a company. Raises NotFoundError if there is none with this number."""
        found = consortium.participant(self.store, number)
        values: dict[str, Any] = {
            "one": found,
            "entry": self._directory().get(number),
            "keys": [(signatures.to_checksum(key.address), key) for key in found.keys],
            "recovery": None if found.recovery is None else signatures.to_checksum(found.recovery.key),
            "here": portal.principal_of(request).participant == number,
        }
        return self.pages.render(request, "participant.html", forms=self.forms, **values)

    def streams(self, request: Request) -> Response:
        return self._lists.show(request, "streams.html", portal.find_in(listings.streams, self.store))

    def stream(self, request: Request, subject: str) -> Response:
        """The page of a stream, with its anchors. Raises NotFoundError if it is unknown or not visible."""
        name = _subject(subject)
        found = listings.streams(self.store, portal.principal_of(request).viewer, None, 1, {"subject": name}).items
        if not found:
            raise errors.NotFoundError("the stream is not known here")

        def find(_: int | None, after: int | None, __: portal.Filters, newest_first: bool) -> listings.Page[Any]:
            return listings.anchors(self.store, name, after, portal.PAGE_ITEMS, newest_first=newest_first)

        return self._lists.show(request, "stream.html", find, one=found[0])

    def _directory(self) -> dict[int, document.DirectoryEntry]:
        with self.store.reading() as connection:
            return {one.participant: one for one in repository.DirectoryRepository(connection).entries()}

    @property
    def _lists(self) -> portal.Lists:
        return portal.Lists(self.pages, self.forms)


def _audits(principal: Principal) -> bool:
    """Whether certificates of all lots are shown: an auditor approves models and follows what they certified. What is
    shown then is on the chain, which every participant reads."""
    return bool(principal.roles & Role.AUDITOR)


def _word(role: Role) -> str:
    return str(role.name).lower()


def _subject(text: str) -> bytes:
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 32:
        raise errors.NotFoundError(f"{canonical.to_hex(name)[:40]} is not a subject")
    return name


# Pages of documents: those that a company shares, and downloads of what the reader may have.

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
    pages: portal.Pages
    forms: portal.Forms

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (
            portal.PageRoute("/portal/documents", self.list, _ABOUT, menu="documents", folded=True),
            portal.PageRoute("/portal/documents/{id}", self.show, _READ),
            portal.PageRoute("/portal/documents/{id}/{version}", self.download, _FETCH),
        )

    def list(self, request: Request, about: str = "") -> Response:
        """Documents that the viewer may see; with `about`, those of a lot or an order. Raises NotFoundError if that is
        not visible."""

        def find(viewer: int | None, after: int | None, _: portal.Filters, newest_first: bool) -> listings.Page[Any]:
            if not about:
                return self.documents.latest(after, portal.PAGE_ITEMS, viewer, newest_first=newest_first)
            name = "0x" + about if len(about) == 64 else about
            return listings.Page(self.documents.page(name, "", _MAX_ABOUT, viewer).documents, None)

        return portal.Lists(self.pages, self.forms).show(
            request, "documents.html", find, kept={"about": about}, about=about, address=_address
        )

    def show(self, request: Request, id: _Id) -> Response:  # name of the parameter
        """The page of a document. Raises NotFoundError if it does not exist for the viewer."""
        principal = portal.principal_of(request)
        values: dict[str, Any] = {"one": self.documents.get(id, principal.viewer), "address": _address}
        return self.pages.render(request, "document.html", forms=self.forms, **values)

    def download(self, request: Request, id: _Id, version: _Version) -> Response:  # name of the parameter
        """A version: its content for the company itself, sealed for the key of any other. Raises NotFoundError,
        DocumentError, and RecipientKeyError if that company has published no key."""
        principal = portal.principal_of(request)
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
    return f"/portal/{'orders' if kind is SubjectKind.ORDER else 'lots'}/{canonical.to_hex(subject)[2:]}"


# The search of the portal's bar: leads to the one thing that a text names, or lists those that it may mean.

_RULE = replace(portal.MEMBERS, by_name=True, cost=4)
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
    pages: portal.Pages
    forms: portal.Forms

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (portal.PageRoute("/portal/search", self.show, _RULE),)

    def show(self, request: Request, q: str = "") -> Response:
        """Redirects to the page of the only thing that is found; otherwise lists what is. Things that the viewer may
        not see are treated as unknown."""
        try:
            found = search(self.store, q, portal.principal_of(request).viewer)
        except (errors.IdentifierError, errors.NotFoundError):
            found = ()
        if len(found) == 1:
            return RedirectResponse(address_of(found[0]), 303)
        values: dict[str, Any] = {"asked": q.strip()[:MAX_TEXT], "found": [(one, address_of(one)) for one in found]}
        return self.pages.render(request, "search.html", 200 if found else 404, forms=self.forms, **values)


def address_of(found: Found) -> str:
    """Path of the page about a thing."""
    return f"/portal/{_FOLDERS[found.kind]}/{found.key.removeprefix('0x')}"


# The page on what the consortium sees: ledger/VISIBLE.md, rendered in each language.
#
# catalogue/visible.XX.json contains the translations, keyed by the English text. If a line of VISIBLE.md changes, its
# key is missing there, which raises KeyError.

_CODE = re.compile(r"(`[^`]+`(, )?)+")
"""A cell that contains only names from the contracts, which are not translated."""
_CODED = Markup('<code translate="no">{}</code>')  # a constant; `format` escapes


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `name` is the event that it describes, or empty."""

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The content under a heading, up to the next one."""

    level: int
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Visible:
    """The page. It is public, because it does not depend on any company's data."""

    pages: portal.Pages

    def routes(self) -> tuple[portal.PageRoute, ...]:
        for language in LANGUAGES:
            _read(language)  # so that a gateway without a translation does not start
        return (portal.PageRoute("/portal/visible", self.show, portal.ANYBODY),)

    def show(self, request: Request) -> Response:
        language = self.pages.catalogue(request).language
        first, *others = _read(language)
        return self.pages.render(request, "visible.html", first=first, sections=others, spans=_spans)


def parse_sections(text: str) -> list[Section]:
    """Parses the document's headings, paragraphs and tables. A line in bold is the name of the table that follows."""
    found: list[Section] = []
    name = ""
    for block in re.split(r"\n{2,}", text.strip()):
        if heading := re.fullmatch(r"(#+) (.+)", block):
            found.append(Section(len(heading[1]), heading[2]))
        elif bold := re.fullmatch(r"\*\*(\w+)\*\*", block):
            name = bold[1]
        elif block.startswith("|") or name:
            found[-1] = replace(found[-1], tables=(*found[-1].tables, _table(name, block)))
            name = ""
        else:
            found[-1] = replace(found[-1], paragraphs=(*found[-1].paragraphs, " ".join(block.split())))
    return found


def texts_of(sections: list[Section]) -> Iterator[str]:
    """All texts to translate, including the names of events."""
    for section in sections:
        yield from (section.title, *section.paragraphs)
        for table in section.tables:
            yield from (name for name in (table.name,) if name)
            yield from (cell for row in (table.head, *table.rows) for cell in row if not _CODE.fullmatch(cell))


def translate(sections: list[Section], words: Mapping[str, str]) -> list[Section]:
    """Translates the page. Raises KeyError for a text without translation. The names of events are kept in front of
    their translation."""

    def cells(row: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(cell if _CODE.fullmatch(cell) else words[cell] for cell in row)

    def table(one: Table) -> Table:
        name = f"{one.name} {words[one.name]}" if one.name else ""
        return Table(name, cells(one.head), tuple(cells(row) for row in one.rows))

    return [
        Section(
            section.level,
            words[section.title],
            tuple(words[one] for one in section.paragraphs),
            tuple(table(one) for one in section.tables),
        )
        for section in sections
    ]


@cache
def _read(language: str) -> list[Section]:
    # Cached for the life of the process, since the file is part of the program.
    sections = parse_sections((resources.files("millmark.ledger") / "VISIBLE.md").read_text("utf-8"))
    if language == "en":
        return sections
    words = resources.files("millmark.services.portal") / "catalogue" / f"visible.{language}.json"
    return translate(sections, json.loads(words.read_text("utf-8")))


def _table(name: str, block: str) -> Table:
    """A block without table lines, for an event without fields, yields a table without rows."""
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in block.splitlines() if "|" in line]
    return Table(name, rows[0] if rows else (), tuple(rows[2:]))


def _spans(text: str) -> Markup:
    """Text with the parts between backticks marked up as code."""
    parts = [_CODED.format(part) if place % 2 else escape(part) for place, part in enumerate(text.split("`"))]
    return Markup("").join(parts)
