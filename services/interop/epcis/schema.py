"""Validation of EPCIS 2.0 documents by a JSON Schema 2020-12 written for this project (EPCIS 2.0 sections 7 and 10).

Formats are asserted: a step that is neither a standard word nor a URI, an extension without a namespace and a time
without an offset are refused. Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from millmark.ledger.canonical import Json
from millmark.services.interop.epcis import tree

if TYPE_CHECKING:
    import jsonschema_rs

Fault: TypeAlias = tuple[str, str]
"""JSON pointer (RFC 6901) relative to the validated value, and the reason."""

_Schema: TypeAlias = dict[str, Any]
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MAX_FAULTS: Final = 20
"""Maximum number of faults reported for one event."""

_URI: _Schema = {"type": "string", "format": "uri"}
_TIME: _Schema = {"type": "string", "format": "date-time"}
_TEXT: _Schema = {"type": "string"}
_NUMBER: _Schema = {"type": "number"}
_NAME: _Schema = {"type": "string", "format": "uri"}
"""The name of an extension has a namespace: `prefix:local` has the form of a URI."""


def _list(item: _Schema, **more: Any) -> _Schema:
    return {"type": "array", "items": item, **more}


def _object(fields: Mapping[str, _Schema], required: Sequence[str] = (), *, extensible: bool = False) -> _Schema:
    names: _Schema = {"enum": sorted(fields)}
    return {
        "type": "object",
        "properties": dict(fields),
        "required": list(required),
        "propertyNames": {"anyOf": [names, _NAME]} if extensible else names,
    }


def _word(known: Sequence[str], *spaces: str) -> _Schema:
    """Accepts a bare word of the standard, or a URI that is not another spelling of such a word."""
    own = {**_URI, "pattern": f"^(?!{'|'.join(spaces)})"}
    return {"anyOf": [{"enum": list(known)}, own]}


def _cbv(known: Sequence[str]) -> _Schema:
    return _word(known, "urn:epcglobal:cbv", "https?://ns\\.gs1\\.org/cbv/")


def _gs1(known: Sequence[str]) -> _Schema:
    return _word(known, "https?://gs1\\.org/voc/", "https?://www\\.gs1\\.org/voc/")


_QUANTITY = _object(
    {"epcClass": _URI, "quantity": _NUMBER, "uom": {**_TEXT, "pattern": "^[A-Z0-9]{2,3}$"}}, ["epcClass"]
)
_QUANTITIES = _list(_QUANTITY)
_EPCS = _list(_URI)
_DISTINCT_EPCS = _list(_URI, uniqueItems=True)
_DISPOSITION = _cbv(tree.DISPOSITIONS)
_PLACE: _Schema = {"type": "object", "properties": {"id": _URI}, "required": ["id"]}
_PARTY = _cbv(tree.PARTY_TYPES)
_DEVICE = dict.fromkeys(("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules"), _URI)
_METADATA = _object({**_DEVICE, "time": _TIME, "startTime": _TIME, "endTime": _TIME}, extensible=True)
_REPORT = _object(
    {
        **_DEVICE,
        **dict.fromkeys(("microorganism", "chemicalSubstance", "coordinateReferenceSystem", "uriValue"), _URI),
        **dict.fromkeys(
            ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"),
            _NUMBER,
        ),
        "type": _gs1(tree.MEASUREMENTS),
        "exception": _gs1(tree.SENSOR_ALERTS),
        "time": _TIME,
        "component": _cbv(tree.COMPONENTS),
        "stringValue": _TEXT,
        "booleanValue": {"type": "boolean"},
        "hexBinaryValue": {**_TEXT, "pattern": "^[A-Fa-f0-9]+$"},
        "uom": _TEXT,
    },
    ["type"],
    extensible=True,
)
_SENSOR = _object(
    {"sensorMetadata": _METADATA, "sensorReport": _list(_REPORT, minItems=1)}, ["sensorReport"], extensible=True
)
_CONTEXT: _Schema = {
    "anyOf": [_URI, {"type": "object"}, _list({"anyOf": [_URI, {"type": "object"}]}, uniqueItems=True)]
}
_HEAD: dict[str, _Schema] = {
    "@context": _CONTEXT,
    "type": _TEXT,
    "eventTime": _TIME,
    "recordTime": _TIME,
    "eventTimeZoneOffset": {**_TEXT, "pattern": "^[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00)$"},
    "eventID": _URI,
    "certificationInfo": {"anyOf": [_URI, _list(_URI)]},
    "errorDeclaration": _object(
        {"declarationTime": _TIME, "reason": _cbv(tree.ERROR_REASONS), "correctiveEventIDs": _list(_URI)},
        ["declarationTime"],
        extensible=True,
    ),
}
_STEP: dict[str, _Schema] = {
    "bizStep": _cbv(tree.BIZ_STEPS),
    "disposition": _DISPOSITION,
    "readPoint": _PLACE,
    "bizLocation": _PLACE,
    "bizTransactionList": _list(
        _object({"type": _cbv(tree.BIZ_TRANSACTION_TYPES), "bizTransaction": _URI}, ["bizTransaction"])
    ),
    "sourceList": _list(_object({"type": _PARTY, "source": _URI}, ["type", "source"])),
    "destinationList": _list(_object({"type": _PARTY, "destination": _URI}, ["type", "destination"])),
    "sensorElementList": _list(_SENSOR),
}
ACTIONS: Final = ("OBSERVE", "ADD", "DELETE")
_ACTION: dict[str, _Schema] = {"action": {"enum": list(ACTIONS)}}
_BIRTH: dict[str, _Schema] = {
    "persistentDisposition": {
        **_object(dict.fromkeys(("set", "unset"), _list(_DISPOSITION, minItems=1, uniqueItems=True))),
        "minProperties": 1,
    },
    "ilmd": {"type": "object", "propertyNames": _NAME},
}
"""Fields that only events have that can create something."""


def _filled(name: str) -> _Schema:
    return {"required": [name], "properties": {name: {"minItems": 1}}}


_DELETED: _Schema = {"properties": {"action": {"const": "DELETE"}}}
_IN, _OUT = ("inputEPCList", "inputQuantityList"), ("outputEPCList", "outputQuantityList")
_GROUP = {"parentID": _URI, "childEPCs": _EPCS, "childQuantityList": _QUANTITIES}
_CHILDREN: _Schema = {"anyOf": [_filled("childEPCs"), _filled("childQuantityList"), _DELETED]}

_KINDS: Final[Mapping[str, tuple[dict[str, _Schema], Sequence[str], Sequence[_Schema]]]] = {
    "ObjectEvent": (
        {"epcList": _DISTINCT_EPCS, "quantityList": _QUANTITIES, **_ACTION, **_BIRTH},
        ["action"],
        [
            {
                "anyOf": [
                    {"required": ["epcList"]},
                    _filled("quantityList"),
                    {"allOf": [_filled("sensorElementList"), {"required": ["readPoint"]}]},
                ]
            },
            {"if": {"required": ["ilmd"]}, "then": {"properties": {"action": {"const": "ADD"}}}},
        ],
    ),
    "AggregationEvent": ({**_GROUP, **_ACTION}, ["action"], [_CHILDREN]),
    "AssociationEvent": ({**_GROUP, **_ACTION}, ["action", "parentID"], [_CHILDREN]),
    "TransactionEvent": (
        {"parentID": _URI, "epcList": _EPCS, "quantityList": _QUANTITIES, **_ACTION},
        ["action", "bizTransactionList"],
        [
            {"properties": {"bizTransactionList": {"minItems": 1}}},
            {"anyOf": [{"required": ["epcList"]}, _filled("quantityList"), _DELETED]},
        ],
    ),
    "TransformationEvent": (
        {
            **dict.fromkeys(("inputEPCList", "outputEPCList"), _DISTINCT_EPCS),
            **dict.fromkeys(("inputQuantityList", "outputQuantityList"), _QUANTITIES),
            "transformationID": _URI,
            **_BIRTH,
        },
        [],
        [
            {
                "if": {"required": ["transformationID"]},
                "then": {"anyOf": [_filled(name) for name in (*_IN, *_OUT)]},
                "else": {"allOf": [{"anyOf": [_filled(name) for name in side]} for side in (_IN, _OUT)]},
            }
        ],
    ),
}
"""By kind of event: its fields beside those of all events, the required ones, and further rules."""
EVENT_TYPES: Final = tuple(_KINDS)
"""The kinds of the standard, for queries, the published context and tests; a kind is declared in the table above."""


def event_schema(kind: str) -> _Schema:
    """The schema of one kind of event. Kinds outside the standard only need the common fields and a URI as type."""
    head = ["type", "eventTime", "eventTimeZoneOffset"]
    if kind not in _KINDS:
        other = {**_HEAD, "type": _URI}
        return {"$schema": _DIALECT, "type": "object", "properties": other, "required": head}
    fields, required, rules = _KINDS[kind]
    whole = _object({**_HEAD, **_STEP, **fields}, [*head, *required], extensible=True)
    return {"$schema": _DIALECT, **whole, "allOf": list(rules)}


_ATTRIBUTE: _Schema = {
    "type": "object",
    "properties": {"id": _URI, "attribute": {"type": ["number", "string", "object"]}},
    "required": ["id"],
}
_VOCABULARIES = _list(
    {
        "type": "object",
        "properties": {
            "type": _URI,
            "vocabularyElementList": _list(
                {
                    "type": "object",
                    "properties": {"id": _URI, "attributes": _list(_ATTRIBUTE), "children": _list(_URI)},
                    "required": ["id"],
                }
            ),
        },
        "required": ["type"],
    }
)
_EVENTS: _Schema = {"type": "array"}
_SHELL: dict[str, _Schema] = {"@context": _CONTEXT, "id": _URI, "type": _TEXT, "creationDate": _TIME} | {
    "schemaVersion": {**_TEXT, "pattern": "^\\d+(?:\\.\\d+)*$"}
}
_DOCUMENTS: Final[Mapping[str, _Schema]] = {
    "EPCISDocument": _object(
        {
            **_SHELL,
            "instanceIdentifier": _TEXT,
            "sender": _TEXT,
            "receiver": _TEXT,
            "epcisHeader": _object(
                {"epcisMasterData": {"type": "object", "properties": {"vocabularyList": _VOCABULARIES}}},
                extensible=True,
            ),
            "epcisBody": {"type": "object", "properties": {"eventList": _EVENTS}, "required": ["eventList"]},
        },
        ["@context", "type", "schemaVersion", "creationDate", "epcisBody"],
        extensible=True,
    ),
    "EPCISQueryDocument": _object(
        {
            **_SHELL,
            "epcisBody": _object(
                {
                    "queryResults": _object(
                        {
                            "queryName": _TEXT,
                            "subscriptionID": _TEXT,
                            "resultsBody": _object(
                                {"eventList": _EVENTS, "vocabularyList": _VOCABULARIES}, ["eventList"], extensible=True
                            ),
                        },
                        ["queryName", "resultsBody"],
                        extensible=True,
                    )
                },
                ["queryResults"],
                extensible=True,
            ),
        },
        ["@context", "type", "epcisBody"],
        extensible=True,
    ),
}
_ALONE: _Schema = {"type": "object", "required": ["@context"]}


@cache
def _event_validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    return _compile(event_schema(kind))


@cache
def _document_validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    return _compile({"$schema": _DIALECT, **_DOCUMENTS.get(kind, _ALONE)})


def _compile(schema: _Schema) -> jsonschema_rs.Draft202012Validator:
    import jsonschema_rs  # noqa: PLC0415 - several megabytes, which most gateways at rest do not need

    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def document_faults(document: Mapping[str, Json]) -> list[Fault]:
    """Faults of a document outside its events; empty if it conforms. A bare event must have its own context."""
    kind = document.get("type")
    if "epcisBody" in document and str(kind) not in _DOCUMENTS:
        return [("/type", f"a document is one of {', '.join(_DOCUMENTS)}")]
    return list(_faults(_document_validator(str(kind)), document))


def event_faults(event: Json) -> list[Fault]:
    """Faults of one event, at most 20; empty if it conforms."""
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return [("", "an event is an object with a type")]
    kind = str(event["type"])
    return list(_faults(_event_validator(kind if kind in _KINDS else ""), event))


def _faults(validator: jsonschema_rs.Draft202012Validator, value: Json) -> Iterator[Fault]:
    if validator.is_valid(value):  # much faster than collecting errors, and the usual case
        return
    for number, error in enumerate(validator.iter_errors(value)):
        if number == _MAX_FAULTS:
            return
        steps = [str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path]
        yield "".join(f"/{step}" for step in steps), _reason(error)


def _reason(error: jsonschema_rs.ValidationError) -> str:
    # For these cases the validator's own message would quote whole lists of allowed words.
    path = [str(step) for step in error.schema_path]
    quoted = error.message.partition('" is ')[0].lstrip('"')[:80]
    if "propertyNames" in path:
        return f"{quoted!a} is neither a standard field nor an extension with a namespace"
    if path[-1] == "anyOf" and isinstance(error.instance, str):
        return f"{error.instance[:80]!a} is neither a standard value nor a URI"
    if path[-1] == "anyOf" and isinstance(error.instance, dict):
        return "required lists, which name the things that it is about, are missing or empty"
    return error.message[:200]
