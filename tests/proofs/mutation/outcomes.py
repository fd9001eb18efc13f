"""What became of each mutant, kept while its file stays as it is: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["APART", "OPEN", "UNDECIDED", "UNFIT", "Outcomes", "is_killed"]

OPEN = "open"
"""No test noticed the change in surroundings that were made by the code as it is."""
UNFIT = "unfit"
"""The change cannot be put into functions that exist."""
APART = "apart"
"""No test that runs in a fork noticed the change; those that only run in a process of their own are still to come."""
UNDECIDED = ("", OPEN, UNFIT, APART)
"""States of mutants that are to be tried; the first, of one of which nothing is known."""


def is_killed(outcome: str) -> bool:
    return outcome in ("killed", "endless")


class Outcomes:
    """A killed mutant stays killed while its file is unchanged; all others are tried again when a test changed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "known.jsonl"
        self._known: dict[tuple[str, str], dict[str, object]] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            # A run that was killed may leave half a line.
            if line.endswith("}"):
                one = json.loads(line)
                self._known[one["name"], one["source"]] = one

    def get(self, row: Mapping[str, str]) -> Mapping[str, object] | None:
        """What is known of the mutant of a row: `name`, and digests of its file (`source`) and of all `tests`."""
        one = self._known.get((row["name"], row["source"]))
        return None if one is None or (not is_killed(str(one["outcome"])) and one["tests"] != row["tests"]) else one

    def state(self, row: Mapping[str, str]) -> str:
        """The outcome, or one of `UNDECIDED`."""
        return str((self.get(row) or {}).get("outcome", ""))

    def add(self, row: Mapping[str, str], found: Mapping[str, object]) -> None:
        one: dict[str, object] = {**row, **found}
        self._known[row["name"], row["source"]] = one
        with self.path.open("a") as file:
            file.write(json.dumps(one) + "\n")
