"""Errors of the planning package, below the root in `millmark.ledger.errors`.

MillmarkError
  PlanningError            a call, an offer or a plan cannot be made, taken or shown
    CalendarError          the owner's calendar cannot be used
    CallRefusedError       a call cannot be made of these orders, or is not one of its sender's
    OfferRefusedError      an offer does not count: late, expired, doubled, withdrawn, or of a machine not the owner's
    RowRefusedError        a row of a plan is not what its owner offered
    ForecastError          a forecast cannot be made, read or scored
    OmissionRefusedError   a file does not prove that an offer was left out
"""

from __future__ import annotations

from millmark.ledger.errors import InputError, MillmarkError


class PlanningError(MillmarkError):
    """A call, an offer or a plan cannot be made, taken or shown."""

    code = "planning-failed"


class CalendarError(PlanningError, InputError):
    """The owner's calendar cannot be used."""

    code = "calendar-refused"


class CallRefusedError(PlanningError):
    """A call cannot be made of these orders, or is not one of its sender's."""

    code = "call-refused"


class OfferRefusedError(PlanningError):
    """An offer does not count: late, expired, doubled, withdrawn, or of a machine that is not the owner's."""

    code = "offer-refused"


class RowRefusedError(PlanningError):
    """A row of a plan is not what its owner offered."""

    code = "row-refused"


class ForecastError(PlanningError):
    """A forecast cannot be made, read or scored."""

    code = "forecast-refused"


class OmissionRefusedError(PlanningError):
    """A file does not prove that an offer was left out."""

    code = "omission-refused"
