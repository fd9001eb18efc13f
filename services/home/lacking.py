"""Something that a home lacks, as its status says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a home lacks."""

    what: str
    hint: str
    """The command that mends it, or what else to do."""
