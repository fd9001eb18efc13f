"""Errors of feedback, below the root in `millmark.ledger.errors`.

MillmarkError
  PlanningError            (millmark.services.planning.errors)
    CauseRefusedError      a cause is not of who can say it, is unknown, or is settled already
"""

from __future__ import annotations

from millmark.services.planning.errors import PlanningError


class CauseRefusedError(PlanningError):
    """A cause is not of who can say it, is unknown, or is settled already."""

    code = "cause-refused"
