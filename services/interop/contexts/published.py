"""Registry of the JSON-LD contexts that our documents name, as the gateway serves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from millmark.ledger.canonical import Json
from millmark.services.interop.contexts.epcis import build_epcis_context
from millmark.services.interop.contexts.linkset import LINKSET_CONTEXT, LINKSET_CONTEXT_NAME, build_linkset_context
from millmark.services.interop.contexts.w3c import build_credentials_context, build_did_context, build_multikey_context
from millmark.services.interop.credentials.certificate import VOCABULARY, build_certificate_context
from millmark.services.interop.credentials.did import DID_CONTEXT, MULTIKEY_CONTEXT
from millmark.services.interop.credentials.model import BASE_CONTEXT
from millmark.services.interop.epcis.event_queries import CONTEXT as EPCIS_CONTEXT

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
