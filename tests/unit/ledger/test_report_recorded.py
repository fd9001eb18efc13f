"""What a company's own pages tell of lots without a proof: what a bundle's report says of them, by its own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from millmark.ledger.records import LotState, TransformationKind
from millmark.ledger.verify import Section
from millmark.ledger.verify.recorded import Left, Measured, Recorded, tell
from millmark.ledger.verify.statements import Party
from tests.support.story import BENCH_STREAM, MAKER, NAMES, Story, name
from tests.support.story import tell as tell_of_bundle

ORDER, PART, BAR = name("order"), name("part"), name("bar")
IDENTIFIERS = {PART: "urn:example:part", BAR: "urn:example:bar"}
SECTIONS = (Section.PART, Section.ATTENTION, Section.ORIGIN)


def recorded(story: Story, part: bytes = PART, left_out: Mapping[bytes, Sequence[int]] | None = None) -> Recorded:
    histories = {one: [link for link in links if isinstance(link, int)] for one, links in story.histories.items()}
    return Recorded(
        histories=histories,
        entries=story.entries,
        left_out=left_out or {},
        left={},
        registered=story.replay(part).proved,
        identifiers=IDENTIFIERS,
        participants=NAMES,
        block_number=7,
        block_time=story.now + 9,
    )


def made() -> Story:
    story = Story()
    story.commission(PART, ORDER, story.begin(ORDER))
    story.certify(PART, ORDER, verdict=2)
    story.certify(PART, ORDER, inference_digest=b"\2" * 32)
    return story


def test_it_is_what_a_report_says_of_the_same_lots() -> None:
    story = made()
    told = tell(recorded(story), [PART])
    report = tell_of_bundle(story, PART, names=IDENTIFIERS)
    assert told == tuple(one for one in report.statements if one.section in SECTIONS)
    assert {"passed", "certificate", "made", "one_measurement"} <= {one.code for one in told}


def test_names_are_those_that_the_company_has() -> None:
    story = made()
    [told] = [one for one in tell(replace(recorded(story), participants={MAKER: "We"}), [PART]) if one.code == "made"]
    assert told.values["by"] == Party(MAKER, "We")
    [told] = [one for one in tell(replace(recorded(story), participants={}), [PART]) if one.code == "made"]
    assert told.values["by"] == Party(MAKER, None)


def test_a_measurement_that_others_name_too_is_told_with_their_number() -> None:
    story = made()
    for others, code in ((0, "one_measurement"), (3, "one_measurement_elsewhere")):
        [told] = [
            one
            for one in tell(recorded(story), [PART], [Measured(BENCH_STREAM, 1, (7, 8, 20), others)])
            if one.code.startswith("one_measurement")
        ]
        assert (told.code, told.records, told.section) == (code, (7, 8, 20), Section.ATTENTION)
        assert (told.values["measured"], told.values["stream"], told.values["index"]) == ((7, 8, 20), BENCH_STREAM, 1)
        assert told.values.get("others", 0) == others
        assert str(told)


def test_of_a_lot_of_which_others_took_it_is_known_whether_anything_is_left() -> None:
    """A bundle that leaves out their records can only say that it is in quarantine or used up."""
    story = Story()
    story.receive(BAR)
    part, rest = story.transform(TransformationKind.SPLIT, {BAR: 4}, {"part": 1, "rest": 3})
    del story.histories[rest]
    story.on_lot("LotQuarantined", BAR)
    known = recorded(story, part, {BAR: (len(story.entries) + 1,)})
    for left, codes in (
        ({}, ["quarantined_or_spent"]),
        ({BAR: Left(LotState.QUARANTINED, 2)}, ["quarantined"]),
        ({BAR: Left(LotState.SPENT, 0)}, []),
    ):
        told = [one.code for one in tell(replace(known, left=left), [part])]
        assert [code for code in told if code.startswith("quarantined")] == codes
