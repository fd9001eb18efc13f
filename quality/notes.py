"""What a forecast of a series that says little notes about it: written from a template and recognised by it, so that a
page can say it in the reader's language. Outside of `millmark.quality.demand`, which needs numpy: pages do without."""

from __future__ import annotations

import enum
import re


class Note(enum.Enum):
    """A note. Its value is the template, as `str.format` reads it, and stands in documents for good."""

    ZERO = "no demand in its history"
    CONSTANT = "the same demand in every week of its history"
    ONE_WEEK = "only 1 week of history: their mean, and no interval"
    FEW_WEEKS = "only {weeks} weeks of history: their mean, and no interval"
    SPARSE = "demand in few of the weeks"
    SPARSE_SHORT = "demand in few of the weeks, and too few weeks for an interval"

    def write(self, weeks: int = 0) -> str:
        """The note. `weeks`: of history, where it says how many there are."""
        return self.value.format(weeks=weeks)


def read_note(text: str) -> tuple[Note, int] | None:
    """The note that a text is, with the weeks that it names, otherwise 0; None for any other text."""
    for note in Note:
        pattern = re.escape(note.value).replace(re.escape("{weeks}"), "([0-9]{1,9})")
        found = re.fullmatch(pattern, text)
        if found is not None:
            return note, int(found[1]) if found.groups() else 0
    return None
