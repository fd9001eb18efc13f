"""Routes of sessions: a message to sign, a session for its signature, and signing out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from millmark.ledger import errors, records, signatures
from millmark.ledger.provenance.answers import Printable, moment
from millmark.ledger.store import Store
from millmark.services.access import CredentialKind, Principal, SignIn, credentials, revoke, siwe
from millmark.services.access.people.people import Pairing
from millmark.services.access.rules import PUBLIC, Rule, Without
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import Clock, CurrentPrincipal
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import PROBLEM, Routes, reply
from millmark.services.views import Caller

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
    """A sign-in message."""

    message: str
    """EIP-4361 text. Sign it unchanged, with `personal_sign` (EIP-191)."""
    expires_at: datetime | None
    """The signature has to be submitted before this time."""


@dataclass(frozen=True, slots=True)
class OpenedSession(Printable):
    """A session. The token is not shown again."""

    token: str
    """Send it as `Authorization: Bearer TOKEN`."""
    participant: int
    roles: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class PersonSession(Printable):
    """A session of a person of the company. The token is not shown again."""

    token: str
    """Send it as `Authorization: Bearer TOKEN`."""
    participant: int
    name: str
    """Name of the person."""
    expires_at: datetime | None
    """The session ends then, unless it is used before."""


class SignedMessage(BaseModel):
    """The sign-in message, unchanged, and its signature."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(max_length=siwe.MAX_MESSAGE_CHARACTERS)
    signature: str = Field(pattern="^0x[0-9a-f]{130}$", description="r, s and v = 27 or 28.")


class PairingCode(BaseModel):
    """The code that a person's agreement gave, and what only the program knows that asked for it."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=256, description="From the page on which the person agreed.")
    verifier: str = Field(max_length=128, description="Its SHA-256 was the challenge.")


def add_sessions(table: RouteTable, store: Store, sign_in: SignIn, clock: Clock, pairing: Pairing) -> None:
    routes = Routes(table, "access", {"default": PROBLEM})
    _add_sign_in(routes, sign_in, clock)
    _add_pairing(routes, pairing, clock)
    _add_session(routes, store, clock)


def _add_sign_in(routes: Routes, sign_in: SignIn, clock: Clock) -> None:
    @routes.get(
        "/v1/sign-in",
        "offerSignIn",
        "Get a message to sign in with",
        MessageToSign,
        rule=PUBLIC,
        examples={"message": _message},
    )
    def offer(address: Address) -> Response:
        """The message is bound to this site and chain, and valid for five minutes and one session. It does not reveal
        whether the key is known here."""
        try:
            message = sign_in.new_message(signatures.parse_address(address), clock())
        except errors.SigningError as error:
            raise errors.InputError(error.cause, hint=error.hint) from error
        return reply(MessageToSign(message.to_text(), moment(message.expires_at)))

    @routes.post(
        "/v1/sessions",
        "openSession",
        "Sign in with a signed message",
        OpenedSession,
        rule=Rule(Without.CREDENTIAL),
        examples={"manufacturer": _opened},
        status_code=201,
    )
    def open_session(body: SignedMessage) -> Response:
        """The key has to be active and its participant not suspended. The token is valid for 15 minutes, or until the
        key is revoked."""
        session = sign_in.accept(body.message, body.signature, clock())
        row = session.row
        opened = OpenedSession(session.token, row.participant, name_roles(session.roles), moment(row.expires_at))
        return reply(opened, 201)


def _add_pairing(routes: Routes, pairing: Pairing, clock: Clock) -> None:
    @routes.post(
        "/v1/people/sessions",
        "openPersonSession",
        "Sign in a person's program",
        PersonSession,
        rule=Rule(Without.CREDENTIAL),
        examples={"person": _person},
        status_code=201,
    )
    def open_person_session(request: Request, body: PairingCode) -> Response:
        """Opens a session of the person who agreed on the page `/portal/pairing`, with that person's role. A code is
        valid for five minutes and one session. `millmark login` does all this."""
        entered = pairing.redeem(body.code, body.verifier, clock())
        request.state.principal = entered.principal  # now that it is known, for the audit log
        expires_at = moment(clock() + credentials.PERSON_IDLE_S)
        return reply(PersonSession(entered.token, entered.participant, entered.person.name, expires_at), 201)


def _add_session(routes: Routes, store: Store, clock: Clock) -> None:
    @routes.get(
        "/v1/session",
        "getSession",
        "Get the caller's identity",
        Caller,
        rule=Rule(Without.SCOPE),
        examples={"manufacturer": _caller},
    )
    def who(principal: CurrentPrincipal) -> Response:
        """Returns the participant, roles and scopes of the credential in use."""
        return reply(describe(principal))

    @routes.delete("/v1/session", "closeSession", "Sign out", rule=Rule(Without.SCOPE), status_code=204)
    def close_session(principal: CurrentPrincipal) -> Response:
        """Ends the session of the token in use. Only the operator can revoke API keys."""
        # Raises NotFoundError for an API key, which only the operator can revoke.
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
    return tuple(role.name.lower() for role in records.Role if role & mask and role.name)


def _message() -> MessageToSign:
    issued_at = int(examples.NOW.timestamp())
    message = siwe.SignInMessage(
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


def _person() -> PersonSession:
    token = "mms_4f1c09aa27de_" + "x" * 43
    return PersonSession(token, examples.MAKER.participant, "Ada Lovelace", examples.NOW + timedelta(hours=2))


def _caller() -> Caller:
    return Caller(
        examples.MAKER.participant, ("manufacturer",), ("provenance",), False, examples.NOW + timedelta(days=90)
    )
