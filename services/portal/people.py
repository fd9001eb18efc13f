"""Pages for people: signing in with a passkey or the company's account, taking an invitation, one's own passkeys, and
who else may sign in."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form, Query, Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger import canonical, signatures
from millmark.ledger.errors import InputError, MillmarkError, NotFoundError, SigningError
from millmark.ledger.store import Connection, Store
from millmark.services.access import CredentialKind, Principal, Scope, SignIn, SignInError, revoke
from millmark.services.access.credentials import PERSON_LIFE_S, SESSION_LIFE_S
from millmark.services.access.errors import Ground
from millmark.services.access.people.openid import OpenId, ProviderError
from millmark.services.access.people.passkeys import MAX_CREDENTIAL_CHARACTERS, Passkeys
from millmark.services.access.people.people import CHALLENGE, Entered, Pairing, People, code_of, digits_of
from millmark.services.access.repository import AccessRepository
from millmark.services.access.rules import PersonRole, Rule, Without
from millmark.services.access.signin import NONCE_LIFE_S, Key, Nonces, is_secure, openid_cookie, session_cookie
from millmark.services.access.siwe import MAX_MESSAGE_CHARACTERS
from millmark.services.portal.pages import (
    ANYBODY,
    SCRIPTED,
    FormRefusedError,
    Forms,
    PageRoute,
    Pages,
    principal_of,
    say_error,
)
from millmark.services.serving.requests import WholeNumber

# Forms whose answer is a page with a secret on it: sent again, they change nothing, and show the same secret again.
#
# What leads elsewhere afterwards is safe from a reload by its redirect. A secret cannot be redirected to without being
# stored, and a page that was lost on its way must not leave a secret behind that nobody has. So the secret is made from
# the form: of a one-time code in it, what was entered, the browser's cookie, and a key that only this gateway has.
# Nobody else, and nothing that is stored, can make it again. The same page with other entries, as after the browser's
# Back, is another form.
#
# A form is spent in the transaction that does what it asks for. So neither is ever there without the other, even if the
# process is killed in between; of two that are sent at once, the second finds what the first did; and one that is
# refused or fails counts as not sent.

FORM_LIFE_S = 86_400
MAX_CODE = 128
"""Most characters of a one-time code."""


@dataclass(frozen=True, slots=True)
class Use:
    """A form that was sent."""

    again: bool
    """Whether it was sent before, and what it asks for was done: then nothing may be done."""
    seed: bytes
    """32 secret bytes, the same whenever this form is sent from this browser and session with these entries."""
    connection: Connection
    """In whose transaction it is spent, and what it asks for has to be done."""


class Once:
    """Issues one-time codes and spends them. `key` is that of `forms`."""

    def __init__(self, store: Store, forms: Forms, key: Key, clock: Callable[[], int]) -> None:
        self._store, self._forms, self._clock = store, forms, clock
        # A key of their own: they live longer than the codes of sign-in, and must not pass for them.
        self._nonces = Nonces(lambda: hmac.digest(key(), b"millmark.once.v1", "sha256"), FORM_LIFE_S)

    def issue(self) -> str:
        """The code to put into a form."""
        return self._nonces.issue(self._clock())

    @contextmanager
    def spend(self, request: Request, token: str, code: str, *entries: canonical.Json) -> Iterator[Use]:
        """Verifies the form's token, and spends its code for these entries; both stay undone if the block raises.
        Raises FormRefusedError for a form of elsewhere, or older than a day."""
        self._forms.verify(request, token)
        now_s, expires_at = self._clock(), self._nonces.expiry(code)
        if expires_at is None or now_s >= expires_at:
            raise FormRefusedError("the form is too old", hint="load the form again")
        mark = hashlib.sha256(code.encode() + canonical.canonical_json(list(entries))).hexdigest()
        with self._store.transaction() as connection:
            access = AccessRepository(connection)
            # As with all spent codes: one that was forgotten must not be judged by a clock that was set back.
            if access.newest_time() >= expires_at:
                raise FormRefusedError("the form is too old", hint="load the form again")
            is_first = access.spend_nonce(mark, expires_at, now_s)
            yield Use(not is_first, self._forms.seed(request, mark), connection)


INVITED, ACCOUNT, PEOPLE = "/portal/invitation", "/portal/account", "/portal/people"
_CODE = r"[A-Za-z0-9_-]*"
_MAX_CODE, _MAX_TOKEN, _MAX_NAME, _MAX_NEXT = 64, 128, 200, 1024
_Token = Annotated[str, Form(max_length=_MAX_TOKEN)]
_Credential = Annotated[str, Form(max_length=MAX_CREDENTIAL_CHARACTERS)]
_Code = Annotated[str, Form(max_length=_MAX_CODE)]
_Text = Annotated[str, Form(max_length=_MAX_NEXT)]
_PersonId = Annotated[int, Form(ge=1, le=2**31)]
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
        self, request: Request, credential: _Credential, token: _Token, next: _Text = ""
    ) -> Response:  # `next`: name of the parameter
        """Opens a session with a passkey. Raises FormRefusedError."""
        self.forms.verify(request, token)
        return self._enter(request, lambda: self.ways.passkeys.sign_in(credential, self.clock()), safe_path(next))

    def leave(
        self, request: Request, token: _Token, code: Annotated[str, Form(max_length=_MAX_CODE, pattern=_CODE)] = ""
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

    def show_invitation(self, request: Request, code: _Code, token: _Token) -> Response:
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

    def accept(self, request: Request, code: _Code, credential: _Credential, token: _Token) -> Response:
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

    def add(self, request: Request, credential: _Credential, token: _Token) -> Response:
        """Adds a passkey. Raises FormRefusedError, NotFoundError."""
        return self._change(
            request, token, lambda: self.ways.passkeys.add(self._person(request), credential, self.clock())
        )

    def drop(self, request: Request, passkey: _Text, token: _Token) -> Response:
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
        token: _Token,
        once: Annotated[str, Form(max_length=MAX_CODE)],
        role: Annotated[PersonRole | None, Form()] = None,
        name: Annotated[str, Form(max_length=_MAX_NAME)] = "",
        person: Annotated[int | None, Form(ge=1, le=2**31)] = None,
    ) -> Response:
        """Shows the link of an invitation; the same one if the form is sent again. Raises FormRefusedError."""
        has_way_in = self.ways.passkeys.possible or self.ways.openid is not None
        lacking = "people.no_role" if role is None else "" if has_way_in else "passkey.address"
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

    def _show_invited(self, request: Request, code: str, *, again: bool) -> Response:
        try:
            row = self.ways.people.invitation(code, self.clock())
        except SignInError:  # withdrawn, used or run out since
            return self._list(request, again=again)
        return self._list(request, link=f"{self.origin}{INVITED}#{code}", invited=row.name, again=again)

    def change(
        self, request: Request, token: _Token, person: _PersonId, role: Annotated[PersonRole, Form()]
    ) -> Response:
        """Changes a person's role. Raises FormRefusedError."""
        return self._do(request, token, lambda: self.ways.people.change_role(person, role))

    def remove(self, request: Request, token: _Token, person: _PersonId) -> Response:
        """Removes a person. Raises FormRefusedError."""
        return self._do(request, token, lambda: self.ways.people.remove(person, self.clock()))

    def withdraw(
        self, request: Request, token: _Token, invitation: Annotated[str, Form(max_length=_MAX_TOKEN)]
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


# Sign-in and sign-out without scripts: the message is shown, signed with `millmark keys sign-in`, and its signature
# pasted.

SIGN_IN = "/portal/sign-in"
_HOME = "/portal"
_OURS = re.compile(r"/portal(/[A-Za-z0-9._/-]*)?(\?[A-Za-z0-9._~%&=+:/-]*)?")
"""Paths allowed as destination after sign-in, so that a link cannot redirect to another site."""
_MAX_ADDRESS, _MAX_SIGNATURE = 64, 200


@dataclass(frozen=True, slots=True)
class SignInPages:
    store: Store
    pages: Pages
    forms: Forms
    sign_in: SignIn
    origin: str
    clock: Callable[[], int]
    offered: Callable[[], dict[str, Any]]
    """What else there is to sign in with (millmark.services.portal.people)."""

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute(SIGN_IN, self.offer, ANYBODY),
            PageRoute(SIGN_IN, self.accept, ANYBODY, method="POST"),
            PageRoute("/portal/sign-out", self.sign_out, Rule(Without.SCOPE, page=True), method="POST"),
        )

    def offer(self, request: Request, address: str = "", next: str = "") -> Response:  # `next`: name of the parameter
        """The form for an address, or the message to sign with its key."""
        message, refused, catalogue = None, "", self.pages.catalogue(request)
        if address:
            try:
                known = signatures.parse_address(address[:_MAX_ADDRESS].strip())
                message = self.sign_in.new_message(known, self.clock()).to_text()
            except SigningError:
                refused = catalogue.say("sign_in.no_address")
            except NotFoundError as error:
                refused = say_error(catalogue, error)
        return self._show(request, address, safe_path(next), message, refused, 400 if refused else 200)

    def accept(
        self,
        request: Request,
        message: Annotated[str, Form(max_length=MAX_MESSAGE_CHARACTERS)],
        signature: Annotated[str, Form(max_length=_MAX_SIGNATURE)],
        token: _Token,
        next: _Text = "",
    ) -> Response:  # `next`: name of the parameter
        """Opens a session for the signer and sets its cookie. Raises FormRefusedError."""
        self.forms.verify(request, token)
        text = message.replace("\r\n", "\n")  # forms submit lines with CR LF
        try:
            session = self.sign_in.accept(text, signature.strip().lower(), self.clock())
        except SignInError as error:
            return self._show(request, "", safe_path(next), text, say_error(self.pages.catalogue(request), error), 401)
        # 303 makes the browser follow with GET, so that a reload does not submit the form again.
        answer = RedirectResponse(safe_path(next), 303)
        name = session_cookie(self.origin)
        answer.set_cookie(
            name, session.token, max_age=SESSION_LIFE_S, secure=is_secure(self.origin), httponly=True, samesite="strict"
        )
        # Who signed in is known now, for the audit log; the request itself may still do nothing else.
        request.state.principal = Principal(session.row.participant, 0, frozenset(), session.row.id, False, 0)
        return answer

    def sign_out(self, request: Request, token: _Token) -> Response:
        """Ends the session. Raises FormRefusedError."""
        self.forms.verify(request, token)
        credential = request.state.principal.credential
        if credential:
            revoke(self.store, credential, CredentialKind.SESSION, now_s=self.clock())
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(
            session_cookie(self.origin), secure=is_secure(self.origin), httponly=True, samesite="strict"
        )
        return answer

    def _show(
        self, request: Request, address: str, after: str, message: str | None, refused: str, status: int
    ) -> Response:
        values: dict[str, Any] = {
            "address": address[:_MAX_ADDRESS],
            "next": after,
            "message": message,
            "refused": refused,
            **self.offered(),
        }
        return self.pages.render(request, "sign_in.html", status, headers=SCRIPTED, forms=self.forms, **values)


def ask_to_sign_in(request: Request) -> Response:
    """Redirects a browser to the form, and from there back to the current page if it can be loaded again."""
    here = f"{request.url.path}?{request.url.query}".rstrip("?")
    wanted = here if request.method == "GET" and _OURS.fullmatch(here) else _HOME
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': wanted})}", 303)


def safe_path(path: str) -> str:
    """The path, if it is one of the portal's, or the portal's first page."""
    return path if len(path) <= _MAX_NEXT and _OURS.fullmatch(path) else _HOME


# The page on which a person lets a program on their machine sign in: `millmark login`.

_RULE = Rule(Without.SCOPE, page=True, owner=True)
_LEAST_PORT, _MOST_PORT = 1024, 65_535


@dataclass(frozen=True, slots=True)
class PairingPages:
    pairing: Pairing
    pages: Pages
    forms: Forms
    clock: Callable[[], int]

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/pairing", self.ask, _RULE),
            PageRoute("/portal/pairing", self.agree, _RULE, method="POST"),
        )

    def ask(
        self,
        request: Request,
        challenge: Annotated[str, Query(pattern=f"^{CHALLENGE}$")],
        port: Annotated[WholeNumber, Query(ge=0, le=_MOST_PORT)] = 0,
    ) -> Response:
        values: dict[str, Any] = {"challenge": challenge, "port": port, "digits": digits_of(challenge)}
        return self.pages.render(request, "pairing.html", forms=self.forms, code="", address="", **values)

    def agree(
        self,
        request: Request,
        token: _Token,
        challenge: Annotated[str, Form(pattern=f"^{CHALLENGE}$")],
        port: Annotated[int, Form(ge=0, le=_MOST_PORT)] = 0,
    ) -> Response:
        """Shows the code, and sends the browser with it to the program, if that listens on this machine. Sent again, it
        shows another code of the same challenge; nothing is stored before a code is used. Raises FormRefusedError, and
        NotFoundError for whoever signed in with the company's key."""
        self.forms.verify(request, token)
        code = self.pairing.approve(principal_of(request).person, challenge, self.clock())
        # To the loopback alone: a link that somebody was sent cannot have the code sent to anybody else.
        address = f"http://127.0.0.1:{port}/?code={code}" if port >= _LEAST_PORT else ""
        headers = {"Refresh": f"0; url={address}"} if address else {}
        values: dict[str, Any] = {"challenge": challenge, "port": port, "digits": digits_of(challenge)}
        return self.pages.render(
            request, "pairing.html", headers=headers, forms=self.forms, code=code, address=address, **values
        )
