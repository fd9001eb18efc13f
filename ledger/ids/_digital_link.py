"""Parses GS1 Digital Link URIs (GS1 Digital Link: URI Syntax) and writes their canonical form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import _gs1

_STEM = "https://id.gs1.org"
_UNESCAPED = "!'()*;="
# The standard leaves open which reserved characters are escaped. The choice is that of the EPCIS event hash (CBV 2.0).

_URI = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_PARTS = re.compile(r"(?:https?|HTTPS?)://([^/?#]+)(/[^?#]*)(?:\?([^#]*))?(?:#.*)?")
_PATH = re.compile(r"(?:[^\[\]%?#]|%[0-9A-Fa-f]{2})*")
"""Beside the characters of a URI, a path has no brackets and no "%" alone (RFC 3986 section 3.3)."""
_HOST = re.compile(r"(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class DigitalLink:
    """A GS1 key with its qualifiers, checked at construction, and data attributes, which are not checked."""

    elements: tuple[tuple[str, str], ...]
    """(AI, value) of the primary key, then of its qualifiers in GS1's order; values without percent-encoding."""
    attributes: tuple[tuple[str, str], ...] = ()
    """(AI, value) of the data attributes, decoded, in the order of the query; `check_attributes` checks them."""

    def __post_init__(self) -> None:
        _gs1.check_path(self.elements)

    def check_attributes(self) -> list[str]:
        """Check the attributes' values and that no two AIs exclude each other. Raises IdentifierError.

        Returns a sentence for each AI that requires an AI on the same item that this link lacks. That is not an error:
        GS1's rule is about all codes on an item together, and the missing AI may be in another code.
        """
        present = [ai for ai, _ in (*self.elements, *self.attributes)]
        for ai, value in self.attributes:
            _gs1.check_value(ai, value)
        for ai in present:
            if clash := _gs1.excluded_by(ai, present):
                raise IdentifierError(f"({ai}) and ({clash[0]}) exclude each other", hint="leave one of them out")
        return [
            f"({ai}) requires {' or '.join('(' + ') with ('.join(way) + ')' for way in needs)} on the same item"
            for ai in present
            if (needs := _gs1.unmet_needs(ai, present))
        ]

    @property
    def uri(self) -> str:
        """The canonical URI: https://id.gs1.org, key and qualifiers, without attributes."""
        return link_uri(self.elements)


def link_uri(elements: Iterable[tuple[str, str]]) -> str:
    """Return the canonical URI of (AI, value) pairs. Not established: that they are valid."""
    return _STEM + "".join(f"/{ai}/{quote(value, safe=_UNESCAPED)}" for ai, value in elements)


def parse_digital_link(text: str, *, zero_suppressed: bool = False) -> DigitalLink:
    """Parse an uncompressed Digital Link on any host. Raises IdentifierError.

    The fragment is dropped, and so are query parameters whose name is not numeric. The values of attributes are not
    checked. With `zero_suppressed`, the GTIN in the path may have 8, 12 or 13 digits and is padded with zeros; the
    standard requires 14, so such a link is otherwise refused.
    """
    path, query = _split(text)
    if not _PATH.fullmatch(path):
        raise IdentifierError("the path contains what no path may", hint="percent-encode it")
    elements = _path_elements(path)
    if zero_suppressed:
        elements = _padded(elements)
    return DigitalLink(elements, _attributes(query or "", elements))


def split_digital_link(text: str, *, named: bool = False) -> tuple[tuple[str, str], ...]:
    """Return the key and qualifiers of a URI in the form of a Digital Link, without checking check digits.

    This recognises a link, but does not validate it. A GTIN of 8, 12 or 13 digits is padded with zeros. With `named`,
    the convenience names that GS1 has withdrawn (/gtin/, /ser/) stand for their AIs. Raises IdentifierError.
    """
    path = _split(text)[0].rstrip("/")
    elements = _padded(_path_elements(_numbered(path) if named else path))
    _gs1.check_order(elements)
    for ai, value in elements:
        _gs1.check_value(ai, value, digits=False)
    return elements


_NAMES: Final = {
    "gtin": "01",
    "itip": "8006",
    "cpid": "8010",
    "gln": "414",
    "party": "417",
    "gsrnp": "8017",
    "gsrn": "8018",
    "gcn": "255",
    "sscc": "00",
    "gdti": "253",
    "ginc": "401",
    "gsin": "402",
    "grai": "8003",
    "giai": "8004",
}
"""Primary key by convenience name, as in Digital Link 1.0 and 1.1."""
_QUALIFIER_NAMES: Final = {"cpv": "22", "lot": "10", "ser": "21"}
_SHORT_GTINS: Final = (8, 12, 13)
_COMPRESSED: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{10,}")
"""Last path segment of a compressed link: base64url (GS1 Digital Link, compression)."""


def _split(text: str) -> tuple[str, str | None]:
    """Split a web URI into path and query. Raises IdentifierError."""
    if not _URI.fullmatch(text):
        raise IdentifierError("the link contains a character that is not allowed in a URI", hint="percent-encode it")
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise IdentifierError("not a web URI with host and path", hint="write http:// or https://, host, /AI/value")
    host, path, query = parts.groups()
    # Also refuses user names: in https://a.example@b.example/, people would take the wrong part for the host.
    if not _HOST.fullmatch(host):
        raise IdentifierError(f"{host[:80]!a} is not a host name or address")
    return path, query


def _path_elements(path: str) -> tuple[tuple[str, str], ...]:
    """Read (AI, value) pairs from the right up to the first primary key; the host is free to use the path before it."""
    segments = path.split("/")[1:]
    found: list[tuple[str, str]] = []
    while len(segments) >= 2:
        value, ai = segments.pop(), segments.pop()
        if not _gs1.is_known_ai(ai):
            break
        if not value:
            raise IdentifierError(f"({ai}) has no value", hint="remove the slash at the end" if not found else "")
        found.append((ai, unescape(value)))
        if ai in _gs1.KEYS:
            return tuple(reversed(found))
    raise _without_key(path)


def _padded(elements: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """A GTIN-8, -12 or -13 is the GTIN-14 with leading zeros (GS1 General Specifications)."""
    return tuple(
        (ai, value.zfill(14) if ai == "01" and len(value) in _SHORT_GTINS else value) for ai, value in elements
    )


def _numbered(path: str) -> str:
    """Return the path with AIs instead of convenience names, in the places of AIs: a lot may be called "ser"."""
    segments = path.split("/")
    for place in range(len(segments) - 2, 0, -2):
        if segments[place] in _NAMES:
            segments[place] = _NAMES[segments[place]]
            break
        segments[place] = _QUALIFIER_NAMES.get(segments[place], segments[place])
        if segments[place] in _gs1.KEYS:
            break
    return "/".join(segments)


def _without_key(path: str) -> IdentifierError:
    """Return the error for a path without a key, with a hint that depends on the likely mistake."""
    segments = path.split("/")[1:]
    named = next((word for word in segments if word.lower() in _NAMES), None)
    if named is not None:
        return IdentifierError(
            f"the path does not end with a GS1 key: {named!a} is a convenience name, which GS1 has withdrawn",
            hint=f"write /{_NAMES[named.lower()]}/ instead of /{named}/",
        )
    if _COMPRESSED.fullmatch(segments[-1]):
        return IdentifierError(
            "the path does not end with a GS1 key: it may be a compressed link, which is not supported",
            hint="use the uncompressed link",
        )
    return IdentifierError(
        "the path does not end with a GS1 key", hint="end it with /AI/value, such as /01/ and a GTIN"
    )


def _attributes(query: str, elements: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return the data attributes of a query. Raises IdentifierError if they affect the identity or are ambiguous."""
    key = elements[0][0]
    seen = {ai for ai, _ in elements}
    result = []
    for parameter in re.split("[&;]", query):
        ai, equals, value = parameter.partition("=")
        if not equals or not (ai.isascii() and ai.isdigit()):
            continue
        if ai in seen:
            raise IdentifierError(f"({ai}) occurs twice", hint="leave one of them out")
        if _gs1.belongs_in_path(elements, ai):
            raise IdentifierError(f"({ai}) in the query is a qualifier of ({key})", hint="write it in the path")
        if ai not in _gs1.ATTRIBUTES:
            raise IdentifierError(f"({ai}) is not a data attribute", hint="leave it out")
        if not value:
            raise IdentifierError(f"({ai}) has no value", hint="leave it out")
        seen.add(ai)
        decoded = unescape(value.replace("+", " "))
        if ai == "01" and len(decoded) in _SHORT_GTINS:
            decoded = decoded.zfill(14)  # lenient: shorter GTINs are the same number, and an attribute names nothing
        result.append((ai, decoded))
    return tuple(result)


def unescape(text: str) -> str:
    """Decode percent-encoding (RFC 3986 section 2.1), byte for byte. Raises IdentifierError on a stray "%"."""
    if _BAD_ESCAPE.search(text):
        raise IdentifierError(f'{text[:80]!a} contains a stray "%"', hint="write it as %25")
    # Bytes from 0x80 on become single characters, which no character set of GS1 contains: `check_value` refuses them.
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


# Converts EPC URNs (GS1 EPC Tag Data Standard 2.0 section 6.3) to the GS1 Digital Link of the same key.
#
# In an EPC, a dot separates the company prefix from the rest, and there is no check digit. The Digital Link joins the
# two and adds it. A pattern with an open serial number (`urn:epc:idpat:...:*`) identifies a kind of thing, so it
# becomes the key without serial number; a class (`urn:epc:class:lgtin`) becomes the GTIN with the lot number.

_Elements: TypeAlias = list[tuple[str, str]]
_PREFIX = re.compile(r"[0-9]{6,12}")
_FIELD = re.compile(r"(?:[!'()*+,\-.0-9:;=A-Z_a-z]|%[0-9A-Fa-f]{2})*")


def parse_epc(text: str) -> DigitalLink:
    """Parse `urn:epc:id:...`, `urn:epc:class:lgtin:...` or `urn:epc:idpat:...`. Only the prefix "urn:epc" is
    case-insensitive. Raises IdentifierError, also for schemes without a GS1 key (gid, usdod, adi, bic, imovn)."""
    kind, _, rest = text.split(":", 2)[2].partition(":")
    scheme, _, body = rest.partition(":")
    build = _BUILDERS.get((kind, scheme))
    if build is None:
        raise IdentifierError(
            f"urn:epc:{kind[:20]}:{scheme[:20]} has no GS1 Digital Link", hint="use an identifier of another scheme"
        )
    if not _FIELD.fullmatch(body):
        raise IdentifierError("the EPC contains a character that must be escaped", hint="percent-encode it")
    try:
        return DigitalLink(tuple(build(body)))
    except ValueError:  # from unpacking the fields
        raise IdentifierError(f"the number of fields is not that of an EPC of the scheme {scheme}") from None


def _joined(prefix: str, reference: str, length: int, *, indicator: bool = False) -> str:
    """Join company prefix and reference, and append the check digit; `length` digits in all. With `indicator`, the
    first digit of the reference is an indicator digit, which moves to the front."""
    if not _PREFIX.fullmatch(prefix):
        raise IdentifierError(f"{prefix[:20]!a} is not a company prefix of 6 to 12 digits")
    digits = reference[:1] + prefix + reference[1:] if indicator else prefix + reference
    if len(digits) != length - 1 or not digits.isdigit():
        raise IdentifierError(f"company prefix and reference do not have {length - 1} digits in total")
    return digits + _gs1.check_digit(digits)


def _prefixed(prefix: str, reference: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise IdentifierError(f"{prefix[:20]!a} is not a company prefix of 6 to 12 digits")
    if not reference:
        raise IdentifierError("nothing follows the company prefix")
    return prefix + unescape(reference)


def _filled(field: str) -> str:
    if not field:
        raise IdentifierError("the serial number is empty")
    return unescape(field)


def _gtin(body: str, qualifier: str) -> _Elements:
    prefix, reference, serial = body.split(".", 2)
    return [("01", _joined(prefix, reference, 14, indicator=True)), (qualifier, _filled(serial))]


def _of_digits(body: str, ai: str, length: int, *, indicator: bool = False) -> _Elements:
    prefix, reference = body.split(".")
    return [(ai, _joined(prefix, reference, length, indicator=indicator))]


def _lettered(body: str, ai: str) -> _Elements:
    prefix, reference = body.split(".", 1)
    return [(ai, _prefixed(prefix, reference))]


def _sgln(body: str) -> _Elements:
    prefix, reference, extension = body.split(".", 2)
    place = ("414", _joined(prefix, reference, 13))
    return [place] if extension == "0" else [place, ("254", _filled(extension))]


def _typed(body: str, ai: str, lead: str = "") -> _Elements:
    prefix, reference, serial = body.split(".", 2)
    return [(ai, lead + _joined(prefix, reference, 13) + _filled(serial))]


def _component(body: str) -> _Elements:
    prefix, reference, serial = body.split(".")
    return [("8010", _prefixed(prefix, reference)), ("8011", _filled(serial))]


def _piece(body: str) -> _Elements:
    prefix, reference, piece, total, serial = body.split(".", 4)
    if len(piece) != 2 or len(total) != 2:
        raise IdentifierError("piece and total must have two digits each")
    return [("8006", _joined(prefix, reference, 14, indicator=True) + piece + total), ("21", _filled(serial))]


def _kind(body: str, build: Callable[[str], _Elements], key_length: int | None) -> _Elements:
    """Return the key without serial number, from a pattern in which only the last field is open ("*")."""
    head, _, last = body.rpartition(".")
    if last != "*" or "*" in head:
        raise IdentifierError(
            "the pattern does not stand for one kind of thing", hint="use * for the serial number only"
        )
    ai, value = build(f"{head}.0")[0]  # any serial number will do: it is cut off
    return [(ai, value[:key_length])]


_BUILDERS: dict[tuple[str, str], Callable[[str], _Elements]] = {
    ("id", "sgtin"): lambda body: _gtin(body, "21"),
    ("id", "upui"): lambda body: _gtin(body, "235"),
    ("class", "lgtin"): lambda body: _gtin(body, "10"),
    ("id", "sscc"): lambda body: _of_digits(body, "00", 18, indicator=True),
    ("id", "sgln"): _sgln,
    ("id", "pgln"): lambda body: _of_digits(body, "417", 13),
    ("id", "grai"): lambda body: _typed(body, "8003", "0"),
    ("id", "gdti"): lambda body: _typed(body, "253"),
    ("id", "sgcn"): lambda body: _typed(body, "255"),
    ("id", "giai"): lambda body: _lettered(body, "8004"),
    ("id", "ginc"): lambda body: _lettered(body, "401"),
    ("id", "gsin"): lambda body: _of_digits(body, "402", 17),
    ("id", "gsrn"): lambda body: _of_digits(body, "8018", 18),
    ("id", "gsrnp"): lambda body: _of_digits(body, "8017", 18),
    ("id", "cpi"): _component,
    ("id", "itip"): _piece,
    ("idpat", "sgtin"): lambda body: _kind(body, lambda one: _gtin(one, "21"), None),
    ("idpat", "upui"): lambda body: _kind(body, lambda one: _gtin(one, "235"), None),
    ("idpat", "grai"): lambda body: _kind(body, lambda one: _typed(one, "8003", "0"), 14),
    ("idpat", "gdti"): lambda body: _kind(body, lambda one: _typed(one, "253"), 13),
    ("idpat", "sgcn"): lambda body: _kind(body, lambda one: _typed(one, "255"), 13),
    ("idpat", "cpi"): lambda body: _kind(body, _component, None),
    ("idpat", "itip"): lambda body: _kind(body, _piece, None),
}
