"""Recording what captured EPCIS events propose: on the real contracts, through the real outbox, with real refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.claims import parse_claims
from millmark.ledger.names import verify_name
from millmark.ledger.store import Book
from millmark.ledger.store.outbox import Outbox
from millmark.services.gateway.epcis.capture import CAPTURE, find_parties
from tests.support.capturing import OTHER, Company, added, admit, event, open_company, thing
from tests.support.epcis_events import PARTY, Json

pytestmark = pytest.mark.integration


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    yield from open_company(tmp_path)


def test_things_are_received_packed_made_into_others_and_scrapped(company: Company) -> None:
    assert company.final(added(1, "A", "B", "C", "PALLET")) == ["ReceiveLot"] * 4
    [lot] = company.lots("A")
    trace = company.caller.ask(f"/v1/trace/{lot['subject']}").json()
    with company.store.reading() as connection:
        kept = Book(connection).document(bytes.fromhex(trace["lot"]["claims_root"][2:]))
    assert kept is not None
    document_kept = parse_claims(json.loads(kept)).document
    assert isinstance(document_kept, dict)
    assert document_kept["source"] == "EPCIS 2.0"
    pack: Json = {"parentID": thing("PALLET"), "childEPCs": [thing("A"), thing("B")]}
    assert company.final(event(2, "AggregationEvent", bizStep="packing", **pack)) == ["PackLots"]
    assert company.final(event(3, "AggregationEvent", "DELETE", bizStep="unpacking", **pack)) == ["UnpackLots"]
    goes_in: Json = {"inputEPCList": [thing("A"), thing("B")], "outputEPCList": [thing("D"), thing("E")]}
    assert company.final(event(4, "TransformationEvent", None, bizStep="assembling", **goes_in)) == ["TransformLots"]
    assert len(company.lots("D")) == len(company.lots("E")) == 1
    assert company.final(event(5, action="DELETE", epcList=[thing("D")], bizStep="destroying")) == ["ScrapLot"]


@pytest.mark.parametrize("by_claims", [True, False], ids=["GLN in its claims", "name in the book"])
def test_what_is_shipped_is_offered_and_what_is_received_accepted(company: Company, by_claims: bool) -> None:
    other = admit(company.world, company.store, {"legal_name": "Birch", "gln": OTHER} if by_claims else None)
    party = f"https://id.gs1.org/417/{OTHER}" if by_claims else PARTY
    if not by_claims:
        with company.store.transaction() as connection:
            Book(connection).set_names({other.number: PARTY, company.number: "Alder"})
    company.final(added(1, "S"))
    to = [{"type": "possessing_party", "destination": party}]
    moved: Json = {"action": "OBSERVE", "epcList": [thing("S")]}
    assert company.final(event(2, bizStep="shipping", destinationList=to, **moved)) == ["OfferCustody"]
    assert other.final(event(3, bizStep="receiving", **moved)) == ["AcceptCustody"]
    [lot] = company.lots("S")
    trace = company.caller.ask(f"/v1/trace/{lot['subject']}").json()
    assert trace["lot"]["custodian"]["participant"] == other.number


def test_h12_two_pieces_are_assembled_into_one_and_one_is_taken_apart(company: Company) -> None:
    """Finding H12 (D1): the most common events of discrete manufacturing were always refused."""
    company.final(added(1, "MOTOR", "HOUSING"))
    goes_in: Json = {"inputEPCList": [thing("MOTOR"), thing("HOUSING")], "outputEPCList": [thing("PUMP")]}
    assert company.final(event(2, "TransformationEvent", None, bizStep="assembling", **goes_in)) == ["TransformLots"]
    [pump] = company.lots("PUMP")
    [step] = company.caller.ask(f"/v1/trace/{pump['subject']}").json()["transformations"]
    assert (step["kind"], step["yield_in"], step["yield_out"], step["loss"]) == ("conversion", 2, 1, 0)
    apart: Json = {"inputEPCList": [thing("PUMP")], "outputEPCList": [thing("ROTOR"), thing("SHELL")]}
    assert company.final(event(3, "TransformationEvent", None, bizStep="disassembling", **apart)) == ["TransformLots"]
    assert len(company.lots("ROTOR")) == len(company.lots("SHELL")) == 1


def test_c5_several_lots_in_one_shipment_change_hands(company: Company) -> None:
    """Finding H12 (C5): two serials, and a pallet with one packed in it, in one event; each is an offer of its own."""
    other = admit(company.world, company.store, {"legal_name": "Cedar", "gln": OTHER})
    company.final(added(1, "S1", "S2", "INNER", "TRAY"))
    pack: Json = {"parentID": thing("TRAY"), "childEPCs": [thing("INNER")]}
    company.final(event(2, "AggregationEvent", bizStep="packing", **pack))
    to = [{"type": "possessing_party", "destination": f"https://id.gs1.org/417/{OTHER}"}]
    moved: Json = {"action": "OBSERVE", "epcList": [thing("S1"), thing("S2"), thing("TRAY")]}
    assert company.final(event(3, bizStep="shipping", destinationList=to, **moved)) == ["OfferCustody"] * 3
    assert other.final(event(4, bizStep="receiving", **moved)) == ["AcceptCustody"] * 3
    for serial in ("S1", "S2", "INNER"):
        [lot] = company.lots(serial)
        trace = company.caller.ask(f"/v1/trace/{lot['subject']}").json()
        assert trace["lot"]["holder"]["participant"] == other.number


@pytest.mark.parametrize("kind", ["AggregationEvent", "AssociationEvent"])
def test_what_is_assembled_and_shipped_in_one_document_changes_hands_with_its_parts(
    company: Company, kind: str
) -> None:
    """A day's events as a partner's system sends them: EPC URNs, two products of two serials each, one shipment."""

    def epc(serial: str) -> str:
        return f"urn:epc:id:sgtin:9506000.013435.{serial}"

    other = admit(company.world, company.store, {"legal_name": "Cedar", "gln": OTHER})
    serials = ("PUMP1", "MOTOR1", "ROTOR1", "PUMP2", "MOTOR2", "ROTOR2")
    to = [{"type": "possessing_party", "destination": f"https://id.gs1.org/417/{OTHER}"}]
    moved: Json = {"action": "OBSERVE", "epcList": [epc("PUMP1"), epc("PUMP2")]}
    day = [
        event(1, epcList=[epc(one) for one in serials], bizStep="commissioning"),
        *(
            event(
                n + 1,
                kind,
                bizStep="assembling",
                parentID=epc(f"PUMP{n}"),
                childEPCs=[epc(f"MOTOR{n}"), epc(f"ROTOR{n}")],
            )
            for n in (1, 2)
        ),
        event(4, bizStep="shipping", destinationList=to, **moved),
    ]
    assert company.final(*day) == ["ReceiveLot"] * 6 + ["PackLots"] * 2 + ["OfferCustody"] * 2
    assert other.final(event(5, bizStep="receiving", **moved)) == ["AcceptCustody"] * 2
    for serial in serials:
        [lot] = company.lots(serial)
        trace = company.caller.ask(f"/v1/trace/{lot['subject']}").json()
        assert trace["lot"]["holder"]["participant"] == other.number


def test_a_name_that_two_companies_have_is_of_neither(company: Company) -> None:
    one, two = (admit(company.world, company.store, {"gln": OTHER, "n": n}) for n in (1, 2))
    assert one.number != two.number
    assert find_parties(company.store) == {}
    admit(company.world, company.store, {"gln": "9506000000023"})  # a wrong check digit
    admit(company.world, company.store, {"gln": 9506000000022})
    assert find_parties(company.store) == {}


def test_nothing_is_recorded_unless_it_is_asked_for(company: Company) -> None:
    for number, query in enumerate(("", "?record=false")):
        [told] = company.capture(added(number, f"N{number}"), query=query)
        assert told["records"] == []
        assert "recorded" not in told
    assert company.lots("N0") == company.lots("N1") == []


def test_the_salts_of_what_is_recorded_are_kept_and_not_told(company: Company) -> None:
    [told] = company.capture(added(1, "N2"))
    assert [one["kind"] for one in told["records"]] == ["ReceiveLot"]
    with company.store.reading() as connection:
        [(kept,)] = connection.exec_driver_sql("SELECT proposal FROM epcis_events").all()
    [salt] = json.loads(kept)["salts"].values()
    assert salt not in json.dumps(told)
    [lot] = company.lots("N2")
    with company.store.reading() as connection:
        identity = Book(connection).identity(bytes.fromhex(lot["subject"][2:]))
    assert identity is not None
    assert identity.salt.hex() == salt
    verify_name(
        company.world.chain,
        identity.kind,
        company.number,
        identity.identifier,
        identity.proofs,
        [company.name_key.hash],
    )


@pytest.mark.parametrize("word", ["yes", "", "1", "True"])
def test_another_word_is_refused_and_nothing_is_kept(company: Company, word: str) -> None:
    assert company.post(added(1, "W"), query=f"?record={word}").status_code == 400
    assert company.caller.ask(CAPTURE).json() == []


def test_an_event_is_recorded_once_also_when_it_was_evidence_first(company: Company) -> None:
    before = company.world.count()
    [told] = company.capture(added(1, "X", "Y"), query="")
    assert told["status"] == "accepted"
    [first] = company.capture(added(1, "X", "Y"))
    again = company.capture(added(1, "X", "Y"), added(1, "X", "Y"))
    assert [one["status"] for one in (first, *again)] == ["duplicate"] * 3
    assert len(first["recorded"]) == 2
    assert again[0]["recorded"] == again[1]["recorded"] == first["recorded"]
    assert company.world.count() == before + 2
    listed = company.caller.ask(CAPTURE).json()
    ids = [one["id"] for one in first["recorded"]]
    assert [one["id"] for one in listed[0]["events"][0]["recorded"]] == ids
    assert company.caller.ask(f"/v1/records/{ids[0]}").json()["subjects"] == [company.lots("X")[0]["subject"]]


def test_no_name_is_given_twice_not_even_before_the_first_is_on_the_ledger(company: Company) -> None:
    company.post(added(1, "Z"))
    one, two, three = company.capture(added(2, "Z"), added(3, "Q"), added(4, "Q"))
    assert "recorded" not in one
    assert "a lot already has that identifier" in one["evidence_only"][0]
    assert [record["state"] for record in two["recorded"]] == ["final"]
    assert "recorded" not in three
    assert len(company.lots("Z")) == len(company.lots("Q")) == 1


def scrapped(number: int, serial: str) -> Json:
    return event(number, action="DELETE", epcList=[thing(serial)], bizStep="destroying")


def test_a_lot_is_used_by_the_next_event_of_the_same_call(company: Company) -> None:
    company.capture(added(1, "PALLET"))
    pack: Json = {"parentID": thing("PALLET"), "childEPCs": [thing("F")]}
    made: Json = {"inputEPCList": [thing("F"), thing("E")], "outputEPCList": [thing("G"), thing("H")]}
    kinds = company.final(
        added(2, "F", "E"),
        event(3, "AggregationEvent", bizStep="packing", **pack),
        event(4, "AggregationEvent", "DELETE", bizStep="unpacking", **pack),
        event(5, "TransformationEvent", None, bizStep="assembling", **made),
        scrapped(6, "H"),
    )
    assert kinds == ["ReceiveLot", "ReceiveLot", "PackLots", "UnpackLots", "TransformLots", "ScrapLot"]
    assert len(company.lots("G")) == 1


def test_a_lot_is_used_by_a_later_call_before_it_is_on_the_ledger(company: Company) -> None:
    for body in (added(1, "V"), added(2, "W")):
        assert company.post(body).status_code == 202
    made: Json = {"inputEPCList": [thing("V")], "outputEPCList": [thing("V2")]}
    assert company.post(event(3, "TransformationEvent", None, **made)).status_code == 202
    assert company.final(scrapped(4, "W")) == ["ScrapLot"]
    assert len(company.lots("V2")) == 1


def test_what_uses_a_lot_that_never_comes_fails_by_itself(company: Company) -> None:
    first = company.post(added(1, "never"), added(2, "other")).json()
    second = company.post(scrapped(3, "never"), scrapped(4, "other")).headers["location"]
    [cancelled] = first["events"][0]["recorded"]
    outbox = Outbox(company.store)
    outbox.cancel([outbox.record(cancelled["id"]).idempotency_key])
    company.send()
    never, other = company.caller.ask(second).json()["events"]
    assert [one["state"] for one in other["recorded"]] == ["final"]
    [failed] = never["recorded"]
    assert (failed["state"], failed["refusal"]["name"][:3]) == ("failed", "Lot")
    [later] = company.capture(scrapped(5, "never"))
    assert "recorded" not in later, "a lot that was refused is not waited for"


@pytest.mark.parametrize("query", ["", "?record=true"])
def test_a_lot_that_has_to_be_waited_for_is_said_so_and_the_event_is_taken_up_then(
    company: Company, query: str
) -> None:
    """Of a transformation with several outputs, what is on its way is not known by each of them."""
    company.final(added(1, "R1", "R2"))
    made: Json = {"inputEPCList": [thing("R1"), thing("R2")], "outputEPCList": [thing("O1"), thing("O2")]}
    assert company.post(event(2, "TransformationEvent", None, **made)).status_code == 202
    [told] = company.post(scrapped(3, "O1"), query=query).json()["events"]
    assert "recorded" not in told
    [reason] = told["evidence_only"]
    assert "is queued or was refused; once the lot is on the ledger, send the event again" in reason
    [unknown] = company.post(scrapped(4, "nothing"), query=query).json()["events"]
    assert "no lot with that identifier is known" in unknown["evidence_only"][0]
    company.send()
    [again] = company.capture(scrapped(3, "O1"))
    assert (again["status"], [one["state"] for one in again["recorded"]]) == ("duplicate", ["final"])
