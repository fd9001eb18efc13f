"""Footprints in words, for the terminal."""

from __future__ import annotations

from millmark.ledger.footprint import Source

_WORDS = {
    Source.OPERATION: "metered operation",
    Source.STATED_OPERATION: "operation, stated",
    Source.MATERIAL: "material",
    Source.TRANSPORT: "transport",
    Source.LOT: "lot, as its maker states it",
}


def describe_source(source: Source, assignment: int | None, what: str | None) -> str:
    """What a contribution is of."""
    more = f" (assignment {assignment})" if assignment else f": {what}" if what else ""
    return _WORDS[source] + more
