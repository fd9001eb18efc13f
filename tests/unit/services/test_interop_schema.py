"""Our schema of EPCIS 2.0 judges as the published one does: on its examples, and on thousands of broken copies."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from millmark.ledger.errors import InputError
from millmark.services.interop.epcis.capture import Status, parse_capture, validate_events
from millmark.services.interop.epcis.schema import EVENT_TYPES, event_schema
from millmark.services.interop.epcis.tree import (
    BIZ_STEPS,
    BIZ_TRANSACTION_TYPES,
    COMPONENTS,
    DISPOSITIONS,
    ERROR_REASONS,
    MEASUREMENTS,
    PARTY_TYPES,
    SENSOR_ALERTS,
)
from tests.support.interop import CORPUS, broken_copies

GS1 = CORPUS / "epcis2" / "gs1"
COPIES = 30
VALUES: list[Any] = [
    *(None, True, 0, -1.5, "", "x", "ex:y", "https://a/b", "urn:epcglobal:cbv:disp:x", "2020-01-01", "receiving"),
    *("2020-01-01T00:00:00Z", "DELETE", "ADD", "OBSERVE", "+15:00", "C6", "c62", "https://gs1.org/voc/Temperature"),
    *([], {}, ["a"], [[]], {"id": "ex:a"}),
]
NAMES = ["foo", "ex:foo", "type", "ilmd", "action", "epcList", "parentID", "childEPCs", "bizStep", "transformationID"]


def _examples() -> list[Path]:
    return sorted((GS1 / "JSON").rglob("*.jsonld"))


@cache
def _published() -> Any:
    schema = json.loads((GS1 / "EPCIS-JSON-Schema.json").read_text(encoding="utf-8"))
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def _conforms(document: Any) -> bool:
    try:
        judged = validate_events(parse_capture(json.dumps(document).encode()))
    except InputError:
        return False
    return all(one.status is not Status.REJECTED for one in judged)


@pytest.mark.parametrize("path", _examples(), ids=lambda path: path.stem)
def test_broken_copies_are_judged_as_by_the_published_schema(path: Path) -> None:
    for document in broken_copies(path, COPIES, VALUES, NAMES, rename=True):
        assert _conforms(document) == _published().is_valid(document), document


@pytest.mark.parametrize("kind", [*EVENT_TYPES, "urn:x:y"])
def test_our_schemas_are_json_schema(kind: str) -> None:
    jsonschema_rs.meta.validate(event_schema(kind))


def _terms(*path: str) -> set[str]:
    context = json.loads((GS1 / "epcis-context.jsonld").read_text(encoding="utf-8"))
    for step in path:
        context = context["@context"][step]
    return set(context["@context"])


@pytest.mark.parametrize(
    ("known", "path"),
    [
        (BIZ_STEPS, ("bizStep",)),
        (DISPOSITIONS, ("disposition",)),
        (BIZ_TRANSACTION_TYPES, ("bizTransactionList", "type")),
        (PARTY_TYPES, ("sourceList", "type")),
        (PARTY_TYPES, ("destinationList", "type")),
        (MEASUREMENTS, ("sensorElementList", "sensorReport", "type")),
        (SENSOR_ALERTS, ("sensorElementList", "sensorReport", "exception")),
        (COMPONENTS, ("sensorElementList", "sensorReport", "component")),
        (ERROR_REASONS, ("errorDeclaration", "reason")),
    ][: 9 if GS1.exists() else 0],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_our_words_are_those_of_the_published_context(known: tuple[str, ...], path: tuple[str, ...]) -> None:
    assert set(known) == _terms(*path)
    assert len(set(known)) == len(known)
