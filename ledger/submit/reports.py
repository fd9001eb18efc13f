"""What a submitter tells of its transactions."""

from __future__ import annotations

from collections.abc import Callable

from millmark.ledger.store.outbox import SentTransaction

__all__ = ["Report", "ignore"]

Report = Callable[[str, SentTransaction, str | None], None]
"""Called with the event `sent`, `mined`, `final`, `reorganised` or `returned` (its records are queued again), and with
the reason for `returned`."""


def ignore(_: str, __: SentTransaction, ___: str | None) -> None:
    """Do nothing: the default callback for reports."""
