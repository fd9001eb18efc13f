"""What people of each role do in a day, by forms alone, on the real contracts: from work list to final record."""

from __future__ import annotations

import enum
import re
from typing import Any

from millmark.ledger.ids import SubjectKind, identifier_hash, subject
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptOrder,
    CommissionLot,
    Disposition,
    Gate,
    Item,
    LotState,
    NoteKind,
    OfferCustody,
    OpenStream,
    OrderState,
    OrderTerms,
    PlaceOrder,
    ProposeAssignment,
    ProposeRecovery,
    QuarantineLot,
    ReceiveLot,
    RegisterMachine,
    RegisterModel,
    StartAssignment,
    Suspend,
    Verdict,
)
from millmark.ledger.store import Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    LotRow,
    MachineRow,
    ModelRow,
    OrderRow,
    RecoveryRow,
)
from millmark.services.gateway.recording.writes import WRITES
from millmark.services.portal.acting.things import STATES
from millmark.services.portal.pages import read_catalogues
from tests.support.company_site import Day
from tests.support.gateway_client import fields_of, read

NONE = bytes(32)
FAR = 4_102_444_800


def test_an_order_from_acceptance_to_delivery(day: Day) -> None:
    site = day.site
    machine = str(site.final("/v1/machines", identifier="urn:example:press")["sequence"])
    terms = {
        "operations": 1, "coordinator": site.number, "due_at": "2100-01-01T00:00:00Z", "quantity": 1, "unit": "H87",
    }  # fmt: skip
    order = site.final("/v1/orders", identifier="urn:example:order", terms=terms)["subjects"][0][2:]
    assert day.tasks() == ["Accept or decline the order"]
    day.do("acceptOrder", order)
    assert day.tasks() == ["Plan the work"]
    day.do("proposeAssignment", order, machine=machine, operation="0")
    work = str(day.last(AssignmentRow).sequence)
    assert day.tasks() == ["Accept or decline the work"]
    day.do("acceptAssignment", work, note="as planned")
    assert day.tasks() == ["Start the work"]
    stream = day.do("openStream", machine, identifier="urn:example:press:log")
    day.do("startAssignment", work)
    assert day.row(AssignmentRow, int(work)).stream == stream, "the machine's only one is chosen"
    offered = {"finishAssignment", "commissionLot", "readRegister", "cancelAssignment", "proposeEnd"}
    assert offered <= set(day.offered(f"/portal/orders/{order}"))
    day.do("readRegister", work, moment="start", register_wh="1000")
    lot = day.do("commissionLot", work, identifier="urn:example:part", quantity="1", note="first")
    day.do("readRegister", work, moment="finish", register_wh="1250")
    assert day.tasks() == ["Finish the work"]
    day.do("finishAssignment", work, measurement=f"0x{stream.hex()}:1")
    assert day.tasks() == ["Declare the order complete"]
    day.do("completeOrder", order)
    assert day.tasks() == ["Confirm the delivery"]
    day.do("confirmDelivery", order)
    assert day.tasks() == []
    assert day.row(OrderRow, bytes.fromhex(order)).state == OrderState.DELIVERED
    assert day.row(LotRow, lot).quantity == 1
    assert day.offered(f"/portal/orders/{order}") == []


def test_a_revision_and_an_end_are_proposed_and_agreed_to(day: Day) -> None:
    terms = {"operations": 1, "coordinator": day.site.number, "due_at": "2100-01-01T00:00:59Z", "claims": {"size": "L"}}
    order = day.site.final("/v1/orders", identifier="urn:example:order", terms=terms)["subjects"][0][2:]
    before = day.row(OrderRow, bytes.fromhex(order))
    day.do("proposeRevision", order, quantity="2", unit="H87")
    shown = day.person.get(f"/portal/act/acceptRevision?subject={order}")
    sent = fields_of(shown.text, "/confirm")
    day.do("proposeRevision", order, due_at="2099-05-06T07:08:09", quantity="3", unit="H87")
    stale = day.person.post("/portal/act/acceptRevision/confirm", sent)
    assert stale.status_code == 409, "nobody agrees to another proposal than the one that was shown"
    assert "Proposal (record): was" in read(stale.text)
    assert not Outbox(day.site.store).unfinished(1)
    assert "Agree to new terms" in day.tasks()
    assert "acceptRevision" in day.offered(f"/portal/orders/{order}")
    day.do("acceptRevision", order)
    after = day.row(OrderRow, bytes.fromhex(order))
    assert (after.quantity, after.unit, after.claims_root) == (3, b"H87", before.claims_root)
    assert after.due_at == 4_081_734_489
    assert "Agree to new terms" not in day.tasks()
    day.do("proposeRevision", order, quantity="4", unit="H87")
    sent = fields_of(day.person.get(f"/portal/act/acceptRevision?subject={order}").text, "/confirm")
    done = [day.person.post("/portal/act/acceptRevision/confirm", sent)]
    day.site.send()
    done.append(day.person.post("/portal/act/acceptRevision/confirm", sent))
    assert [one.status_code for one in done] == [303, 303], "sent again once it is final"
    assert done[0].headers["location"] == done[1].headers["location"]
    assert day.row(OrderRow, bytes.fromhex(order)).due_at == after.due_at, "of the quantity alone"
    day.do("cancelOrder", order, reason="no longer needed")
    assert day.row(OrderRow, bytes.fromhex(order)).state == OrderState.CANCELLED


def test_assignments_are_declined_cancelled_and_given_again(day: Day) -> None:
    machine = str(day.site.final("/v1/machines", identifier="urn:example:press")["sequence"])
    terms = {"operations": 2, "coordinator": day.site.number, "due_at": "2100-01-01T00:00:00Z"}
    order = day.site.final("/v1/orders", identifier="urn:example:order", terms=terms)["subjects"][0][2:]
    day.do("acceptOrder", order)
    day.do("proposeAssignment", order, machine=machine)  # the first operation is chosen
    day.do("declineAssignment", str(day.last(AssignmentRow).sequence), reason="the press is being mended")
    assert day.tasks() == ["Find another machine", "Plan the work"]
    day.do("proposeAssignment", order, machine=machine)
    day.do("cancelAssignment", str(day.last(AssignmentRow).sequence), reason="another came free")
    assert day.tasks() == ["Find another machine", "Plan the work"]
    page = day.person.get(f"/portal/act/proposeAssignment?subject={order}&machine={machine}&operation=1").text
    assert re.search(rf'<option value="{machine}" selected', page)
    assert '<option value="1" selected' in page


def test_lots_become_another_thing_with_what_is_built_in(day: Day) -> None:
    bar, rest, seal = (
        day.do("receiveLot", identifier=f"urn:example:{name}", quantity=amount, unit=unit).hex()
        for name, amount, unit in (("bar", "10", "KGM"), ("rest", "2", "KGM"), ("seal", "4", "H87"))
    )
    refused = day.person.post(
        "/portal/act/convertLots",
        {**fields_of(day.person.get(f"/portal/act/convertLots?subject={bar}").text), "lots": f"0x{rest}",
         "components": f"0x{rest}", "identifier": "urn:example:x", "made": "4", "unit": "H87"},
    )  # fmt: skip
    assert "in both lists" in read(refused.text)
    made = day.do(
        "convertLots", bar, used="6", lots=f"0x{rest}", components=f"0x{seal}", identifier="urn:example:pump",
        made="4", unit="H87",
    )  # fmt: skip
    assert day.row(LotRow, made).quantity == 4
    assert day.row(LotRow, bytes.fromhex(bar)).quantity == 4, "what was left over stays"
    for gone in (rest, seal):
        assert day.row(LotRow, bytes.fromhex(gone)).state == LotState.SPENT


def test_a_company_objects_to_a_recovery_of_its_keys(day: Day) -> None:
    site = day.site
    assert day.person.get("/portal/act/objectToRecovery").status_code == 409
    owner = site.world.submitter(Outbox(site.store), site.world.owner)
    owner.submit([("recover", ProposeRecovery(site.number, LocalSigner.generate().address))])
    owner.drain()
    site.send()
    page = day.person.get("/portal")
    assert 'href="/portal/act/objectToRecovery"' in page.text
    day.do("objectToRecovery")
    with site.store.reading() as connection:
        [row] = Rows(connection).find(RecoveryRow, participant=site.number)
    assert row.objected
    assert 'href="/portal/act/objectToRecovery"' not in day.person.get("/portal").text


def test_lots_are_received_split_merged_packed_reworked_and_scrapped(day: Day) -> None:
    bar = day.do("receiveLot", identifier="urn:example:bar", quantity="10", unit="KGM").hex()
    day.do("splitLot", bar, parts="urn:example:a 4\r\nurn:example:b 5\r\n")
    part = day.last(LotRow, "number").subject.hex()
    assert day.row(LotRow, bytes.fromhex(bar)).quantity == 1
    merged = day.do("mergeLots", part, lots=f"0x{bar}", identifier="urn:example:c").hex()
    assert day.row(LotRow, bytes.fromhex(merged)).quantity == 6
    box = day.do("receiveLot", identifier="urn:example:box", quantity="1").hex()
    day.do("packLots", box, lots=f"0x{merged}")
    assert "unpackLots" in day.offered(f"/portal/lots/{box}")
    assert day.offered(f"/portal/lots/{merged}") == [], "what is packed moves with its parent"
    day.do("unpackLots", box)
    day.do("quarantineLot", merged, reason="rust")
    assert day.tasks() == ["In quarantine: what becomes of it?"]
    day.do("releaseLot", merged, reason="it was dirt")
    day.do("reworkLot", merged, note="brushed")
    assert day.row(LotRow, bytes.fromhex(merged)).reworked
    day.do("scrapLot", merged, quantity="6", disposition="recycled", reason="too thin")
    assert day.row(LotRow, bytes.fromhex(merged)).state == LotState.SPENT
    assert day.offered(f"/portal/lots/{merged}") == []


def test_lots_change_hands_with_what_is_packed_in_them(day: Day) -> None:
    box = day.do("receiveLot", identifier="urn:example:box", quantity="1").hex()
    inside = [day.do("receiveLot", identifier=f"urn:example:i{n}", quantity="1").hex() for n in range(3)]
    day.do("packLots", box, lots=f"0x{inside[0]}")
    day.do("offerCustody", box, to=str(day.other_number))
    assert day.row(LotRow, bytes.fromhex(box)).counterparty == day.other_number
    day.do("withdrawCustody", box, reason="the wrong one")
    hashes = [
        identifier_hash(NONE, name) for name in ("urn:example:xgiven", "urn:example:xrefused", "urn:example:xshort")
    ]
    lots = [subject(SubjectKind.LOT, day.other_number, one) for one in hashes]
    day.by_other(*(ReceiveLot(one, 5, b"H87", NONE) for one in hashes))
    day.by_other(*(OfferCustody((Item(lot, NONE),), day.site.number, NONE) for lot in lots))
    assert day.tasks() == ["Accept what was offered"] * 3
    day.do("acceptCustody", lots[0].hex())
    day.do("declineCustody", lots[1].hex(), reason="not ordered")
    day.do("acceptCustody", lots[2].hex())
    day.do("complain", lots[2].hex(), text="one is broken")
    holders = [day.row(LotRow, lot).custodian for lot in lots]
    assert holders == [day.site.number, day.other_number, day.site.number]
    assert day.tasks() == []


def gated(day: Day, model: int = 0) -> str:
    """A lot that the other company makes of an order whose gate is by a model of this company; 0: by a procedure."""
    terms: dict[str, Any] = {"operations": 1, "coordinator": day.other_number, "due_at": "2100-01-01T00:00:00Z"}
    gates = [{"inspector": day.site.number, "model": model}]
    order = day.site.final("/v1/orders", identifier="urn:example:order", terms={**terms, "gates": gates})["subjects"][0]
    of = bytes.fromhex(order[2:])
    day.by_other(AcceptOrder(of, NONE), RegisterMachine(identifier_hash(NONE, "urn:example:xmill"), NONE))
    machine = day.last(MachineRow, "number").number
    log = identifier_hash(NONE, "urn:example:xmill:log")
    day.by_other(ProposeAssignment(of, 0, machine, NONE), OpenStream(log, machine, NONE))
    number = day.last(AssignmentRow).sequence
    stream = subject(SubjectKind.STREAM, day.other_number, log)
    part = identifier_hash(NONE, "urn:example:xpart")
    day.by_other(AcceptAssignment(of, 0, number, NONE))
    day.by_other(StartAssignment(of, 0, number, stream, NONE), CommissionLot(part, of, 0, 1, b"H87", NONE))
    return subject(SubjectKind.LOT, day.other_number, part).hex()


def test_an_inspector_certifies_by_a_procedure_and_takes_it_back(day: Day) -> None:
    gauge = day.site.final("/v1/machines", identifier="urn:example:gauge")["sequence"]
    stream = day.site.final("/v1/streams", identifier="urn:example:gauge:log", machine=gauge)["subjects"][0]
    day.keep(stream)
    lot = gated(day)
    assert day.tasks() == ["Inspect"]
    assert "certifyLot" in day.offered("/portal")
    day.do("certifyLot", lot, verdict="fail", procedure="by eye, EN 13018", measurement=f"{stream}:1")
    row = day.last(CertificateRow)
    assert (row.leaf_index, row.model, row.verdict) == (1, 0, 2)
    assert day.row(LotRow, bytes.fromhex(lot)).state == LotState.QUARANTINED
    number = str(row.sequence)
    assert day.offered(f"/portal/certificates/{number}") == ["revokeCertificate"]
    day.do("revokeCertificate", number, reason="the gauge was wrong")
    day.do("waiveGate", lot, reason="inspected here")
    day.do("releaseLot", lot, reason="set free")
    assert day.row(LotRow, bytes.fromhex(lot)).state == LotState.HELD


def test_a_quarantine_of_an_inspector_who_was_suspended_is_lifted_by_whoever_holds_the_lot(day: Day) -> None:
    name, gates = identifier_hash(NONE, "urn:example:xorder"), (Gate(day.other_number),)
    day.by_other(PlaceOrder(name, OrderTerms(1, day.site.number, gates, FAR, 1, b"H87", NONE)))
    order = subject(SubjectKind.ORDER, day.other_number, name)
    day.do("acceptOrder", order.hex())
    machine = day.site.final("/v1/machines", identifier="urn:example:press")["sequence"]
    day.do("proposeAssignment", order.hex(), machine=str(machine), operation="0")
    work = str(day.last(AssignmentRow).sequence)
    day.do("acceptAssignment", work)
    day.do("openStream", str(machine), identifier="urn:example:press:log")
    day.do("startAssignment", work)
    lot = day.do("commissionLot", work, identifier="urn:example:part", quantity="1")
    day.by_other(QuarantineLot(lot, order, NONE))
    assert "releaseLot" not in day.offered(f"/portal/lots/{lot.hex()}")
    world, outbox = day.site.world, Outbox(day.site.store)
    owner = world.submitter(outbox, world.owner)
    owner.submit([("suspend", Suspend(day.other_number, NONE))])
    owner.drain()
    day.site.send()
    day.do("releaseLot", lot.hex(), reason="who stopped it is gone")
    assert day.row(LotRow, lot).state == LotState.HELD


def test_an_auditor_approves_a_model_and_its_inspector_may_not(day: Day) -> None:
    day.by_other(RegisterModel(b"m" * 32, NONE))
    other = day.last(ModelRow, "number").number
    assert day.tasks() == ["Approve a quality model"]
    day.do("approveModel", str(other), report="measured again, as the card says")
    assert day.tasks() == []
    own = day.site.final("/v1/models", digest="0x" + "66" * 32)["sequence"]
    assert "approveModel" not in day.offered(f"/portal/models/{own}")
    day.do("openModel", str(own), open="1")
    day.do("withdrawModel", str(other), defective_since="2026-01-01T00:00", reason="it passes everything")
    assert day.person.get(f"/portal/act/retireModel?id={own}").status_code == 409, "it is not approved"


# What is declared


def test_every_field_of_a_record_has_a_word() -> None:
    from dataclasses import fields  # noqa: PLC0415

    from millmark.services.gateway.recording.bodies import struct_of  # noqa: PLC0415

    kinds = [write.kind for write in WRITES if write.act.forms]
    names = {field.name for kind in kinds for one in {kind, struct_of(kind)} for field in fields(one)}
    nested = {"transformation", "rework", "statement", "opening", "lots_"}
    for catalogue in read_catalogues().values():
        assert sorted(one for one in names - nested if not catalogue.knows(f"act.record.{one}")) == []


def test_every_state_and_choice_that_forms_show_has_a_word_in_each_language() -> None:
    catalogues = read_catalogues()
    kinds: list[type[enum.IntEnum]] = [*STATES.values(), Disposition, Verdict, NoteKind]
    for kind in kinds:
        for member in (one for one in kind if one.name != "NONE"):
            chinese, english = (catalogues[one].word(member) for one in ("zh", "en"))
            assert not chinese.isascii(), f"{kind.__name__}.{member.name} is {chinese}"
            assert english.isascii()
