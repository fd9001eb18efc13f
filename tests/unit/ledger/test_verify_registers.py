"""Steps 9 and 10: the start's register reading is the one that the shown finish names, and what is shown is of records
that name such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from millmark.ledger.bundle import EvidenceEntryShown, InferenceShown, ShownEvidence
from millmark.ledger.canonical import Json
from millmark.ledger.events import Event
from millmark.ledger.evidence import LeafKind, build_leaf_data
from millmark.ledger.footprint import Moment, Reading, RegisterEntry, build_register_data
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.verify._disclosures import Metered, metered, register_of, verify_evidence, verify_inferences
from millmark.ledger.verify._state import Entry
from millmark.ledger.verify.report import EvidenceRefused, InferencesRefused
from tests.support.footprints import TIME_S
from tests.support.story import MAKER, MODEL, NONE, STREAM, Story, name, verified_of

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

    inclusion: tuple[bytes, ...] = ()
    """Of the start's entry."""

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
            ShownEvidence(started, self.inclusion, self.consistency, self.start),
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
        (lambda: Shown(inclusion=(NONE,)), f"entry {START_INDEX} of stream 0x{STREAM.hex()}, the register reading"),
        (lambda: Shown(start=entry(Moment.FINISH, start=1)), "is not shown as that of the assignment"),
    ],
)
def test_any_other_entry_is_refused(shown: Callable[[], Shown], cause: str) -> None:
    with pytest.raises(EvidenceRefused, match=cause) as refused:
        shown().verify()
    assert refused.value.sequence is not None


def test_evidence_is_of_a_record_that_names_some() -> None:
    story = Story()
    story.receive(LOT)
    evidence = (ShownEvidence(1, (), (), None),)
    with pytest.raises(EvidenceRefused, match="no such record that refers to evidence") as refused:
        verify_evidence(replace(story.bundle(LOT), evidence=evidence), story.replay(LOT), _by_sequence(story))
    assert refused.value.sequence == 1


def _by_sequence(story: Story) -> dict[int, Entry[Event]]:
    return {one.sequence: one for one in story.entries}


@pytest.mark.parametrize("model", [MODEL, 0])
def test_an_inference_is_of_a_certificate_by_one_and_has_logits(model: int) -> None:
    story = Story()
    story.receive(LOT)
    certificate = story.certify(LOT, model=model)
    bundle = replace(story.bundle(LOT), inferences=(InferenceShown(certificate, NONE, b"", ()),))
    cause = "the inference has no logits" if model else "no such certificate by inference"
    with pytest.raises(InferencesRefused, match=cause) as refused:
        verify_inferences(bundle, story.replay(LOT))
    assert (refused.value.sequence, refused.value.subject) == (certificate, LOT if model else None)


@pytest.mark.parametrize("data", ["text", {"register": "x"}, None])
def test_what_is_no_register_reading_is_none(data: Json) -> None:
    assert register_of(EvidenceEntryShown(LeafKind.EVENT, NONE, data)) is None
    assert register_of(None) is None


def test_behind_an_operation_without_readings_another_is_metered() -> None:
    story = Story()
    story.place(ORDER, operations=2)
    story.accept(ORDER)
    for operation in (0, 1):
        assignment = story.propose(ORDER, operation)
        story.step("AssignmentAccepted", ORDER, assignment, operation)
        story.start(ORDER, assignment, operation)
        started = len(story.entries)
        if not operation:
            story.commission(LOT, ORDER, assignment)
        leaf = FINISH_INDEX + operation
        story.step("AssignmentFinished", ORDER, assignment, operation, stream=STREAM, leaf_index=leaf, leaf_hash=NONE)
    start = entry(Moment.START, assignment)
    finish = entry(Moment.FINISH, assignment, start=START_INDEX, quantity=8)
    evidence = [ShownEvidence(started, (), (), start)]
    evidence.append(ShownEvidence(len(story.entries), (), (), finish))
    found = metered(verified_of(story, LOT, evidence=tuple(evidence)))
    assert found == {
        assignment: Metered(
            assignment,
            started,
            len(story.entries),
            STREAM,
            START_INDEX,
            FINISH_INDEX + 1,
            quantity=8,
            wh=0,
        )
    }
