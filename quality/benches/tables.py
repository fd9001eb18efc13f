"""What a measurement answers: a table for people, and JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Bench", "show"]


@dataclass(frozen=True, slots=True)
class Bench:
    """One table."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    answer: Mapping[str, object]
    """The same and more, as JSON can hold it."""
    passed: bool
    """Whether every bar is reached."""


def show(bench: Bench) -> str:
    """The table as text, columns aligned, numbers to the right."""
    lines = [list(bench.heads), *(list(row) for row in bench.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(bench.heads))]
    shown = [bench.title]
    for line in lines:
        cells = [
            cell.ljust(size) if index == 0 else cell.rjust(size)
            for index, (cell, size) in enumerate(zip(line, widths, strict=True))
        ]
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown) + "\n"
