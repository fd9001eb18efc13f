"""Arranges the statements about lots in the order in which pages tell them: the verdicts, and how it came to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.verify import Section, Statement

__all__ = ["Story", "build_story"]

_VERDICTS = ("quarantined_part", "passed", "failed", "no_valid_verdict", "no_gate_verdict", "no_verdict")
_HARMLESS = ("event_passed", "event_upheld")
"""Events that leave a part beyond doubt."""
_CALLED_BACK = "recall_notice"
_HEADING = "part"


@dataclass(frozen=True, slots=True)
class Story:
    """Statements about one lot, or about several, each in one place."""

    verdict: tuple[Statement, ...]
    """Quarantine first."""
    history: tuple[Statement, ...]
    """How it came to that: failed, reworked, passed."""
    standing: tuple[Statement, ...]
    """Everything else about how it stands."""
    attention: tuple[Statement, ...]
    origin: tuple[Statement, ...]

    @property
    def is_spotless(self) -> bool:
        """Whether it passed, nothing else ever happened to it, and nobody called it or what it came from back."""
        passed = {one.code for one in self.verdict} == {"passed"}
        quiet = all(one.code in _HARMLESS for one in self.history)
        return passed and quiet and all(one.code != _CALLED_BACK for one in self.attention)

    def verdict_on(self, lot: bytes) -> tuple[Statement, ...]:
        return tuple(one for one in self.verdict if one.subject == lot)


def build_story(statements: Iterable[Statement]) -> Story:
    """Arrange the statements of a report, or of an index."""
    by_section: dict[Section, list[Statement]] = {section: [] for section in Section}
    for one in statements:
        by_section[one.section].append(one)
    told = by_section[Section.PART]
    history = tuple(one for one in told if one.code.startswith("event_"))
    verdict = tuple(one for one in told if one.code in _VERDICTS)
    return Story(
        verdict=verdict,
        history=history,
        standing=tuple(one for one in told if one not in history and one not in verdict and one.code != _HEADING),
        attention=tuple(by_section[Section.ATTENTION]),
        origin=tuple(by_section[Section.ORIGIN]),
    )
