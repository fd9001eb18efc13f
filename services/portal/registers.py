"""Pages about what the consortium has: certificates, companies, evidence streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import NotFoundError
from millmark.ledger.keys import to_checksum
from millmark.ledger.provenance import certificate, listings
from millmark.ledger.provenance.answers import Certificate, Participant
from millmark.ledger.provenance.consortium import participant, participants
from millmark.ledger.records import Role, Verdict
from millmark.ledger.store import Store
from millmark.services.access import Principal
from millmark.services.directory.document import DirectoryEntry
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.portal.acting.acting import Acting
from millmark.services.portal.acting.things import About
from millmark.services.portal.forms import Forms
from millmark.services.portal.lists import PAGE_ITEMS, Filter, Filters, Lists, principal_of
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import MEMBERS, Number, PageRoute

__all__ = ["Registers"]

_VERDICTS = Filter("verdict", (Verdict.PASS, Verdict.FAIL))
_ROLES = Filter("role", tuple(Role))


@dataclass(frozen=True, slots=True)
class Registers:
    store: Store
    pages: Pages
    forms: Forms
    acting: Acting

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/certificates", self.certificates, MEMBERS, menu="certificates", folded=True),
            PageRoute("/portal/certificates/{number}", self.certificate, MEMBERS),
            PageRoute("/portal/participants", self.participants, MEMBERS, menu="participants", folded=True),
            PageRoute("/portal/participants/{number}", self.participant, MEMBERS),
            PageRoute("/portal/streams", self.streams, MEMBERS, menu="streams", folded=True),
            PageRoute("/portal/streams/{subject}", self.stream, MEMBERS),
        )

    def certificates(self, request: Request) -> Response:
        principal = principal_of(request)

        def find(viewer: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
            seer = None if _audits(principal) else viewer
            page = listings.certificates(self.store, seer, after, PAGE_ITEMS, wanted, newest_first=newest_first)
            return replace(page, items=self._without_names(page.items, viewer))

        return self._lists.show(request, "certificates.html", find, _VERDICTS)

    def certificate(self, request: Request, number: Number) -> Response:
        """The page of a certificate. Raises NotFoundError if it is unknown or not visible."""
        principal = principal_of(request)
        found = certificate(self.store, number, viewer=None if _audits(principal) else principal.viewer)
        lots = listings.certified_lots(self.store, number, principal.viewer)
        (shown,) = self._without_names([found], principal.viewer)
        offers = self.acting.offers_on(principal, About.CERTIFICATE, str(number))
        return self._show(request, "certificate.html", one=shown, lots=lots, offers=offers)

    def _without_names(self, found: Sequence[Certificate], viewer: int | None) -> tuple[Certificate, ...]:
        """Certificates, without the names of lots that the viewer must not see: those are from this gateway's book."""
        seen = listings.visible_lots(self.store, {one.lot for one in found}, viewer)
        return tuple(one if one.lot in seen else replace(one, identifier=None) for one in found)

    def participants(self, request: Request) -> Response:
        def find(_: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
            role = Role(int(wanted.get("role", 0)))
            members = [one for one in participants(self.store) if not role or _word(role) in one.roles]
            return listings.cut_numbered(members, after, PAGE_ITEMS, newest_first=newest_first)

        return self._lists.show(request, "participants.html", find, _ROLES, directory=self._directory())

    def participant(self, request: Request, number: Number) -> Response:
        """The page of a company. Raises NotFoundError if there is none with this number."""
        found = participant(self.store, number)
        values: dict[str, Any] = {
            "one": found,
            "entry": self._directory().get(number),
            "keys": [(to_checksum(key.address), key) for key in found.keys],
            "recovery": _recovery(found),
            "here": principal_of(request).participant == number,
        }
        return self._show(request, "participant.html", **values)

    def streams(self, request: Request) -> Response:
        def find(viewer: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
            return listings.streams(self.store, viewer, after, PAGE_ITEMS, wanted, newest_first=newest_first)

        return self._lists.show(request, "streams.html", find)

    def stream(self, request: Request, subject: str) -> Response:
        """The page of a stream, with its anchors. Raises NotFoundError if it is unknown or not visible."""
        name = _subject(subject)
        found = listings.streams(self.store, principal_of(request).viewer, None, 1, {"subject": name}).items
        if not found:
            raise NotFoundError("the stream is not known here")

        def find(_: int | None, after: int | None, __: Filters, newest_first: bool) -> listings.Page[Any]:
            return listings.anchors(self.store, name, after, PAGE_ITEMS, newest_first=newest_first)

        return self._lists.show(request, "stream.html", find, one=found[0])

    def _directory(self) -> dict[int, DirectoryEntry]:
        with self.store.reading() as connection:
            return {one.participant: one for one in DirectoryRepository(connection).entries()}

    @property
    def _lists(self) -> Lists:
        return Lists(self.pages, self.forms)

    def _show(self, request: Request, template: str, **values: Any) -> Response:
        return self.pages.render(request, template, forms=self.forms, **values)


def _audits(principal: Principal) -> bool:
    """Whether certificates of all lots are shown: an auditor approves models and follows what they certified. What is
    shown then is on the chain, which every participant reads."""
    return bool(principal.roles & Role.AUDITOR)


def _word(role: Role) -> str:
    return str(role.name).lower()


def _recovery(found: Participant) -> str | None:
    return None if found.recovery is None else to_checksum(found.recovery.key)


def _subject(text: str) -> bytes:
    try:
        name = bytes.fromhex(text)
    except ValueError:
        name = b""
    if len(name) != 32:
        raise NotFoundError(f"{to_hex(name)[:40]} is not a subject")
    return name
