"""The routes behind the code on a part: resolver, passport, proof, printable label."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import RedirectResponse, Response

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.errors import MillmarkError, NotFoundError
from millmark.ledger.headers import parse_header
from millmark.ledger.provenance import Limits, find_coded_lot, passport, passport_statements
from millmark.ledger.store import Store
from millmark.ledger.verify import Statement
from millmark.services.access.rules import PUBLIC
from millmark.services.interop.digital_link import build_qr_svg
from millmark.services.pictures import build_family, draw_upright
from millmark.services.portal.check_copies import find_copies
from millmark.services.portal.check_page import CheckPage
from millmark.services.portal.footprints import build_waterfall
from millmark.services.portal.pages import Pages
from millmark.services.portal.passport_view import PassportView, build_view, describe_name, is_current
from millmark.services.portal.passport_windows import build_opened_windows
from millmark.services.portal.picture_words import PictureWords
from millmark.services.portal.proofs import Proof, Proofs
from millmark.services.portal.resolver import (
    BUNDLE_TYPE,
    LINKSET,
    Code,
    build_description,
    build_linkset,
    choose_linkset,
    find_link,
    read_code,
    tell_context,
)
from millmark.services.portal.routes import CODE_HOLDERS, PageRoute

__all__ = ["CODE_PATH", "PART_PATH", "Passports"]


class _KeyConvertor(Convertor[str]):
    """A GS1 application identifier in a path. Starlette's `int` converts any number of digits, and fails beyond 4,300
    of them: before the guard, with a 500 for anybody."""

    regex = "[0-9]{1,4}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("gs1key", _KeyConvertor())
CODE_PATH = "/{key:gs1key}/{rest:path}"
TRUST_PATH = "/passport/trust"
PART_PATH = "/passport/{what}/{key:gs1key}/{rest:path}"
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
"""Pages of other companies may read what a code resolves to (GS1-Conformant Resolver). Browsers send no cookies then,
and the salt in the link is what permits the access."""
_BLOCK = re.compile(r"([0-9]{1,15}) ([0-9a-f]{64})")
_LIMITS = Limits(depth=64, lots=400)


@dataclass(frozen=True, slots=True)
class Passports:
    """Pages for holders of a part's code."""

    store: Store
    pages: Pages
    proofs: Proofs
    origin: str
    clock: Callable[[], int]
    check: CheckPage

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/.well-known/gs1resolver", self.describe, PUBLIC),
            PageRoute(TRUST_PATH, self.trust, CODE_HOLDERS),
            PageRoute(CODE_PATH, self.resolve, CODE_HOLDERS),
            PageRoute(PART_PATH, self.part, CODE_HOLDERS),
        )

    def describe(self) -> Response:
        return Response(json.dumps(build_description(self.origin)), media_type="application/json", headers=_ANY_ORIGIN)

    def resolve(self, request: Request) -> Response:
        """Returns the passport or another link of the code, by link type and content negotiation. Raises
        IdentifierError or NotFoundError."""
        code, lot = self._find(request)
        wanted = request.query_params.get("linkType", "")
        form = choose_linkset(request.headers.get("accept", ""))
        if wanted in ("all", "linkset") or (not wanted and form):
            return self._linkset(request, code, form or LINKSET)
        link = find_link(code, wanted or "defaultLink")
        if link is None:
            raise NotFoundError("this code has no link of that type", hint="use linkType=all to list the links")
        if link.media_type == BUNDLE_TYPE:
            # With the whole query as it was sent (GS1-Conformant Resolver 1.2.1 section 2.12).
            path, query = link.path.partition("?")[0], request.scope["query_string"].decode("latin-1")
            return RedirectResponse(f"{path}?{query}", 307, _ANY_ORIGIN)
        return self._page(request, code, lot)

    def part(self, request: Request, what: str) -> Response:
        """The files and pages that a passport links to. Raises IdentifierError or NotFoundError."""
        code, lot = self._find(request)
        if what == "bundle":
            return _file(self._proof(lot).bundle, "part.bundle", BUNDLE_TYPE)
        if what == "trust":
            return _file(self._proof(lot).trust, "trust.json", "application/json")
        if what == "qr":
            return Response(build_qr_svg(code.address(self.origin)), media_type="image/svg+xml")
        if what == "label":
            name = describe_name(self.pages.catalogue(request), code.link)
            return self.pages.render(request, "label.html", code=code, name=name)
        raise NotFoundError("no passport found", hint="scan the code on the part again")

    def trust(self, block: str = "", hash: str = "") -> Response:
        """This company's own trust file for a block that somebody else's proof ends at, for the copy of the page here.
        It names the consortium's members, so the hash is the credential: it is in every proof, and cannot be guessed.
        Raises NotFoundError, which does not tell whether there is such a block."""
        wanted = _BLOCK.fullmatch(f"{block} {hash}")
        found = None if wanted is None else self.proofs.vouch(int(wanted[1]), bytes.fromhex(wanted[2]))
        if found is None:
            raise NotFoundError("this company's node has no such block", hint="choose another trust file")
        return _file(found, "trust.json", "application/json")

    def _find(self, request: Request) -> tuple[Code, bytes]:
        code = read_code(request)
        *longer, last = code.names()
        for one in longer:
            with suppress(NotFoundError):
                return one, find_coded_lot(self.store, one.identifier, one.salt)
        return last, find_coded_lot(self.store, last.identifier, last.salt)

    def _linkset(self, request: Request, code: Code, form: str) -> Response:
        say = self.pages.catalogue(request).say
        titles = {kind: say(f"link.{kind}") for kind in ("defaultLink", "pip", "certificationInfo", "traceability")}
        body = json.dumps(build_linkset(code, self.origin, titles, form), ensure_ascii=False)
        headers = {"Vary": "Accept, Accept-Language, Cookie", "Link": tell_context(self.origin), **_ANY_ORIGIN}
        return Response(body, media_type=form, headers={**headers, "Access-Control-Expose-Headers": "Link"})

    def _page(self, request: Request, code: Code, lot: bytes) -> Response:
        found = passport(self.store, lot, self.proofs.disclosing, _LIMITS)
        catalogue = self.pages.catalogue(request)
        # For the state of the index that the page shows, so that page and proof agree.
        proof = self.proofs.fetch(lot, found.trace.as_of, self.clock())
        recorded = None if is_current(proof) else self._tell(lot)
        view = build_view(found, proof, recorded)
        family = build_family(found.trace, PictureWords(catalogue), _stopped(lot, view))
        opened = proof.inferences if isinstance(proof, Proof) else ()
        copies = find_copies(self.store, found.trace, self.check.find_copies())
        values: dict[str, Any] = {
            "view": view,
            "trace": found.trace,
            "code": code,
            "address": code.address(self.origin) if code.salt else self.origin,
            "checks_here": self.check.is_built,
            "copies": copies,
            "vouched": _vouched(proof) if copies and isinstance(proof, Proof) else "",
            "name": describe_name(catalogue, code.link),
            "picture": draw_upright(family, catalogue.language.value),
            "windows": build_opened_windows(self.store, lot, opened, catalogue),
            "opened": len(opened),
            "waterfall": "" if found.footprint is None else build_waterfall(found.footprint, catalogue),
        }
        linkset = f'<{self.origin}{code.path(linkType="linkset")}>; rel="linkset"; type="{LINKSET}"'
        headers = {"Link": linkset, "Vary": "Accept, Accept-Language, Cookie"}
        return self.pages.render(request, "passport.html", headers=headers, **values)

    def _tell(self, lot: bytes) -> tuple[Statement, ...] | MillmarkError:
        """What the index tells of a part, or why it does not."""
        try:
            return passport_statements(self.store, lot, self.proofs.disclosing)
        except MillmarkError as error:
            return error

    def _proof(self, lot: bytes) -> Proof:
        found = self.proofs.fetch(lot, None, self.clock())
        if not isinstance(found, Proof):
            raise NotFoundError("no proof can be built now", hint="ask the company that runs this gateway for a bundle")
        return found


def _vouched(proof: Proof) -> str:
    """The path of a trust file for this proof, at whichever company it is asked for."""
    block = parse_header(parse_bundle(proof.bundle).headers[-1])
    return f"{TRUST_PATH}?block={block.number}&hash={block.hash.hex()}"


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(
        content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"', **_ANY_ORIGIN}
    )


def _stopped(lot: bytes, view: PassportView) -> set[bytes]:
    """The lots that the picture must not show as good: what was called back, and the part itself if anything stops it
    or has it wait."""
    return {*view.first.called_back, *([lot] if view.asks else ())}
