"""Why nothing can be said about how a model does: each ground is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class HealthGround(Phrase):
    """A ground. Its value is the error's cause; `words` are those of the quality package."""

    NOT_STORED = "model and card are not stored here"
    CARD_UNREADABLE = "the card is not JSON"
    CARD_UNFIT = "the card cannot be used: {words}"
