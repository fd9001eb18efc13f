"""Errors of the handover package, below the root in `millmark.ledger.errors`.

MillmarkError
  HandoverError              a hand-over cannot be made, sent or kept
    HandoverRefusedError     it is malformed, not for this company, or not what the ledger says
    HandoverEarlyError       this company's node or index is not that far yet: the same hand-over is taken later
"""

from __future__ import annotations

from millmark.ledger.errors import MillmarkError, Retry

__all__ = ["HandoverEarlyError", "HandoverError", "HandoverRefusedError"]


class HandoverError(MillmarkError):
    """A hand-over cannot be made, sent or kept."""

    code = "handover-failed"


class HandoverRefusedError(HandoverError):
    """A hand-over that is malformed, not for this company, or not what the ledger says. Nothing of it was kept."""

    code = "handover-refused"


class HandoverEarlyError(HandoverError):
    """A hand-over about what this company's node or index does not have yet. Nothing of it was kept."""

    code = "handover-early"
    retry = Retry.UNCHANGED
