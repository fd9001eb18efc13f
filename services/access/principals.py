"""Who asks, and how far what they showed carries."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["ALL_SCOPES", "Principal", "Scope"]


class Scope(enum.StrEnum):
    """What a credential is good for. An API key is given some; a person who signed in has all."""

    PROVENANCE = "provenance"
    """Traces, recalls, proofs; orders, lots, certificates and whatever else is recorded."""
    DOCUMENTS = "documents"
    """Reading documents, and publishing the key that they are wrapped for."""
    SHARING = "sharing"
    """Adding documents, granting, revoking and erasing."""
    RECORDING = "recording"
    """Recording in the name of the company that runs the gateway."""
    CAPTURE = "capture"
    """Sending EPCIS events in, and seeing what became of them."""
    EVENTS = "events"
    """Following what is recorded, by stream or webhook."""
    RELAY = "relay"
    """Having this gateway send what the participant's keys signed."""
    STATUS = "status"
    """How the gateway does."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """A participant that showed a credential, or nobody in particular."""

    participant: int | None
    """None for who runs a gateway that is open on the loopback."""
    roles: int
    """Bit mask of the registry (ledger.records.Role)."""
    scopes: frozenset[Scope]
    credential: str
    """Public part of what was shown; empty when nothing was."""
    owner: bool
    """Whether the gateway is theirs: then they see all that its index and book hold."""
    expires_at: int
    """Of the credential; 0 when there is none."""

    @property
    def viewer(self) -> int | None:
        """Whose view of the index they get; None for all of it."""
        return None if self.owner else self.participant
