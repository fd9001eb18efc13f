"""The coordinator's pages: orders that wait, calls and the offers for them, plans in the making, and proposals."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import MillmarkError
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.records import Role
from millmark.ledger.store.rows import AssignmentRow, OrderRow
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.planning.calling import Asking, build_call, build_grid, find_open_orders
from millmark.services.planning.errors import CallRefusedError, PlanningError
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.making import find_standing
from millmark.services.planning.making_process import Task
from millmark.services.planning.objectives import OBJECTIVE_FILE, read_objective_file
from millmark.services.planning.proposing import Proposals, find_proposals
from millmark.services.planning.replanning import Happened, need_own_call, prepare_plan, prepare_replan, seal_made
from millmark.services.planning.schedule import has_solver
from millmark.services.planning.sealing import OwnStream, Sealed, seal_call
from millmark.services.planning.shelf import Shelf, reading
from millmark.services.portal.acting.fields import Filled
from millmark.services.portal.acting.form_data import Sent
from millmark.services.portal.forms import Forms
from millmark.services.portal.pages import Pages
from millmark.services.portal.planner.describing import (
    describe_attempts,
    describe_call,
    describe_failures,
    describe_orders,
    describe_owners,
)
from millmark.services.portal.planner.sent import (
    form_key,
    moment_of,
    number_of,
    numbers_of,
    one,
    subject_of,
    subjects_of,
)
from millmark.services.portal.planner.workshop import (
    Workshop,
    find_company,
    find_order,
    key_of,
    list_companies,
    name_reader,
    plan_reader,
)
from millmark.services.portal.routes import PageRoute

__all__ = ["Coordinating"]

_RULE = Rule(Scope.RECORDING, Role.COORDINATOR, owner=True, page=True, cost=4)
_PATH = "/portal/planner"
_MOST_CALLS = 20
_REFRESH_S = 2
_HOUR_S, _CLOSES_IN_S = 3600, 8 * 3600
_DEFAULT_CPU_S = 5


@dataclass(frozen=True, slots=True)
class Coordinating:
    shop: Workshop
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute(_PATH, self.overview, _RULE, menu="planner", of_company=True),
            PageRoute(_PATH, self.call, _RULE, method="POST"),
            PageRoute(f"{_PATH}/{{call}}", self.show, _RULE),
            PageRoute(f"{_PATH}/{{call}}/make", self.make, _RULE, method="POST"),
            PageRoute(f"{_PATH}/{{call}}/record", self.record, _RULE, method="POST"),
            PageRoute(f"{_PATH}/{{call}}/propose", self.propose, _RULE, method="POST"),
        )

    # Calls

    def overview(self, request: Request) -> Response:
        """The orders that wait, the form of a call for them, and the calls made."""
        return self._overview(request)

    def call(self, request: Request, sent: Sent) -> Response:
        """Makes a call: its summary first, then for good. Raises FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key = _principal(request), form_key(sent)
        me = self.shop.company(principal)
        try:
            if one(sent, "step") != "record":
                return self._summarise(request, me, sent, key)
            number = self.shop.seal(principal, key, lambda shelf: self._seal_call(shelf, principal, me, sent))
        except MillmarkError as error:
            return self._overview(request, sent, error, key)
        return _to_record(number, _PATH)

    def _overview(
        self, request: Request, sent: Filled | None = None, error: MillmarkError | None = None, key: str | None = None
    ) -> Response:
        principal, now_s = _principal(request), self.shop.clock()
        me = self.shop.company(principal)
        with reading(self.shop.store) as shelf:
            names, reader = name_reader(shelf, principal), plan_reader(shelf, me)
            mine = [row for row in shelf.planning.calls() if row.coordinator == me]
            values: dict[str, Any] = {
                "orders": describe_orders(names, find_open_orders(shelf, me, now_s)),
                "makers": list_companies(shelf, Role.MANUFACTURER),
                "readers": [one for one in list_companies(shelf, Role.AUDITOR | Role.BUYER) if one[0] != me],
                "calls": [describe_call(reader.call(row.digest), now_s) for row in mine[:_MOST_CALLS]],
                "cut": len(mine) > _MOST_CALLS,
            }
        key = key or secrets.token_urlsafe(24)
        values |= {"filled": sent or {}, "error": error, "key": key, "has_objective": self._has()}
        closes = datetime.fromtimestamp((now_s + _CLOSES_IN_S) // _HOUR_S * _HOUR_S, UTC)
        values |= {"closes": f"{closes:%Y-%m-%dT%H:%M}", "most": _MOST_CALLS}
        return self.pages.render(request, "planner.html", 200 if error is None else 400, forms=self.forms, **values)

    def _has(self) -> bool:
        return self.shop.home is not None and (self.shop.home / OBJECTIVE_FILE).is_file()

    def _summarise(self, request: Request, me: int, sent: Filled, key: str) -> Response:
        """What the call would say, and to whom. Nothing is written. Raises MillmarkError."""
        principal = _principal(request)
        with reading(self.shop.store) as shelf:
            asking = self._read(shelf, sent)
            made, objective = self._build(shelf, principal, me, asking)
            names = name_reader(shelf, principal)
            shelf.stream(me, None)  # now rather than after the confirmation
            values: dict[str, Any] = {
                "call": made,
                "objective": objective,
                "orders": describe_orders(names, [(row, "") for row in _rows(shelf, asking)]),
                "asked": [names.party(number) for number in sorted(asking.asked)],
                "readers": [names.party(number) for number in sorted(asking.readers)],
                "operations": sum(len(job.operations) for job in made.jobs),
            }
        return self.pages.render(request, "planner_call.html", forms=self.forms, sent=sent, key=key, **values)

    def _seal_call(self, shelf: Shelf, principal: Principal, me: int, sent: Filled) -> tuple[OwnStream, Sealed]:
        asking = self._read(shelf, sent)
        made, objective = self._build(shelf, principal, me, asking)
        stream = shelf.stream(me, None)
        return stream, seal_call(shelf.connection, stream, made, objective, list(asking.asked))

    def _read(self, shelf: Shelf, sent: Filled) -> Asking:
        """Raises InputError, NotFoundError."""
        orders = subjects_of(sent, "order")
        asked = numbers_of(sent, "to", [number for number, _ in list_companies(shelf, Role.MANUFACTURER)])
        readers = numbers_of(sent, "reader", [number for number, _ in list_companies(shelf, Role.AUDITOR | Role.BUYER)])
        if not orders or not asked:
            raise CallRefusedError(PlanningGround.NOBODY_CALLED.write())
        closes = moment_of(sent, "closes")
        grid = build_grid(closes, number_of(sent, "slot", 1, 1440), number_of(sent, "days", 1, 366))
        return Asking(orders, closes, grid, asked, readers)

    def _build(self, shelf: Shelf, principal: Principal, me: int, asking: Asking) -> tuple[Any, Any]:
        names, file = name_reader(shelf, principal), read_objective_file(self.shop.need_home())
        return build_call(
            shelf,
            me,
            asking,
            file,
            self.shop.clock(),
            lambda name: find_company(shelf, name),
            lambda name: find_order(names, name),
        )

    # Plans

    def show(self, request: Request, call: str) -> Response:
        """A call: its offers, its plans, and one that is being made. Raises NotFoundError."""
        return self._show(request, call)

    def make(self, request: Request, call: str, sent: Sent) -> Response:
        """Begins to make a plan; with a cause, one that replaces the latest. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        try:
            self._start(_principal(request), subject_of(call), sent)
        except MillmarkError as error:
            return self._show(request, call, error, sent)
        return RedirectResponse(f"{_PATH}/{call}", 303)  # browsers do not refresh an address with a fragment

    def record(self, request: Request, call: str, sent: Sent) -> Response:
        """Records a plan that was made. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, digest, key = _principal(request), subject_of(call), form_key(sent)
        me = self.shop.company(principal)
        try:
            wanted = number_of(sent, "attempt", 0, 10**9)
            number = self.shop.seal(principal, key, lambda shelf: self._seal_plan(shelf, digest, me, wanted))
        except MillmarkError as error:
            return self._show(request, call, error, key=key)
        self.shop.maker.forget(digest)
        return _to_record(number, f"{_PATH}/{call}")

    def propose(self, request: Request, call: str, sent: Sent) -> Response:
        """Proposes the rows of the latest plan to the machines' owners. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key = _principal(request), form_key(sent)
        try:
            with reading(self.shop.store) as shelf:
                need_own_call(shelf, subject_of(call), self.shop.company(principal))
                found = find_proposals(shelf, shelf.latest_plan(subject_of(call)))
            if one(sent, "plan") != found.plan.digest.hex():
                overtaken = CallRefusedError(PlanningGround.OVERTAKEN.write(), hint="look at it before it is proposed")
                return self._show(request, call, overtaken, status=409)
            self._record_all(principal, key, found)
        except MillmarkError as error:
            return self._show(request, call, error, key=key)
        return RedirectResponse(f"/portal/plans/{found.plan.digest.hex()}", 303)

    def _record_all(self, principal: Principal, key: str, found: Proposals) -> None:
        for number in found.cancelled:
            why = {"reason": dict(found.reason)}
            self.shop.record(principal, "cancelAssignment", key_of(key, number), {"id": number}, why)
        for row in found.rows:
            body = {
                "order": to_hex(row.order),
                "operation": row.operation,
                "machine": row.machine,
                "claims": dict(found.plan.row_document(row.key)),
            }
            own = key_of(key, row.order.hex(), row.operation)
            self.shop.record(principal, "proposeAssignment", own, {}, body)

    def _start(self, principal: Principal, digest: bytes, sent: Filled) -> None:
        me, now_s = self.shop.company(principal), self.shop.clock()
        cpu_s, seed = number_of(sent, "cpu_s", 1, 120), number_of(sent, "seed", 1, 2**31 - 1)
        with reading(self.shop.store) as shelf:
            call = need_own_call(shelf, digest, me)
            replaced = bool(shelf.planning.plans(digest))
        if replaced:
            happened = _happened(sent)
            with reading(self.shop.store) as shelf:
                own = shelf.stream_of_plans(digest, me)
                ready = prepare_replan(shelf, call, own, happened, now_s)
            task = Task(ready.file, ready.tie, ready.why, float(cpu_s), seed)
            self.shop.maker.start(digest, task, ready.entry)
            return
        if call.closes > now_s:
            raise CallRefusedError(PlanningGround.CALL_OPEN.write(), hint="wait until it has closed")
        tie = self.shop.ties.find(call.closes)
        if tie is None:
            raise PlanningError(PlanningGround.NO_BLOCK.write(), hint="wait for one, and try again")
        with reading(self.shop.store) as shelf:
            file = prepare_plan(shelf, call)
        self.shop.maker.start(digest, Task(file, tie, None, float(cpu_s), seed))

    def _seal_plan(self, shelf: Shelf, digest: bytes, me: int, number: int) -> tuple[OwnStream, Sealed]:
        """`number`: of the attempt; 0 for a plan that was written before, and whose anchor was lost. Raises
        CallRefusedError for a plan that another one has replaced meanwhile, and for one that is gone."""
        call = need_own_call(shelf, digest, me)
        if number == 0 and (rest := shelf.unanchored(shelf.stream_of_plans(digest, me))) is not None:
            return shelf.stream_of_plans(digest, me), rest
        found = next((item for item in self.shop.maker.attempts(digest) if item.number == number), None)
        if found is None or found.plan is None:
            raise CallRefusedError(PlanningGround.PLAN_GONE.write(), hint="make it again")
        plans = shelf.planning.plans(digest)
        if (plans[-1].digest if plans else None) != found.plan.before:
            raise CallRefusedError(PlanningGround.OVERTAKEN.write(), hint="make the plan again")
        if self.shop.signer is None:
            raise PlanningError(PlanningGround.NO_PLAN_KEY.write(), hint="set gateway_signer")
        own = shelf.stream_of_plans(digest, me) if plans else shelf.stream(me, None)
        return own, seal_made(shelf, own, call, found.plan, self.shop.signer, found.entry)

    def _show(
        self,
        request: Request,
        call: str,
        error: MillmarkError | None = None,
        sent: Filled | None = None,
        *,
        key: str | None = None,
        status: int = 400,
    ) -> Response:
        """`key` is kept on the page of an error, so that sending the form again does nothing twice."""
        principal, digest, now_s = _principal(request), subject_of(call), self.shop.clock()
        me = self.shop.company(principal)
        attempts = self.shop.maker.attempts(digest)
        with reading(self.shop.store) as shelf:
            own = need_own_call(shelf, digest, me)
            names, reader = name_reader(shelf, principal), plan_reader(shelf, me)
            plans = [reader.plan(row.digest) for row in shelf.planning.plans(digest)]
            offers = reader.offers(digest)
            asked = shelf.planning.call(digest)
            values: dict[str, Any] = {
                "call": describe_call(reader.call(digest), now_s),
                "owners": describe_owners(names, offers, () if asked is None else asked.called),
                "plans": plans,
                "attempts": describe_attempts(attempts, own.unit, plans[-1] if plans else None),
                "todo": self._todo(shelf, digest) if plans else None,
                "failures": describe_failures(names, _used(shelf, digest)) if plans else None,
                "unanchored": _has_rest(shelf, digest, me),
            }
        busy = any(not item.is_over for item in attempts)
        values |= {"busy": busy, "other_busy": self.shop.maker.is_busy and not busy, "error": error}
        values |= {"solver": has_solver(), "key": key or secrets.token_urlsafe(24), "filled": sent or {}}
        values |= {"causes": tuple(CauseKind), "cpu_s": _DEFAULT_CPU_S, "seed": len(attempts) + 1}
        # A page that is open while a plan is made shows it once it is there, without a script.
        headers = {"Refresh": str(_REFRESH_S)} if busy else None
        status = 200 if error is None else status
        return self.pages.render(request, "planner_plan.html", status, headers, forms=self.forms, **values)

    def _todo(self, shelf: Shelf, digest: bytes) -> Proposals | MillmarkError:
        """What is to be proposed, or what stands against it."""
        try:
            return find_proposals(shelf, shelf.latest_plan(digest))
        except MillmarkError as error:
            return error


def _happened(sent: Filled) -> Happened:
    """The cause that a form names. Raises InputError."""
    kind = next((item for item in CauseKind if item.value == one(sent, "cause")), None)
    if kind is None:
        raise CallRefusedError(PlanningGround.NO_CAUSE.write(), hint="choose what happened")
    about = {
        name: number_of(sent, name, 1, 2**40 - 1) for name, kinds in _ABOUT.items() if kind in kinds and one(sent, name)
    }
    return Happened(
        kind,
        one(sent, "text")[:200],
        machine=about.get("machine"),
        assignment=about.get("assignment"),
        certificate=about.get("certificate"),
        record=about.get("record"),
    )


_ABOUT = {
    "machine": (CauseKind.MACHINE_DOWN, CauseKind.DRIFT),
    "record": (CauseKind.MACHINE_DOWN,),
    "assignment": (CauseKind.LATE, CauseKind.ENERGY, CauseKind.DECLINED),
    "certificate": (CauseKind.CERTIFICATE,),
}


def _used(shelf: Shelf, digest: bytes) -> list[tuple[Any, AssignmentRow | None]]:
    """The rows of the latest plan, each with its assignment."""
    plan = shelf.latest_plan(digest)
    standing = find_standing(shelf.rows, shelf.book, plan)
    return [(row, standing[row.key].assignment if standing[row.key].is_same else None) for row in plan.rows]


def _has_rest(shelf: Shelf, digest: bytes, me: int) -> bool:
    """Whether the entry of a plan was written, and its anchor was lost on the way."""
    plans = shelf.planning.plans(digest)
    return bool(plans) and shelf.unanchored(shelf.stream_of_plans(digest, me)) is not None


def _rows(shelf: Shelf, asking: Asking) -> list[OrderRow]:
    return [row for one in asking.orders if (row := shelf.rows.get(OrderRow, one)) is not None]


def _to_record(number: int, back: str) -> Response:
    # 303 makes the browser follow with GET, so that a reload does not send the form again.
    return RedirectResponse(f"/portal/records/{number}?back={back}", 303)


def _principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found
