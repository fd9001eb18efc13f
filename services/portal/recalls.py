"""Recall as a task: what is bad, what that reached, who has it, the list as a file, the proof, and the notice."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import Response

from millmark.ledger import errors, provenance
from millmark.ledger.bundle import parse_bundle
from millmark.ledger.chain import Chain
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import listings
from millmark.ledger.provenance.answers import Holder, Party, RelatedLot
from millmark.ledger.provenance.cases import Case, CaseList, find_case, find_cases, find_noteable, find_own
from millmark.ledger.provenance.reader import LookupGround, Reader
from millmark.ledger.provenance.traces import build_transformations
from millmark.ledger.records import LotState
from millmark.ledger.store import Store
from millmark.ledger.store.rows import LotRow
from millmark.services.access import EXAMINERS, Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.acts import FORMS, About
from millmark.services.directory.document import DirectoryEntry
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.pictures.genealogy import build_reach, draw_genealogy
from millmark.services.portal import charts, models
from millmark.services.portal.acting import quality, things
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.pages import Catalogue, Forms, Number, PageRoute, Pages, principal_of, say_error
from millmark.services.portal.proofs import ProofsBusyError
from millmark.services.serving.requests import BoundedWork

# Arranges what a recall found for its page: the coloured genealogy, holders with what the directory says of them, and
# the lots in an order that people expect.

_DRAWN = 60
"""Most lots in the picture."""
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class Contact:
    """A company that has some of what a recall reached, and how it is reached."""

    holder: Holder
    entry: DirectoryEntry | None
    """None if the directory does not list it."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a lot is that its row alone does not tell: in what it is packed, and to whom that is offered."""

    carrier: tuple[bytes, str | None] | None
    """The outermost lot in which it is packed, with its name where that is known."""
    offered_to: Party | None
    """To whom it, or what it is packed in, is offered and has not been taken over yet."""


@dataclass(frozen=True, slots=True)
class RecallView:
    picture: str
    drawn: int
    """Most lots in the picture; the text beside it has the others as well."""
    own: int
    """Lots that the caller's company has."""
    away: int
    """Lots that others have."""
    spent: int
    contacts: tuple[Contact, ...]
    lots: tuple[RelatedLot, ...]
    """As `sort_naturally` has them: A9 before A10."""
    company: int | None
    whereabouts: Mapping[bytes, Whereabouts]
    """Where lots are that are packed or offered."""


def build_view(
    store: Store, found: provenance.Recall, principal: Principal, catalogue: Catalogue, most: int
) -> RecallView:
    with provenance.open_reader(store, principal.viewer) as reader:
        drawn = [lot.subject for lot in found.lots[:_DRAWN]]
        steps = build_transformations(reader, drawn)
        shown = tuple(sort_naturally(found.lots)[:most])
        whereabouts = find_whereabouts(reader, shown)
    family = build_reach(found.lots, found.as_of, steps, principal.participant, charts.PictureWords(catalogue), _DRAWN)
    places = [where_of(lot, principal.participant) for lot in found.lots]
    return RecallView(
        picture=draw_genealogy(family, catalogue.language) if found.lots else "",
        drawn=_DRAWN,
        own=places.count("own"),
        away=places.count("away"),
        spent=places.count("spent"),
        contacts=contacts_of(store, found.holders),
        lots=shown,
        company=principal.participant,
        whereabouts=whereabouts,
    )


def find_whereabouts(reader: Reader, lots: Iterable[RelatedLot]) -> dict[bytes, Whereabouts]:
    """Where the lots are that are packed or offered, as far as what they are packed in is visible."""
    moving = {one.subject for one in lots if one.parent is not None or one.state is LotState.OFFERED}
    around = {subject: rows[-1] for subject, rows in reader.around(moving).items()}
    outermost = {row.subject for row in around.values()}
    seen = outermost if reader.visibility is None else set(reader.visibility.among(SubjectKind.LOT, outermost))
    around = {subject: row for subject, row in around.items() if row.subject in seen}
    reader.name(seen)
    found = {}
    for subject, outer in around.items():
        carrier = None if outer.subject == subject else (outer.subject, reader.identifier(outer.subject))
        offered = reader.party(outer.counterparty) if outer.state == LotState.OFFERED else None
        found[subject] = Whereabouts(carrier, offered)
    return found


def where_of(lot: RelatedLot, company: int | None) -> str:
    """`own`, `away` or `spent`."""
    if lot.state is LotState.SPENT:
        return "spent"
    return "own" if lot.holder.participant == company else "away"


def contacts_of(store: Store, holders: Iterable[Holder]) -> tuple[Contact, ...]:
    with store.reading() as connection:
        directory = DirectoryRepository(connection)
        return tuple(Contact(one, directory.entry(one.participant)) for one in holders)


def sort_naturally(lots: Iterable[RelatedLot]) -> list[RelatedLot]:
    """What still exists first, then nearest first; lots of the same depth by the last part of their name, numbers in it
    as numbers."""
    return sorted(
        lots,
        key=lambda lot: (
            lot.state is LotState.SPENT,
            lot.depth,
            lot.identifier is None,
            _parts(lot.identifier or ""),
            lot.subject,
        ),
    )


def may_recall_lot(reader: Reader, lot: bytes) -> bool:
    """Whether a recall of the lot finds it for the reader's participant: it made it or had it."""
    return reader.visibility is None or lot in reader.visibility.held([lot])


def _parts(identifier: str) -> list[tuple[int, int, str]]:
    """Texts and numbers, such that any two lists can be compared."""
    parts = _DIGITS.split(charts.brief_of(identifier)) if identifier else []
    return [(0, int(part), "") if place % 2 else (1, 0, part) for place, part in enumerate(parts) if part]


# What a recall hands out: the list of lots as CSV, and bundles that prove it, in one ZIP file.

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters at the start of a cell that make a spreadsheet evaluate it (OWASP, CSV injection)."""
_COLUMNS = (
    "identifier", "subject", "depth", "quantity", "unit", "state", "quarantined", "holder", "holder_number",
    "holder_gln", "holder_gateway", "holder_contact", "verdict", "status", "packed_in", "offered_to",
)  # fmt: skip
_BOM = "\ufeff"
"""Without it, spreadsheets read UTF-8 as the local code page."""
_MOST_PROVED = 500
"""Most lots that are proved on request; the command proves any number."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of all members, so that the same bundles make the same file; the least that ZIP can say."""


@dataclass(frozen=True, slots=True)
class RecallFiles:
    store: Store
    chain: Chain | None
    _work: BoundedWork = field(default_factory=lambda: BoundedWork(at_once=1, waiting=2))

    def build_proof(self, found: provenance.Recall, table: str) -> bytes:
        """The bundles about a recall's lots, the trust file for their block, and the list, as a ZIP file. Raises
        NotFoundError without a node, InputError for more than 500 lots, ProofsBusyError, and what building a bundle
        raises."""
        if self.chain is None:
            raise errors.NotFoundError("this gateway has no node to build proofs from")
        if len(found.lots) > _MOST_PROVED:
            raise errors.InputError(
                f"{len(found.lots)} lots are too many to prove while you wait", hint="use `millmark recall --bundle`"
            )
        with self._work.take() as mine:
            if not mine:
                raise ProofsBusyError("too many recalls are being proved", hint="try again in a minute")
            bundles = [one.data for one in provenance.build_recall_bundles(self.store, self.chain, found)]
        files = {f"recall-{number}.bundle": data for number, data in enumerate(bundles, 1)}
        if bundles:
            block = parse_header(parse_bundle(bundles[0]).headers[-1]).number
            files["trust.json"] = provenance.build_trust_file(self.store, self.chain, block).to_bytes()
        return _pack({**files, "recall.csv": table.encode()})


def build_csv(store: Store, found: provenance.Recall, catalogue: Catalogue, viewer: int | None = None) -> str:
    """Every affected lot, with its holder, what the directory says of it, and the status of its certificate. The holder
    of one that is used up is who had it last. Units are words of the page's language, as is why there is no contact;
    states are those of the API."""
    out = io.StringIO()
    out.write(_BOM)
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    units = catalogue.words.units
    entries = _entries(store, found)
    with provenance.open_reader(store, viewer) as reader:
        places = find_whereabouts(reader, found.lots)
    for lot in sort_naturally(found.lots):
        entry = entries.get(lot.holder.participant)
        row = (
            lot.identifier or "", "0x" + lot.subject.hex(), lot.depth, lot.quantity, units.get(lot.unit, lot.unit),
            lot.state.name.lower(), "yes" if lot.quarantined else "no",
            lot.holder.name or f"participant {lot.holder.participant}", lot.holder.participant,
            (entry.gln if entry else None) or "", (entry.gateway if entry else None) or "",
            _contact(entry, catalogue),
            lot.verdict.name.lower(), lot.status.name.lower(), *_moving(places.get(lot.subject)),
        )  # fmt: skip
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def _entries(store: Store, found: provenance.Recall) -> Mapping[int, DirectoryEntry | None]:
    """The directory's entries of all who have a lot or had it last, by number; None where it has none."""
    with store.reading() as connection:
        directory = DirectoryRepository(connection)
        return {one: directory.entry(one) for one in {lot.holder.participant for lot in found.lots}}


def _contact(entry: DirectoryEntry | None, catalogue: Catalogue) -> str:
    """Whom one reaches, or why nobody can be named."""
    if entry is None:
        return catalogue.say("recall.no_contact")
    return str(entry.contact or catalogue.say("recall.no_person"))


def _moving(place: Whereabouts | None) -> tuple[str, str]:
    """In what a lot is packed, and to whom it is offered."""
    if place is None:
        return "", ""
    carrier = "" if place.carrier is None else place.carrier[1] or f"0x{place.carrier[0].hex()}"
    to = place.offered_to
    return carrier, "" if to is None else to.name or f"participant {to.participant}"


def _harmless(cell: str) -> str:
    # A leading apostrophe makes spreadsheets treat the cell as text.
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _pack(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


# Quality cases: the list, and each case with its tree, who has what, who acknowledged it, and by which record.

_CASE_RULE = Rule(Scope.PROVENANCE, page=True, cost=10)
_MOST, _LOTS = 50, 200


@dataclass(frozen=True, slots=True)
class NoticeDelivery:
    """What became of handing the notice's text over to a company."""

    delivered: bool
    """Whether its gateway has kept it. Otherwise that is tried again."""
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CasePages:
    store: Store
    pages: Pages
    forms: Forms
    acting: Acting
    find_told: Callable[[int], Mapping[int, NoticeDelivery]]

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/cases", self.list, _CASE_RULE, menu="cases"),
            PageRoute("/portal/cases/{number}", self.show, _CASE_RULE),
        )

    def list(self, request: Request) -> Response:
        """Cases that reach something that the caller may see, newest first; those that await its answer are marked."""
        principal = principal_of(request)
        with provenance.open_reader(self.store, principal.viewer) as reader:
            latest = find_cases(reader, _MOST)
            company = principal.participant
            awaiting = CaseList((), truncated=False) if company is None else find_cases(reader, _MOST, awaiting=company)
        # What awaits an answer is listed even if newer cases fill the list.
        known = {one.number for one in latest.items}
        cases = latest.items + tuple(one for one in awaiting.items if one.number not in known)
        truncated = latest.truncated or awaiting.truncated
        values: dict[str, Any] = {"cases": cases, "most": _MOST, "own": company, "truncated": truncated}
        return self.pages.render(request, "cases.html", forms=self.forms, **values)

    def show(self, request: Request, number: Number) -> Response:
        """One case. Raises NotFoundError if there is none, or nothing of it is visible to the caller."""
        principal, catalogue = principal_of(request), self.pages.catalogue(request)
        with provenance.open_reader(self.store, principal.viewer) as reader:
            case = find_case(reader, number)
            picture = _draw(reader, case, principal, catalogue)
            offers = self._offers(reader, case, principal)
            whereabouts = find_whereabouts(reader, (one.lot for one in case.lots))
        holders = [Holder(one.party.participant, one.party.name, one.lots, 0) for one in case.parties]
        by_subject = {one.lot.subject: one for one in case.lots}
        values: dict[str, Any] = {
            "case": case,
            "own": principal.participant,
            "picture": picture,
            "drawn": _DRAWN,
            "contacts": {one.holder.participant: one for one in contacts_of(self.store, holders)},
            "lots": [by_subject[lot.subject] for lot in sort_naturally(one.lot for one in case.lots)][:_LOTS],
            "whereabouts": whereabouts,
            "most": _LOTS,
            "told": list(things.facts(case.document, with_none=False)),
            "offers": offers,
            # Only the company itself may know what it sent to whom.
            "told_to": self.find_told(number) if principal.viewer is None else {},
        }
        return self.pages.render(request, "case.html", forms=self.forms, **values)

    def _offers(self, reader: Reader, case: Case, principal: Principal) -> tuple[Offer, ...]:
        """What the caller's company may answer: on its own lots, and if it recorded the notice, its end."""
        company = self.acting.recorder.company(principal)
        if company is None or case.closed is not None:
            return ()
        own = find_own(reader, case, company)
        found = []
        if case.awaits(company):
            found.append(offer_note(self.acting, principal, "acknowledgeNotice", own))
        found.append(offer_note(self.acting, principal, "resolveNotice", own))
        if case.raised_by.participant == company:
            named = find_noteable(reader, company, [lot.subject for lot in case.named])
            found.append(offer_note(self.acting, principal, "closeCase", named))
        return tuple(one for one in found if one is not None)


def offer_note(acting: Acting, principal: Principal, name: str, lots: Sequence[LotRow]) -> Offer | None:
    """The button for a note on these lots; None if the caller may not record it, or there is no lot."""
    form = FORMS[name]
    if not lots or not acting.recorder.may(principal, form.operation):
        return None
    return acting.offer_of(form, things.Thing(About.NOTHING, None), lots=quality.name_lots(lots))


def _draw(reader: Reader, case: Case, principal: Principal, catalogue: Catalogue) -> str:
    lots = [one.lot for one in case.lots]
    if not lots:
        return ""
    steps = build_transformations(reader, [lot.subject for lot in lots[:_DRAWN]])
    family = build_reach(lots, reader.as_of(), steps, principal.participant, charts.PictureWords(catalogue), _DRAWN)
    return draw_genealogy(family, catalogue.language)


_RULE = Rule(Scope.PROVENANCE, EXAMINERS, page=True, cost=10, limits=(1, 1))
"""As that of `/v1/recall`; its own limits are fixed, so they add nothing."""
_PROVED = Rule(Scope.PROVENANCE, EXAMINERS, page=True, cost=50, limits=(1, 1))
_SHOWN = 100
"""Most lots shown on the page. The file contains all."""
_FIELDS = ("model", "lot", "machine", "since", "until")
_MAX_FIELD = 2048
_MODELS = 100
"""Most models to choose from."""
_UTC = re.compile(r"\s*UTC")


@dataclass(frozen=True, slots=True)
class Recalls:
    store: Store
    pages: Pages
    forms: Forms
    files: RecallFiles
    acting: Acting

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/recall", self.show, _RULE, menu="recall"),
            PageRoute("/portal/recall.csv", self.download, _RULE),
            PageRoute("/portal/recall.zip", self.prove, _PROVED),
        )

    def show(self, request: Request) -> Response:
        """The choices, with the results once one is made. Things that the viewer may not see are treated as unknown."""
        principal, catalogue, asked = principal_of(request), self.pages.catalogue(request), _asked(request)
        found, refused, status = None, Markup(), 200
        # The link on a machine's page names the machine; the period is still to be filled in.
        if asked and asked.keys() != {"machine"}:
            try:
                found = self._recall(request, asked)
            except errors.NotFoundError:
                refused, status = escape(catalogue.say("recall.unknown")), 404
            except errors.InputError as error:
                refused, status = say_error(catalogue, error), 400
        values: dict[str, Any] = {"asked": {name: asked.get(name, "") for name in _FIELDS}, "found": found}
        # The choice whose form is open: what was asked for, else a lot.
        chosen = next((name for name in ("model", "machine", "lot") if name in asked), "lot")
        may_prove = self.files.chain is not None  # proofs are built from a node
        values |= {"chosen": chosen, "models": self._models(principal), "may_prove": may_prove}
        if found is not None:
            values["view"] = build_view(self.store, found, principal, catalogue, _SHOWN)
            values["notice"], values["noticed"] = self._notice(found, principal)
        return self.pages.render(
            request, "recall.html", status, forms=self.forms, refused=refused, most=_SHOWN, **values
        )

    def download(self, request: Request) -> Response:
        """The results as a CSV file. Raises InputError or NotFoundError."""
        found = self._recall(request, _asked(request))
        body = build_csv(self.store, found, self.pages.catalogue(request), principal_of(request).viewer)
        headers = {"Content-Disposition": 'attachment; filename="recall.csv"'}
        return Response(body, media_type="text/csv; charset=utf-8", headers=headers)

    def prove(self, request: Request) -> Response:
        """The results as bundles, with the trust file and the list, in one file. Raises InputError, NotFoundError, or
        what building a bundle raises."""
        found = self._recall(request, _asked(request))
        table = build_csv(self.store, found, self.pages.catalogue(request), principal_of(request).viewer)
        body = self.files.build_proof(found, table)
        headers = {"Content-Disposition": 'attachment; filename="recall.zip"'}
        return Response(body, media_type="application/zip", headers=headers)

    def _notice(self, found: provenance.Recall, principal: Principal) -> tuple[Offer | None, int]:
        """The button for a notice on the causes on which the company may record one; without any, on what was made from
        them. And how many of these it names, 0 if it names the causes."""
        company, named = self.acting.recorder.company(principal), 0
        if company is None:
            return None, 0
        causes = [lot.subject for lot in found.lots if not lot.depth]
        with provenance.open_reader(self.store) as reader:
            lots = find_noteable(reader, company, causes)
            if not lots:
                lots = find_noteable(reader, company, [lot.subject for lot in found.lots if lot.depth])
                named = len(lots)
        return offer_note(self.acting, principal, "recallNotice", lots), named

    def _models(self, principal: Principal) -> list[provenance.answers.Model]:
        """Those whose recall finds something for the caller."""
        page = listings.models(self.store, None, _MODELS, {}, newest_first=True)
        return [one for one in page.items if models.may_recall_model(principal, one)]

    def _recall(self, request: Request, asked: dict[str, str]) -> provenance.Recall:
        return provenance.recall(
            self.store,
            model=_number(asked["model"]) if "model" in asked else None,
            lot=asked.get("lot"),
            machine=asked.get("machine"),
            since=_moment(asked.get("since")),
            until=_moment(asked.get("until")),
            limits=provenance.MAX_RECALLED,
            viewer=principal_of(request).viewer,
        )


def _asked(request: Request) -> dict[str, str]:
    """The fields that were filled in."""
    given = ((name, request.query_params.get(name, "").strip()[:_MAX_FIELD]) for name in _FIELDS)
    return {name: value for name, value in given if value}


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise errors.InputError(
            LookupGround.NO_MODEL_NUMBER.write(text=f"{text[:40]!a}"), hint="use the number shown on the page of models"
        )
    return int(text)


def _moment(text: str | None) -> datetime | None:
    """Parses RFC 3339, also with a space in place of the T, and times as the pages show them, in UTC or in the reader's
    zone. Without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(_UTC.sub("", text).strip())
    except ValueError:
        raise errors.InputError(
            LookupGround.NO_MOMENT.write(text=f"{text[:40]!a}"), hint="write it like 2026-03-02 09:30"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
