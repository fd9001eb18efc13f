"""What is said of changes of custody, and of companies that may not act any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.verify import verify_bundle
from millmark.ledger.verify.statements import Party, Thing, Unit
from tests.support.bundle_content import publish_bytes
from tests.support.bundle_vector import vector_content
from tests.support.story import CARRIER, MAKER, NAMES, OTHER, Story, handed_over, name, named, said, subjects, tell

CUSTODY = ("handed_over_in_part", "handed_over", "reclaimed")
LOT, BOX, CASES = name("lot"), name("box"), b"CX\0"


def party(number: int) -> Party:
    return Party(number, NAMES[number])


def test_each_change_of_custody_is_told_with_its_giver() -> None:
    story = Story()
    handed_over(story)
    [lot] = story.histories
    report = tell(story, lot)
    told = [(one.code, one.records) for one in report.statements if one.code in CUSTODY]
    assert told == [("handed_over_in_part", (7,)), ("handed_over", (10,)), ("reclaimed", (12,))]
    assert [named(report, code, "giver") for code in CUSTODY] == [[party(MAKER)], [party(CARRIER)], [party(MAKER)]]
    assert [named(report, code, "by") for code in CUSTODY] == [[party(CARRIER)], [party(MAKER)], [party(OTHER)]]


def test_of_what_was_packed_the_box_is_accepted_in_part() -> None:
    """Its own unit and name are told; on its way out of the box, and before it was packed, it is not handed over."""
    story = Story()
    for lot, unit in ((LOT, b"H87"), (BOX, CASES)):
        story.receive(lot, unit=unit)
    story.offer(BOX)
    story.take(BOX)
    story.offer(BOX, to=MAKER, by=CARRIER)
    story.take(BOX, by=MAKER)
    story.pack(BOX, LOT)
    story.offer(BOX)
    story.on_lot("CustodyAcceptedInPart", BOX, by=CARRIER, offer=story.offers[BOX], accepted=9)
    report = tell(story, LOT)
    [told] = said(report, "handed_over_in_part")
    assert told.subject == LOT
    assert (told.values["accepted"], told.values["unit"], told.values["whole"]) == (9, Unit("CX"), Thing(BOX, None))
    assert LOT not in subjects(report, "handed_over")


def test_a_quarantine_by_hand_that_the_custodian_lifted_is_told() -> None:
    story = Story()
    story.receive(LOT)
    story.on_lot("LotQuarantined", LOT)
    story.record("CustodyReclaimed", OTHER, LOT, from_=MAKER)
    lifted = story.record("LotReleased", OTHER, LOT)
    [told] = said(tell(story, LOT), "lifted")
    assert (told.records, told.values["record"], told.values["by"]) == ((lifted,), lifted, party(MAKER))


@pytest.mark.parametrize(("member", "code"), [("suspended", "suspended"), ("departed", "departed")])
def test_a_company_that_may_not_act_is_told(member: str, code: str) -> None:
    content = vector_content()
    number = min(content.participants)
    content.participants[number] = replace(content.participants[number], **{member: True})
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time, any_status=True)
    assert [one.participant for one in named(report, code, "participant")] == [number]
    assert not said(report, {"suspended": "departed", "departed": "suspended"}[code])
