"""JSON-LD context that reads a linkset as statements about its anchors, written by us (RFC 9264 section 7)."""

from __future__ import annotations

from typing import Final

from millmark.ledger.canonical import Json

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
