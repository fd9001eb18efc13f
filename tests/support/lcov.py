"""Reads forge's coverage report (lcov tracefile) and compares it with a floor and a list of exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Coverage:
    """Lines and branches of one source file, and the line numbers of those that no test reached."""

    lines: int
    branches: int
    missed_lines: tuple[int, ...]
    missed_branches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Missed:
    """A line or branch that no test reached."""

    kind: str
    """`line` or `branch`."""
    file: str
    """Path relative to the Foundry project."""
    line: int
    text: str
    """The source line without indentation. Exceptions refer to it, so that edits elsewhere do not affect them."""


def parse_lcov(report: str) -> dict[str, Coverage]:
    """Parses a report; returns coverage by source file."""
    files: dict[str, Coverage] = {}
    for record in report.split("end_of_record"):
        fields = [line.split(":", 1) for line in record.splitlines() if ":" in line]
        sources = [value for key, value in fields if key == "SF"]
        if not sources:
            continue
        lines = [value.split(",") for key, value in fields if key == "DA"]
        branches = [value.split(",") for key, value in fields if key == "BRDA"]
        files[sources[0]] = Coverage(
            lines=len(lines),
            branches=len(branches),
            missed_lines=tuple(int(number) for number, hits, *_ in lines if hits == "0"),
            missed_branches=tuple(int(number) for number, _, _, hits in branches if hits in ("0", "-")),
        )
    return files


def list_missed(files: Mapping[str, Coverage], project: Path) -> list[Missed]:
    """All lines and branches that no test reached, with their source text."""
    missed = []
    for file, coverage in sorted(files.items()):
        text = (project / file).read_text().splitlines()
        places = [("line", number) for number in coverage.missed_lines]
        places += [("branch", number) for number in coverage.missed_branches]
        missed += [Missed(kind, file, number, text[number - 1].strip()) for kind, number in places]
    return missed
