"""The operator's page, for a phone at the machine: what is under way, what comes next, and that the machine is down."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.canonical import Json
from millmark.ledger.claims import Field
from millmark.ledger.errors import InputError, MillmarkError, NotFoundError
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.products import Product, TextOption
from millmark.ledger.provenance import listings
from millmark.ledger.provenance.answers import RegisteredMachine
from millmark.ledger.records import Role
from millmark.ledger.store.rows import OrderRow
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.acts import About
from millmark.services.pictures.gantt import BarTone
from millmark.services.planning import consent, errors, stream_entries
from millmark.services.planning.reading import PlanningTables, find_claims, reading
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.acting.things import Filled, Sent
from millmark.services.portal.board import Work, read_work
from millmark.services.portal.pages import Forms, Number, PageRoute, Pages, principal_of
from millmark.services.portal.planner.coordinating import Workshop, form_key, key_of, name_reader, one
from millmark.services.portal.process import read_open_proposal
from millmark.services.products import Catalogue

_RULE = Rule(Scope.PROVENANCE, Role.MANUFACTURER, owner=True, page=True, cost=4)
_RECORDING = Rule(Scope.RECORDING, Role.MANUFACTURER, owner=True, page=True, cost=4)
_LATELY, _NEXT = 3, 20
_MAX_TEXT = 200
_SHOWN = (BarTone.NOW, BarTone.AGREED)
_OVER = (BarTone.DONE, BarTone.FAILED, BarTone.REWORKED)
_ACTS = ("startAssignment", "readRegister", "commissionLot", "finishAssignment")


class CauseService(Protocol):
    """What this page asks of the gateway's feedback."""

    def has_reported(self, form: str) -> bool: ...
    def report(self, machine: int, kind: str, text: str, form: str = "") -> object: ...


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work, as whoever does it needs to know it."""

    work: Work
    step: str
    """Name of the operation; empty where the order's document does not say it."""
    facts: tuple[tuple[Mapping[str, str], Mapping[str, str]], ...]
    """What the operation needs, and what is written on the piece: names and values by language."""
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Down:
    """What is recorded when a machine is down."""

    agreed: tuple[Work, ...]
    """Agreed or begun: it stays until a plan replaces it."""
    declined: tuple[Work, ...]
    """Proposed: they are declined."""


@dataclass(frozen=True, slots=True)
class AtMachine:
    shop: Workshop
    acting: Acting
    pages: Pages
    forms: Forms
    causes: CauseService | None
    """Without it, nothing follows from a report by itself."""

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/machines/{number}/work", self.show, _RULE),
            PageRoute("/portal/machines/{number}/down", self.down, _RECORDING, method="POST"),
        )

    def show(self, request: Request, number: Number) -> Response:
        """The jobs of one of the company's machines. Raises NotFoundError for another company's."""
        return self._show(request, number)

    def down(self, request: Request, number: Number, sent: Sent) -> Response:
        """Records that one of the company's machines is down; the first time it is sent, shows what will be recorded.
        Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key = principal_of(request), form_key(sent)
        machine, text = self._machine(principal, number), one(sent, "text")[:_MAX_TEXT]
        try:
            if not text:
                raise InputError(errors.PlanningGround.UNSAID.write(), hint="write it in a line")
            work = self._work(principal, machine)
            found = Down(
                tuple(item for item in work if item.tone in _SHOWN),
                tuple(item for item in work if item.tone is BarTone.PLANNED),
            )
            if not found.agreed and not found.declined:
                raise InputError(errors.PlanningGround.IDLE.write(), hint="there is nobody to tell")
            if one(sent, "step") == "record":
                return self._record(principal, key, machine, found, text)
        except MillmarkError as error:
            return self._show(request, number, error, sent)
        values: dict[str, Any] = {"machine": machine, "down": found, "text": text, "key": key}
        return self.pages.render(request, "machine_down.html", forms=self.forms, **values)

    def _show(
        self, request: Request, number: int, error: MillmarkError | None = None, sent: Filled | None = None
    ) -> Response:
        principal = principal_of(request)
        machine = self._machine(principal, number)
        work = self._work(principal, machine)
        jobs = [self._job(principal, item) for item in work if item.tone in _SHOWN]
        now = [job for job in jobs if job.work.tone is BarTone.NOW]
        following = [job for job in jobs if job.work.tone is BarTone.AGREED][:_NEXT]
        values: dict[str, Any] = {
            "machine": machine,
            "settings": read_open_proposal(self.shop.store, self.acting, principal, number),
            "now": now,
            "following": following,
            "proposed": [item for item in work if item.tone is BarTone.PLANNED],
            "lately": [item for item in work if item.tone in _OVER][-_LATELY:][::-1],
            "may_record": self.acting.recorder.may(principal, "anchor"),
            "error": error,
            "reported": bool(request.query_params.get("reported")),
            "text": "" if sent is None else one(sent, "text")[:_MAX_TEXT],
            # Kept on the page of an error: sent again, the form reports nothing twice.
            "key": secrets.token_urlsafe(24) if sent is None else form_key(sent),
        }
        return self.pages.render(request, "at_machine.html", 200 if error is None else 400, forms=self.forms, **values)

    def _machine(self, principal: Principal, number: int) -> RegisteredMachine:
        """Raises NotFoundError for a machine that is not the company's."""
        machine = listings.machine(self.shop.store, number, principal.viewer)
        if machine.owner.participant != self.shop.company(principal):
            raise NotFoundError("this machine is not one of the company")
        return machine

    def _work(self, principal: Principal, machine: RegisteredMachine) -> tuple[Work, ...]:
        with reading(self.shop.store) as tables:
            names = name_reader(tables, principal)
            return read_work(names, machine, consent.PlannedTimes(tables.rows, tables.book)).work

    def _job(self, principal: Principal, work: Work) -> Job:
        with reading(self.shop.store) as tables:
            step, facts = _describe(tables, work, Catalogue(self.shop.home))
        offers = self.acting.offers_on(principal, About.ASSIGNMENT, str(work.assignment), *_ACTS)
        return Job(work, step, facts, offers)

    def _record(self, principal: Principal, key: str, machine: RegisteredMachine, found: Down, text: str) -> Response:
        """The ledger has no record of its own for it: what happened is an entry of the machine's stream, whose anchor
        a plan can name as the reason why it replaces another. What was proposed is declined."""
        cause = {"kind": CauseKind.MACHINE_DOWN.value, "machine": machine.machine, "text": text}
        here = f"/portal/machines/{machine.machine}/work"
        done = f"{here}?reported=yes"
        if self.causes is None:
            entry: dict[str, Json] = {"cause": CauseKind.MACHINE_DOWN.value, "machine": machine.machine, "text": text}
            number = self.shop.seal(
                principal, key_of(key, "down"), lambda tables: self._write(tables, principal, machine.machine, entry)
            )
            done = f"/portal/records/{number}?back={here}"
        else:
            self._report(self.causes, key, machine.machine, text)
        for work in found.declined:
            with reading(self.shop.store) as tables:
                reason = _reason(tables, work.assignment, cause)
            asked, own = {"id": work.assignment}, key_of(key, work.assignment)
            self.shop.record(principal, "declineAssignment", own, asked, {"reason": reason})
        return RedirectResponse(done, 303)

    def _report(self, causes: CauseService, key: str, machine: int, text: str) -> None:
        """Reports to feedback that the machine is down, once for each form, however often that is sent."""
        form = key_of(key, "down")
        with self.shop.lock:
            if not causes.has_reported(form):
                causes.report(machine, CauseKind.MACHINE_DOWN.value, text, form)

    def _write(
        self, tables: PlanningTables, principal: Principal, machine: int, entry: Mapping[str, Json]
    ) -> tuple[stream_entries.OwnStream, stream_entries.Sealed]:
        """Raises InputError if no stream of the machine is kept here."""
        stream = tables.stream(self.shop.company(principal), machine)
        return stream, stream_entries.seal_event(tables.connection, stream, {**entry, "at": self.shop.clock()})


def _reason(tables: PlanningTables, assignment: int, cause: Mapping[str, Any]) -> dict[str, Any]:
    """The cause as claims; for an assignment that is a row of a plan, they also name that plan."""
    try:
        return dict(consent.build_decline(tables, assignment, CauseKind.MACHINE_DOWN, str(cause["text"])))
    except InputError:
        return {"cause": dict(cause)}


def _describe(
    tables: PlanningTables, work: Work, products: Catalogue
) -> tuple[str, tuple[tuple[Mapping[str, str], Mapping[str, str]], ...]]:
    """The operation's name, and what it needs; of an order by product in the product's words."""
    row = tables.rows.get(OrderRow, work.order)
    claims = None if row is None else find_claims(tables.book, row.claims_root)
    if claims is None:
        return "", ()
    shown = {tuple(map(str, path)): str(field.value) for path, field in claims.fields if isinstance(field, Field)}
    own = ("operations", str(work.operation))
    product = _product(shown, products)
    return shown.get((*own, "name"), ""), tuple(_facts(shown, own, product))


def _product(shown: Mapping[tuple[str, ...], str], products: Catalogue) -> Product | None:
    digest = shown.get(("specification", "product"), "")
    try:
        return products.find_digest(bytes.fromhex(digest.removeprefix("0x"))) if digest else None
    except (ValueError, InputError):
        return None


def _facts(
    shown: Mapping[tuple[str, ...], str], own: tuple[str, ...], product: Product | None
) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    options = {} if product is None else product.by_key
    for path, value in shown.items():
        if path[:4] == (*own, "need", "values") and len(path) == 5:
            yield _named(options, path[4], value)
    for key, option in options.items():
        text = shown.get(("specification", "options", key), "")
        if isinstance(option, TextOption) and text:
            yield option.names, {"en": text}


def _named(options: Mapping[str, Any], key: str, value: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    option = options.get(key)
    if option is None:
        return {"en": key}, {"en": value}
    names = next((one.names for one in getattr(option, "choices", ()) if one.value == value), None)
    return option.names, names or {"en": f"{value} {getattr(option, 'unit', '')}".strip()}
