"""What the page of the consortium needs of the gateway. services.gateway.consortium supplies it: the portal does not
import the gateway."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from ledger.chain.council import Motion
from services.directory.document import DirectoryEntry
from services.home import AdmissionRequest

__all__ = ["Change", "ConsortiumDesk", "CouncilView", "Governance", "MotionView", "Vote"]


@dataclass(frozen=True, slots=True)
class MotionView:
    motion: Motion
    call: str
    """As `millmark council propose` takes it."""

    @property
    def mark(self) -> str:
        """Changes with what the motion would do. A form that shows it can be compared with the one that it reaches."""
        return f"{self.motion.target.hex()}{self.motion.data.hex()}"


@dataclass(frozen=True, slots=True)
class CouncilView:
    address: bytes
    owns: bool
    """Whether it owns the registry, or is offered it."""
    members: tuple[int, ...]
    quorum: int
    delay_s: int
    motions: tuple[MotionView, ...]
    """The latest ones, the latest first."""
    older: bool
    """Whether there are more."""


@dataclass(frozen=True, slots=True)
class Governance:
    """Who decides for the consortium, as the chain says now."""

    owner: bytes
    """Address of the key or council that owns the registry."""
    council: CouncilView | None


@dataclass(frozen=True, slots=True)
class Change:
    """What the next directory says otherwise of a company. One of both is None if the company is only in the other."""

    before: DirectoryEntry | None
    now: DirectoryEntry | None


class Vote(enum.StrEnum):
    """What a member does with a motion."""

    APPROVE = "approve"
    RETRACT = "retract"
    EXECUTE = "execute"


class ConsortiumDesk(Protocol):
    """Acts for the consortium's operator, or for a member of the council."""

    def governance(self) -> Governance | None:
        """None for a gateway without a chain. Raises ChainError."""

    def operates(self, governance: Governance) -> bool:
        """Whether this gateway has the key that owns the registry."""

    def member(self) -> int | None:
        """The participant for whose key the gateway votes; None if it has none."""

    def changes(self) -> list[Change]:
        """What the next directory would say otherwise than the one in force."""

    def waiting(self) -> list[DirectoryEntry]:
        """Companies that were admitted and have not accepted their key yet, or whose admission is on its way."""

    def read_request(self, data: bytes) -> tuple[AdmissionRequest, int | None]:
        """A request to join, and the number of the company if it is admitted already. Raises InputError for one that
        cannot be used here."""

    def admit(self, key: str, data: bytes) -> int | None:
        """Keeps what the directory will say of a company, and admits it. Returns the record's number in the outbox;
        None for a company that is admitted already. Raises as `read_request`, InputError for names that are taken and
        at a gateway that does not have the key, ChainError, TryLaterError."""

    def suspend(self, key: str, participant: int, reason: str) -> int:
        """Returns the record's number in the outbox. Raises NotFoundError; InputError, ChainError, TryLaterError as
        `admit`."""

    def reinstate(self, key: str, participant: int) -> int:
        """As `suspend`."""

    def publish(self, key: str) -> int:
        """Signs the directory and publishes its digest. Raises InputError if nothing is new, and as `admit`."""

    def describe(self, call: str, arguments: list[str]) -> MotionView:
        """A motion that nobody has proposed yet; its number is 0. Raises InputError for a call that there is not."""

    def propose(self, call: str, arguments: list[str]) -> int:
        """Proposes and approves a motion; returns its number. Raises InputError, NotFoundError, ChainError."""

    def vote(self, number: int, mark: str, vote: Vote) -> None:
        """Raises InputError if the motion is not what the form showed, NotFoundError, ChainError."""
