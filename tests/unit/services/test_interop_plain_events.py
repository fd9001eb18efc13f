"""Plain events: the short way gives what the long way gives, and takes what it says it takes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from millmark.services.interop.epcis.documents import Event, build_prehash, parse_document, read_plain
from millmark.services.interop.epcis.schema import EVENT_TYPES, event_faults, event_schema
from millmark.services.interop.epcis.tree import build_terms
from tests.support.interop import CORPUS, GS1_TWICE

Json = dict[str, Any]
NAMESPACES = {"example": "https://example.com/ns/", "odd": "urn:odd:no-slash", "gs1": "https://ref.gs1.org/voc/"}
EPC = "urn:epc:id:sgtin:9506000.013435.A1"
FULL: Json = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:1",
    "eventTime": "2026-03-02T09:30:00.0005+01:00",
    "recordTime": "2026-03-02T09:30:00Z",
    "eventTimeZoneOffset": "+01:00",
    "epcList": [EPC, "https://id.gs1.org/01/09506000134352/21/B%2F2", "urn:epc:id:sgtin:9506000.013435.A0"],
    "parentID": "urn:epc:id:sscc:9506000.0000000001",
    "inputEPCList": [EPC],
    "childEPCs": ["urn:uuid:2", EPC],
    "quantityList": [
        {"uom": "KGM", "quantity": 10.50, "epcClass": "urn:epc:class:lgtin:9506000.013435.L7"},
        {"epcClass": "urn:epc:class:lgtin:9506000.013435.L6"},
    ],
    "childQuantityList": [{"epcClass": "urn:epc:idpat:sgtin:9506000.013435.*", "quantity": 3}],
    "inputQuantityList": [],
    "outputEPCList": [],
    "outputQuantityList": [{"epcClass": "urn:epc:class:lgtin:9506000.013435.L7", "quantity": 1e3}],
    "action": "OBSERVE",
    "transformationID": "urn:epc:id:gdti:9506000.00001.T1",
    "bizStep": "inspecting",
    "disposition": "https://ref.gs1.org/cbv/Disp-in_transit",
    "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.5"},
    "bizLocation": {"id": "https://id.gs1.org/414/9506000000015"},
    "bizTransactionList": [
        {"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9506000000005:PO-7"},
        {"bizTransaction": "urn:epcglobal:cbv:bt:9506000000005:A-1"},
    ],
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:9506000.00001"}],
    "destinationList": [{"type": "urn:epcglobal:cbv:sdt:location", "destination": "urn:epc:id:sgln:9506000.00001.0"}],
    "certificationInfo": ["https://example.com/c"],
    "example:text": " a  b ",
    "example:number": 1.50,
    "example:flag": True,
    "odd:name": "urn:epcglobal:cbv:bizstep:shipping",
    "unknown:name": "00012",
    "gs1:expiry": "2026-03-02T09:30:00+01:00",
}


def both(event: Event) -> tuple[tuple[str, list[tuple[str, str]]] | None, tuple[str, list[tuple[str, str]]]]:
    assert isinstance(event.value, dict)
    plain, tree = read_plain(event.value, event.all_namespaces()), event.tree()
    shown = None if plain is None else (plain[0], sorted(set(plain[1])))
    return shown, (build_prehash(tree), sorted(set(build_terms(tree))))


def verify(value: Json) -> None:
    plain, general = both(Event("", value, NAMESPACES))
    assert plain == general


def test_all_fields_together() -> None:
    verify(FULL)
    assert read_plain(FULL, NAMESPACES) is not None


NOT_PLAIN = {
    "sensorElementList": "a tree of reports, each with fields of its own",
    "errorDeclaration": "not hashed, but searched for",
    "ilmd": "a tree of extensions",
    "persistentDisposition": "an object of lists, which few events have",
}
"""Fields with which an event is left to the long way, and why."""


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_each_field_of_a_kind_is_read_the_short_way_or_has_a_reason(kind: str) -> None:
    """An unknown field would send every event with it the long way, and nobody would notice but by the time."""
    fields = event_schema(kind)["properties"].keys()
    assert fields - FULL.keys() - NOT_PLAIN.keys() == {"@context"}
    assert all(read_plain({**FULL, name: {}}, NAMESPACES) is None for name in NOT_PLAIN)


@pytest.mark.parametrize("name", [name for name in FULL if name not in ("type",)])
def test_each_field_missing_and_alone(name: str) -> None:
    verify({key: value for key, value in FULL.items() if key != name})
    verify({"type": "ObjectEvent", name: FULL[name]})
    if ":" not in name:
        verify({"type": "ObjectEvent", name: None})


@pytest.mark.parametrize(
    "changed",
    [
        {"sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 1}]}]},
        {"ilmd": {"example:lot": "1"}},
        {"persistentDisposition": {"set": ["damaged"]}},
        {"errorDeclaration": {"declarationTime": "2026-03-02T09:30:00Z"}},
        {"readPoint": {"id": "urn:x:y", "example:bay": "1"}},
        {"example:nested": {"example:a": 1}},
        {"example:list": ["1", "2"]},
        {"example:nothing": None},
        {"@xmlns:x": "https://example.com/x/"},
        {"#text": "x"},
        {"rdfs:comment": "x"},
        {"epcList": EPC},
        {"epcList": [EPC, None]},
        {"epcList": [[EPC]]},
        {"bizTransactionList": [{"type": "po", "bizTransaction": "urn:x:y", "example:a": 1}]},
        {"quantityList": [{"epcClass": "urn:x:y", "quantity": None}]},
        {"quantityList": [{"epcClass": "urn:x:y", "example:a": 1}]},
        {"readPoint": {}},
        {"unheardOf": "x"},
    ],
)
def test_what_is_not_plain_is_left_to_the_long_way(changed: Json) -> None:
    assert read_plain({**FULL, **changed}, NAMESPACES) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"epcList": ["", EPC]},
        {"epcList": [""]},
        {"quantityList": [{}]},
        {"bizTransactionList": [{}]},
        {"bizTransactionList": [{"type": "po"}]},
        {"readPoint": {"id": ""}},
        {"bizStep": ""},
        {"example:text": ""},
        {"example:number": -0.0},
        {"example:number": 1e300},
        {"example:number": 2**53 - 1},
        {"eventTime": "not a time"},
        {"childEPCs": [1, True]},
    ],
)
def test_odd_values(changed: Json) -> None:
    verify({**FULL, **changed})


def corpus() -> Iterator[Event]:
    for path in sorted((CORPUS / "epcis2" / "gs1" / "JSON").rglob("*.jsonld")):
        if path.stem != GS1_TWICE:
            yield from parse_document(path.read_bytes()).events
    for path in sorted((CORPUS / "epcis-event-hash" / "reference" / "examples").glob("*.jsonld")):
        yield from parse_document(path.read_bytes()).events


@pytest.mark.skipif(not (CORPUS / "epcis2").exists(), reason="GS1's documents are not at hand")
def test_published_events_and_thousands_made_of_them() -> None:
    chance, plain_ones, events = random.Random(1), 0, list(corpus())  # noqa: S311 - repeatable
    for event in events:
        for _ in range(20):
            plain, general = both(event)
            assert plain in (None, general)
            plain_ones += plain is not None
            event = Event("", _changed(event.value, events, chance), event.namespaces)
    assert plain_ones > 300


def _changed(value: Any, events: list[Event], chance: random.Random) -> Json:
    """Another event: a field less, or one of somebody else's."""
    made: Json = copy.deepcopy(value)
    other: Any = chance.choice(events).value
    name = chance.choice(sorted(other))
    if chance.random() < 0.3 and len(made) > 2:
        made.pop(chance.choice([one for one in made if one != "type"]))
    if name != "type":
        made[name] = copy.deepcopy(other[name])
    return made


def test_a_plain_event_is_one_that_the_standard_takes() -> None:
    kind = {name: FULL[name] for name in ("type", "eventTime", "eventTimeZoneOffset", "epcList", "action", "bizStep")}
    assert event_faults(json.loads(json.dumps(kind))) == []
    assert read_plain(kind, NAMESPACES) is not None
