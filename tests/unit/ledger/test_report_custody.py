"""What is said of changes of custody, and of companies that may not act any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.verify import verify_bundle
from millmark.ledger.verify.statements import Party
from tests.support.bundle_content import publish_bytes
from tests.support.bundle_vector import vector_content
from tests.support.story import CARRIER, MAKER, NAMES, OTHER, Story, handed_over, name, named, said, tell

CUSTODY = ("handed_over", "reclaimed")
LOT, BOX, CASES = name("lot"), name("box"), b"CX\0"


def party(number: int) -> Party:
    return Party(number, NAMES[number])


def test_each_change_of_custody_is_told_with_its_giver() -> None:
    story = Story()
    handed_over(story)
    [lot] = story.histories
    report = tell(story, lot)
    told = [(one.code, one.records) for one in report.statements if one.code in CUSTODY]
    assert told == [("handed_over", (7,)), ("handed_over", (10,)), ("reclaimed", (12,))]
    givers, takers = ([named(report, code, role) for code in CUSTODY] for role in ("giver", "by"))
    assert givers == [[party(MAKER), party(CARRIER)], [party(MAKER)]]
    assert takers == [[party(CARRIER), party(MAKER)], [party(OTHER)]]


def test_what_is_packed_is_handed_over_with_its_box() -> None:
    """Before it was packed, the box was handed over without it."""
    story = Story()
    for lot, unit in ((LOT, b"H87"), (BOX, CASES)):
        story.receive(lot, unit=unit)
    story.offer(BOX)
    story.take(BOX)
    story.offer(BOX, to=MAKER, by=CARRIER)
    story.take(BOX, by=MAKER)
    story.pack(BOX, LOT)
    story.offer(BOX)
    story.take(BOX)
    [told] = said(tell(story, LOT), "handed_over")
    assert (told.subject, told.values["giver"], told.values["by"]) == (LOT, party(MAKER), party(CARRIER))


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
