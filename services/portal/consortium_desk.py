"""What the page of the consortium needs of the gateway. millmark.services.gateway.consortium supplies it: the portal
does not import the gateway."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from millmark.ledger.chain.council import CouncilTerms, Motion, MotionState
from millmark.ledger.store.outbox import OutboxState, QueuedRecord
from millmark.services.directory.document import DirectoryEntry
from millmark.services.home import AdmissionRequest

__all__ = ["Change", "ConsortiumDesk", "CouncilView", "Governance", "MotionView", "Vote", "Waiting", "votes_of"]


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
    terms: CouncilTerms
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
    foreign: bool = False
    """Whether a contract owns the registry, or is offered it, that is no council of this version."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the next directory says otherwise of a company. One of both is None if the company is only in the other."""

    before: DirectoryEntry | None
    now: DirectoryEntry | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A company that is to be admitted, or has not accepted its key yet."""

    key: bytes
    """Address of its first key."""
    entry: DirectoryEntry
    """`participant` is 0 until it is admitted."""
    record: QueuedRecord | None
    """Its admission in the outbox. None if it is admitted, or if none was recorded."""

    @property
    def is_stuck(self) -> bool:
        """Whether nothing admits it unless somebody tries again."""
        ended = self.record is None or self.record.state in (OutboxState.FAILED, OutboxState.CANCELLED)
        return not self.entry.participant and ended


class Vote(enum.StrEnum):
    """What a member does with a motion."""

    APPROVE = "approve"
    RETRACT = "retract"
    EXECUTE = "execute"


_VOTES = {
    MotionState.OPEN: (Vote.APPROVE, Vote.RETRACT),
    MotionState.WAITING: (Vote.RETRACT,),
    MotionState.DUE: (Vote.EXECUTE, Vote.RETRACT),
}


def votes_of(view: MotionView, member: int | None) -> tuple[Vote, ...]:
    """What a member can do with a motion now."""
    approves = member in view.motion.approvals
    hidden = Vote.APPROVE if approves else Vote.RETRACT
    return tuple(one for one in _VOTES.get(view.motion.state, ()) if one is not hidden)


class ConsortiumDesk(Protocol):
    """Acts for the consortium's operator, or for a member of the council."""

    def governance(self) -> Governance | None:
        """None for a gateway without a chain. Raises ChainError."""

    def operates(self, owner: bytes | None = None) -> bool:
        """Whether this gateway has the key that owns the registry: `owner` if that is known, else the chain is asked.
        Raises ChainError."""

    def member(self) -> int | None:
        """The participant for whose key the gateway votes; None if it has none."""

    def ballots(self) -> list[MotionView]:
        """Motions that the gateway's company can agree to or carry out, as the chain said within the last
        minutes. Empty if it is no member of the council, or if the node does not answer."""

    def changes(self) -> list[Change]:
        """What the next directory would say otherwise than the one in force."""

    def waiting(self) -> list[Waiting]:
        """Companies that were admitted and have not accepted their key yet, or whose admission was recorded here."""

    def drop(self, key: bytes) -> None:
        """Forgets what the directory would say of a company whose admission ended without being on the ledger, by its
        first key. Raises NotFoundError if there is none, InputError if it is on its way, and as `admit`."""

    def read_request(self, data: bytes) -> tuple[AdmissionRequest, int | None]:
        """A request to join, and the number of the company if it is admitted already. Raises InputError for one that
        cannot be used here."""

    def admit(self, data: bytes) -> int | None:
        """Keeps what the directory will say of a company, and admits it. Returns the record's number in the outbox, of
        the earlier record if the same request is being admitted already; None for a company that is admitted. Raises as
        `read_request`, InputError for names that are taken, for another request with a key that is being admitted, and
        at a gateway that does not have the operator's key, ChainError, TryLaterError."""

    def suspend(self, key: str, participant: int, reason: str) -> int:
        """Returns the record's number in the outbox. Raises NotFoundError; InputError, ChainError, TryLaterError as
        `admit`."""

    def reinstate(self, key: str, participant: int) -> int:
        """As `suspend`."""

    def publish(self) -> int:
        """Signs the directory and publishes its digest, once. Raises InputError if nothing is new, DirectoryError if
        nobody could use it, and as `admit`."""

    def describe(self, call: str, arguments: list[str]) -> MotionView:
        """A motion that nobody has proposed yet; its number is 0. Raises InputError for a call that there is not."""

    def propose(self, call: str, arguments: list[str]) -> int:
        """Proposes and approves a motion, or approves the open one with the same call; returns its number.
        Raises InputError, NotFoundError, ChainError."""

    def vote(self, number: int, mark: str, vote: Vote) -> None:
        """Raises InputError if the motion is not what the form showed, NotFoundError, ChainError."""
