"""Step 9 for register readings: the start's entry is the one that the shown finish names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from ledger.bundle import EvidenceEntryShown, ShownEvidence
from ledger.evidence import LeafKind, build_leaf_data
from ledger.footprint import Moment, Reading, RegisterEntry, build_register_data
from ledger.merkle import leaf_hash
from ledger.verify._disclosures import verify_evidence
from ledger.verify.refusals import EvidenceRefused
from tests.support.footprints import TIME_S
from tests.support.story import MAKER, NONE, STREAM, Story, name

ORDER, LOT = name("order"), name("lot")
ASSIGNMENT = 3
START_INDEX, FINISH_INDEX = 4, 5


def entry(moment: Moment, assignment: int = ASSIGNMENT, **own: object) -> EvidenceEntryShown:
    reading = Reading(TIME_S, 1000, moment, assignment)
    data = build_register_data(RegisterEntry(reading, **own))  # type: ignore[arg-type]  # its other members
    return EvidenceEntryShown(LeafKind.EVENT, NONE, data)


def hash_of(shown: EvidenceEntryShown) -> bytes:
    return leaf_hash(build_leaf_data(shown.kind, shown.salt, shown.entry))


@dataclass(frozen=True)
class Shown:
    """What is shown of the two readings of one operation, without the stream's log."""

    start: EvidenceEntryShown = field(default_factory=lambda: entry(Moment.START))
    named: int = START_INDEX
    """Index of the start's entry, as the finish names it."""
    named_hash: bytes | None = None
    """Its leaf hash, if the finish does not name that of `start`."""
    consistency: tuple[bytes, ...] = ()

    def verify(self) -> None:
        story = Story()
        assignment = story.begin(ORDER)
        assert assignment == ASSIGNMENT
        started = len(story.entries)
        story.commission(LOT, ORDER, assignment)
        named_hash = self.named_hash or hash_of(self.start)
        finish = entry(Moment.FINISH, start=self.named, start_hash=named_hash)
        own = {"operation": 0, "assignment": assignment, "stream": STREAM, "leaf_index": FINISH_INDEX}
        finished = story.record("AssignmentFinished", MAKER, ORDER, **own, leaf_hash=hash_of(finish))
        evidence = (
            ShownEvidence(started, (), self.consistency, self.start),
            ShownEvidence(finished, (), (), finish),
        )
        entries = {one.sequence: one for one in story.entries}
        verify_evidence(replace(story.bundle(LOT), evidence=evidence), story.replay(LOT), entries)


def test_a_start_that_the_finish_names_by_its_hash_is_accepted() -> None:
    Shown().verify()


@pytest.mark.parametrize(
    ("shown", "cause"),
    [
        (lambda: Shown(named=FINISH_INDEX), "is not before the finish"),
        (lambda: Shown(named=99), "is not before the finish"),
        (lambda: Shown(named_hash=bytes([7]) * 32), "is not the one that the finish names"),
        (lambda: Shown(start=entry(Moment.START, ASSIGNMENT + 1)), "is not shown as that of the assignment"),
        (lambda: Shown(consistency=(NONE,)), "must not have a consistency proof"),
    ],
)
def test_any_other_entry_is_refused(shown: Callable[[], Shown], cause: str) -> None:
    with pytest.raises(EvidenceRefused, match=cause) as refused:
        shown().verify()
    assert refused.value.sequence is not None
