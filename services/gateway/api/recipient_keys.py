"""Routes of recipient keys, for which documents are encrypted."""

from __future__ import annotations

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from millmark.ledger.errors import InputError
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.documents import Recipients
from millmark.services.documents.views import RecipientKey
from millmark.services.gateway.api.documents import ParticipantNumber
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import Clock, CurrentPrincipal
from millmark.services.gateway.http.responses import PROBLEM, PROBLEMS_404, IfNoneMatch, reply, reply_with_etag
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes


class PublishedKey(BaseModel):
    """An X25519 key with a statement that a key of the participant signed (EIP-712, see DOCUMENTS.md)."""

    model_config = ConfigDict(extra="forbid")

    public_key: str = Field(pattern="^0x[0-9a-f]{64}$")
    issued_at: int = Field(ge=0, lt=2**53, description="Seconds since 1970.")
    signature: str = Field(pattern="^0x[0-9a-f]{130}$", description="r, s and v = 27 or 28.")


def add_recipient_keys(table: RouteTable, recipients: Recipients, clock: Clock) -> None:
    routes = Routes(table, "documents", {409: PROBLEM, **PROBLEMS_404})

    @routes.put(
        "/v1/recipient-key",
        "publishRecipientKey",
        "Publish your recipient key",
        RecipientKey,
        rule=Rule(Scope.DOCUMENTS),
        examples={"key": _key},
    )
    def publish(principal: CurrentPrincipal, key: PublishedKey) -> Response:
        """Replaces the key that the caller's participant published before."""
        if principal.participant is None:
            raise InputError("recipient keys belong to participants", hint="sign in as a participant")
        published = recipients.publish(
            principal.participant,
            bytes.fromhex(key.public_key[2:]),
            key.issued_at,
            bytes.fromhex(key.signature[2:]),
            clock(),
        )
        return reply(published)

    @routes.one(
        "/v1/recipient-keys/{participant}",
        "getRecipientKey",
        "Get a participant's recipient key",
        RecipientKey,
        rule=Rule(Scope.DOCUMENTS),
        examples={"key": _key},
    )
    def get(participant: ParticipantNumber, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the key with the signature that binds it to the participant."""
        return reply_with_etag(recipients.get(participant), if_none_match)


def _key() -> RecipientKey:
    return RecipientKey(5, b"\x3c" * 32, int(examples.NOW.timestamp()), b"\x6d" * 64 + b"\x1b", b"\x5c" * 20)
