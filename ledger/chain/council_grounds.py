"""Why a council's motion is not what it should be: each ground is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase

__all__ = ["CouncilGround"]


class CouncilGround(Phrase):
    """A ground. Its value is the error's cause."""

    NOT_ITS_CALL = "a council has nothing to do with {call}"
    OTHER_ARGUMENTS = "{call:s} takes other arguments"
    NOT_OF_TYPE = "{word} is not of the type {type:s}"
    NO_COUNCIL = "no council owns the registry"
