"""Converts EPC URNs (GS1 EPC Tag Data Standard 2.0 section 6.3) to the GS1 Digital Link of the same key.

In an EPC, a dot separates the company prefix from the rest, and there is no check digit. The Digital Link joins the two
and adds it. A pattern with an open serial number (`urn:epc:idpat:...:*`) identifies a kind of thing, so it becomes the
key without serial number; a class (`urn:epc:class:lgtin`) becomes the GTIN with the lot number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids._digital_link import DigitalLink, unescape
from millmark.ledger.ids._gs1 import check_digit

_Elements: TypeAlias = list[tuple[str, str]]
_PREFIX = re.compile(r"[0-9]{6,12}")
_FIELD = re.compile(r"(?:[!'()*+,\-.0-9:;=A-Z_a-z]|%[0-9A-Fa-f]{2})*")


def parse_epc(text: str) -> DigitalLink:
    """Parse `urn:epc:id:...`, `urn:epc:class:lgtin:...` or `urn:epc:idpat:...`. Only the prefix "urn:epc" is
    case-insensitive.

    Raises IdentifierError, also for schemes without a GS1 key (gid, usdod, adi, bic, imovn).
    """
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
    """Join company prefix and reference, and append the check digit; `length` digits in all.

    With `indicator`, the first digit of the reference is an indicator digit, which moves to the front.
    """
    if not _PREFIX.fullmatch(prefix):
        raise IdentifierError(f"{prefix[:20]!a} is not a company prefix of 6 to 12 digits")
    digits = reference[:1] + prefix + reference[1:] if indicator else prefix + reference
    if len(digits) != length - 1 or not digits.isdigit():
        raise IdentifierError(f"company prefix and reference do not have {length - 1} digits in total")
    return digits + check_digit(digits)


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


def _numbered(body: str, ai: str, length: int, *, indicator: bool = False) -> _Elements:
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
    ("id", "sscc"): lambda body: _numbered(body, "00", 18, indicator=True),
    ("id", "sgln"): _sgln,
    ("id", "pgln"): lambda body: _numbered(body, "417", 13),
    ("id", "grai"): lambda body: _typed(body, "8003", "0"),
    ("id", "gdti"): lambda body: _typed(body, "253"),
    ("id", "sgcn"): lambda body: _typed(body, "255"),
    ("id", "giai"): lambda body: _lettered(body, "8004"),
    ("id", "ginc"): lambda body: _lettered(body, "401"),
    ("id", "gsin"): lambda body: _numbered(body, "402", 17),
    ("id", "gsrn"): lambda body: _numbered(body, "8018", 18),
    ("id", "gsrnp"): lambda body: _numbered(body, "8017", 18),
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
