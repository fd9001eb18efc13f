"""Which records follow from an EPCIS event, and why none does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from millmark.ledger.ids import canonical_identifier
from millmark.ledger.records import (
    AcceptCustody,
    Disposition,
    Item,
    Note,
    NoteKind,
    OfferCustody,
    PackLots,
    ReturnLot,
    ScrapLot,
    Transformation,
    TransformLots,
    UnpackLots,
)
from millmark.services.interop.epcis.mapping import _BUILDERS, _UNRECORDED, Known, propose
from millmark.services.interop.epcis.schema import ACTIONS, EVENT_TYPES, event_schema
from tests.support.captured_events import (
    ADD,
    MAKE,
    MELT,
    OTHER,
    PACK,
    PALLET,
    PART,
    PARTY,
    SENSE,
    SHIP,
    TRADE,
    WHEN,
    faults,
    name_lot,
)

NAMING = Known(name=name_lot)
LOTS = {
    canonical_identifier(epc): Item(bytes([n]) * 32, bytes(32)) for n, epc in enumerate([PART, OTHER, PALLET, MELT], 1)
}
_LOT = [bytes([n]) * 32 for n in range(5)]
KNOWN = Known(LOTS, {canonical_identifier(PARTY): 7}, offers=dict.fromkeys(_LOT, 600), name=name_lot)


def _grams(quantity: int) -> dict[str, Any]:
    return {"epcClass": f"{MELT}-chips", "quantity": quantity, "uom": "GRM"}


def _litres(quantity: int) -> dict[str, Any]:
    return {"epcClass": f"{MELT}-coolant", "quantity": quantity, "uom": "LTR"}


FRESH = Known({name: item for name, item in LOTS.items() if name == canonical_identifier(MELT)}, name=name_lot)


def _records(event: dict[str, Any], known: Known = KNOWN) -> list[Any]:
    assert not faults(event)
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
        {**ADD, "errorDeclaration": {"declarationTime": WHEN["eventTime"]}},
        Known(),
        "correct the record",
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
    assert not faults(event)
    proposal = propose(event, "ni:x", known)
    assert proposal.records == ()
    assert not proposal.names
    assert reason in proposal.evidence_only[0]


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_each_kind_and_action_has_a_builder_or_a_reason(kind: str) -> None:
    actions = ACTIONS if "action" in event_schema(kind)["properties"] else [""]
    assert sorted(action for of, action in (*_BUILDERS, *_UNRECORDED) if of == kind) == sorted(actions)


def test_only_kinds_of_the_standard_are_decided() -> None:
    assert {kind for kind, _ in (*_BUILDERS, *_UNRECORDED)} == {*EVENT_TYPES}
