"""Capturing EPCIS events: what is accepted, refused or there already, and what is kept."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import InputError
from millmark.ledger.ids import canonical_identifier, identifier_hash
from millmark.ledger.records import (
    ReceiveLot,
)
from millmark.services.interop.epcis.capture import (
    Status,
    capture,
    none_rejected,
    open_evidence_file,
    parse_capture,
    validate_events,
)
from millmark.services.interop.epcis.mapping import Known, propose
from tests.support.captured_events import (
    ADD,
    CONTEXT,
    MAKE,
    MELT,
    PACK,
    PART,
    PARTY,
    SENSE,
    SHIP,
    TRADE,
    WHEN,
    document,
    faults,
    name_lot,
)
from tests.support.interop import CORPUS, GS1_TWICE


def _query(*events: Any) -> bytes:
    results = {"queryName": "q", "resultsBody": {"eventList": list(events)}}
    return json.dumps(
        {"@context": CONTEXT, "type": "EPCISQueryDocument", "epcisBody": {"queryResults": results}}
    ).encode()


# Judging.


@pytest.mark.parametrize("event", [ADD, SHIP, MAKE, PACK, SENSE, TRADE], ids=lambda event: event["type"])
def test_every_kind_of_event_is_accepted(event: dict[str, Any]) -> None:
    for data in (document(event), _query(event), json.dumps({"@context": CONTEXT, **event}).encode()):
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
        {**ADD, "errorDeclaration": {"declarationTime": WHEN["eventTime"], "reason": "mistake"}},
        "/errorDeclaration/reason",
        "mistake",
    ),
}


@pytest.mark.parametrize("says", REFUSED)
def test_refused(says: str) -> None:
    event, pointer, reason = REFUSED[says]
    found = faults(TRADE, event)
    assert any(at == f"/epcisBody/eventList/1{pointer}" and reason in why for at, why in found), found
    assert [one.status for one in validate_events(parse_capture(_query(event)))] == [Status.REJECTED]


@pytest.mark.parametrize("event", [None, 5, [], {}, {"type": None}], ids=repr)
def test_what_is_no_event_is_refused(event: Any) -> None:
    assert faults(event)


@pytest.mark.parametrize(
    "data",
    [
        b"<epcis/>",
        b"{}",
        json.dumps(ADD).encode(),  # a bare event without a context
        document(schemaVersion="two"),
        document(creationDate="today"),
        document(epcisBody={}),
        document(type="Document"),
        document(type="ObjectEvent"),
        document(note="x"),
        document(**{"@context": 5}),
        document(ADD)[:-1],
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
    wrong = {**ADD, "errorDeclaration": {"declarationTime": WHEN["eventTime"], "reason": "did_not_occur"}}
    judged = validate_events(parse_capture(document(ADD, shifted, wrong, wrong)))
    assert [one.status for one in judged] == [Status.ACCEPTED, Status.DUPLICATE, Status.ACCEPTED, Status.DUPLICATE]
    assert len({one.hash for one in judged}) == 1
    assert {
        one.status for one in validate_events(parse_capture(document(ADD, wrong)), {judged[0].key, judged[2].key})
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
    [judged] = validate_events(parse_capture(document(mangled)))
    if judged.status is not Status.REJECTED:
        propose(mangled, str(judged.hash), Known())


# The published examples.


def _published() -> list[Path]:
    found = sorted((CORPUS / "epcis2" / "gs1" / "JSON").rglob("*.jsonld"))
    return [path for path in found if path.stem != GS1_TWICE]


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
        first = capture(parse_capture(document(ADD, bad, ADD)), file, Known(name=name_lot))
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
        again = capture(parse_capture(document(SENSE, ADD)), file)
    assert [one.validation.status.value for one in again] == ["accepted", "duplicate"]
    assert again[0].entry is not None
    assert again[0].entry.index == 1


def test_a_line_cut_by_a_crash_is_cut_off(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open_evidence_file(log) as file:
        capture(parse_capture(document(ADD, SENSE)), file)
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
