"""Planning between companies: the owner's calendar, calls, offers, receipts, and the plans made of them. CALLS.md
specifies who sends what to whom, and what is proved. Formats and checks are in `millmark.ledger.plans`."""

from __future__ import annotations

__all__: list[str] = []
