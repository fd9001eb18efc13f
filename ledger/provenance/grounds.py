"""Why a question about what the ledger has is not answered: each ground is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase

__all__ = ["LookupGround"]


class LookupGround(Phrase):
    """A ground. Its value is the error's cause; `words` are English, of whatever was met."""

    NOT_ONE_CAUSE = "a recall needs exactly one of model, lot and machine"
    PERIOD_MISSING = "a recall of a machine needs the period in which it was bad"
    PERIOD_UNUSED = "only a recall of a machine has a period"
    PERIOD_BACKWARDS = "the period's first moment {since} is after its last, {until}"
    MOMENT_ZONELESS = "the moment {moment} has no time zone"
    MOMENT_BEYOND = "the moment {moment} is outside the years 1 to 9999 in UTC"
    NO_MOMENT = "the text {text} is not a time"
    NO_MODEL_NUMBER = "{text} is not the number of a model"
    NUMBER_IMPOSSIBLE = "{number} cannot be the number of a {field:s}"
    MACHINES_NAMED_SO = "{name} is the identifier of machines {numbers}"
    SEVERAL_NAMED_SO = "{name} is the name of {count:d} things: {words}"
    INDEX_DAMAGED = "the index is damaged: {words}"
    TOO_MANY_RECORDS = "more than {most:d} records are about it and what it came from"
