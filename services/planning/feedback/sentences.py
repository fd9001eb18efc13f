"""The sentences that this product itself writes about causes and steps, into its database and, for good, into records
and entries. Each is declared once: it is written from its template and recognised by it, so that pages can say it in
the reader's language. Whatever else stands in such a place is somebody's own words, or an error's.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from string import Formatter

__all__ = ["Sentence", "read_sentence"]

_FORMS: Mapping[str, str] = {"d": "[0-9]+", "s": r"\S+", "": ".*"}
"""What the values of a template's formats look like: a whole number, a word, any text."""


class Sentence(enum.Enum):
    """A sentence. Its value is the template, as `str.format` reads it; `error` stands for the words of an error,
    `reason` for a person's."""

    # Causes
    FAILED = "certificate {certificate:d} failed what it made"
    DRIFTS = "participant {participant:d} notes that what it makes drifts"
    DECLINED = "its owner declined assignment {assignment:d}"
    LATE = "assignment {assignment:d} took {minutes:d} min, and {agreed:d} were agreed"
    ENERGY = "assignment {assignment:d} took {wh:d} Wh, and {offered:d} were offered"
    WITHDREW = "its owner withdrew its offers: {cause}"
    BECAUSE = "{kind:s}: {cause} (0x{mark:s})"
    # Why a cause does not count
    NO_GATE = "participant {participant:d} inspects at no gate of the lot's order"
    NO_OWNER = "participant {participant:d} does not own it"
    # Settings
    SEARCHING = "settings are being looked for"
    NO_MODEL = "there is no model of the machine's process"
    NO_QUALITY = "the model of the machine's process needs millmark[quality]"
    UNUSABLE = "the model of the machine's process cannot be used: {error}"
    LONG_TELEMETRY = "its telemetry has more than {size:d} MiB: keep the latest rows alone there"
    LATER_TELEMETRY = "its telemetry is of a time to come: see the clock of what writes it"
    OLD_TELEMETRY = "its telemetry ended {minutes:d} min ago"
    LATER_MOVES = "no settings are proposed: only later moves would make it cheaper"
    NOT_PROPOSED = "no settings are proposed: {error}"
    ACCEPTED = "the operator accepted"
    REFUSED = "the operator refused: {reason}"
    EXPIRED = "it was expired before it was answered"
    SUPERSEDED = "it was superseded before it was answered"
    # Other steps
    EXPECTED = "offers expect {percent:d} % of its speed"
    WITHDRAWN = "{count:d} offers withdrawn"
    ANOTHER_RUNG = "the machine is on another rung by now"
    GOOD = "{count:d} good verdicts in a row"
    UNCHANGED = "the plan in force needs no change"
    IMPOSSIBLE = "no plan is possible: {error}"
    PLANNED = "plan {plan:s}: {moved:d} of {rows:d} rows are proposed anew"

    def write(self, **values: object) -> str:
        """The sentence with these values. Raises KeyError if one is missing."""
        return self.value.format(**values)


def read_sentence(text: str) -> tuple[Sentence, dict[str, str]] | None:
    """The sentence that a text is, with its values; None for any other text."""
    for sentence, pattern in _PATTERNS.items():
        found = pattern.fullmatch(text)
        if found is not None:
            return sentence, found.groupdict()
    return None


def _pattern(sentence: Sentence) -> re.Pattern[str]:
    parts = []
    for before, name, form, _ in Formatter().parse(sentence.value):
        parts.append(re.escape(before))
        if name:
            parts.append(f"(?P<{name}>{_FORMS[form or '']})")
    return re.compile("".join(parts), re.DOTALL)


_PATTERNS: Mapping[Sentence, re.Pattern[str]] = {sentence: _pattern(sentence) for sentence in Sentence}
