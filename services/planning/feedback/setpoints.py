"""How feedback has other settings of a machine proposed, and learns what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.planning.feedback.causes import MachineCause
from services.planning.shelf import Shelf

__all__ = ["Answer", "NoSetpoints", "Proposed", "SetpointDesk", "Unproposed"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """Settings that wait for the operator."""

    text: str
    """One line for people: what is proposed."""


@dataclass(frozen=True, slots=True)
class Unproposed:
    """Why no settings are proposed."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator said."""

    accepted: bool
    at_s: int
    by: str
    """Who, as the gateway names people."""
    reason: str = ""
    """Of a refusal."""


class SetpointDesk(Protocol):
    """Where settings are proposed to operators, by machine. Called within the caller's transaction."""

    def propose(self, shelf: Shelf, cause: MachineCause, now_s: int) -> Proposed | Unproposed:
        """Proposes settings because of a cause, once: the same cause leads to the same proposal."""

    def answer(self, shelf: Shelf, cause: bytes, now_s: int) -> Answer | None:
        """What the operator said to the proposal that a cause led to; None as long as it waits."""


class NoSetpoints:
    """Of a company without models of its machines' processes."""

    def propose(self, shelf: Shelf, cause: MachineCause, now_s: int) -> Proposed | Unproposed:  # noqa: ARG002
        """Proposes nothing."""
        return Unproposed("there is no model of the machine's process")

    def answer(self, shelf: Shelf, cause: bytes, now_s: int) -> Answer | None:  # noqa: ARG002
        """Nothing was proposed."""
        return None
