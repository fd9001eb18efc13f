"""Pages for administrators of the company: webhooks, API keys, and the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Form, Request
from fastapi import Path as InPath
from starlette.responses import RedirectResponse, Response

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.consortium import participants
from millmark.ledger.provenance.listings import Page, cut_numbered
from millmark.ledger.store import Store
from millmark.services.access import CredentialKind, Scope, find_api_key, new_api_key, revoke
from millmark.services.access.people.people import People
from millmark.services.access.repository import AccessRepository, CredentialRow
from millmark.services.audit import read_latest
from millmark.services.portal import pages as portal
from millmark.services.portal.people import MAX_CODE, Once
from millmark.services.webhooks.subscriptions import Subscriber, Subscriptions

WEBHOOKS, KEYS, AUDIT = "/portal/webhooks", "/portal/apikeys", "/portal/audit"
_DAY_S = 86_400
_MAX_TOKEN, _MAX_TEXT = 128, 2048
_Token = Annotated[str, Form(max_length=_MAX_TOKEN)]
_Once = Annotated[str, Form(max_length=MAX_CODE)]
_Webhook = Annotated[str, InPath(pattern="^[0-9a-f]{16}$")]


@dataclass(frozen=True, slots=True)
class AdministrationParts:
    """What the pages of administrators work with."""

    store: Store
    subscriptions: Subscriptions
    people: People
    audit_folder: Path | None
    """None if nothing is audited."""
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Administration:
    parts: AdministrationParts
    pages: portal.Pages
    forms: portal.Forms
    once: Once

    def routes(self) -> tuple[portal.PageRoute, ...]:
        return (
            portal.PageRoute(WEBHOOKS, self.webhooks, portal.ADMINISTRATORS, menu="webhooks", folded=True),
            portal.PageRoute(WEBHOOKS, self.add_webhook, portal.ADMINISTRATORS, method="POST"),
            portal.PageRoute(f"{WEBHOOKS}/{{id}}/remove", self.remove_webhook, portal.ADMINISTRATORS, method="POST"),
            portal.PageRoute(f"{WEBHOOKS}/{{id}}/resume", self.resume_webhook, portal.ADMINISTRATORS, method="POST"),
            portal.PageRoute(KEYS, self.keys, portal.ADMINISTRATORS, menu="apikeys", folded=True),
            portal.PageRoute(KEYS, self.add_key, portal.ADMINISTRATORS, method="POST"),
            portal.PageRoute(f"{KEYS}/revoke", self.revoke_key, portal.ADMINISTRATORS, method="POST"),
            portal.PageRoute(AUDIT, self.audit, portal.ADMINISTRATORS, menu="audit", folded=True),
        )

    # Webhooks

    def webhooks(self, request: Request) -> Response:
        return self._webhooks(request)

    def _webhooks(
        self, request: Request, refused: str = "", secret: str = "", url: str = "", again: bool = False
    ) -> Response:
        found = sorted(self.parts.subscriptions.list(_subscriber(request)), key=lambda one: str(one.created_at))
        values: dict[str, Any] = {
            "webhooks": found[::-1],
            "names": self.parts.people.names(),
            "refused": refused,
            "secret": secret,
            "url": url,
            "again": again,
            "once": self.once.issue(),
        }
        return self.pages.render(request, "webhooks.html", 400 if refused else 200, forms=self.forms, **values)

    def add_webhook(
        self,
        request: Request,
        token: _Token,
        once: _Once,
        url: Annotated[str, Form(max_length=_MAX_TEXT)],
        kinds: Annotated[str, Form(max_length=_MAX_TEXT)] = "",
    ) -> Response:
        """Adds a webhook and shows its secret; the same one if the form is sent again. Raises FormRefusedError."""
        subscriber, subscriptions = _subscriber(request), self.parts.subscriptions
        wanted, now_ms = kinds.replace(",", " ").split(), self.parts.clock() * 1000
        try:
            with self.once.spend(request, token, once, "webhook", url, kinds) as use:
                if not use.again:
                    subscriptions.add(
                        subscriber, url.strip(), kinds=wanted, now_ms=now_ms, seed=use.seed, within=use.connection
                    )
        except portal.FormRefusedError:
            raise
        except InputError as error:
            return self._webhooks(request, portal.say_error(self.pages.catalogue(request), error), url=url)
        return self._webhooks(request, secret=subscriptions.find_made(subscriber, use.seed), again=use.again)

    def remove_webhook(self, request: Request, id: _Webhook, token: _Token) -> Response:  # name of the parameter
        """Raises FormRefusedError, NotFoundError."""
        self.forms.verify(request, token)
        self.parts.subscriptions.remove(_subscriber(request), id)
        return RedirectResponse(WEBHOOKS, 303)

    def resume_webhook(self, request: Request, id: _Webhook, token: _Token) -> Response:  # name of the parameter
        """Resumes deliveries, from now on for the person who asks. Raises FormRefusedError, NotFoundError."""
        self.forms.verify(request, token)
        self.parts.subscriptions.resume(_subscriber(request), id)
        return RedirectResponse(WEBHOOKS, 303)

    # API keys

    def keys(self, request: Request) -> Response:
        return self._keys(request)

    def _keys(self, request: Request, refused: str = "", made: str = "", again: bool = False) -> Response:
        now_s, companies = self.parts.clock(), participants(self.parts.store)
        names = {one.participant: one.name for one in companies}

        def find(_: int | None, after: int | None, __: portal.Filters, newest_first: bool) -> Page[Any]:
            with self.parts.store.reading() as connection:
                rows = AccessRepository(connection).credentials(CredentialKind.API_KEY.value)
            rows = sorted(rows, key=lambda row: (row.issued_at, row.id))
            page = cut_numbered(rows, after, portal.PAGE_ITEMS, newest_first=newest_first)
            shown = tuple((row, names.get(row.participant), _state(row, now_s)) for row in page.items)
            return Page(shown, page.after, page.first)

        values: dict[str, Any] = {
            "companies": [one for one in companies if not one.departed and not one.suspended and one.keys],
            "scopes": tuple(Scope),
            "refused": refused,
            "made": made,
            "again": again,
            "once": self.once.issue(),
            "own": portal.principal_of(request).participant,
        }
        return portal.Lists(self.pages, self.forms).show(
            request, "apikeys.html", find, status=400 if refused else 200, **values
        )

    def add_key(
        self,
        request: Request,
        token: _Token,
        once: _Once,
        participant: Annotated[int, Form(ge=1, lt=2**32)],
        label: Annotated[str, Form(max_length=_MAX_TEXT)],
        days: Annotated[int, Form(ge=1, le=366)],
        scopes: Annotated[list[Scope] | None, Form()] = None,
    ) -> Response:
        """Creates an API key and shows it; the same one if the form is sent again. Raises FormRefusedError."""
        wanted, now_s = sorted(scopes or ()), self.parts.clock()
        try:
            with self.once.spend(request, token, once, "key", participant, label, days, *wanted) as use:
                if not use.again:
                    new_api_key(
                        self.parts.store,
                        participant,
                        wanted,
                        label,
                        now_s=now_s,
                        life_s=days * _DAY_S,
                        seed=use.seed,
                        within=use.connection,
                    )
        except portal.FormRefusedError:
            raise
        except (InputError, NotFoundError) as error:
            return self._keys(request, portal.say_error(self.pages.catalogue(request), error))
        return self._keys(request, made=find_api_key(self.parts.store, use.seed, now_s), again=use.again)

    def revoke_key(self, request: Request, token: _Token, key: Annotated[str, Form(max_length=64)]) -> Response:
        """Raises FormRefusedError."""
        self.forms.verify(request, token)
        try:
            revoke(self.parts.store, key, CredentialKind.API_KEY, now_s=self.parts.clock())
        except NotFoundError as error:
            return self._keys(request, portal.say_error(self.pages.catalogue(request), error))
        return RedirectResponse(KEYS, 303)

    # The audit log

    def audit(self, request: Request) -> Response:
        """Entries of the audit log, with the names of those who acted."""
        folder, people = self.parts.audit_folder, self.parts.people.names()
        names = {one.participant: one.name for one in participants(self.parts.store)}
        target = request.query_params.get("target", "").strip()[:_MAX_TEXT]

        def find(_: int | None, after: int | None, __: portal.Filters, newest_first: bool) -> Page[Any]:
            if folder is None:
                return Page((), None)
            found = read_latest(folder, after, portal.PAGE_ITEMS, newest_first=newest_first, target=target)
            shown = tuple(_Entry(one, names, people) for one in found.entries)
            return Page(shown, found.after, shown[0].number if shown else None)

        return portal.Lists(self.pages, self.forms).show(
            request, "audit.html", find, kept={"target": target}, target=target, audited=folder is not None
        )


class _Entry:
    """An entry of the audit log, as the page shows it."""

    def __init__(self, entry: Mapping[str, Json], names: Mapping[int, str | None], people: Mapping[int, str]) -> None:
        self.number, self.time = int(str(entry["number"])), str(entry["time"])
        self.action, self.target = str(entry["action"]), str(entry["target"])
        self.status, self.decision = int(str(entry["status"])), str(entry["decision"])
        self.credential, _, person = str(entry["credential"]).partition("/person-")
        self.person = people.get(int(person), "?") if person.isdecimal() else ""
        company = entry["participant"]
        self.participant = company if isinstance(company, int) else None
        self.company = None if self.participant is None else names.get(self.participant)


def _subscriber(request: Request) -> Subscriber:
    principal = portal.principal_of(request)
    return Subscriber(principal.participant or 0, principal.owner, principal.credential)


def _state(row: CredentialRow, now_s: int) -> str:
    return "revoked" if row.revoked_at else "expired" if now_s >= row.expires_at else "active"
