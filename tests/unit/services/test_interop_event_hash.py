"""The EPCIS event hash: the published examples, what must not change it, what must."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import InputError, MillmarkError
from millmark.services.interop.epcis.documents import build_prehash, hash_events, parse_document
from millmark.services.interop.epcis.tree import canonical_time, canonical_value, json_event, namespaces_of
from tests.support.interop import CORPUS

CONTEXT: Any = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"ex": "https://ns.example.com/epcis/"},
]
EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2020-03-04T11:00:30.5+01:00",
    "eventTimeZoneOffset": "+01:00",
    "epcList": ["urn:epc:id:sscc:4012345.0000000333", "urn:epc:id:sscc:4012345.0000000111"],
    "action": "ADD",
    "bizStep": "commissioning",
    "readPoint": {"id": "urn:epc:id:sgln:4012345.00011.987", "ex:dock": "7"},
    "quantityList": [{"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 12.5, "uom": "KGM"}],
    "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epc:id:gdti:0614141.00001.1618034"}],
    "sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 20.5, "uom": "CEL"}]}],
    "ilmd": {"ex:melt": "A1"},
    "ex:note": {"ex:line": ["3", "1"]},
}
XML = """<?xml version="1.0" encoding="UTF-8"?>
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" xmlns:other="https://ns.example.com/epcis/"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<EPCISBody><EventList><ObjectEvent xsi:type="x">
  <eventTime> 2020-03-04T10:00:30.500Z </eventTime><recordTime>2021-01-01T00:00:00Z</recordTime>
  <eventTimeZoneOffset>+01:00</eventTimeZoneOffset><!-- none -->
  <epcList><epc>https://example.com/00/040123450000003338</epc><epc>urn:epc:id:sscc:4012345.0000000111</epc></epcList>
  <action>ADD</action><bizStep>urn:epcglobal:cbv:bizstep:commissioning</bizStep>
  <readPoint><id>https://id.gs1.org/414/4012345000115/254/987</id><other:dock>07.0</other:dock></readPoint>
  <bizTransactionList><bizTransaction type="cbv:BTT-po">urn:epc:id:gdti:0614141.00001.1618034</bizTransaction>
  </bizTransactionList>
  <extension><quantityList><quantityElement><epcClass>urn:epc:class:lgtin:4012345.012345.998877</epcClass>
  <quantity>12.500</quantity><uom>KGM</uom></quantityElement></quantityList></extension>
  <sensorElementList><sensorElement><sensorReport type="gs1:Temperature" value="20.50" uom="CEL"/></sensorElement>
  </sensorElementList><ilmd><other:melt>A1</other:melt></ilmd>
  <other:note><other:line>1</other:line><other:line>3</other:line></other:note>
</ObjectEvent></EventList></EPCISBody></epcis:EPCISDocument>"""


def _document(*events: dict[str, Any], context: Any = CONTEXT) -> bytes:
    body = {"eventList": list(events)}
    return json.dumps({"@context": context, "type": "EPCISDocument", "epcisBody": body}).encode()


def _hash(event: dict[str, Any], context: Any = CONTEXT) -> str:
    [found] = hash_events(_document(event, context=context))
    return found


def test_the_prehash_of_an_event() -> None:
    assert build_prehash(json_event(EVENT, namespaces_of(CONTEXT))) == (
        "eventType=ObjectEventeventTime=2020-03-04T10:00:30.500ZeventTimeZoneOffset=+01:00"
        "epcListepc=https://id.gs1.org/00/040123450000001112epc=https://id.gs1.org/00/040123450000003338"
        "quantityListquantityElementepcClass=https://id.gs1.org/01/04012345123456/10/998877quantity=12.5uom=KGM"
        "action=ADDbizStep=https://ref.gs1.org/cbv/BizStep-commissioning"
        "readPointid=https://id.gs1.org/414/4012345000115/254/987"
        "bizTransactionListtype=https://ref.gs1.org/cbv/BTT-po"
        "bizTransaction=https://id.gs1.org/253/06141410000121618034"
        "sensorElementsensorReporttype=https://ref.gs1.org/voc/Temperaturevalue=20.5uom=CEL"
        "ilmd{https://ns.example.com/epcis/}melt=A1readPoint{https://ns.example.com/epcis/}dock=7"
        "{https://ns.example.com/epcis/}note{https://ns.example.com/epcis/}line=1{https://ns.example.com/epcis/}line=3"
    )


def test_xml_and_json_of_one_event_have_one_hash() -> None:
    assert hash_events(XML.encode()) == [_hash(EVENT)]
    assert hash_events(b"\xef\xbb\xbf\n" + XML.split("\n", 1)[1].encode()) == [_hash(EVENT)]


def test_one_event_alone_and_in_each_kind_of_document_has_one_hash() -> None:
    alone = json.dumps({"@context": CONTEXT, **EVENT}).encode()
    body = {"queryResults": {"queryName": "q", "resultsBody": {"eventList": [EVENT]}}}
    query = json.dumps({"@context": CONTEXT, "type": "EPCISQueryDocument", "epcisBody": body}).encode()
    assert hash_events(alone) == hash_events(b"\xef\xbb\xbf" + query) == [_hash(EVENT)]


# The published examples. The expected strings are of October 2025; what changed until the profile is edited here.

_EDITS = [
    ("https://gs1.org/voc/", "https://ref.gs1.org/voc/"),
    ("sensorElementListsensorElement", "sensorElement"),
    (r"(destinationList.*?)(sourceList[^{]*)", r"\2\1"),
    (r"(readPointid=[^{]*?)(\{.*?\}myField1=AB-12)(.*?)(\{.*?\}userExt)", r"\1\3readPoint\2\4"),
]


def _published() -> list[Path]:
    return sorted((CORPUS / "epcis-event-hash" / "reference" / "examples").glob("*.prehashes"))


@pytest.mark.parametrize("path", _published(), ids=lambda path: path.stem)
def test_published_examples(path: Path) -> None:
    prehash = path.read_text(encoding="utf-8").strip()
    for old, new in _EDITS:
        prehash = re.sub(old, new, prehash)
    [event] = parse_document(path.with_suffix(".jsonld").read_bytes()).events
    assert isinstance(event.value, dict)
    assert build_prehash(json_event(event.value, event.namespaces)) == prehash


def test_the_example_that_did_not_change_has_its_published_hash() -> None:
    assert hash_events(json.dumps(REFERENCE).encode()) == [REFERENCE_HASH]


REFERENCE_HASH = "ni:///sha-256;6ae96341e0acc6d7a261364751f60e68278a81cdf51da0abb6b4e617014e39d7?ver=CBV2.0"
REFERENCE = {
    "@context": [{"example": "https://ns.example.com/epcis/"}],
    "type": "ObjectEvent",
    "eventTime": "2020-03-04T11:00:30.000+01:00",
    "eventTimeZoneOffset": "+01:00",
    "epcList": [f"urn:epc:id:sscc:4012345.0000000{number}" for number in (333, 111, 222)],
    "action": "OBSERVE",
    "bizStep": "departing",
    "readPoint": {"id": "urn:epc:id:sgln:4012345.00011.987"},
    "example:myField1": {"example:mySubField1": "2", "example:mySubField2": "5"},
    "example:myField2": "0",
    "example:myField3": {"example:mySubField3": ["3", "1"]},
}


# What must not change the hash.


def _shuffled(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(value[key], data) for key in data.draw(st.permutations(list(value)))}
    if isinstance(value, list):
        return [_shuffled(item, data) for item in data.draw(st.permutations(value))]
    return value


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_the_order_of_members_and_lists_does_not_matter(data: st.DataObject) -> None:
    assert _hash(_shuffled(EVENT, data)) == _hash(EVENT)


@given(st.integers(-14 * 60, 14 * 60))
def test_the_time_zone_of_a_time_does_not_matter(minutes: int) -> None:
    sign, hours = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    day, clock = divmod(10 * 60 + minutes, 24 * 60)
    time = f"2020-03-{4 + day:02}T{clock // 60:02}:{clock % 60:02}:30.5{sign}{hours[0]:02}:{hours[1]:02}"
    assert canonical_time(time) == "2020-03-04T10:00:30.500Z"


SAME: dict[str, dict[str, Any]] = {
    "an empty list": {"destinationList": []},
    "a time of recording": {"recordTime": "2021-01-01T00:00:00Z"},
    "an event id": {"eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8"},
    "a declaration of error": {"errorDeclaration": {"declarationTime": "2021-01-01T00:00:00Z"}},
    "a certification": {"certificationInfo": "https://example.org/c"},
    "a comment": {"rdfs:comment": "none"},
    "nothing": {"disposition": None},
    "the web name of a step": {"bizStep": "https://ref.gs1.org/cbv/BizStep-commissioning"},
    "the short name of a step": {"bizStep": "cbv:BizStep-commissioning"},
    "the old name of a step": {"bizStep": "urn:epcglobal:cbv:bizstep:commissioning"},
    "links on another host": {
        "epcList": ["http://a.example/x/00/040123450000003338?linkType=all", "urn:epc:id:sscc:4012345.0000000111"]
    },
    "zeros behind a number": {
        "quantityList": [{"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": "12.50", "uom": "KGM"}]
    },
    "white space": {"ex:note": {"ex:line": [" 3", "1\n"]}},
}


@pytest.mark.parametrize("says", SAME)
def test_the_hash_stays(says: str) -> None:
    assert _hash({**EVENT, **SAME[says]}) == _hash(EVENT)


@given(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(
        lambda name: name not in {"cbv", "gs", "epcis", "cbvmda", "https"}
    )
)
def test_the_prefix_of_a_namespace_does_not_matter(prefix: str) -> None:
    text = json.dumps(EVENT).replace('"ex:', f'"{prefix}:')
    assert _hash(json.loads(text), ["https://x", {prefix: "https://ns.example.com/epcis/"}]) == _hash(EVENT)


# What must.


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, item in enumerate(value) for leaf in _leaves(item, (*path, key))]
    return [path]


@pytest.mark.parametrize("path", _leaves(EVENT), ids=lambda path: "/".join(map(str, path)))
def test_every_value_changes_the_hash(path: tuple[Any, ...]) -> None:
    other = copy.deepcopy(EVENT)
    *steps, last = path
    holder: Any = other
    for step in steps:
        holder = holder[step]
    holder[last] = "2020-03-04T11:00:30.501+01:00" if last == "eventTime" else f"{holder[last]}x"
    assert _hash(other) != _hash(EVENT)
    del holder[last]
    assert _hash(other) != _hash(EVENT)


@given(st.integers(10**30, 10**31), st.integers(1, 9), st.sampled_from(["{}", "0.{}", "{}.5"]))
def test_long_numbers_keep_every_digit(number: int, step: int, form: str) -> None:
    one, other = form.format(number), form.format(number + step)
    assert _hash({**EVENT, "ex:id": one}) != _hash({**EVENT, "ex:id": other})


def test_a_number_of_absurd_size_is_a_text() -> None:
    assert canonical_value("1e-999999999") == "1e-999999999"
    assert canonical_value("1e999999999") == "1e999999999"
    assert canonical_value("1e-5") == "0.00001"


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("2020-03-04T10:00:30Z", "2020-03-04T10:00:30.000Z"),
        ("2020-03-04T10:00:30.1Z", "2020-03-04T10:00:30.100Z"),
        ("2020-03-04T10:00:30.1414999Z", "2020-03-04T10:00:30.141Z"),
        ("2020-03-04T10:00:30.1415Z", "2020-03-04T10:00:30.142Z"),
        ("2020-12-31T23:59:59.9995Z", "2021-01-01T00:00:00.000Z"),
        ("2020-03-04T11:00:30+0100", "2020-03-04T10:00:30.000Z"),
        ("2020-03-04t10:00:30z", "2020-03-04T10:00:30.000Z"),
        ("9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59.9999Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("2020-03-04T10:00:30", "2020-03-04T10:00:30"),
        ("22-07-2026", "22-07-2026"),
    ],
)
def test_times(given: str, canonical: str) -> None:
    assert canonical_time(given) == canonical


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("1.0", "1"),
        ("0.34340", "0.3434"),
        ("-3.50", "-3.5"),
        ("NaN", "NaN"),
        ("C62", "C62"),
        ("urn:epc:id:sgln:4012345.00011.0", "https://id.gs1.org/414/4012345000115"),
        ("urn:epc:idpat:sgtin:4012345.012345.*", "https://id.gs1.org/01/04012345123456"),
        ("urn:epc:id:sgtin:4012345", "urn:epc:id:sgtin:4012345"),
        ("urn:epc:id:gid:1.2.3", "urn:epc:id:gid:1.2.3"),
        ("https://a.example/01/04012345123456/22/v/10/L/21/S", "https://id.gs1.org/01/04012345123456/21/S"),
        ("https://a.example/01/4012345123456", "https://id.gs1.org/01/04012345123456"),
        ("https://id.gs1.org/01/04012345123457/21/S", "https://id.gs1.org/01/04012345123457/21/S"),
        ("https://a.example/8004/401234599999", "https://id.gs1.org/8004/401234599999"),
        ("https://a.example/8004/abc", "https://a.example/8004/abc"),
        ("https://a.example/8017/401234599999999999/8019/1", "https://a.example/8017/401234599999999999/8019/1"),
        ("https://example.com/page?id=1", "https://example.com/page?id=1"),
    ],
)
def test_values(given: str, canonical: str) -> None:
    assert canonical_value(given) == canonical
    assert canonical_value(canonical) == canonical


# Bad input.


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":5}',
        b'{"type":"EPCISDocument"}',
        b'{"type":"EPCISDocument","epcisBody":[]}',
        b'{"type":"EPCISDocument","epcisBody":{"eventList":{}}}',
        b'{"type":"EPCISDocument","epcisBody":{"eventList":[5]}}',
        b'{"type":"EPCISQueryDocument","epcisBody":{"queryResults":[]}}',
        b'{"type":"ObjectEvent","action":"ADD","action":"DELETE"}',
        b'{"type":"ObjectEvent","n":' + b"[" * 99 + b"]" * 99 + b"}",
        b"<",
        b"<a/>",
        b"<a><EventList></a>",
        b'<!DOCTYPE a [<!ENTITY e "x">]><a><EventList><ObjectEvent>&e;</ObjectEvent></EventList></a>',
        b"<a>" * 99 + b"</a>" * 99,
        b"\x00\xff",
    ],
)
def test_what_holds_no_events_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        hash_events(data)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "epcList",
                        "readPoint",
                        "source",
                        "#text",
                        "@xmlns:a",
                        "a:b",
                        "sensorElementList",
                        "quantity",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_any_json_is_hashed_or_refused(value: Any) -> None:
    try:
        hash_events(_document(value))
    except MillmarkError:
        return
    assert isinstance(value, dict)
