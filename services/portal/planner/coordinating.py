"""The coordinator's pages: orders that wait, calls and the offers for them, plans in the making, and proposals."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger import canonical, signatures
from millmark.ledger.errors import CanonicalError, InputError, MillmarkError, NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.plans.plan import CauseKind, Row
from millmark.ledger.provenance.answers import Machine, Party
from millmark.ledger.provenance.reader import Reader as NameReader
from millmark.ledger.provenance.reader import build_reader, find_machine, find_subject
from millmark.ledger.records import Anchor, AssignmentState, Record, Role
from millmark.ledger.store import Connection, Lineage, Store
from millmark.ledger.store.rows import AssignmentRow, OrderRow, ParticipantRow
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.planning import calendar, calls, consent, making, making_process, showing
from millmark.services.planning.errors import CallRefusedError, PlanningError, PlanningGround
from millmark.services.planning.reading import PlanningTables, reading, tables_on
from millmark.services.planning.schedule import has_solver
from millmark.services.planning.stream_entries import OwnStream, Sealed, seal_call
from millmark.services.portal.acting.things import Asked, Filled, FormRecorder, Sent, Wish
from millmark.services.portal.pages import FormRefusedError, Forms, PageRoute, Pages, principal_of

# Reads what the forms of planning send.

_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z?")
_MOST_DIGITS = 12


def one(sent: Filled, name: str) -> str:
    return next(iter(sent.get(name, ())), "").strip()


def form_key(sent: Filled) -> str:
    """Raises FormRefusedError."""
    key = one(sent, "key")
    if not _KEY.fullmatch(key):
        raise FormRefusedError("the form has no key of its own", hint="load the form again")
    return key


def number_of(sent: Filled, name: str, least: int, most: int) -> int:
    """Raises InputError."""
    text = one(sent, name)
    found = int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else -1
    if not least <= found <= most:
        raise InputError(PlanningGround.NO_NUMBER.write(field=name, least=least, most=most))
    return found


def numbers_of(sent: Filled, name: str, known: Collection[int]) -> list[int]:
    """The chosen ones, ascending. Raises InputError for one that the form did not offer."""
    chosen = {text for text in sent.get(name, ()) if text}
    found = sorted(number for number in known if str(number) in chosen)
    if len(found) != len(chosen):
        raise InputError(PlanningGround.NO_CHOICE.write(field=name), hint="load the page again")
    return found


def subject_of(text: str) -> bytes:
    """32 bytes in hex. Raises NotFoundError."""
    try:
        return canonical.parse_hex32(f"0x{text.removeprefix('0x')}")
    except CanonicalError:
        raise NotFoundError("nothing is known under that name") from None


def subjects_of(sent: Filled, name: str) -> list[bytes]:
    """The chosen ones, ascending. Raises NotFoundError."""
    return sorted({subject_of(text) for text in sent.get(name, ()) if text})


def moment_of(sent: Filled, name: str) -> int:
    """Unix seconds of a time in UTC. Raises InputError."""
    text = one(sent, name)
    try:
        # `fromisoformat` reads other forms, too.
        moment = datetime.fromisoformat(text.removesuffix("Z") if _MOMENT.fullmatch(text) else "")
        return int(moment.replace(tzinfo=UTC).timestamp())
    except ValueError:
        cause = PlanningGround.NO_TIME.write(field=name)
        raise InputError(cause, hint="write it like 2026-12-01T12:00, in UTC") from None


# What the pages of planning work with: the company's database, home and key, and the records that they ask for.


@dataclass(frozen=True, slots=True)
class Workshop:
    """`home`: the folder with the calendar and the objective; `signer`: the key that signs plans. Pages that need one
    that is not there say so."""

    store: Store
    recorder: FormRecorder
    home: Path | None
    signer: signatures.Signer | None
    ties: making.Ties
    clock: Callable[[], int]
    maker: making.PlanMaker
    lock: Lock = field(default_factory=Lock)

    def company(self, principal: Principal) -> int:
        """The company that the gateway records for. Raises NotFoundError if it records for none."""
        found = self.recorder.company(principal)
        if not found:
            raise NotFoundError("this gateway records for no company")
        return found

    def need_home(self) -> Path:
        """Raises InputError."""
        if self.home is None:
            raise InputError("this gateway has no home folder", hint="start it with `millmark gateway`")
        return self.home

    def record(self, principal: Principal, operation: str, key: str, asked: Asked, body: Mapping[str, Any]) -> int:
        """Queues a record and returns its number; under the same key, the same one."""
        made = self.recorder.body(operation).model_validate(dict(body))
        return self.recorder.record(Wish(operation, key, asked, made), principal)

    def seal(self, principal: Principal, key: str, write: Callable[[PlanningTables], tuple[OwnStream, Sealed]]) -> int:
        """Writes entries of the company's own stream and has them anchored, in one transaction: what is written without
        its anchor would be written again when the form is sent again. Returns the number of the record. Nothing is
        written for a form that was sent before: its key finds its record."""

        def work(connection: Connection) -> Record:
            stream, sealed = write(tables_on(connection))
            return Anchor(stream.subject, sealed.size, sealed.root)

        with self.lock:
            return self.recorder.seal(key, principal, work)


def name_reader(tables: PlanningTables, principal: Principal) -> NameReader:
    return build_reader(tables.rows, tables.book, Lineage(tables.connection), principal.viewer)


def plan_reader(tables: PlanningTables, me: int) -> showing.Reader:
    return showing.Reader(tables.rows, tables.book, tables.planning, me)


def find_company(tables: PlanningTables, name: str) -> int:
    """A company by its number or its name. Raises NotFoundError."""
    if name.isdecimal() and len(name) < 10:
        return int(name)
    found = [number for number, its in tables.book.names().items() if its.casefold() == name.casefold()]
    if len(found) != 1:
        raise NotFoundError(f"{len(found) or 'no'} companies are called {name[:80]!a} here", hint="give its number")
    return found[0]


def find_order(names: NameReader, name: str) -> bytes:
    """An order by its identifier, the last part of it, or its subject. Raises NotFoundError, InputError."""
    return find_subject(names, name, SubjectKind.ORDER)[1]


def find_number(names: NameReader, name: str) -> int:
    """The number of a machine, by that, its identifier or the last part of it. Raises NotFoundError, InputError."""
    return find_machine(names, int(name) if name.isdecimal() and len(name) < 13 else name).number


def list_companies(tables: PlanningTables, role: Role) -> list[tuple[int, str | None]]:
    """Numbers, ascending, and names of the companies that have this role and are not suspended."""
    names = tables.book.names()
    rows = tables.rows.find(ParticipantRow, suspended=False)
    return [
        (row.number, names.get(row.number))
        for row in sorted(rows, key=lambda row: row.number)
        if Role(row.roles) & role
    ]


def key_of(key: str, *parts: object) -> str:
    """The key of one of several records that a form leads to: always the same one."""
    text = "\n".join(map(str, (key, *parts)))
    return hashlib.sha256(text.encode()).hexdigest()


# What the coordinator's pages show of orders, calls, offers and plans in the making.


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order whose operations are not all assigned."""

    order: bytes
    identifier: str | None
    buyer: Party
    operations: int
    finished: int
    due_at: datetime
    reason: str
    """Why no call can be made for it; empty if one can."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call, and whether offers are still taken."""

    shown: showing.CallShown
    is_open: bool
    left_s: int


@dataclass(frozen=True, slots=True)
class Owner:
    """What one company offered for a call."""

    owner: Party
    was_called: bool
    counted: int
    """Offers that count."""
    windows: int
    """Number of their windows."""
    lowest: int | None
    """Price of the cheapest of their windows."""
    until_at: datetime | None
    """Until when all of them are valid."""
    refused: tuple[tuple[str, int], ...]
    """Why others do not count, and how many."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A plan that was made or is being made."""

    attempt: making.Attempt
    total: str
    bound: str
    gap: str
    """In per cent."""
    moved: int | None
    rows: int
    difference: str
    """From the cost of the plan that it would replace; empty if there is none."""
    is_best: bool


@dataclass(frozen=True, slots=True)
class Failures:
    """What can be named as the cause of a new plan."""

    machines: tuple[Machine, ...]
    assignments: tuple[tuple[int, str, str, bool], ...]
    """Number, order, state, and whether it was declined."""


def describe_orders(names: NameReader, found: Iterable[tuple[OrderRow, str]]) -> list[Waiting]:
    rows = list(found)
    names.name({row.subject for row, _ in rows})
    return [
        Waiting(
            row.subject,
            names.identifier(row.subject),
            names.party(row.buyer),
            row.operations,
            row.finished,
            datetime.fromtimestamp(row.due_at, UTC),
            reason,
        )
        for row, reason in rows
    ]


def describe_call(shown: showing.CallShown, now_s: int) -> Called:
    left = int(shown.closes_at.timestamp()) - now_s
    return Called(shown, left > 0, max(left, 0))


def describe_owners(names: NameReader, offers: Sequence[showing.OfferShown], asked: Collection[int]) -> list[Owner]:
    """One line for each company that was called or that offered something."""
    by_owner: defaultdict[int, list[showing.OfferShown]] = defaultdict(list)
    for one in offers:
        by_owner[one.owner.participant].append(one)
    return [_owner(names, number, by_owner[number], number in asked) for number in sorted({*by_owner, *asked})]


def _owner(names: NameReader, number: int, offers: Sequence[showing.OfferShown], was_called: bool) -> Owner:
    counted = [one for one in offers if one.counts]
    reasons: defaultdict[str, int] = defaultdict(int)
    for one in offers:
        if not one.counts:
            reasons[one.reason or ""] += 1
    return Owner(
        names.party(number),
        was_called,
        len(counted),
        sum(len(one.windows) for one in counted),
        min((window.price for one in counted for window in one.windows), default=None),
        min((one.until_at for one in counted), default=None),
        tuple(sorted(reasons.items())),
    )


def describe_attempts(attempts: Sequence[making.Attempt], unit: str, before: showing.PlanShown | None) -> list[Tried]:
    """All that was tried, with the cheapest marked."""
    totals = [one.plan.cost.total for one in attempts if one.plan is not None]
    best = min(totals, default=None)
    return [_tried(one, unit, before, best) for one in attempts]


def _tried(one: making.Attempt, unit: str, before: showing.PlanShown | None, best: int | None) -> Tried:
    if one.plan is None:
        return Tried(one, "", "", "", None, 0, "", is_best=False)
    total, gap = one.plan.cost.total, one.gap_per_mille
    difference = "" if before is None else money_of(total - before.total, unit, sign=True)
    shown = money_of(total, unit), money_of(one.plan.bound.value, unit), f"{gap // 10}.{gap % 10}"
    return Tried(one, *shown, one.moved, len(one.plan.rows), difference, is_best=total == best)


def describe_failures(names: NameReader, used: Iterable[tuple[Row, AssignmentRow | None]]) -> Failures:
    """The machines and assignments of the latest plan."""
    listed = list(used)
    names.name({row.order for row, _ in listed})
    machines = tuple(names.machine(number) for number in sorted({row.machine for row, _ in listed}))
    assignments = tuple(
        (one.sequence, names.identifier(row.order) or row.order.hex(), state.name, state is AssignmentState.DECLINED)
        for row, one in listed
        if one is not None and (state := AssignmentState(one.state)) is not AssignmentState.CANCELLED
    )
    return Failures(machines, assignments)


def money_of(amount: int, unit: str, *, sign: bool = False) -> str:
    """`EUR/100` counts hundredths; amounts of another unit are shown as they are."""
    currency, _, parts = unit.partition("/")
    decimals = len(parts) - 1 if parts[:1] == "1" and not parts[1:].strip("0") else 0
    text = f"{Decimal(amount).scaleb(-decimals):{'+' if sign else ''},}"
    return f"{text} {currency}"


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
        principal, key = principal_of(request), form_key(sent)
        me = self.shop.company(principal)
        try:
            if one(sent, "step") != "record":
                return self._summarise(request, me, sent, key)
            number = self.shop.seal(principal, key, lambda tables: self._seal_call(tables, principal, me, sent))
        except MillmarkError as error:
            return self._overview(request, sent, error, key)
        return to_record(number, _PATH)

    def _overview(
        self, request: Request, sent: Filled | None = None, error: MillmarkError | None = None, key: str | None = None
    ) -> Response:
        principal, now_s = principal_of(request), self.shop.clock()
        me = self.shop.company(principal)
        with reading(self.shop.store) as tables:
            names, reader = name_reader(tables, principal), plan_reader(tables, me)
            mine = [row for row in tables.planning.calls() if row.coordinator == me]
            values: dict[str, Any] = {
                "orders": describe_orders(names, calls.find_open_orders(tables, me, now_s)),
                "makers": list_companies(tables, Role.MANUFACTURER),
                "readers": [one for one in list_companies(tables, Role.AUDITOR | Role.BUYER) if one[0] != me],
                "calls": [describe_call(reader.call(row.digest), now_s) for row in mine[:_MOST_CALLS]],
                "cut": len(mine) > _MOST_CALLS,
            }
        key = key or secrets.token_urlsafe(24)
        has_objective = self.shop.home is not None and (self.shop.home / calendar.OBJECTIVE_FILE).is_file()
        values |= {"filled": sent or {}, "error": error, "key": key, "has_objective": has_objective}
        closes = datetime.fromtimestamp((now_s + _CLOSES_IN_S) // _HOUR_S * _HOUR_S, UTC)
        values |= {"closes": f"{closes:%Y-%m-%dT%H:%M}", "most": _MOST_CALLS}
        return self.pages.render(request, "planner.html", 200 if error is None else 400, forms=self.forms, **values)

    def _summarise(self, request: Request, me: int, sent: Filled, key: str) -> Response:
        """What the call would say, and to whom. Nothing is written. Raises MillmarkError."""
        principal = principal_of(request)
        with reading(self.shop.store) as tables:
            asking = self._read(tables, sent)
            made, objective = self._build(tables, principal, me, asking)
            names = name_reader(tables, principal)
            rows = [row for one in asking.orders if (row := tables.rows.get(OrderRow, one)) is not None]
            tables.stream(me, None)  # now rather than after the confirmation
            values: dict[str, Any] = {
                "call": made,
                "objective": objective,
                "orders": describe_orders(names, [(row, "") for row in rows]),
                "asked": [names.party(number) for number in sorted(asking.asked)],
                "readers": [names.party(number) for number in sorted(asking.readers)],
                "operations": sum(len(job.operations) for job in made.jobs),
            }
        return self.pages.render(request, "planner_call.html", forms=self.forms, sent=sent, key=key, **values)

    def _seal_call(
        self, tables: PlanningTables, principal: Principal, me: int, sent: Filled
    ) -> tuple[OwnStream, Sealed]:
        asking = self._read(tables, sent)
        made, objective = self._build(tables, principal, me, asking)
        stream = tables.stream(me, None)
        return stream, seal_call(tables.connection, stream, made, objective, list(asking.asked))

    def _read(self, tables: PlanningTables, sent: Filled) -> calls.Asking:
        """Raises InputError, NotFoundError."""
        orders = subjects_of(sent, "order")
        asked = numbers_of(sent, "to", [number for number, _ in list_companies(tables, Role.MANUFACTURER)])
        readers = numbers_of(
            sent, "reader", [number for number, _ in list_companies(tables, Role.AUDITOR | Role.BUYER)]
        )
        if not orders or not asked:
            raise CallRefusedError(PlanningGround.NOBODY_CALLED.write())
        closes = moment_of(sent, "closes")
        grid = calls.build_grid(closes, number_of(sent, "slot", 1, 1440), number_of(sent, "days", 1, 366))
        return calls.Asking(orders, closes, grid, asked, readers)

    def _build(self, tables: PlanningTables, principal: Principal, me: int, asking: calls.Asking) -> tuple[Any, Any]:
        names, file = name_reader(tables, principal), calendar.read_objective_file(self.shop.need_home())
        return calls.build_call(
            tables,
            me,
            asking,
            file,
            self.shop.clock(),
            lambda name: find_company(tables, name),
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
            self._start(principal_of(request), subject_of(call), sent)
        except MillmarkError as error:
            return self._show(request, call, error, sent)
        return RedirectResponse(f"{_PATH}/{call}", 303)  # browsers do not refresh an address with a fragment

    def record(self, request: Request, call: str, sent: Sent) -> Response:
        """Records a plan that was made. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, digest, key = principal_of(request), subject_of(call), form_key(sent)
        me = self.shop.company(principal)
        try:
            wanted = number_of(sent, "attempt", 0, 10**9)
            number = self.shop.seal(principal, key, lambda tables: self._seal_plan(tables, digest, me, wanted))
        except MillmarkError as error:
            return self._show(request, call, error, key=key)
        self.shop.maker.forget(digest)
        return to_record(number, f"{_PATH}/{call}")

    def propose(self, request: Request, call: str, sent: Sent) -> Response:
        """Proposes the rows of the latest plan to the machines' owners. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, one(sent, "token"))
        principal, key = principal_of(request), form_key(sent)
        try:
            with reading(self.shop.store) as tables:
                making.need_own_call(tables, subject_of(call), self.shop.company(principal))
                found = consent.find_proposals(tables, tables.latest_plan(subject_of(call)))
            if one(sent, "plan") != found.plan.digest.hex():
                overtaken = CallRefusedError(PlanningGround.OVERTAKEN.write(), hint="look at it before it is proposed")
                return self._show(request, call, overtaken, status=409)
            self._record_all(principal, key, found)
        except MillmarkError as error:
            return self._show(request, call, error, key=key)
        return RedirectResponse(f"/portal/plans/{found.plan.digest.hex()}", 303)

    def _record_all(self, principal: Principal, key: str, found: consent.Proposals) -> None:
        for number in found.cancelled:
            why = {"reason": dict(found.reason)}
            self.shop.record(principal, "cancelAssignment", key_of(key, number), {"id": number}, why)
        for row in found.rows:
            body = {
                "order": canonical.to_hex(row.order),
                "operation": row.operation,
                "machine": row.machine,
                "claims": dict(found.plan.row_document(row.key)),
            }
            own = key_of(key, row.order.hex(), row.operation)
            self.shop.record(principal, "proposeAssignment", own, {}, body)

    def _start(self, principal: Principal, digest: bytes, sent: Filled) -> None:
        me, now_s = self.shop.company(principal), self.shop.clock()
        cpu_s, seed = number_of(sent, "cpu_s", 1, 120), number_of(sent, "seed", 1, 2**31 - 1)
        with reading(self.shop.store) as tables:
            call = making.need_own_call(tables, digest, me)
            replaced = bool(tables.planning.plans(digest))
        if replaced:
            happened = _happened(sent)
            with reading(self.shop.store) as tables:
                own = tables.stream_of_plans(digest, me)
                ready = making.prepare_replan(tables, call, own, happened, now_s)
            task = making_process.Task(ready.file, ready.tie, ready.why, float(cpu_s), seed)
            self.shop.maker.start(digest, task, ready.entry)
            return
        if call.closes > now_s:
            raise CallRefusedError(PlanningGround.CALL_OPEN.write(), hint="wait until it has closed")
        tie = self.shop.ties.find(call.closes)
        if tie is None:
            raise PlanningError(PlanningGround.NO_BLOCK.write(), hint="wait for one, and try again")
        with reading(self.shop.store) as tables:
            file = making.prepare_plan(tables, call)
        self.shop.maker.start(digest, making_process.Task(file, tie, None, float(cpu_s), seed))

    def _seal_plan(self, tables: PlanningTables, digest: bytes, me: int, number: int) -> tuple[OwnStream, Sealed]:
        """`number`: of the attempt; 0 for a plan that was written before, and whose anchor was lost. Raises
        CallRefusedError for a plan that another one has replaced meanwhile, and for one that is gone."""
        call = making.need_own_call(tables, digest, me)
        if number == 0 and (rest := tables.unanchored(tables.stream_of_plans(digest, me))) is not None:
            return tables.stream_of_plans(digest, me), rest
        found = next((item for item in self.shop.maker.attempts(digest) if item.number == number), None)
        if found is None or found.plan is None:
            raise CallRefusedError(PlanningGround.PLAN_GONE.write(), hint="make it again")
        plans = tables.planning.plans(digest)
        if (plans[-1].digest if plans else None) != found.plan.before:
            raise CallRefusedError(PlanningGround.OVERTAKEN.write(), hint="make the plan again")
        if self.shop.signer is None:
            raise PlanningError(PlanningGround.NO_PLAN_KEY.write(), hint="set gateway_signer")
        own = tables.stream_of_plans(digest, me) if plans else tables.stream(me, None)
        return own, making.seal_made(tables, own, call, found.plan, self.shop.signer, found.entry)

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
        principal, digest, now_s = principal_of(request), subject_of(call), self.shop.clock()
        me = self.shop.company(principal)
        attempts = self.shop.maker.attempts(digest)
        with reading(self.shop.store) as tables:
            own = making.need_own_call(tables, digest, me)
            names, reader = name_reader(tables, principal), plan_reader(tables, me)
            plans = [reader.plan(row.digest) for row in tables.planning.plans(digest)]
            offers = reader.offers(digest)
            asked = tables.planning.call(digest)
            values: dict[str, Any] = {
                "call": describe_call(reader.call(digest), now_s),
                "owners": describe_owners(names, offers, () if asked is None else asked.called),
                "plans": plans,
                "attempts": describe_attempts(attempts, own.unit, plans[-1] if plans else None),
                "todo": self._todo(tables, digest) if plans else None,
                "failures": describe_failures(names, _used(tables, digest)) if plans else None,
                "unanchored": _has_rest(tables, digest, me),
            }
        busy = any(not item.is_over for item in attempts)
        values |= {"busy": busy, "other_busy": self.shop.maker.is_busy and not busy, "error": error}
        values |= {"solver": has_solver(), "key": key or secrets.token_urlsafe(24), "filled": sent or {}}
        values |= {"causes": tuple(CauseKind), "cpu_s": _DEFAULT_CPU_S, "seed": len(attempts) + 1}
        # A page that is open while a plan is made shows it once it is there, without a script.
        headers = {"Refresh": str(_REFRESH_S)} if busy else None
        status = 200 if error is None else status
        return self.pages.render(request, "planner_plan.html", status, headers, forms=self.forms, **values)

    def _todo(self, tables: PlanningTables, digest: bytes) -> consent.Proposals | MillmarkError:
        """What is to be proposed, or what stands against it."""
        try:
            return consent.find_proposals(tables, tables.latest_plan(digest))
        except MillmarkError as error:
            return error


def _happened(sent: Filled) -> making.Happened:
    """The cause that a form names. Raises InputError."""
    kind = next((item for item in CauseKind if item.value == one(sent, "cause")), None)
    if kind is None:
        raise CallRefusedError(PlanningGround.NO_CAUSE.write(), hint="choose what happened")
    about = {
        name: number_of(sent, name, 1, 2**40 - 1) for name, kinds in _ABOUT.items() if kind in kinds and one(sent, name)
    }
    return making.Happened(
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


def _used(tables: PlanningTables, digest: bytes) -> list[tuple[Any, AssignmentRow | None]]:
    """The rows of the latest plan, each with its assignment."""
    plan = tables.latest_plan(digest)
    standing = consent.find_standing(tables.rows, tables.book, plan)
    return [(row, standing[row.key].assignment if standing[row.key].is_same else None) for row in plan.rows]


def _has_rest(tables: PlanningTables, digest: bytes, me: int) -> bool:
    """Whether the entry of a plan was written, and its anchor was lost on the way."""
    plans = tables.planning.plans(digest)
    return bool(plans) and tables.unanchored(tables.stream_of_plans(digest, me)) is not None


def to_record(number: int, back: str) -> Response:
    # 303 makes the browser follow with GET, so that a reload does not send the form again.
    return RedirectResponse(f"/portal/records/{number}?back={back}", 303)
