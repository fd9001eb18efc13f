"""Arranges the statements about lots in the order in which pages tell them: the verdicts, and how it came to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

from millmark.ledger.verify import Section, Statement
from millmark.ledger.verify.report import STOPPING, VERDICTS, WAITING, Worth, find_recalls, find_waits, find_worth
from millmark.ledger.verify.statements import Party, Thing

__all__ = ["Story", "build_story"]

_UPHELD, _REWORKED = "event_upheld", "event_reworked"
_CALLED_BACK = "recall_notice"
_PAST = {"failed": ("event_failed",), "reworked": (_REWORKED, "event_reworked_into"), "recalled": (_CALLED_BACK,)}
_HEADING = "part"
_FALLEN = ("failed", "no_valid_verdict")
_SPENT = "spent"


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
    recalls: tuple[Statement, ...] = ()
    """The notices that call it, or what it came from, back and that are not resolved."""
    waits: tuple[Statement, ...] = ()
    """Doubts about the certificates by which it passes: the evidence was demanded, and is not shown yet."""
    since: tuple[Statement, ...] = ()
    """The verdicts of a later story by which it does not pass, if its own story lacks one of them."""
    gone: tuple[Statement, ...] = ()
    """Why certificates by which it passes count no more by a later story that tells of no verdict against it."""
    anew: tuple[Statement, ...] = ()
    """The verdicts by which it passes by a later story and not by its own, where its own is not what holds any more."""
    over: tuple[Statement, ...] = ()
    """What speaks against it by its own story, and by a later one no more."""

    @property
    def headline(self) -> Statement | None:
        """What stops the part before any verdict on it counts; None if it is the verdict that is told first."""
        stops = (*self.recalls, *(one for one in self.verdict if one.code == "quarantined_part"))
        return next(iter(stops), None)

    @property
    def worth(self) -> Worth:
        """As the page that checks proofs has it of the same statements."""
        return find_worth(self.told_first)

    @property
    def told_first(self) -> tuple[Statement, ...]:
        return (*self.recalls, *self.waits, *self.since, *self.gone, *self.verdict)

    @property
    def is_stopped(self) -> bool:
        """Whether it must not be used as it stands: called back, in quarantine, failed, or with a verdict that
        is no longer valid."""
        return self.worth is Worth.BAD

    @property
    def past(self) -> tuple[tuple[str, int], ...]:
        """What was settled before it passed, and how often: `failed`, `reworked`, `recalled`."""
        told = [*(one.code for one in self.history), *(one.code for one in self.attention)]
        counts = ((name, sum(one in codes for one in told)) for name, codes in _PAST.items())
        return tuple((name, count) for name, count in counts if count)

    @property
    def foremost(self) -> tuple[Statement, ...]:
        """What a title says of the certificates: why passes count no more, and the verdicts, but for a pass that is
        doubted, or beside one that counts no more."""
        doubted = {one.values.get("certificate") for one in self.waits}
        passes = (one for one in self.verdict if _passes(one) and (self.gone or one.values["certificate"] in doubted))
        apart = (*passes, *(one for one in self.verdict if one.code == "quarantined_part"))
        return (*self.gone, *(one for one in self.verdict if one not in apart))

    @property
    def against(self) -> tuple[Statement, ...]:
        """All that stops it or has it wait."""
        return (*self.recalls, *self.waits, *(one for one in self.verdict if one.code in STOPPING))

    @property
    def called_back(self) -> frozenset[bytes]:
        """The subjects that standing notices name."""
        return frozenset(
            one.subject
            for notice in self.recalls
            for one in cast("tuple[object, ...]", notice.values.get("about", ()))
            if isinstance(one, Thing)
        )

    def told_after(self, later: Story) -> Story:
        """This, with what stops the part by a later one, and what of its own has been settled by then: an older proof
        does not know it yet."""
        own = {_key(one) for one in self.against}
        apart = tuple(one for one in later.verdict if one.code == "quarantined_part" and _key(one) not in own)
        fallen = tuple(one for one in later.verdict if one.code in _FALLEN)
        ends = {} if fallen else {one.values["certificate"]: later._ends(one) for one in self.verdict if _passes(one)}
        # One rework can end several.
        gone = tuple(one for one in (*later.attention, *later.history) if any(one in ended for ended in ends.values()))
        fell = {one.values.get("certificate") for one in fallen} | {one for one, reasons in ends.items() if reasons}
        # What became of a doubt about a certificate that fell is told with that.
        known = replace(self, waits=tuple(one for one in self.waits if one.values.get("certificate") not in fell))
        over = tuple(one for one in known.against if later._settles(one))
        is_other = not fallen and bool(gone or any(one.code in _FALLEN for one in over))
        return replace(
            known,
            recalls=(*self.recalls, *(one for one in later.recalls if _key(one) not in own)),
            waits=(*known.waits, *(one for one in later.waits if _key(one) not in own)),
            verdict=(*apart, *self.verdict),
            since=fallen if any(_key(one) not in own for one in fallen) else (),
            gone=gone,
            anew=self._passed_by(later) if is_other else (),
            over=over,
        )

    def _passed_by(self, later: Story) -> tuple[Statement, ...]:
        """The verdicts by which the part passes by a later story and not by this one."""
        own = {one.values["certificate"] for one in self.verdict if _passes(one)}
        return tuple(one for one in later.verdict if _passes(one) and one.values["certificate"] not in own)

    def _ends(self, passed: Statement) -> tuple[Statement, ...]:
        """Why the certificate of a pass counts no more by this story: what became of it, or that the lot was reworked
        after it was issued."""
        number = passed.values["certificate"]
        told = tuple(one for one in self.attention if one.code == "certificate" and one.values["certificate"] == number)
        reworked = (one for one in self.history if one.code == _REWORKED and one.subject == passed.subject)
        return told or tuple(one for one in reworked if max(one.records) > cast("int", number))

    def _settles(self, one: Statement) -> bool:
        """Whether what an earlier story has against the part is over by this one. A doubt is over once its certificate
        was upheld, and not because another certificate decides by now."""
        if one.code in WAITING:
            about = one.values.get("certificate")
            return any(other.code == _UPHELD and other.values.get("certificate") == about for other in self.history)
        # A story without any verdict tells nothing of the part.
        return bool(self.verdict) and _key(one) not in {_key(other) for other in self.against}

    def without_headline(self) -> Story:
        """This, for a page that does not begin with verdicts: what stops a lot, or has it wait, needs attention too."""
        return replace(self, attention=(*self.recalls, *self.waits, *self.attention), recalls=(), waits=())

    def used(self) -> Story:
        """This, of a lot from which others were made: that nothing is left of it is no reason for concern."""
        left = tuple(one for one in self.attention if one.code == _SPENT)
        attention = tuple(one for one in self.attention if one.code != _SPENT)
        return replace(self, standing=(*self.standing, *left), attention=attention)

    def verdict_on(self, lot: bytes) -> tuple[Statement, ...]:
        return tuple(one for one in self.verdict if one.subject == lot)


def _passes(one: Statement) -> bool:
    return one.code == "passed"


def _key(one: Statement) -> tuple[object, ...]:
    """The same of what two stories tell of one thing."""
    by = one.values.get("by")  # by its number: a proof and a book may have other names for it
    apart = by.participant if one.code == "quarantined_part" and isinstance(by, Party) else None
    return one.code, one.values.get("certificate"), apart, one.records if one.code == _CALLED_BACK else ()


def build_story(statements: Iterable[Statement]) -> Story:
    """Arrange the statements of a report, or of an index."""
    by_section: dict[Section, list[Statement]] = {section: [] for section in Section}
    for one in statements:
        by_section[one.section].append(one)
    told, recalls = by_section[Section.PART], find_recalls(by_section[Section.ATTENTION])
    waits = find_waits((*told, *by_section[Section.ATTENTION]))
    history = tuple(one for one in told if one.code.startswith("event_"))
    verdict = tuple(one for one in told if one.code in VERDICTS)
    return Story(
        verdict=verdict,
        history=history,
        standing=tuple(one for one in told if one not in history and one not in verdict and one.code != _HEADING),
        attention=tuple(one for one in by_section[Section.ATTENTION] if one not in (*recalls, *waits)),
        origin=tuple(by_section[Section.ORIGIN]),
        recalls=recalls,
        waits=waits,
    )
