"""The routes of the keys that documents are sealed for."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from ledger.errors import InputError
from services.documents import Recipients
from services.documents.views import RecipientKey
from services.gateway.api.documents import ParticipantNumber
from services.gateway.http.authentication import Asking, Clock
from services.gateway.http.responses import LOOKED_UP, PROBLEM, KnownTags, reply, tagged
from services.gateway.http.routes import Routes

__all__ = ["add_recipient_keys"]


class PublishedKey(BaseModel):
    """An X25519 key, and a statement about it that a key of the participant signed (EIP-712, DOCUMENTS.md)."""

    model_config = ConfigDict(extra="forbid")

    public_key: str = Field(pattern="^0x[0-9a-f]{64}$")
    issued_at: int = Field(ge=0, lt=2**53, description="Seconds since 1970.")
    signature: str = Field(pattern="^0x[0-9a-f]{130}$", description="r, s and v = 27 or 28.")


def add_recipient_keys(router: APIRouter, recipients: Recipients, clock: Clock) -> None:
    """Adds the routes."""
    routes = Routes(router, "documents", {409: PROBLEM, **LOOKED_UP})

    @routes.put(
        "/v1/recipient-key", "publishRecipientKey", "Publish the key that documents are wrapped for", RecipientKey
    )
    def publish(principal: Asking, key: PublishedKey) -> Response:
        """The caller's own; it takes the place of the former one."""
        if principal.participant is None:
            raise InputError("a key is a participant's", hint="sign in as one")
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
        "The key that a participant opens documents with",
        RecipientKey,
    )
    def get(participant: ParticipantNumber, known: KnownTags = None) -> Response:
        """With the signature that says so."""
        return tagged(recipients.get(participant), known)
