"""The authenticated caller, and the scopes of its credential."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from millmark.ledger.records import Role

OPERATOR = 0
"""Stands for the consortium's operator, which is not a participant, where the gateway is its own."""


class Scope(enum.StrEnum):
    """What a credential may be used for. API keys have those that they were made with; a person has those of their
    role, and nobody has a scope that no role states (millmark.services.access.people.roles)."""

    PROVENANCE = "provenance"
    """Reading traces, recalls, proofs, orders, lots, certificates and other records."""
    DOCUMENTS = "documents"
    """Reading documents, and publishing one's recipient key."""
    DOCUMENT_CHANGES = "document-changes"
    """Adding documents, granting and revoking access, and erasing."""
    RECORDING = "recording"
    """Recording for the company that runs the gateway."""
    CAPTURE = "capture"
    """Capturing EPCIS events, and reading one's capture jobs."""
    EVENTS = "events"
    """Receiving records as events or webhooks."""
    RELAY = "relay"
    """Having the gateway send requests that the participant's keys signed."""
    STATUS = "status"
    """Reading the gateway's status."""
    PEOPLE = "people"
    """Inviting and removing people of the company that runs the gateway."""


HOLDERS = Role.BUYER | Role.COORDINATOR | Role.MANUFACTURER | Role.INSPECTOR | Role.CARRIER
"""Roles that handle parts."""
EXAMINERS = Role.BUYER | Role.COORDINATOR | Role.MANUFACTURER | Role.INSPECTOR | Role.AUDITOR
"""Roles that look into the quality of parts: they see what is to be inspected and what a bad part affected."""
ANY_ROLE = HOLDERS | EXAMINERS
"""The roles of which each is enough where a rule asks for none in particular. Written out, not taken from the registry
(millmark.ledger.records.ALL_ROLES): the gateway refuses a role that the contracts add until it is decided about
here."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request: a participant with a credential, the operator, or anonymous."""

    participant: int | None
    """None without a credential, and for people of the consortium's operator."""
    roles: int
    """Bit mask as in the registry (millmark.ledger.records.Role)."""
    scopes: frozenset[Scope]
    credential: str
    """Public part of the credential; empty without one."""
    owner: bool
    """Whether the gateway belongs to the caller, who then sees everything in its index and book."""
    expires_at: int
    """Expiry of the credential, in seconds since 1970; 0 without one."""
    person: int = 0
    """Number of the person of the company who signed in; 0 for a company's key, an API key and the operator."""
    name: str = ""
    """Name of that person."""

    @property
    def acting(self) -> str:
        """What the audit log says of who acts: the credential's public part, and the person's number."""
        return f"{self.credential}/person-{self.person}" if self.person else self.credential

    @property
    def manufactures(self) -> bool:
        return bool(self.roles & Role.MANUFACTURER)

    @property
    def viewer(self) -> int | None:
        """The participant whose visibility applies; None sees everything."""
        return None if self.owner else self.participant
