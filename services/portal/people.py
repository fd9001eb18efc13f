"""Pages for people: signing in with a passkey or the company's account, taking an invitation, one's own passkeys, and
who else may sign in."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.errors import InputError, MillmarkError, NotFoundError
from millmark.services.access import Scope, SignInError
from millmark.services.access.grounds import Ground
from millmark.services.access.people.openid import OpenId, ProviderError
from millmark.services.access.people.passkeys import MAX_CREDENTIAL_CHARACTERS, Passkeys
from millmark.services.access.people.people import Entered, People, code_of
from millmark.services.access.people.roles import PersonRole
from millmark.services.access.rules import Rule, Without
from millmark.services.access.sessions import PERSON_LIFE_S
from millmark.services.access.signin import NONCE_LIFE_S, is_secure, openid_cookie, session_cookie
from millmark.services.portal.forms import FormRefusedError, Forms
from millmark.services.portal.once import MAX_CODE, Once
from millmark.services.portal.pages import SCRIPTED, Pages
from millmark.services.portal.routes import ANYBODY, PageRoute
from millmark.services.portal.sign_in import safe_path
from millmark.services.portal.written import say_error

__all__ = ["PeoplePages", "WaysIn"]

INVITED, ACCOUNT, PEOPLE = "/portal/invitation", "/portal/account", "/portal/people"
_CODE = r"[A-Za-z0-9_-]*"
_MAX_CODE, _MAX_TOKEN, _MAX_NAME, _MAX_NEXT = 64, 128, 200, 1024
_ADMINISTRATORS = Rule(Scope.PEOPLE, owner=True, page=True)
_SIGNED_IN = Rule(Without.SCOPE, page=True, owner=True)


@dataclass(frozen=True, slots=True)
class WaysIn:
    """The people of the company, and how they sign in."""

    people: People
    passkeys: Passkeys
    openid: OpenId | None
    """None if the company has named no provider."""


@dataclass(frozen=True, slots=True)
class PeoplePages:
    ways: WaysIn
    pages: Pages
    forms: Forms
    origin: str
    clock: Callable[[], int]
    once: Once

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/sign-in/passkey", self.enter, ANYBODY, method="POST"),
            PageRoute("/portal/sign-in/account", self.come_back, ANYBODY),
            PageRoute("/portal/sign-in/account", self.leave, ANYBODY, method="POST"),
            PageRoute(INVITED, self.invited, ANYBODY),
            PageRoute(INVITED, self.show_invitation, ANYBODY, method="POST"),
            PageRoute(f"{INVITED}/passkey", self.accept, ANYBODY, method="POST"),
            PageRoute(ACCOUNT, self.account, _SIGNED_IN),
            PageRoute(f"{ACCOUNT}/passkey", self.add, _SIGNED_IN, method="POST"),
            PageRoute(f"{ACCOUNT}/passkey/remove", self.drop, _SIGNED_IN, method="POST"),
            PageRoute(PEOPLE, self.list, _ADMINISTRATORS, menu="people"),
            PageRoute(PEOPLE, self.invite, _ADMINISTRATORS, method="POST"),
            PageRoute(f"{PEOPLE}/change", self.change, _ADMINISTRATORS, method="POST"),
            PageRoute(f"{PEOPLE}/remove", self.remove, _ADMINISTRATORS, method="POST"),
            PageRoute(f"{PEOPLE}/withdraw", self.withdraw, _ADMINISTRATORS, method="POST"),
        )

    # Signing in

    def offered(self) -> dict[str, Any]:
        """What the sign-in page offers besides the company's key."""
        options = self.ways.passkeys.ask_sign_in(self.clock()) if self.ways.passkeys.possible else None
        return {"passkey": options, "account": self.ways.openid is not None}

    def enter(
        self,
        request: Request,
        credential: Annotated[str, Form(max_length=MAX_CREDENTIAL_CHARACTERS)],
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        next: Annotated[str, Form(max_length=_MAX_NEXT)] = "",  # name of the parameter
    ) -> Response:
        """Opens a session with a passkey. Raises FormRefusedError."""
        self.forms.verify(request, token)
        return self._enter(request, lambda: self.ways.passkeys.sign_in(credential, self.clock()), safe_path(next))

    def leave(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        code: Annotated[str, Form(max_length=_MAX_CODE, pattern=_CODE)] = "",
    ) -> Response:
        """Sends the browser to the company's provider. Raises NotFoundError, FormRefusedError."""
        self.forms.verify(request, token)
        try:
            address, state = self._openid().begin(self.clock())
        except ProviderError as error:
            return self._refuse(request, error)
        # A page that goes on by itself: browsers apply the policy of forms to redirects, and it allows this site alone.
        answer = self.pages.render(request, "leaving.html", headers={"Refresh": f"0; url={address}"}, address=address)
        # Lax, since the browser comes back from another site.
        answer.set_cookie(
            openid_cookie(self.origin),
            f"{state}.{code}",
            max_age=NONCE_LIFE_S,
            secure=is_secure(self.origin),
            httponly=True,
            samesite="lax",
        )
        return answer

    def come_back(self, request: Request, code: str = "", state: str = "", error: str = "") -> Response:
        """Where the provider sends the browser back to. Raises NotFoundError."""
        openid, name = self._openid(), openid_cookie(self.origin)
        kept, _, invitation = request.cookies.get(name, "").partition(".")

        def finish() -> Entered:
            if error or not code:
                raise SignInError(Ground.DECLINED.write(said=ascii(error[:60])), hint="sign in again")
            return openid.finish(code, state[:_MAX_TOKEN], kept, self.clock(), invitation)

        # A page of this site first: the session's cookie is not sent with a navigation that another site began.
        answer = self._enter(request, finish, None)
        answer.delete_cookie(name, secure=is_secure(self.origin), httponly=True, samesite="lax")
        return answer

    def _enter(self, request: Request, prove: Callable[[], Entered], after: str | None) -> Response:
        try:
            entered = prove()
        except (SignInError, ProviderError) as error:
            return self._refuse(request, error)
        if after is None:
            answer = self.pages.render(request, "entered.html", headers={"Refresh": "0; url=/portal"})
        else:
            answer = RedirectResponse(after, 303)
        name = session_cookie(self.origin)
        answer.set_cookie(
            name, entered.token, max_age=PERSON_LIFE_S, secure=is_secure(self.origin), httponly=True, samesite="strict"
        )
        request.state.principal = entered.principal  # now that it is known, for the audit log
        return answer

    def _refuse(self, request: Request, error: SignInError | ProviderError) -> Response:
        status = 401 if isinstance(error, SignInError) else 503
        values = {
            "address": "",
            "next": "/portal",
            "message": None,
            "refused": self._say(request, error),
            **self.offered(),
        }
        return self.pages.render(request, "sign_in.html", status, headers=SCRIPTED, forms=self.forms, **values)

    # Taking an invitation

    def invited(self, request: Request) -> Response:
        """The code is behind the link's `#`, where no server, log or referrer sees it: a script hands it in."""
        return self.pages.render(
            request, "invitation.html", headers=SCRIPTED, forms=self.forms, row=None, code="", passkey=None, refused=""
        )

    def show_invitation(
        self,
        request: Request,
        code: Annotated[str, Form(max_length=_MAX_CODE)],
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
    ) -> Response:
        """Raises FormRefusedError."""
        self.forms.verify(request, token)
        return self._show_invitation(request, code, "")

    def _show_invitation(self, request: Request, code: str, refused: str) -> Response:
        now_s, options, row = self.clock(), None, None
        try:
            row = self.ways.people.invitation(code, now_s)
            options = self.ways.passkeys.ask_invited(code, now_s) if self.ways.passkeys.possible else None
        except SignInError as error:
            refused = self._say(request, error)
        values = {
            "row": row,
            "code": code,
            "passkey": options,
            "account": self.ways.openid is not None,
            "refused": refused,
        }
        status = 401 if refused else 200
        return self.pages.render(request, "invitation.html", status, headers=SCRIPTED, forms=self.forms, **values)

    def accept(
        self,
        request: Request,
        code: Annotated[str, Form(max_length=_MAX_CODE)],
        credential: Annotated[str, Form(max_length=MAX_CREDENTIAL_CHARACTERS)],
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
    ) -> Response:
        """Takes an invitation with a new passkey. Raises FormRefusedError."""
        self.forms.verify(request, token)
        try:
            entered = self.ways.passkeys.register(code, credential, self.clock())
        except SignInError as error:
            return self._show_invitation(request, code, self._say(request, error))
        return self._enter(request, lambda: entered, "/portal")

    # One's own account

    def account(self, request: Request) -> Response:
        """Raises NotFoundError for whoever signed in with the company's key."""
        return self._account(request, "")

    def _account(self, request: Request, refused: str) -> Response:
        person = self._person(request)
        options = self.ways.passkeys.ask_further(person, self.clock()) if self.ways.passkeys.possible else None
        values = {
            "passkey": options,
            "passkeys": self.ways.passkeys.listed(person),
            "refused": refused,
            "shown": _shown,
        }
        status = 400 if refused else 200
        return self.pages.render(request, "account.html", status, headers=SCRIPTED, forms=self.forms, **values)

    def add(
        self,
        request: Request,
        credential: Annotated[str, Form(max_length=MAX_CREDENTIAL_CHARACTERS)],
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
    ) -> Response:
        """Adds a passkey. Raises FormRefusedError, NotFoundError."""
        return self._change(
            request, token, lambda: self.ways.passkeys.add(self._person(request), credential, self.clock())
        )

    def drop(
        self,
        request: Request,
        passkey: Annotated[str, Form(max_length=_MAX_NEXT)],
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
    ) -> Response:
        """Removes a passkey. Raises FormRefusedError, NotFoundError."""
        return self._change(request, token, lambda: self._remove(request, _id(passkey)))

    def _remove(self, request: Request, passkey: bytes) -> None:
        here = request.state.principal.credential
        self.ways.passkeys.remove(self._person(request), passkey, self.clock(), here)

    def _change(self, request: Request, token: str, change: Callable[[], None]) -> Response:
        self.forms.verify(request, token)
        try:
            change()
        except (SignInError, NotFoundError) as error:
            return self._account(request, self._say(request, error))
        return RedirectResponse(ACCOUNT, 303)

    # Everybody

    def list(self, request: Request) -> Response:
        return self._list(request)

    def _list(
        self, request: Request, refused: str = "", link: str = "", invited: str = "", again: bool = False
    ) -> Response:
        values: dict[str, Any] = {
            "people": self.ways.people.listed(),
            "invitations": self.ways.people.open_invitations(self.clock()),
            "roles": tuple(PersonRole),
            "refused": refused,
            "link": link,
            "invited": invited,
            "again": again,
            "once": self.once.issue(),
            "shown": _shown,
        }
        headers = SCRIPTED if link else None  # for the button that copies it
        return self.pages.render(
            request, "people.html", 400 if refused else 200, headers=headers, forms=self.forms, **values
        )

    def invite(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        once: Annotated[str, Form(max_length=MAX_CODE)],
        role: Annotated[PersonRole | None, Form()] = None,
        name: Annotated[str, Form(max_length=_MAX_NAME)] = "",
        person: Annotated[int | None, Form(ge=1, le=2**31)] = None,
    ) -> Response:
        """Shows the link of an invitation; the same one if the form is sent again. Raises FormRefusedError."""
        lacking = "people.no_role" if role is None else "" if self._has_way_in else "passkey.address"
        if role is None or lacking:
            self.forms.verify(request, token)
            return self._list(request, self.pages.catalogue(request).say(lacking))
        by, now_s = request.state.principal.person or None, self.clock()
        try:
            with self.once.spend(request, token, once, "invitation", role, name, person) as use:
                if not use.again:
                    self.ways.people.invite(
                        name, role, now_s=now_s, invited_by=by, person=person, seed=use.seed, within=use.connection
                    )
        except FormRefusedError:
            raise
        except (InputError, NotFoundError) as error:
            return self._list(request, self._say(request, error))
        return self._show_invited(request, code_of(use.seed), again=use.again)

    @property
    def _has_way_in(self) -> bool:
        """Whether an invitation could be taken at this gateway's address."""
        return self.ways.passkeys.possible or self.ways.openid is not None

    def _show_invited(self, request: Request, code: str, *, again: bool) -> Response:
        try:
            row = self.ways.people.invitation(code, self.clock())
        except SignInError:  # withdrawn, used or run out since
            return self._list(request, again=again)
        return self._list(request, link=f"{self.origin}{INVITED}#{code}", invited=row.name, again=again)

    def change(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        person: Annotated[int, Form(ge=1, le=2**31)],
        role: Annotated[PersonRole, Form()],
    ) -> Response:
        """Changes a person's role. Raises FormRefusedError."""
        return self._do(request, token, lambda: self.ways.people.change_role(person, role))

    def remove(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        person: Annotated[int, Form(ge=1, le=2**31)],
    ) -> Response:
        """Removes a person. Raises FormRefusedError."""
        return self._do(request, token, lambda: self.ways.people.remove(person, self.clock()))

    def withdraw(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        invitation: Annotated[str, Form(max_length=_MAX_TOKEN)],
    ) -> Response:
        """Withdraws an open invitation. Raises FormRefusedError."""
        return self._do(request, token, lambda: self.ways.people.withdraw(_id(invitation)))

    def _do(self, request: Request, token: str, change: Callable[[], None]) -> Response:
        self.forms.verify(request, token)
        try:
            change()
        except (InputError, NotFoundError) as error:
            return self._list(request, self._say(request, error))
        return RedirectResponse(PEOPLE, 303)

    def _say(self, request: Request, error: MillmarkError) -> str:
        return say_error(self.pages.catalogue(request), error)

    def _openid(self) -> OpenId:
        if self.ways.openid is None:
            raise NotFoundError("the company has named no OpenID provider", hint="set openid_issuer")
        return self.ways.openid

    def _person(self, request: Request) -> int:
        person: int = request.state.principal.person
        if not person:
            raise NotFoundError("whoever signs in with a key has no account", hint="ask for an invitation")
        return person


def _shown(id_: bytes) -> str:
    return urlsafe_b64encode(id_).decode()


def _id(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text)
    except (Error, ValueError):
        raise NotFoundError(Ground.NO_PASSKEY.write(), hint="load the page again") from None
