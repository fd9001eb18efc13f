"""Holds the result of a benchmark, as a table for people and as JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bench:
    """The result of one benchmark."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    answer: Mapping[str, object]
    """The table's content and more, as JSON values."""
    passed: bool
    """Whether every bar was reached."""


def show(bench: Bench) -> str:
    """The table as text, with the first column left-aligned and the others right-aligned."""
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
