"""Sending back what another company made: one task of two steps, from the lot's page to the maker's work list."""

from __future__ import annotations

import json
import re

from millmark.ledger.claims import build_claims
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash, subject
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.cases import find_quarantines
from millmark.ledger.records import (
    AcceptCustody,
    DeclineCustody,
    Item,
    LotState,
    OfferCustody,
    QuarantineLot,
    ReceiveLot,
    ReturnLot,
)
from millmark.ledger.store import Book
from millmark.ledger.store.rows import LotRow
from tests.support.company_site import Day
from tests.support.gateway_client import act, fields_of, read

NONE = bytes(32)
CRACK = "a crack beside the <keyway>"


def bought(day: Day, name: str) -> str:
    """A lot that the other company made and handed over, with its name: 64 hex digits."""
    hashed = identifier_hash(NONE, name)
    lot = subject(SubjectKind.LOT, day.other_number, hashed)
    with day.site.store.transaction() as connection:
        Book(connection).add_identity(Identity(SubjectKind.LOT, day.other_number, name, NONE))
    day.by_other(ReceiveLot(hashed, 1, b"H87", NONE))
    day.by_other(OfferCustody((Item(lot, NONE),), day.site.number, NONE))
    day.do("acceptCustody", lot.hex())
    return lot.hex()


def first_button(page: str) -> str:
    found = re.search(r'<a class="button" href="/portal/act/(\w+)', page)
    assert found is not None, read(page)
    return found[1]


def test_sending_back_leads_from_the_first_step_to_the_second(day: Day) -> None:
    lot = bought(day, "urn:example:A9")
    path = f"/portal/lots/{lot}"
    assert "sendBack" in day.offered(path)
    form = read(day.person.get(f"/portal/act/sendBack?subject={lot}").text)
    assert form.startswith("Step 1 of 2 Send a lot back to its maker")
    assert "Goes back to Cedar Assembly" in form
    answer = act(day.person, f"/portal/act/sendBack?subject={lot}", {"reason": CRACK})
    day.site.send()
    record = day.person.get(answer.headers["location"]).text
    said = read(record)
    assert said.startswith("Step 1 of 2 Send a lot back to its maker Now step 2 of 2 It is in quarantine now")
    assert "Its maker has not been told yet" in said
    assert first_button(record) == "returnLot"
    assert day.tasks() == ["Not sent back yet"]
    waits = day.person.get("/portal").text
    assert "Goes back to Cedar Assembly" in read(waits)
    assert CRACK in read(waits)
    assert "<keyway>" not in waits, "what people write is escaped"
    assert first_button(waits) == first_button(day.person.get(path).text) == "returnLot"


def test_the_second_step_tells_the_maker_why_and_says_so(day: Day) -> None:
    lot = bought(day, "urn:example:A9")
    form = day.person.get(f"/portal/act/sendBack?subject={lot}")
    assert "In step 2 the maker is sent this" in read(form.text)
    day.do("sendBack", lot, reason=CRACK)
    path = f"/portal/act/returnLot?subject={lot}"
    summary = day.person.get(path).text
    said = read(summary)
    assert said.startswith("Step 2 of 2 Return a lot to its maker")
    assert "The maker is sent this, so that it knows what is wrong" in said
    assert f"Reason {CRACK}" in said
    assert fields_of(summary, "/portal/act/returnLot/confirm")["note"] == CRACK
    answer = act(day.person, path)
    day.site.send()
    done = read(day.person.get(answer.headers["location"]).text)
    assert done.startswith("Record")
    assert "Its maker has been asked to take it back" in done
    assert day.row(LotRow, bytes.fromhex(lot)).state == LotState.RETURNING
    assert day.tasks() == []


def test_what_is_only_quarantined_need_not_go_back_but_may(day: Day) -> None:
    lot = bought(day, "urn:example:A9")
    day.do("quarantineLot", lot, reason="looks odd")
    assert day.tasks() == ["In quarantine: what becomes of it?"]
    assert {"returnLot", "releaseLot", "scrapLot"} <= set(day.offered("/portal"))
    assert first_button(day.person.get(f"/portal/lots/{lot}").text) == "reworkLot", "it is of no order"


def test_the_maker_reads_the_reason_on_its_work_list(day: Day) -> None:
    lot = day.do("receiveLot", identifier="urn:example:own", quantity="1")
    day.do("offerCustody", lot.hex(), to=str(day.other_number))
    offer = day.row(LotRow, lot).offer
    reason = build_claims({"reason": CRACK})
    day.by_other(AcceptCustody((Item(lot, NONE),), offer, NONE))
    day.by_other(QuarantineLot(lot, NONE, NONE))
    with day.site.store.transaction() as connection:  # as the hand-over does
        Book(connection).put_document(reason.root, json.dumps(reason.to_json()))
        own = Book(connection).identity(lot)
    assert own is not None
    day.by_other(ReturnLot(lot, day.site.number, identifier_hash(own.salt, own.identifier), reason.root))
    assert day.tasks() == ["Take back a lot in quarantine"]
    waits = read(day.person.get("/portal").text)
    assert f"They write: {CRACK}" in waits


def test_both_steps_are_told_in_chinese(day: Day) -> None:
    lot = bought(day, "urn:example:A9")
    assert read(day.person.get(f"/portal/act/sendBack?subject={lot}&lang=zh").text).startswith("第 1 步，共 2 步")
    act(day.person, f"/portal/act/sendBack?subject={lot}", {"reason": "有裂纹"})
    day.site.send()
    waits = read(day.person.get("/portal").text)
    assert "尚未退回" in waits
    assert "贵公司的理由： 有裂纹" in waits
    assert read(day.person.get(f"/portal/act/returnLot?subject={lot}").text).startswith("第 2 步，共 2 步")


def test_a_return_that_was_declined_or_withdrawn_is_not_said_to_be_unknown_to_the_maker(day: Day) -> None:
    lot = bought(day, "urn:example:A9")
    day.do("sendBack", lot, reason=CRACK)
    assert "Its maker has not been told yet" in read(day.person.get("/portal").text)
    day.do("returnLot", lot)
    row = day.row(LotRow, bytes.fromhex(lot))
    day.by_other(DeclineCustody(bytes.fromhex(lot), row.offer, NONE))
    waits = day.person.get("/portal").text
    assert "Its maker has not been told yet" not in read(waits)
    assert "Its maker was asked to take it back, but that offer is over" in read(waits)
    assert first_button(waits) == "returnLot"


def test_a_lot_that_was_released_since_is_not_said_to_go_back(day: Day) -> None:
    lot = bought(day, "urn:example:A9")
    day.do("sendBack", lot, reason=CRACK)
    day.do("releaseLot", lot, reason="it is good")
    with open_reader(day.site.store) as reader:
        assert find_quarantines(reader, [bytes.fromhex(lot)]) == {}


def test_the_first_steps_record_does_not_say_what_is_no_longer_so(day: Day) -> None:
    lot = bought(day, "urn:example:A9")
    answer = act(day.person, f"/portal/act/sendBack?subject={lot}", {"reason": CRACK})
    day.site.send()
    day.do("returnLot", lot)
    record = read(day.person.get(answer.headers["location"]).text)
    assert "Its maker has not been told yet" not in record
    assert "Done: final" in record
