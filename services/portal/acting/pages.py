"""The pages on which people have something recorded: form, summary, confirmation; and what became of the record."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.errors import InputError, NotFoundError
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.portal.acting.acting import Acting, Draft
from millmark.services.portal.acting.desk import FormUsedError
from millmark.services.portal.acting.fields import Filled
from millmark.services.portal.acting.form_data import Sent, read_query
from millmark.services.portal.acting.record_pages import RecordPages
from millmark.services.portal.forms import FormRefusedError, Forms
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import PageRoute

__all__ = ["ActingPages"]

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
        act = self.acting.find(_principal(request), name)
        filled = {one.name: entries[one.name] for one in act.fields if one.name in entries}
        draft = self.acting.draft(_principal(request), act, _named(entries), filled, None)
        key = secrets.token_urlsafe(24)
        if act.is_short and draft.offered:
            return self._summarise(request, draft, key)
        return self._form(request, draft, key, is_new=True)

    def check(self, request: Request, name: str, sent: Sent) -> Response:
        """The summary of what the form asks for. Raises NotFoundError, InputError."""
        draft, key = self._read(request, name, sent)
        return self._refuse(request, draft, key) or self._summarise(request, draft, key)

    def confirm(self, request: Request, name: str, sent: Sent) -> Response:
        """Has the record queued, once. Raises NotFoundError, InputError."""
        draft, key = self._read(request, name, sent)
        principal = _principal(request)
        # First: after the record has been made, the thing is no longer as the form says.
        found = None if draft.entered.body is None else self.acting.desk.find(self.acting.wish(draft, key), principal)
        if found is not None:
            return _to_record(found, draft)
        used = self.acting.desk.used(draft.act.operation, key, principal)
        if used is not None:
            return self._form(request, draft, key, FormUsedError("the form was sent before, with other entries"), used)
        refused = self._refuse(request, draft, key)
        if refused is not None:
            return refused
        try:
            number = self.acting.desk.record(self.acting.wish(draft, key), principal)
        except (InputError, NotFoundError) as error:
            return self._form(request, draft, key, error)
        return _to_record(number, draft)

    def _read(self, request: Request, name: str, sent: Filled) -> tuple[Draft, str]:
        """The draft that a form of this portal is. Raises FormRefusedError for another."""
        self.forms.verify(request, _one(sent, "token"))
        key = _one(sent, "key")
        if not _KEY.fullmatch(key):
            raise FormRefusedError("the form has no key of its own", hint="load the form again")
        act = self.acting.find(_principal(request), name)
        filled = {name: values for name, values in sent.items() if name not in _OWN}
        return self.acting.draft(_principal(request), act, _named(sent), filled, _one(sent, "seen")), key

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
        principal = _principal(request)
        try:
            summary = self.acting.summarise(principal, self.acting.wish(draft, key))
        except (InputError, NotFoundError) as error:
            return self._form(request, draft, key, error)
        return self._render(request, "act_summary.html", draft, key, 200, summary=summary, wrong={}, error=None)

    def _render(self, request: Request, template: str, draft: Draft, key: str, status: int, **values: Any) -> Response:
        shown: dict[str, Any] = {"act": draft.act, "draft": draft, "key": key, "seen": draft.thing.seen}
        return self.pages.render(request, template, status, forms=self.forms, **shown, **values)


def _to_record(number: int, draft: Draft) -> Response:
    # 303 makes the browser follow with GET, so that a reload does not send the form again.
    back = draft.act.leads_to or draft.thing.path
    return RedirectResponse(f"/portal/records/{number}?{urlencode({'back': back, 'form': draft.act.name})}", 303)


def _named(sent: Filled) -> dict[str, str]:
    return {name: _one(sent, name) for name in _NAMED}


def _one(sent: Filled, name: str) -> str:
    return next(iter(sent.get(name, ())), "")


def _principal(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found
