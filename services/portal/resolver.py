"""Link types of a code, and their negotiation, per the GS1-Conformant Resolver Standard."""

from __future__ import annotations

from dataclasses import dataclass

from services.portal.codes import Code

__all__ = [
    "BUNDLE_TYPE",
    "LINKSET",
    "Link",
    "build_description",
    "build_linkset",
    "find_link",
    "prefers_linkset",
]

LINKSET = "application/linkset+json"
_VOCABULARY = "https://gs1.org/voc/"
_PAGE_TYPES = ("defaultLink", "pip", "certificationInfo")
BUNDLE_TYPE = "application/vnd.millmark.bundle+json"
_HTML = "text/html"


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a code."""

    type: str
    """Link type in GS1's vocabulary, without its namespace."""
    path: str
    media_type: str


def _links(code: Code) -> tuple[Link, ...]:
    """The links of a code. Each contains the salt, so that it can be followed without scanning the code again."""
    pages = (Link(kind, code.path(linkType=f"gs1:{kind}"), _HTML) for kind in _PAGE_TYPES)
    return (*pages, Link("traceability", code.path("bundle"), BUNDLE_TYPE))


def find_link(code: Code, wanted: str) -> Link | None:
    """The link of the type `wanted`, a CURIE (`gs1:pip`) or a URI."""
    name = wanted.removeprefix("gs1:").removeprefix(_VOCABULARY)
    return next((link for link in _links(code) if link.type == name), None)


def build_linkset(code: Code, origin: str, titles: dict[str, str]) -> dict[str, object]:
    """A linkset (RFC 9264) as GS1 specifies it: the anchor is the canonical link, the other members are link types."""
    links = {
        _VOCABULARY + link.type: [
            {
                "href": origin + link.path,
                "title": titles[link.type],
                "type": link.media_type,
                **({"hreflang": ["en", "zh"]} if link.media_type == _HTML else {}),
            }
        ]
        for link in _links(code)
    }
    return {"linkset": [{"anchor": code.identifier, **links}]}


def build_description(origin: str) -> dict[str, object]:
    """Content of /.well-known/gs1resolver."""
    return {
        "name": "Millmark",
        "resolverRoot": origin,
        "supportedPrimaryKeys": ["all"],
        "supportedLinkType": [{"namespace": _VOCABULARY, "prefix": "gs1:"}],
        "linkTypeDefaultCanBeLinkset": False,
    }


def prefers_linkset(accept: str) -> bool:
    """Whether an Accept header prefers JSON to HTML. HTML wins if both have the same weight."""
    weights = {"page": 0.0, "linkset": 0.0}
    for item in accept[:1000].split(","):
        media, *parameters = (part.strip() for part in item.lower().split(";"))
        kind = "linkset" if media in (LINKSET, "application/json") else "page"
        if media in (LINKSET, "application/json", _HTML, "text/*", "*/*", "application/xhtml+xml"):
            weights[kind] = max(weights[kind], _weight(parameters))
    return weights["linkset"] > weights["page"]


def _weight(parameters: list[str]) -> float:
    for one in parameters:
        name, _, value = one.partition("=")
        if name.strip() == "q":
            return float(value) if value.replace(".", "", 1).isdecimal() else 0.0
    return 1.0
