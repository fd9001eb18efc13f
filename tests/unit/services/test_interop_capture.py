"""Capturing EPCIS events: what is accepted, refused or there already, what is kept, and which records follow."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.canonical import sha256
from ledger.errors import InputError
from ledger.ids import Identity, SubjectKind, canonical_identifier, identifier_hash
from ledger.records import (
    AcceptCustody,
    Disposition,
    Item,
    Note,
    NoteKind,
    OfferCustody,
    PackLots,
    ReceiveLot,
    ReturnLot,
    ScrapLot,
    Transformation,
    TransformLots,
    UnpackLots,
)
from services.interop.epcis.capture import Status, capture, none_rejected, parse_capture, validate_events
from services.interop.epcis.log_file import open_evidence_file
from services.interop.epcis.mapping import Known, propose
from tests.support.interop import CORPUS

CONTEXT: Any = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"ex": "https://ns.example.com/"}]
PART = "urn:epc:id:sgtin:4012345.011111.987"
OTHER = "urn:epc:id:sgtin:4012345.011111.988"
PALLET = "urn:epc:id:sscc:4012345.0000000111"
MELT = "urn:epc:class:lgtin:4012345.012345.998877"
PARTY = "urn:epc:id:pgln:4012345.00000"
_WHEN = {"eventTime": "2020-03-04T11:00:30+01:00", "eventTimeZoneOffset": "+01:00"}
ADD: dict[str, Any] = {**_WHEN, "type": "ObjectEvent", "epcList": [PART], "action": "ADD", "bizStep": "commissioning"}
SHIP: dict[str, Any] = {
    **ADD,
    "action": "OBSERVE",
    "bizStep": "shipping",
    "destinationList": [{"type": "possessing_party", "destination": PARTY}],
}
MAKE: dict[str, Any] = {
    "type": "TransformationEvent",
    **_WHEN,
    "inputQuantityList": [{"epcClass": MELT, "quantity": 12.5, "uom": "KGM"}],
    "outputEPCList": [PART, OTHER],
}
PACK: dict[str, Any] = {
    "type": "AggregationEvent",
    **_WHEN,
    "parentID": PALLET,
    "childEPCs": [OTHER, PART],
    "action": "ADD",
}
SENSE: dict[str, Any] = {
    **_WHEN,
    "type": "ObjectEvent",
    "epcList": [PART],
    "action": "OBSERVE",
    "sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 20.5, "uom": "CEL"}]}],
}
TRADE: dict[str, Any] = {
    **_WHEN,
    "type": "TransactionEvent",
    "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epc:id:gdti:0614141.00001.1618034"}],
    "epcList": [PART],
    "action": "ADD",
}


def _document(*events: Any, **members: Any) -> bytes:
    shell = {"@context": CONTEXT, "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": _WHEN["eventTime"]}
    return json.dumps(shell | {"epcisBody": {"eventList": list(events)}} | members).encode()


def _query(*events: Any) -> bytes:
    results = {"queryName": "q", "resultsBody": {"eventList": list(events)}}
    return json.dumps(
        {"@context": CONTEXT, "type": "EPCISQueryDocument", "epcisBody": {"queryResults": results}}
    ).encode()


def _faults(*events: Any) -> list[tuple[str, str]]:
    return [fault for one in validate_events(parse_capture(_document(*events))) for fault in one.faults]


# Judging.


@pytest.mark.parametrize("event", [ADD, SHIP, MAKE, PACK, SENSE, TRADE], ids=lambda event: event["type"])
def test_every_kind_of_event_is_accepted(event: dict[str, Any]) -> None:
    for data in (_document(event), _query(event), json.dumps({"@context": CONTEXT, **event}).encode()):
        assert [one.status for one in validate_events(parse_capture(data))] == [Status.ACCEPTED]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a step that the vocabulary does not have": (
        {**ADD, "bizStep": "transforming"},
        "/bizStep",
        "neither a standard value",
    ),
    "a state that the vocabulary does not have": (
        {**ADD, "disposition": "in_transport"},
        "/disposition",
        "in_transport",
    ),
    "the old spelling of a standard step": (
        {**ADD, "bizStep": "urn:epcglobal:cbv:bizstep:packing"},
        "/bizStep",
        "packing",
    ),
    "a lot's data without a namespace": ({**ADD, "ilmd": {"melt": "A"}}, "/ilmd", "'melt' is neither"),
    "a field without a namespace": ({**ADD, "melt": "A"}, "", "'melt' is neither"),
    "a date that is no time": ({**ADD, "eventTime": "22-07-2026"}, "/eventTime", "date-time"),
    "a time without an offset": ({**ADD, "eventTime": "2020-03-04T11:00:30"}, "/eventTime", "date-time"),
    "an offset that is none": ({**ADD, "eventTimeZoneOffset": "+14:30"}, "/eventTimeZoneOffset", "+14:30"),
    "no time": ({key: value for key, value in ADD.items() if key != "eventTime"}, "", "eventTime"),
    "no action": ({key: value for key, value in ADD.items() if key != "action"}, "", "action"),
    "an action that is none": ({**ADD, "action": "add"}, "/action", "add"),
    "a thing that is no URI": ({**ADD, "epcList": ["part 7"]}, "/epcList/0", "uri"),
    "a thing twice": ({**ADD, "epcList": [PART, PART]}, "/epcList", "unique"),
    "nothing that it is about": (
        {key: value for key, value in ADD.items() if key != "epcList"},
        "",
        "that it is about",
    ),
    "a lot's data of a thing that was there": ({**SENSE, "ilmd": {"ex:melt": "A"}}, "/action", "ADD"),
    "a kind of event that has no namespace": ({**ADD, "type": "InspectionEvent"}, "/type", "uri"),
    "a quantity that is a text": (
        {**ADD, "quantityList": [{"epcClass": MELT, "quantity": "12"}]},
        "/quantityList/0/quantity",
        "number",
    ),
    "a unit in lower case": (
        {**ADD, "quantityList": [{"epcClass": MELT, "quantity": 1, "uom": "kgm"}]},
        "/quantityList/0/uom",
        "kgm",
    ),
    "a place without a name": ({**ADD, "readPoint": {"ex:dock": 7}}, "/readPoint", "id"),
    "a party without a kind": ({**SHIP, "destinationList": [{"destination": PARTY}]}, "/destinationList/0", "type"),
    "a measurement that is none": (
        {**SENSE, "sensorElementList": [{"sensorReport": [{"type": "Warmth"}]}]},
        "/sensorElementList/0/sensorReport/0/type",
        "Warmth",
    ),
    "a sensor without a report": (
        {**SENSE, "sensorElementList": [{"sensorMetadata": {}}]},
        "/sensorElementList/0",
        "sensorReport",
    ),
    "packed without children": ({**PACK, "childEPCs": []}, "", "that it is about"),
    "an association without a parent": (
        {**{key: value for key, value in PACK.items() if key != "parentID"}, "type": "AssociationEvent"},
        "",
        "parentID",
    ),
    "children of an object event": ({**ADD, "childEPCs": [PART]}, "", "'childEPCs' is neither"),
    "an action of a transformation": ({**MAKE, "action": "ADD"}, "", "'action' is neither"),
    "something made of nothing": ({**MAKE, "inputQuantityList": []}, "", "that it is about"),
    "trade without a transaction": ({**TRADE, "bizTransactionList": []}, "/bizTransactionList", "less than 1 item"),
    "a reason that is none": (
        {**ADD, "errorDeclaration": {"declarationTime": _WHEN["eventTime"], "reason": "mistake"}},
        "/errorDeclaration/reason",
        "mistake",
    ),
}


@pytest.mark.parametrize("says", REFUSED)
def test_refused(says: str) -> None:
    event, pointer, reason = REFUSED[says]
    found = _faults(TRADE, event)
    assert any(at == f"/epcisBody/eventList/1{pointer}" and reason in why for at, why in found), found
    assert [one.status for one in validate_events(parse_capture(_query(event)))] == [Status.REJECTED]


@pytest.mark.parametrize("event", [None, 5, [], {}, {"type": None}], ids=repr)
def test_what_is_no_event_is_refused(event: Any) -> None:
    assert _faults(event)


@pytest.mark.parametrize(
    "data",
    [
        b"<epcis/>",
        b"{}",
        json.dumps(ADD).encode(),  # a bare event without a context
        _document(schemaVersion="two"),
        _document(creationDate="today"),
        _document(epcisBody={}),
        _document(type="Document"),
        _document(type="ObjectEvent"),
        _document(note="x"),
        _document(**{"@context": 5}),
        _document(ADD)[:-1],
        _query()[:-1] + b',"sender":"urn:x:y"}',
    ],
)
def test_a_document_that_is_none_is_unusable(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_capture(data)


def test_an_event_comes_in_once() -> None:
    shifted = {
        **ADD,
        "eventTime": "2020-03-04T10:00:30.000Z",
        "eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
    }
    wrong = {**ADD, "errorDeclaration": {"declarationTime": _WHEN["eventTime"], "reason": "did_not_occur"}}
    judged = validate_events(parse_capture(_document(ADD, shifted, wrong, wrong)))
    assert [one.status for one in judged] == [Status.ACCEPTED, Status.DUPLICATE, Status.ACCEPTED, Status.DUPLICATE]
    assert len({one.hash for one in judged}) == 1
    assert {
        one.status for one in validate_events(parse_capture(_document(ADD, wrong)), {judged[0].key, judged[2].key})
    } == {Status.DUPLICATE}


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([ADD, SHIP, MAKE, PACK, SENSE, TRADE]), st.data())
def test_an_event_with_anything_in_it_is_judged(event: dict[str, Any], data: st.DataObject) -> None:
    mangled = copy.deepcopy(event)
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.sampled_from([PART, "ADD", "ex:a"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    mangled[data.draw(st.sampled_from([*mangled, "ex:note", "quantityList", "errorDeclaration"]))] = data.draw(anything)
    [judged] = validate_events(parse_capture(_document(mangled)))
    if judged.status is not Status.REJECTED:
        propose(mangled, str(judged.hash), Known())


# The published examples.


def _published() -> list[Path]:
    return sorted((CORPUS / "epcis2" / "gs1" / "JSON").rglob("*.jsonld"))


@pytest.mark.parametrize("path", _published(), ids=lambda path: path.stem)
def test_every_published_example_is_accepted(path: Path, tmp_path: Path) -> None:
    with open_evidence_file(tmp_path / "log") as file:
        captured = capture(parse_capture(path.read_bytes()), file)
    assert captured
    assert none_rejected(captured)


# Keeping.


def test_accepted_events_are_kept_with_what_opens_their_records(tmp_path: Path) -> None:
    log = tmp_path / "log"
    bad = REFUSED["no action"][0]
    with open_evidence_file(log) as file:
        first = capture(parse_capture(_document(ADD, bad, ADD)), file, NAMING)
    assert [one.validation.status.value for one in first] == ["accepted", "rejected", "duplicate"]
    assert not none_rejected(first)
    assert log.stat().st_mode & 0o777 == 0o600
    line = json.loads(log.read_text())
    assert line["entry"]["event"] == ADD
    name = canonical_identifier(PART)
    assert first[0].proposal is not None
    [record] = first[0].proposal.records
    assert isinstance(record, ReceiveLot)
    assert record.identifier_hash == identifier_hash(bytes.fromhex(line["beside"]["salts"][name]), name)
    assert line["salt"] not in json.dumps([one.to_json() for one in first])
    with open_evidence_file(log) as file:
        assert file.log.tree.root() != b""
        again = capture(parse_capture(_document(SENSE, ADD)), file)
    assert [one.validation.status.value for one in again] == ["accepted", "duplicate"]
    assert again[0].entry is not None
    assert again[0].entry.index == 1


def test_a_line_cut_by_a_crash_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open_evidence_file(log) as file:
        capture(parse_capture(_document(ADD, SENSE)), file)
        root = file.log.tree.root()
    whole = log.read_bytes()
    log.write_bytes(whole + whole[: len(whole) // 3])
    with open_evidence_file(log) as file:
        assert file.log.tree.root() == root
    assert log.read_bytes() == whole


@pytest.mark.parametrize("line", [b"x", b"[]", b"{}", b'{"salt":"00","entry":1}', b'{"salt":5,"entry":1}', b"\xff"])
def test_a_log_of_something_else_is_left_alone(line: bytes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(line + b"\n")
    with pytest.raises(InputError, match="line 1"), open_evidence_file(log):
        pass
    assert log.read_bytes() == line + b"\n"


# Records.


def _name(identifier: str) -> Identity:
    return Identity(SubjectKind.LOT, 7, identifier, sha256(identifier.encode()))


NAMING = Known(name=_name)
LOTS = {
    canonical_identifier(epc): Item(bytes([n]) * 32, bytes(32)) for n, epc in enumerate([PART, OTHER, PALLET, MELT], 1)
}
_LOT = [bytes([n]) * 32 for n in range(5)]
KNOWN = Known(LOTS, {canonical_identifier(PARTY): 7}, offers=dict.fromkeys(_LOT, 600), name=_name)


def _grams(quantity: int) -> dict[str, Any]:
    return {"epcClass": f"{MELT}-chips", "quantity": quantity, "uom": "GRM"}


def _litres(quantity: int) -> dict[str, Any]:
    return {"epcClass": f"{MELT}-coolant", "quantity": quantity, "uom": "LTR"}


FRESH = Known({name: item for name, item in LOTS.items() if name == canonical_identifier(MELT)}, name=_name)


def _records(event: dict[str, Any], known: Known = KNOWN) -> list[Any]:
    assert not _faults(event)
    proposal = propose(event, "ni:x", known)
    assert proposal.records
    assert not proposal.evidence_only
    return list(proposal.records)


def test_a_thing_from_outside_is_received() -> None:
    lots = [{"epcClass": MELT, "quantity": 12.5, "uom": "KGM"}]
    single, several = _records({**ADD, "quantityList": lots}, NAMING)
    assert (single.quantity, single.unit) == (1, b"C62")
    assert (several.quantity, several.unit) == (12_500, b"GRM")
    assert single.identifier_hash != several.identifier_hash


def test_what_is_destroyed_is_scrapped() -> None:
    lots = [{"epcClass": MELT, "quantity": 3, "uom": "KGM"}]
    records = _records({**ADD, "action": "DELETE", "bizStep": "destroying", "quantityList": lots})
    assert [(type(one), one.lot[0], one.quantity) for one in records] == [(ScrapLot, 1, 1), (ScrapLot, 4, 3)]


def test_what_is_shipped_is_offered_and_what_is_received_accepted() -> None:
    [offer] = _records(SHIP)
    assert isinstance(offer, OfferCustody)
    assert (offer.to, [item.lot[0] for item in offer.consignment]) == (7, [1])
    [accepted] = _records({**SHIP, "bizStep": "receiving"})
    assert isinstance(accepted, AcceptCustody)
    assert accepted.offer == 600
    proposal = propose({**SHIP, "bizStep": "receiving"}, "ni:x", replace(KNOWN, offers={}))
    assert "is not offered" in proposal.evidence_only[0]


@pytest.mark.parametrize(("maker", "kind"), [(7, ReturnLot), (8, OfferCustody)])
def test_h6_what_is_quarantined_and_shipped_to_its_maker_is_returned(maker: int, kind: type) -> None:
    known = replace(KNOWN, returnable={_LOT[1]: (maker, bytes(32))})
    assert [(type(one), one.to) for one in _records(SHIP, known)] == [(kind, 7)]


@pytest.mark.parametrize(
    ("disposition", "how"),
    [
        ("destroyed", Disposition.SCRAPPED),
        ("retail_sold", Disposition.SOLD),
        ("dispensed", Disposition.SOLD),
        ("stolen", Disposition.LOST),
        ("https://ref.gs1.org/cbv/Disp-stolen", Disposition.LOST),
    ],
)
def test_how_a_thing_left_follows_from_the_disposition(disposition: str, how: Disposition) -> None:
    left = {**ADD, "action": "DELETE", "bizStep": "decommissioning", "disposition": disposition}
    assert [one.disposition for one in _records(left)] == [how]


def test_n1_what_is_observed_becomes_a_note() -> None:
    """Of what is not known here, the reason stays."""
    [note] = _records({**SENSE, "epcList": [OTHER, PART]})
    assert isinstance(note, Note)
    assert (note.kind, [lot[0] for lot in note.subjects]) == (NoteKind.OBSERVATION, [1, 2])
    assert len(note.grounds) == 2
    unknown = f"{PART}1"
    proposal = propose({**SENSE, "epcList": [PART, unknown]}, "ni:x", KNOWN)
    assert [len(one.subjects) for one in proposal.records if isinstance(one, Note)] == [1]
    assert [unknown in reason for reason in proposal.evidence_only] == [True]


@pytest.mark.parametrize("kind", ["AggregationEvent", "AssociationEvent"])
def test_what_is_grouped_is_packed_and_unpacked(kind: str) -> None:
    [packed] = _records({**PACK, "type": kind})
    assert isinstance(packed, PackLots)
    assert (packed.parent[0], [lot[0] for lot in packed.lots]) == (3, [1, 2])
    assert isinstance(_records({**PACK, "type": kind, "action": "DELETE"})[0], UnpackLots)


def test_c5_each_lot_that_is_shipped_is_offered_by_itself() -> None:
    """One offer is one lot with all that is packed in it; two serials in one were refused by the contract."""
    offers = _records({**SHIP, "epcList": [PART, OTHER]})
    assert [[item.lot[0] for item in offer.consignment] for offer in offers] == [[1], [2]]
    packed = replace(KNOWN, contents={_LOT[3]: (Item(_LOT[2], bytes(32)), Item(_LOT[1], bytes(32)))})
    for named in ([PALLET], [PALLET, OTHER], [OTHER, PALLET, PART]):
        [offer] = _records({**SHIP, "epcList": named}, packed)
        assert [item.lot[0] for item in offer.consignment] == [3, 1, 2]
    taken = _records({**SHIP, "bizStep": "receiving", "epcList": [PART, OTHER]})
    assert [type(one) for one in taken] == [AcceptCustody, AcceptCustody]


def test_what_an_event_packs_is_in_the_next_event_s_offer() -> None:
    known = KNOWN.after(propose(PACK, "ni:x", KNOWN))
    [offer] = _records({**SHIP, "epcList": [PALLET]}, known)
    assert [item.lot[0] for item in offer.consignment] == [3, 1, 2]
    known = known.after(propose({**PACK, "action": "DELETE", "childEPCs": [PART]}, "ni:x", known))
    [offer] = _records({**SHIP, "epcList": [PALLET]}, known)
    assert [item.lot[0] for item in offer.consignment] == [3, 2]


def test_lots_that_events_pack_in_a_circle_are_offered_once() -> None:
    circle = {_LOT[1]: (Item(_LOT[2], bytes(32)),), _LOT[2]: (Item(_LOT[1], bytes(32)),)}
    [offer] = _records(SHIP, replace(KNOWN, contents=circle))
    assert [item.lot[0] for item in offer.consignment] == [1, 2]


def _made(event: dict[str, Any], known: Known) -> Transformation:
    [made] = _records(event, known)
    assert isinstance(made, TransformLots)
    return made.transformation


def test_d1_pieces_are_assembled_by_their_yield() -> None:
    event = {**MAKE, "inputQuantityList": [], "inputEPCList": [OTHER, PALLET], "outputEPCList": [PART]}
    known = replace(KNOWN, lots={name: item for name, item in LOTS.items() if item.lot != _LOT[1]})
    terms = _made(event, known)
    assert (terms.unit, terms.output_unit, terms.loss, terms.yield_in, terms.yield_out) == (b"C62", b"C62", 0, 2, 1)
    assert [taken.component for taken in terms.inputs] == [False, False]


def test_a_piece_is_disassembled_by_its_yield() -> None:
    event = {**MAKE, "inputQuantityList": [], "inputEPCList": [PALLET]}
    known = replace(KNOWN, lots={canonical_identifier(PALLET): Item(_LOT[3], bytes(32))})
    terms = _made(event, known)
    assert (terms.unit, terms.output_unit, terms.yield_in, terms.yield_out) == (b"C62", b"C62", 1, 2)


def test_what_has_another_unit_than_all_outputs_is_a_component() -> None:
    known = replace(KNOWN, lots={name: item for name, item in LOTS.items() if item.lot[0] > 2})
    terms = _made({**MAKE, "inputEPCList": [PALLET]}, known)
    assert (terms.unit, terms.output_unit, terms.yield_in, terms.yield_out) == (b"C62", b"C62", 1, 2)
    assert [(taken.lot[0], taken.component) for taken in terms.inputs] == [(3, False), (4, True)]


def test_what_comes_out_in_the_unit_of_the_inputs_stays_of_them() -> None:
    terms = _made({**MAKE, "outputQuantityList": [_grams(500)]}, FRESH)
    assert (terms.unit, terms.output_unit, terms.yield_in, terms.yield_out) == (b"GRM", b"C62", 12_000, 2)
    assert [(made.quantity, made.unit) for made in terms.outputs] == [(1, b"C62"), (1, b"C62"), (500, b"GRM")]


def test_what_is_made_is_a_conversion() -> None:
    [made] = _records(MAKE, FRESH)
    assert isinstance(made, TransformLots)
    terms = made.transformation
    assert (terms.unit, terms.output_unit, terms.yield_in, terms.yield_out, len(terms.outputs)) == (
        b"GRM",
        b"C62",
        12_500,
        2,
        2,
    )


UNMAPPED: dict[str, tuple[dict[str, Any], Known, str]] = {
    "an observation of what is not known": (SENSE, Known(), "no lot with that identifier"),
    "trade": (TRADE, KNOWN, "no record"),
    "an aggregation that is only seen": ({**PACK, "action": "OBSERVE"}, KNOWN, "no record"),
    "a declaration of error": (
        {**ADD, "errorDeclaration": {"declarationTime": _WHEN["eventTime"]}},
        Known(),
        "supersede",
    ),
    "a new thing without a name key": (ADD, Known(), "named by its company's gateway"),
    "a thing that is there": (ADD, KNOWN, "already has that identifier"),
    "a kind of thing": ({**ADD, "epcList": ["https://id.gs1.org/01/04012345123456"]}, NAMING, "kind of thing"),
    "a name without canonical form": ({**ADD, "epcList": ["https://example.com/thing"]}, Known(), "example.com"),
    "a wrong check digit": ({**ADD, "epcList": ["https://id.gs1.org/01/04012345123457/21/1"]}, Known(), "check digit"),
    "a fraction of a piece": (
        {**ADD, "epcList": [], "quantityList": [{"epcClass": MELT, "quantity": 1.5}]},
        NAMING,
        "whole number",
    ),
    "less than nothing": (
        {**ADD, "epcList": [], "quantityList": [{"epcClass": MELT, "quantity": -1}]},
        NAMING,
        "whole number",
    ),
    "an amount that is not told": (
        {**ADD, "epcList": [], "quantityList": [{"epcClass": MELT}]},
        NAMING,
        "quantity is missing",
    ),
    "a thing that is not known": ({**ADD, "action": "DELETE"}, Known(), "no lot with that identifier"),
    "a receiver that is not known": (SHIP, Known(LOTS), "no participant"),
    "no receiver": ({**SHIP, "destinationList": []}, KNOWN, "exactly one party"),
    "part of a lot shipped": ({**SHIP, "quantityList": [{"epcClass": MELT, "quantity": 1}]}, KNOWN, "whole lots"),
    "part of a lot packed": ({**PACK, "childQuantityList": [{"epcClass": MELT, "quantity": 1}]}, KNOWN, "whole lots"),
    "all children unpacked": ({**PACK, "action": "DELETE", "childEPCs": []}, KNOWN, "does not name"),
    "one of several events": ({**MAKE, "transformationID": "urn:x:y"}, FRESH, "several events"),
    "two units in, and a third out": (
        {**MAKE, "inputEPCList": [PALLET], "outputEPCList": [], "outputQuantityList": [_litres(2)]},
        KNOWN,
        "several units",
    ),
    "three units out": ({**MAKE, "outputQuantityList": [_litres(2)]}, FRESH, "several units"),
    "more left than went in": ({**MAKE, "outputQuantityList": [_grams(12_500)]}, FRESH, "come out of 12500 GRM"),
    "a lot of an order": (MAKE, Known({canonical_identifier(MELT): Item(b"\1" * 32, b"\2" * 32)}), "assignment"),
}


@pytest.mark.parametrize("says", UNMAPPED)
def test_what_gives_no_record_says_why(says: str) -> None:
    event, known, reason = UNMAPPED[says]
    assert not _faults(event)
    proposal = propose(event, "ni:x", known)
    assert proposal.records == ()
    assert not proposal.names
    assert reason in proposal.evidence_only[0]
