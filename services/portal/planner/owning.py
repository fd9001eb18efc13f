"""The machine owner's pages: calls that wait for an offer, what the calendar can offer, own offers, and own rows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.records import Role
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.planning import offers, showing, stream_entries
from millmark.services.planning.calendar import CALENDAR_FILE, Calendar, read_calendar
from millmark.services.planning.consent import build_decline, find_waiting, judge_waiting
from millmark.services.planning.errors import PlanningError, PlanningGround
from millmark.services.planning.reading import PlanningTables, need_call, reading
from millmark.services.planning.repository import What
from millmark.services.portal.acting.things import Filled, Sent
from millmark.services.portal.pages import Forms, PageRoute, Pages, principal_of
from millmark.services.portal.planner.coordinating import (
    Workshop,
    describe_call,
    find_number,
    form_key,
    key_of,
    name_reader,
    number_of,
    one,
    plan_reader,
    subject_of,
    subjects_of,
    to_record,
)

_RULE = Rule(Scope.RECORDING, Role.MANUFACTURER, owner=True, page=True, cost=4)
_PATH = "/portal/offers"
_MOST_CALLS = 20
_DAYS, _DAY_S = 7, 86_400
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer that the calendar leads to."""

    offer: Offer
    order: str
    mark: str
    """By which a form names it: order, operation and machine."""
    windows: tuple[tuple[datetime, datetime, int], ...]
    """First start, last start, price."""


@dataclass(frozen=True, slots=True)
class Owning:
    shop: Workshop
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute(_PATH, self.overview, _RULE, menu="offers", of_company=True),
            PageRoute(f"{_PATH}/{{call}}", self.show, _RULE),
            PageRoute(f"{_PATH}/{{call}}", self.offer, _RULE, method="POST"),
            PageRoute(f"{_PATH}/{{call}}/withdraw", self.withdraw, _RULE, method="POST"),
            PageRoute(f"{_PATH}/rows/accept", self.accept, _RULE, method="POST"),
            PageRoute(f"{_PATH}/rows/decline", self.decline, _RULE, method="POST"),
        )

    def overview(self, request: Request) -> Response:
        """The calls that are known here, those still open first, and the rows that wait for an answer."""
        return self._overview(request)

    def show(self, request: Request, call: str) -> Response:
        """A call: what the calendar offers for it, and what was offered. Raises NotFoundError."""
        return self._show(request, call)

    def offer(self, request: Request, call: str, sent: Sent) -> Response:
        """Makes the chosen offers, machine by machine. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key, digest = principal_of(request), form_key(sent), subject_of(call)
        try:
            chosen, days = set(sent.get("offer", ())), number_of(sent, "days", 1, 366)
            if not chosen:
                raise PlanningError(PlanningGround.NOTHING_CHOSEN.write(), hint="tick what you offer")
            machines = sorted({_machine_of(mark) for mark in chosen})
            number = 0
            for machine in machines:  # each has a stream of its own
                mine = {mark for mark in chosen if _machine_of(mark) == machine}
                number = self._seal(principal, key_of(key, machine, *sorted(mine)), digest, machine, mine, days)
        except MillmarkError as error:
            return self._show(request, call, error, sent, key)
        return to_record(number, f"{_PATH}/{call}")

    def withdraw(self, request: Request, call: str, sent: Sent) -> Response:
        """Takes own offers back. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key = principal_of(request), form_key(sent)
        try:
            leaves = subjects_of(sent, "offer")
            with reading(self.shop.store) as tables:
                me = self.shop.company(principal)
                rows = [row for leaf in leaves if (row := tables.planning.leaf(leaf)) is not None]
                by_machine = offers.find_withdrawals(tables, rows, me, self.shop.clock())
            if not by_machine:
                raise PlanningError(PlanningGround.NOTHING_CHOSEN.write(), hint="tick what you take back")
            number = 0
            for machine, entries in by_machine.items():
                own = key_of(key, machine, *sorted(to_hex(leaf) for leaf in leaves))
                number = self._seal_entries(principal, own, machine, entries)
        except MillmarkError as error:
            return self._show(request, call, error, key=key)
        return to_record(number, f"{_PATH}/{call}")

    def accept(self, request: Request, sent: Sent) -> Response:
        """Accepts rows of plans that are as they were offered: the acceptance commits to the same row. Raises
        FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key = principal_of(request), form_key(sent)
        try:
            chosen = [int(text) for text in sent.get("assignment", ()) if text.isdecimal() and len(text) < 13]
            if not chosen:
                raise InputError(PlanningGround.NOTHING_CHOSEN.write(), hint="tick what you accept")
            with reading(self.shop.store) as tables:
                me = self.shop.company(principal)
                roots, refused = judge_waiting(tables, me, find_waiting(tables, me, chosen), self.shop.clock())
            if refused:
                raise refused[0]
            for number, root in roots.items():
                body = {"claims_root": to_hex(root)}
                self.shop.record(principal, "acceptAssignment", key_of(key, number), {"id": number}, body)
        except MillmarkError as error:
            return self._overview(request, error, key)
        return RedirectResponse(_PATH, 303)

    def decline(self, request: Request, sent: Sent) -> Response:
        """Declines a row of a plan, with its cause. Raises FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key = principal_of(request), form_key(sent)
        try:
            number = number_of(sent, "assignment", 1, 2**40 - 1)
            kind = CauseKind.MACHINE_DOWN if one(sent, "cause") == "machine-down" else CauseKind.DECLINED
            with reading(self.shop.store) as tables:
                document = build_decline(tables, number, kind, one(sent, "text")[:200])
            done = self.shop.record(principal, "declineAssignment", key, {"id": number}, {"reason": document})
        except MillmarkError as error:
            return self._overview(request, error, key)
        return to_record(done, _PATH)

    def _overview(self, request: Request, error: MillmarkError | None = None, key: str | None = None) -> Response:
        principal, now_s = principal_of(request), self.shop.clock()
        me = self.shop.company(principal)
        with reading(self.shop.store) as tables:
            names, reader = name_reader(tables, principal), plan_reader(tables, me)
            listed = tables.planning.calls()[:_MOST_CALLS]
            calls = [
                (describe_call(reader.call(row.digest), now_s), len(offers.own_leaves(tables, need, What.OFFER, me)))
                for row in listed
                if (need := need_call(tables.rows, row.digest))
            ]
            waiting = find_waiting(tables, me)
            roots, refused = judge_waiting(tables, me, waiting, now_s)
            names.name({row.order for row in waiting})
            rows = [(row, names.identifier(row.order), names.machine(row.machine)) for row in waiting]
        values: dict[str, Any] = {"calls": calls, "rows": rows, "ready": frozenset(roots), "refused": refused}
        values |= {"error": error, "key": key or secrets.token_urlsafe(24)}
        return self.pages.render(request, "offers.html", 200 if error is None else 400, forms=self.forms, **values)

    def _show(
        self,
        request: Request,
        call: str,
        error: MillmarkError | None = None,
        sent: Filled | None = None,
        key: str | None = None,
    ) -> Response:
        """`key` is kept on the page of an error, so that sending the form again does nothing twice."""
        principal, digest, now_s = principal_of(request), subject_of(call), self.shop.clock()
        me = self.shop.company(principal)
        with reading(self.shop.store) as tables:
            shown = plan_reader(tables, me).call(digest)
            values: dict[str, Any] = {"call": describe_call(shown, now_s), "mine": self._mine(tables, digest, me)}
            values |= {"plans": [plan_reader(tables, me).plan(one) for one in shown.plans]}
            values |= self._can_offer(tables, principal, digest, me)
        values |= {"error": error, "key": key or secrets.token_urlsafe(24), "filled": sent}
        values |= {"days": _DAYS, "most": _MOST_SHOWN}
        status = 200 if error is None else 400
        return self.pages.render(request, "offers_call.html", status, forms=self.forms, **values)

    def _mine(self, tables: PlanningTables, digest: bytes, me: int) -> list[showing.OfferShown]:
        return [one for one in plan_reader(tables, me).offers(digest) if one.owner.participant == me]

    def _can_offer(self, tables: PlanningTables, principal: Principal, digest: bytes, me: int) -> dict[str, Any]:
        """What the calendar leads to; why there is nothing, where there is nothing."""
        if self.shop.home is None or not (self.shop.home / CALENDAR_FILE).is_file():
            return {"offered": [], "passed": [], "against": None, "has_calendar": False, "shown_slots": 0}
        try:
            call, made, calendar = self._build(tables, principal, digest, me, _DAYS)
        except MillmarkError as error:
            return {"offered": [], "passed": [], "against": error, "has_calendar": True, "shown_slots": 0}
        names = name_reader(tables, principal)
        names.name({one.order for one in made.offers})
        offered = [
            Offered(
                one,
                names.identifier(one.order) or to_hex(one.order),
                _mark(one),
                tuple((_time(call, first), _time(call, last), price) for first, last, price in one.windows),
            )
            for one in made.offers[:_MOST_SHOWN]
        ]
        return {
            "offered": offered,
            "passed": [*calendar.clock_changes(offers.grid_of(call)), *made.passed],
            "against": None,
            "has_calendar": True,
            "shown_slots": offers.count_disclosed(made.offers),
        }

    def _build(
        self, tables: PlanningTables, principal: Principal, digest: bytes, me: int, days: int
    ) -> tuple[Call, offers.Made, Calendar]:
        """Raises MillmarkError."""
        calendar, names, now_s = read_calendar(self.shop.need_home()), name_reader(tables, principal), self.shop.clock()
        call = offers.need_open_call(tables, digest, calendar.file.unit, now_s)
        machines = offers.find_own_machines(tables, call, calendar, me, lambda name: find_number(names, name))
        return call, offers.build_new_offers(tables, call, calendar, machines, me, now_s + days * _DAY_S), calendar

    def _seal(self, principal: Principal, key: str, digest: bytes, machine: int, marks: set[str], days: int) -> int:
        """The chosen offers of one machine, from the calendar as it is now."""
        me = self.shop.company(principal)

        def write(tables: PlanningTables) -> tuple[stream_entries.OwnStream, stream_entries.Sealed]:
            _, made, _ = self._build(tables, principal, digest, me, days)
            chosen = [one for one in made.offers if _mark(one) in marks]
            if len(chosen) != len(marks):
                raise PlanningError(PlanningGround.OFFERS_CHANGED.write(), hint="look at the offers again")
            stream = tables.stream(me, machine)
            return stream, stream_entries.seal_offers(tables.connection, stream, chosen)

        return self.shop.seal(principal, key, write)

    def _seal_entries(self, principal: Principal, key: str, machine: int, entries: list[OfferWithdrawal]) -> int:
        me = self.shop.company(principal)

        def write(tables: PlanningTables) -> tuple[stream_entries.OwnStream, stream_entries.Sealed]:
            stream = tables.stream(me, machine)
            return stream, stream_entries.seal_offers(tables.connection, stream, entries)

        return self.shop.seal(principal, key, write)


def _mark(one: Offer) -> str:
    return f"{one.order.hex()}-{one.operation}-{one.machine}"


def _machine_of(mark: str) -> int:
    """Raises InputError for what no form of this portal has."""
    text = mark.rpartition("-")[2]
    if not (text.isascii() and text.isdecimal() and len(text) < 13):
        raise InputError("the form names an offer in a way that this page does not", hint="load the page again")
    return int(text)


def _time(call: Call, slot: int) -> datetime:
    return datetime.fromtimestamp(call.origin + slot * call.slot, UTC)
