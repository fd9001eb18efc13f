"""How feedback has other settings of a machine proposed, and learns what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.sentences import Sentence
from millmark.services.planning.reading import Shelf


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
    """Who, as the gateway names people; empty if nobody answered in time."""
    reason: str = ""
    """The reason of a refusal."""


class SetpointDesk(Protocol):
    """Where settings are proposed to operators, by machine."""

    def search(self, causes: Sequence[MachineCause], now_s: int) -> None:
        """Looks for settings because of causes, which may take seconds: not within a transaction."""

    def propose(self, shelf: Shelf, cause: MachineCause, now_s: int) -> Proposed | Unproposed | None:
        """Proposes settings because of a cause, within the caller's transaction; None if they have yet to be looked
        for."""

    def answer(self, shelf: Shelf, cause: bytes, now_s: int) -> Answer | None:
        """What the operator said to the proposal that a cause led to, within the caller's transaction; None as long as
        it waits."""


class NoSetpoints:
    """Stands in at a company that has no models of its machines' processes."""

    def search(self, causes: Sequence[MachineCause], now_s: int) -> None:
        """There is nothing to look for."""

    def propose(self, shelf: Shelf, cause: MachineCause, now_s: int) -> Proposed | Unproposed:  # noqa: ARG002
        """Proposes nothing."""
        return Unproposed(Sentence.NO_MODEL.write())

    def answer(self, shelf: Shelf, cause: bytes, now_s: int) -> Answer | None:  # noqa: ARG002
        """Nothing was proposed."""
        return None
