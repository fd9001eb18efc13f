"""What the page of a record says is so now, and who acts next: nothing that the contracts or the work lists belie."""

from __future__ import annotations

from millmark.ledger.ids import SubjectKind, identifier_hash, subject
from millmark.ledger.records import Item, OfferCustody, ReceiveLot
from millmark.ledger.store.rows import LotRow
from tests.support.company_site import Day
from tests.support.gateway_client import act, read

NONE = bytes(32)


def test_who_complains_keeps_the_whole_lot_and_that_is_said(day: Day) -> None:
    hashed = identifier_hash(NONE, "urn:example:short")
    lot = subject(SubjectKind.LOT, day.other_number, hashed)
    day.by_other(ReceiveLot(hashed, 5, b"H87", NONE))
    day.by_other(OfferCustody((Item(lot, NONE),), day.site.number, NONE))
    day.do("acceptCustody", lot.hex())
    answer = act(day.person, f"/portal/act/complain?subject={lot.hex()}", {"text": "one is broken"})
    day.site.send()
    row = day.row(LotRow, lot)
    assert (row.custodian, row.quantity) == (day.site.number, 5)
    told = read(day.person.get(answer.headers["location"]).text)
    assert "stays with Cedar Assembly" not in told
    assert "answers for all of it" in told


def test_a_notice_is_not_said_to_be_on_work_lists_where_it_is_not(day: Day) -> None:
    """Who handed its lot on is sent the notice, but has nothing to answer."""
    lot = day.do("receiveLot", identifier="urn:example:HEAT1", quantity="1").hex()
    form = f"/portal/act/recallNotice?lots={day.row(LotRow, bytes.fromhex(lot)).number}"
    answer = act(day.person, form, {"text": "slag"})
    day.site.send()
    told = read(day.person.get(answer.headers["location"]).text)
    assert "Those that have some of it now find it at the top of their work lists" in told
    day.do("scrapLot", lot, quantity="1", disposition="scrapped", reason="slag")
    assert "See who has been told" in read(day.person.get(answer.headers["location"]).text)
    assert day.tasks() == []
