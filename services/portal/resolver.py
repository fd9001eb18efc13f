"""The code on a part, and the link types that it resolves to, negotiated per the GS1-Conformant Resolver Standard.

Links carry the salt of the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import DigitalLink, parse_digital_link
from millmark.services.interop.contexts.linkset import LINKSET_CONTEXT_NAME, build_linkset_context
from millmark.services.interop.contexts.published import CONTEXT_MEDIA, CONTEXTS_PATH
from millmark.services.interop.digital_link import build_part_link, read_salt

__all__ = [
    "BUNDLE_TYPE",
    "LINKSET",
    "Code",
    "Link",
    "build_description",
    "build_linkset",
    "choose_linkset",
    "find_link",
    "read_code",
    "tell_context",
]

_HOST = "https://id.gs1.org"
_BEFORE = re.compile(rb"^/passport/[a-z]+(?=/)")
"""Prefix of the portal's own paths before the GS1 key."""


@dataclass(frozen=True, slots=True)
class Code:
    """A valid GS1 Digital Link, and its salt if it has a valid one."""

    link: DigitalLink
    salt: bytes | None

    @property
    def identifier(self) -> str:
        return self.link.uri

    def names(self) -> tuple[Code, ...]:
        """This code, then those that name the same thing with fewer qualifiers: a serial number identifies it alone,
        and the variant and the lot in the same link are facts about it."""
        numbered = any(ai == "21" for ai, _ in self.link.elements)
        dropped = ((), ("22",), ("10",), ("10", "22")) if numbered else ((),)
        kept = {tuple(one for one in self.link.elements if one[0] not in some): None for some in dropped}
        return tuple(Code(DigitalLink(elements), self.salt) for elements in kept)

    def address(self, origin: str) -> str:
        """The link in the part's code, for a gateway at `origin`. Raises IdentifierError without a salt."""
        return build_part_link(self.link, self.salt or b"", base_url=origin)

    def path(self, what: str = "", **query: str) -> str:
        """Path on this gateway, with the salt: of the passport, or of what is under /passport/ if `what` is given."""
        salted = self.address(_HOST).removeprefix(_HOST)
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return f"/passport/{what}{salted}{more}" if what else salted + more


def read_code(request: Request) -> Code:
    """Parses the code from path and query without decoding them first: `%2F` and `/` differ in a key.

    A slash at the end is tolerated, and a malformed salt is ignored. Raises IdentifierError unless the text is a GS1
    Digital Link.
    """
    raw: bytes = request.scope.get("raw_path") or b""
    # latin-1 decodes any byte; the parser refuses what a link must not contain.
    text = f"{_HOST}{_BEFORE.sub(b'', raw, count=1).decode('latin-1')}"
    link = parse_digital_link(text.removesuffix("/"))
    try:
        salt = read_salt(f"{text}?{request.scope['query_string'].decode('latin-1')}")
    except IdentifierError:
        salt = None
    return Code(link, salt)


LINKSET = "application/linkset+json"
_VOCABULARY = "https://ref.gs1.org/voc/"
_SPELLINGS = ("gs1:", _VOCABULARY, "https://gs1.org/voc/", "http://gs1.org/voc/")
"""Namespaces in which callers write link types; GS1 moved its vocabulary."""
_DEFAULT = "defaultLink"
_PAGE_TYPES = ("pip", "certificationInfo")
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
    pages = [Link(kind, code.path(linkType=f"gs1:{kind}"), _HTML) for kind in _PAGE_TYPES]
    default = Link(_DEFAULT, pages[0].path, _HTML)
    return (default, *pages, Link("traceability", code.path("bundle"), BUNDLE_TYPE))


def find_link(code: Code, wanted: str) -> Link | None:
    """The link of the type `wanted`: a CURIE (`gs1:pip`), a URI, or the name alone."""
    name = next((wanted.removeprefix(one) for one in _SPELLINGS if wanted.startswith(one)), wanted)
    return next((link for link in _links(code) if link.type == name), None)


def build_linkset(code: Code, origin: str, titles: Mapping[str, str], media_type: str = LINKSET) -> dict[str, object]:
    """A linkset (RFC 9264) as GS1 specifies it: the anchor is the canonical link, the other members are link types.
    As JSON-LD, it contains its context."""
    links = {
        _VOCABULARY + link.type: [
            {"href": origin + link.path, "title": titles[link.type], **_facts(link)},
        ]
        for link in _links(code)
    }
    context = build_linkset_context() if media_type == CONTEXT_MEDIA else {}
    return {**context, "linkset": [{"anchor": code.identifier, **links}]}


def _facts(link: Link) -> dict[str, object]:
    """The default link has a title only; it is listed under its own type as well."""
    if link.type == _DEFAULT:
        return {}
    return {"type": link.media_type, **({"hreflang": ["en", "zh"]} if link.media_type == _HTML else {})}


def tell_context(origin: str) -> str:
    """The Link header by which a reader of JSON-LD finds the context of a linkset."""
    return f'<{_context(origin)}>; rel="http://www.w3.org/ns/json-ld#context"; type="{CONTEXT_MEDIA}"'


def _context(origin: str) -> str:
    return f"{origin}{CONTEXTS_PATH}/{LINKSET_CONTEXT_NAME}"


def build_description(origin: str) -> dict[str, object]:
    """Content of /.well-known/gs1resolver."""
    return {
        "name": "Millmark",
        "resolverRoot": origin,
        "supportedPrimaryKeys": ["all"],
        "supportedLinkType": [{"namespace": _VOCABULARY, "prefix": "gs1:"}],
        "linkTypeDefaultCanBeLinkset": False,
        "jsonLdContextLocation": _context(origin),
    }


_KINDS = {LINKSET: LINKSET, "application/json": LINKSET, CONTEXT_MEDIA: CONTEXT_MEDIA}
"""In which form a linkset is answered, by what was asked for."""
_PAGES = (_HTML, "text/*", "*/*", "application/xhtml+xml")


def choose_linkset(accept: str) -> str | None:
    """The media type of the linkset that an Accept header prefers to a page; None if it prefers none. With the same
    weight, the page comes first, then `LINKSET`."""
    weights = {_HTML: 0.0, LINKSET: 0.0, CONTEXT_MEDIA: 0.0}
    for item in accept[:1000].split(","):
        media, *parameters = (part.strip() for part in item.lower().split(";"))
        kind = _HTML if media in _PAGES else _KINDS.get(media)
        if kind is not None:
            weights[kind] = max(weights[kind], _weight(parameters))
    best = max(weights, key=weights.__getitem__)
    return None if best == _HTML else best


def _weight(parameters: list[str]) -> float:
    for one in parameters:
        name, _, value = one.partition("=")
        if name.strip() == "q":
            return float(value) if value.replace(".", "", 1).isdecimal() else 0.0
    return 1.0
