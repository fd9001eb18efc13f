"""Registry of the JSON-LD contexts that our documents name, as the gateway serves them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from millmark.ledger.canonical import Json
from millmark.services.interop.contexts.w3c import build_credentials_context, build_did_context, build_multikey_context
from millmark.services.interop.credentials.certificate import VOCABULARY, build_certificate_context
from millmark.services.interop.credentials.keys import DID_CONTEXT, MULTIKEY_CONTEXT
from millmark.services.interop.credentials.model import BASE_CONTEXT
from millmark.services.interop.epcis import tree
from millmark.services.interop.epcis.event_queries import CONTEXT as EPCIS_CONTEXT
from millmark.services.interop.epcis.schema import EVENT_TYPES

# JSON-LD context for EPCIS 2.0 and CBV 2.0, written by us: it maps each name to its IRI.
#
# GS1's own document is not copied, because its terms of use do not allow redistribution; names and IRIs are facts of
# the standard. The vocabulary is the one by which events are validated and hashed
# (millmark.services.interop.epcis.tree). A document expands to the same RDF with this context as with GS1's.

_Terms: TypeAlias = dict[str, Json]

_SPACES: Final[_Terms] = {
    "epcis": tree.EPCIS,
    "cbv": tree.CBV,
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "gs1": tree.GS1_DOCUMENTS,
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
}
_KINDS: Final = (*EVENT_TYPES, "Collection", "EPCISDocument", "EPCISQueryDocument")
_PLAIN: Final = (
    "eventTimeZoneOffset action uom ilmd instanceIdentifier epcisHeader masterData vocabularyList epcisBody "
    "queryResults subscriptionID queryName resultsBody eventList"
)
_TIME, _DOUBLE, _TEXT = "xsd:dateTimeStamp", "xsd:double", "xsd:string"


def build_epcis_context() -> dict[str, Json]:
    """The whole document. Its terms are protected: a later context in a document cannot redefine them."""
    terms: _Terms = {
        "@version": 1.1,
        "@protected": True,
        **_SPACES,
        "id": "@id",
        "type": "@type",
        "eventID": "@id",
        "baseURL": "@base",
        **_plain(" ".join((*_KINDS, _PLAIN))),
        **_typed("eventTime recordTime", _TIME),
        **_typed("bizLocation readPoint transformationID epcClass parentID", "@id"),
        **_typed("epcList childEPCs inputEPCList outputEPCList certificationInfo children", "@id", many=True),
        **_typed("quantityList childQuantityList inputQuantityList outputQuantityList", "", many=True),
        **_typed("sender receiver", _TEXT),
        "quantity": _term("quantity", "xsd:decimal"),
        "member": {"@id": "rdfs:member", "@type": "@id", "@container": "@set"},
        "creationDate": {"@id": "dcterms:created", "@type": "xsd:dateTime"},
        "schemaVersion": "owl:versionInfo",
        "bizStep": _word("bizStep", "cbv:BizStep-", tree.BIZ_STEPS),
        "disposition": _word("disposition", "cbv:Disp-", tree.DISPOSITIONS),
        "persistentDisposition": _persistent(),
        "bizTransactionList": _within("bizTransactionList", _transaction(), many=True),
        "sourceList": _within("sourceList", _party("source"), many=True),
        "destinationList": _within("destinationList", _party("destination"), many=True),
        "sensorElementList": _within("sensorElementList", _sensor(), many=True),
        "errorDeclaration": _within("errorDeclaration", _error()),
    }
    return {"@context": terms}


def _term(name: str, type_: str = "", *, many: bool = False) -> Json:
    term: _Terms = {"@id": f"epcis:{name}"}
    if type_:
        term["@type"] = type_
    return {**term, "@container": "@set"} if many else term


def _plain(names: str) -> _Terms:
    return {name: f"epcis:{name}" for name in names.split()}


def _typed(names: str, type_: str, *, many: bool = False) -> _Terms:
    return {name: _term(name, type_, many=many) for name in names.split()}


def _spelled(space: str, known: Iterable[str]) -> _Terms:
    """Maps bare words to their IRIs in a namespace."""
    return {word: space + word for word in known}


def _word(name: str, space: str, known: Iterable[str]) -> Json:
    """A field whose value is a word of the standard or an IRI."""
    return {"@id": f"epcis:{name}", "@type": "@vocab", "@context": _spelled(space, known)}


def _within(name: str, terms: _Terms, *, many: bool = False) -> Json:
    """A field whose value is an object with terms of its own."""
    around: _Terms = {"@id": f"epcis:{name}", "@context": _protected(terms)}
    return {**around, "@container": "@set"} if many else around


def _protected(terms: _Terms) -> Json:
    return {"@protected": True, "epcis": tree.EPCIS, **terms}


def _persistent() -> Json:
    own = _protected(_typed("set unset", "@vocab", many=True))
    contexts: list[Json] = [_spelled("cbv:Disp-", tree.DISPOSITIONS), own]
    return {"@id": "epcis:persistentDisposition", "@container": "@set", "@context": contexts}


def _transaction() -> _Terms:
    return {
        "bizTransaction": "@id",
        "type": _word("bizTransactionType", "cbv:BTT-", tree.BIZ_TRANSACTION_TYPES),
    }


def _party(field: str) -> _Terms:
    """Source and destination are one property; the list that holds it tells which of the two it is."""
    return {
        field: _term("sourceOrDestination", "@id"),
        "type": _word("sourceOrDestinationType", "cbv:SDT-", tree.PARTY_TYPES),
    }


def _error() -> _Terms:
    return {
        "reason": _word("reason", "cbv:ER-", tree.ERROR_REASONS),
        **_typed("correctiveEventIDs", "@id", many=True),
        **_typed("declarationTime", _TIME),
    }


def _sensor() -> _Terms:
    metadata: _Terms = {**_typed("startTime endTime", _TIME), **_typed("bizRules", "@id")}
    return {
        "type": "@type",
        **_typed("deviceID deviceMetadata rawData dataProcessingMethod", "@id"),
        **_typed("time", _TIME),
        "sensorMetadata": _within("sensorMetadata", metadata),
        "sensorReport": _within("sensorReport", _report()),
    }


def _report() -> _Terms:
    return {
        "type": _word("measurementType", "gs1:", tree.MEASUREMENTS),
        "exception": _word("exception", "gs1:", tree.SENSOR_ALERTS),
        "component": _word("component", "cbv:Comp-", tree.COMPONENTS),
        **_typed("coordinateReferenceSystem microorganism chemicalSubstance uriValue", "@id"),
        **_typed("time", _TIME),
        **_typed("value minValue maxValue meanValue sDev percRank percValue", _DOUBLE),
        **_plain("stringValue"),
        **_typed("booleanValue", "xsd:boolean"),
        **_typed("hexBinaryValue", "xsd:hexBinary"),
    }


# JSON-LD context that reads a linkset as statements about its anchors, written by us (RFC 9264 section 7).

LINKSET_CONTEXT: Final = "https://ref.gs1.org/standards/resolver/1.2.1/linkset-context"
"""GS1's own context for linksets of resolvers."""
LINKSET_CONTEXT_NAME: Final = "linkset-v1.jsonld"
_TERMS: Final = "http://purl.org/dc/terms/"


def build_linkset_context() -> dict[str, Json]:
    """Anchors and targets are resources, link types are properties between them; titles, media types and languages are
    Dublin Core terms of the targets. A link type that is not a URI is one of IANA's."""
    return {
        "@context": {
            "@version": 1.1,
            "@vocab": "https://www.iana.org/assignments/link-relations/",
            "linkset": "@graph",
            "anchor": "@id",
            "href": "@id",
            "title": _TERMS + "title",
            "type": _TERMS + "format",
            "hreflang": {"@id": _TERMS + "language", "@container": "@set"},
        }
    }


CONTEXTS_PATH: Final = "/v1/contexts"
"""Path on the gateway under which contexts are served."""
CONTEXT_MEDIA: Final = "application/ld+json"

_OURS: Final = "Written by Millmark from the names and IRIs of the standard"


@dataclass(frozen=True, slots=True)
class PublishedContext:
    """A JSON-LD context and its origin."""

    name: str
    """File name under which it is served; a later edition gets another name."""
    url: str
    """URL by which documents refer to it, or the vocabulary that they declare inline."""
    source: str
    """Whose terms it contains, and which are left out."""
    document: bytes
    """JSON-LD, UTF-8."""


@cache
def published_contexts() -> Mapping[str, PublishedContext]:
    """All published contexts, by name."""
    found = (
        _publish("epcis-v2.jsonld", EPCIS_CONTEXT, f"{_OURS} EPCIS 2.0 and CBV 2.0; all terms", build_epcis_context()),
        _publish(
            "credentials-v2.jsonld",
            BASE_CONTEXT,
            f"{_OURS} Verifiable Credentials 2.0; all terms",
            build_credentials_context(),
        ),
        _publish("did-v1.jsonld", DID_CONTEXT, f"{_OURS} DID 1.0; no services, no aliases", build_did_context()),
        _publish("multikey-v1.jsonld", MULTIKEY_CONTEXT, f"{_OURS} Multikey; no secret keys", build_multikey_context()),
        _publish(
            LINKSET_CONTEXT_NAME,
            LINKSET_CONTEXT,
            f"{_OURS} RFC 9264; what linksets of resolvers contain",
            build_linkset_context(),
        ),
        _publish("certificate-v1.jsonld", VOCABULARY, "Millmark's own", build_certificate_context()),
    )
    return {one.name: one for one in found}


def _publish(name: str, url: str, source: str, document: dict[str, Json]) -> PublishedContext:
    return PublishedContext(name, url, source, json.dumps(document, indent=1, ensure_ascii=False).encode())
