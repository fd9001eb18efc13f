"""The pages on which people have something recorded: form, summary, confirmation; and what became of the record."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.answers import Party, moment
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import CustodyChangeRow, LotRow, OrderRow, RecordHistoryRow, RecordRow
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.acts import ACTS, FORMS, Form
from millmark.services.portal.acting.acting import Acting, Draft, Offer
from millmark.services.portal.acting.things import Filled, FormUsedError, Sent, Value, named, read_query
from millmark.services.portal.pages import OWNER, FormRefusedError, Forms, Number, PageRoute, Pages, principal_of
from millmark.services.portal.people import safe_path
from millmark.services.views import RecordStatus

# What is so once a record is final, for the sentence that says it: who has the thing, since when, who acts next.


@dataclass(frozen=True, slots=True)
class Outcome:
    """The values of `act.NAME.done` in the catalogue."""

    thing: Value
    """What the record is about."""
    own: Party
    """The company that recorded it."""
    giver: Party | None
    """Who had it before, or has it while it is offered; None if the record changed nothing about that."""
    taker: Party | None
    """Who has it now, or is asked to take it."""
    at: datetime | None
    """Time of the record's block."""


def find_outcome(reader: Reader, row: RecordRow, *, lasts: bool) -> Outcome | None:
    """What came of a record of the ledger that is in the index. None, unless its sentence `lasts`, once something else
    was recorded about the same thing: it may then not be so any more."""
    last = reader.rows.latest(RecordHistoryRow, "sequence", 1, subject=row.subject)
    if last and last[0].sequence > row.sequence and not lasts:
        return None
    change = reader.rows.get(CustodyChangeRow, row.sequence, row.subject)
    return Outcome(
        thing=Value("thing", named(reader, row.subject)),
        own=reader.party(row.participant),
        giver=None if change is None else reader.some_party(change.from_participant),
        taker=None if change is None else reader.some_party(change.to_participant),
        at=moment(row.block_time),
    )


# What became of a record that somebody asked for: queued, sent, final, or why the contract refused it.

_STEPS = (OutboxState.QUEUED, OutboxState.SENT, OutboxState.MINED, OutboxState.FINAL)
"""What a person is told of the way of a record."""
_REACHED = {
    OutboxState.QUEUED: 0,
    OutboxState.NONCED: 0,
    OutboxState.SIGNED: 0,
    OutboxState.SENT: 1,
    OutboxState.MINED: 2,
    OutboxState.FINAL: 3,
}
"""The step that a record has reached; others have left the way."""
_REFRESH_S = 2
_ANSWERED = (OutboxState.PAUSED, OutboxState.BLOCKED)
_SLOW_S = 15
"""How often a page is loaded again whose record waits for something else than the chain."""


@dataclass(frozen=True, slots=True)
class Link:
    """A thing that a record made or is about, with the path of its page."""

    path: str
    name: Value


@dataclass(frozen=True, slots=True)
class RecordPages:
    acting: Acting
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/portal/records/{number}", self.show, OWNER),)

    def show(self, request: Request, number: Number, back: str = "/portal", form: str = "") -> Response:
        """The page of one record, which the form of that name led to. Raises NotFoundError."""
        status = self.acting.recorder.status(number)
        state = OutboxState(status.state)
        act = self._find_act(form, status.kind)
        row = self._find_row(status)
        awaits = act is not None and bool(act.then) and state is OutboxState.FINAL
        # The index may be behind the chain, and then does not know yet what is so now, and what is possible next.
        behind = act is not None and state is OutboxState.FINAL and status.sequence is not None and row is None
        reloads = behind or not status.done
        values: dict[str, Any] = {
            "record": status,
            "state": state,
            "reloads": reloads,
            "way": tuple((step, _place(step, state)) for step in _STEPS),
            "links": self._links(status, row),
            "back": safe_path(back),
            "act": act,
            "outcome": self._find_outcome(row, act) if act is not None and row is not None else None,
            "next": self._find_next(request, act, row) if act is not None and awaits and row is not None else (),
        }
        # The browser loads the page again by itself, without a script.
        every = _SLOW_S if state in _ANSWERED else _REFRESH_S
        headers = {"Refresh": str(every)} if reloads else {}
        return self.pages.render(request, "record.html", headers=headers, forms=self.forms, **values)

    def _find_act(self, name: str, kind: str) -> Form | None:
        """The form of that name, if its act makes records of this kind."""
        found = FORMS.get(name)
        return found if found is not None and ACTS[found.operation].kind == kind else None

    def _find_row(self, status: RecordStatus) -> RecordRow | None:
        """The record as the index has it by now."""
        if status.sequence is None:
            return None
        with open_reader(self.acting.store) as reader:
            return reader.rows.get(RecordRow, status.contract, status.sequence)

    def _find_outcome(self, row: RecordRow, act: Form) -> Outcome | None:
        with open_reader(self.acting.store) as reader:
            return find_outcome(reader, row, lasts=bool(act.opens))

    def _find_next(self, request: Request, act: Form, row: RecordRow) -> tuple[Offer, ...]:
        """The button for the step that has to follow, if it is possible now."""
        return self.acting.offers_on(request.state.principal, act.about, row.subject.hex(), act.then)

    def _links(self, status: RecordStatus, row: RecordRow | None) -> tuple[Link, ...]:
        """The things that have a page by now."""
        with open_reader(self.acting.store) as reader:
            subjects = list(dict.fromkeys([*status.subjects, *([] if row is None else [row.subject])]))
            return tuple(link for one in subjects for link in _link(reader, one))


def _link(reader: Reader, subject: bytes) -> list[Link]:
    for kind, folder in ((OrderRow, "orders"), (LotRow, "lots")):
        if reader.rows.get(kind, subject) is not None:
            return [Link(f"/portal/{folder}/{subject.hex()}", Value("thing", named(reader, subject)))]
    return []


def _place(step: OutboxState, state: OutboxState) -> str:
    """Where a step stands: `done`, `now` or `open`."""
    reached = _REACHED.get(state, 0)
    place = _STEPS.index(step)
    if place < reached or state is OutboxState.FINAL:
        return "done"
    return "now" if place == reached else "open"


_RECORDERS = Rule(Scope.RECORDING, owner=True, page=True, cost=4)
"""Who may see some form at all. Which, is the rule of the operation."""
_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
_NAMED = ("subject", "id")
_OWN = ("token", "key", "seen", *_NAMED)
"""Fields of every form that no act declares."""


@dataclass(frozen=True, slots=True)
class ActingPages:
    acting: Acting
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/act/{name}", self.show, _RECORDERS, live=False),
            PageRoute("/portal/act/{name}", self.check, _RECORDERS, method="POST"),
            PageRoute("/portal/act/{name}/confirm", self.confirm, _RECORDERS, method="POST"),
            *RecordPages(self.acting, self.pages, self.forms).routes(),
        )

    def show(self, request: Request, name: str) -> Response:
        """The form; its summary at once, if nothing has to be filled in. Raises NotFoundError, InputError."""
        return self.open(request, name, read_query(request))

    def open(self, request: Request, name: str, entries: Filled) -> Response:
        """A new form with entries: of its link, or of a page that comes before it. Raises as `show`."""
        staged = self.acting.find(principal_of(request), name)
        filled = {one.name: entries[one.name] for one in staged.form.fields if one.name in entries}
        draft = self.acting.draft(principal_of(request), staged, _named(entries), filled, None)
        key = secrets.token_urlsafe(24)
        if draft.form.is_short and draft.offered:
            return self._summarise(request, draft, key)
        return self._form(request, draft, key, is_new=True)

    def check(self, request: Request, name: str, sent: Sent) -> Response:
        """The summary of what the form asks for. Raises NotFoundError, InputError."""
        draft, key = self._read(request, name, sent)
        return self._refuse(request, draft, key) or self._summarise(request, draft, key)

    def confirm(self, request: Request, name: str, sent: Sent) -> Response:
        """Queues the record, once. Raises NotFoundError, InputError."""
        draft, key = self._read(request, name, sent)
        principal = principal_of(request)
        # First: after the record has been made, the thing is no longer as the form says.
        found = (
            None if draft.entered.body is None else self.acting.recorder.find(self.acting.wish(draft, key), principal)
        )
        if found is not None:
            return _to_record(found, draft)
        used = self.acting.recorder.used(draft.form.operation, key, principal)
        if used is not None:
            return self._form(request, draft, key, FormUsedError("the form was sent before, with other entries"), used)
        refused = self._refuse(request, draft, key)
        if refused is not None:
            return refused
        try:
            number = self.acting.recorder.record(self.acting.wish(draft, key), principal)
        except (InputError, NotFoundError) as error:
            return self._form(request, draft, key, error)
        return _to_record(number, draft)

    def _read(self, request: Request, name: str, sent: Filled) -> tuple[Draft, str]:
        """The draft that a form of this portal is. Raises FormRefusedError for another."""
        self.forms.verify(request, _one(sent, "token"))
        key = _one(sent, "key")
        if not _KEY.fullmatch(key):
            raise FormRefusedError("the form has no key of its own", hint="load the form again")
        staged = self.acting.find(principal_of(request), name)
        filled = {name: values for name, values in sent.items() if name not in _OWN}
        return self.acting.draft(principal_of(request), staged, _named(sent), filled, _one(sent, "seen")), key

    def _refuse(self, request: Request, draft: Draft, key: str) -> Response | None:
        """The form again, if the draft cannot be recorded as it stands."""
        if draft.changes or not draft.offered or draft.entered.body is None:
            return self._form(request, draft, key)
        return None

    def _form(
        self,
        request: Request,
        draft: Draft,
        key: str,
        error: InputError | NotFoundError | None = None,
        used: int | None = None,
        *,
        is_new: bool = False,
    ) -> Response:
        """`used`: the record that the form led to when it was sent before. `is_new`: nobody has filled it in yet, so
        that nothing is wrong with it."""
        status = 200
        if draft.changes or not draft.offered:
            status = 409
        wrong = {} if is_new or request.method != "POST" else draft.entered.wrong
        if status == 200 and (error is not None or wrong):
            status = 400
        return self._render(request, "act.html", draft, key, status, wrong=wrong, error=error, used=used)

    def _summarise(self, request: Request, draft: Draft, key: str) -> Response:
        if draft.entered.body is None:
            return self._form(request, draft, key)
        principal = principal_of(request)
        try:
            summary = self.acting.summarise(principal, self.acting.wish(draft, key))
        except (InputError, NotFoundError) as error:
            return self._form(request, draft, key, error)
        return self._render(request, "act_summary.html", draft, key, 200, summary=summary, wrong={}, error=None)

    def _render(self, request: Request, template: str, draft: Draft, key: str, status: int, **values: Any) -> Response:
        shown: dict[str, Any] = {"draft": draft, "key": key, "seen": draft.thing.seen}
        return self.pages.render(request, template, status, forms=self.forms, **shown, **values)


def _to_record(number: int, draft: Draft) -> Response:
    # 303 makes the browser follow with GET, so that a reload does not send the form again.
    back = draft.form.leads_to or draft.thing.path
    return RedirectResponse(f"/portal/records/{number}?{urlencode({'back': back, 'form': draft.form.name})}", 303)


def _named(sent: Filled) -> dict[str, str]:
    return {name: _one(sent, name) for name in _NAMED}


def _one(sent: Filled, name: str) -> str:
    return next(iter(sent.get(name, ())), "")
