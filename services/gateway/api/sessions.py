"""Routes of sessions: a message to sign in with, a session for its signature, and signing out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ledger.errors import InputError, SigningError
from ledger.keys import parse_address
from ledger.provenance.jsonform import Printable, moment
from ledger.records import Role
from ledger.store import Store
from services.access import CredentialKind, Principal, SignIn, revoke
from services.access.rules import PUBLIC, Rule
from services.access.siwe import MAX_MESSAGE_CHARACTERS, SignInMessage
from services.gateway.http import example_values as examples
from services.gateway.http.authentication import Clock, CurrentPrincipal
from services.gateway.http.responses import PROBLEM, reply
from services.gateway.http.route_table import RouteTable
from services.gateway.http.routes import Routes

__all__ = ["Caller", "MessageToSign", "OpenedSession", "add_sessions"]

_PROBLEMS: dict[int | str, dict[str, Any]] = {"default": PROBLEM}
Address = Annotated[
    str,
    Query(
        pattern="^0x[0-9a-fA-F]{40}$",
        description="Address of the key that will sign.",
        examples=["0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69"],
    ),
]


@dataclass(frozen=True, slots=True)
class MessageToSign(Printable):
    """A message to sign."""

    message: str
    """EIP-4361; sign it as it is, with `personal_sign` (EIP-191)."""
    expires_at: datetime | None
    """Until when the signature must be here."""


@dataclass(frozen=True, slots=True)
class OpenedSession(Printable):
    """A session, whose token is shown this once."""

    token: str
    """For `Authorization: Bearer TOKEN`."""
    participant: int
    roles: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Caller(Printable):
    """Who asks, as the gateway sees it."""

    participant: int | None
    """Null for whoever runs a gateway that is open on the loopback."""
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    owner: bool
    """Whether the gateway is theirs."""
    expires_at: datetime | None
    """Of the credential; null without one."""


class SignedMessage(BaseModel):
    """A message as it was handed out, and its signature."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(max_length=MAX_MESSAGE_CHARACTERS)
    signature: str = Field(pattern="^0x[0-9a-f]{130}$", description="r, s and v = 27 or 28.")


def add_sessions(table: RouteTable, store: Store, sign_in: SignIn, clock: Clock) -> None:
    routes = Routes(table, "access", _PROBLEMS)
    _add_sign_in(routes, sign_in, clock)
    _add_session(routes, store, clock)


def _add_sign_in(routes: Routes, sign_in: SignIn, clock: Clock) -> None:
    @routes.get(
        "/v1/sign-in",
        "offerSignIn",
        "A message to sign in with",
        MessageToSign,
        rule=PUBLIC,
        examples={"message": _message},
    )
    def offer(address: Address) -> Response:
        """Bound to this site and chain, good for five minutes and one session. Whether the key means anything here is
        not said."""
        try:
            message = sign_in.offer(parse_address(address), clock())
        except SigningError as error:
            raise InputError(error.cause, hint=error.hint) from error
        return reply(MessageToSign(message.to_text(), moment(message.expires_at)))

    @routes.post(
        "/v1/sessions",
        "openSession",
        "Sign in with a signed message",
        OpenedSession,
        rule=Rule(public=True),
        examples={"manufacturer": _opened},
        status_code=201,
    )
    def open_session(body: SignedMessage) -> Response:
        """The key must be active for a participant that is not suspended. The token is good for a quarter of an hour,
        and no longer than the key."""
        session = sign_in.accept(body.message, body.signature, clock())
        row = session.row
        opened = OpenedSession(session.token, row.participant, name_roles(session.roles), moment(row.expires_at))
        return reply(opened, 201)


def _add_session(routes: Routes, store: Store, clock: Clock) -> None:
    @routes.get("/v1/session", "getSession", "Who one is here", Caller, rule=Rule(), examples={"manufacturer": _caller})
    def who(principal: CurrentPrincipal) -> Response:
        """Participant, roles and scopes of the credential that is shown."""
        return reply(describe(principal))

    @routes.delete("/v1/session", "closeSession", "Sign out", rule=Rule(), status_code=204)
    def close_session(principal: CurrentPrincipal) -> Response:
        """Ends the session of the token that is shown. API keys are revoked by the operator alone."""
        revoke(store, principal.credential, CredentialKind.SESSION, now_s=clock())
        return Response(status_code=204)


def describe(principal: Principal) -> Caller:
    return Caller(
        participant=principal.participant,
        roles=name_roles(principal.roles),
        scopes=tuple(sorted(principal.scopes)),
        owner=principal.owner,
        expires_at=moment(principal.expires_at),
    )


def name_roles(mask: int) -> tuple[str, ...]:
    return tuple(role.name.lower() for role in Role if role & mask and role.name)


def _message() -> MessageToSign:
    issued_at = int(examples.NOW.timestamp())
    message = SignInMessage(
        domain="gateway.example",
        address=b"\x5c" * 20,
        statement="Sign in to the Millmark gateway of this company.",
        uri="https://gateway.example/v1/sessions",
        chain_id=examples.CHAIN_ID,
        nonce="b7c1" * 18 + "d0",
        issued_at=issued_at,
        expires_at=issued_at + 300,
    )
    return MessageToSign(message.to_text(), examples.NOW + timedelta(minutes=5))


def _opened() -> OpenedSession:
    token = "mms_4f1c09aa27de_" + "x" * 43
    return OpenedSession(token, examples.MAKER.participant, ("manufacturer",), examples.NOW + timedelta(minutes=15))


def _caller() -> Caller:
    return Caller(
        examples.MAKER.participant, ("manufacturer",), ("provenance",), False, examples.NOW + timedelta(days=90)
    )
