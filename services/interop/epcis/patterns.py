"""EPC patterns (`urn:epc:idpat:...`, GS1 EPC Tag Data Standard 2.0): all things of one kind, or of one company.

Wildcards are allowed from the right: the serial number, then the kind of thing (of a piece, first the number of pieces
and the piece), then the company. Keys are stored as
Digital Links, so a pattern is translated to an SQL LIKE pattern over these: `_` for each unknown digit, `%` for an
unknown serial number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import link_uri, parse_epc
from millmark.services.interop.epcis.repository import Like

PATTERN: Final = "urn:epc:idpat:"
_OPEN: Final = "*"
_PREFIX: Final = re.compile(r"[0-9]{6,12}")


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How the keys of an EPC scheme are written as Digital Links."""

    ai: str
    digits: int
    """Number of digits of company prefix, reference and check digit; 0 if the reference is alphanumeric, without a
    check digit."""
    serial: str | None = None
    """Text between key and serial number; None for a scheme without serial numbers."""
    lead: str = ""
    indicator: bool = False
    """Whether the reference's first digit precedes the company prefix."""
    serial_optional: bool = False
    pieces: bool = False
    """Whether the piece and the number of pieces, two digits each, follow the check digit."""

    @property
    def fields(self) -> int:
        return (2 if self.serial is None else 3) + (2 if self.pieces else 0)


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "sgtin": _Scheme("01", 14, "/21/", indicator=True),
    "upui": _Scheme("01", 14, "/235/", indicator=True),
    "sscc": _Scheme("00", 18, indicator=True),
    "sgln": _Scheme("414", 13, "", serial_optional=True),
    "pgln": _Scheme("417", 13),
    "grai": _Scheme("8003", 13, "", lead="0"),
    "gdti": _Scheme("253", 13, ""),
    "sgcn": _Scheme("255", 13, ""),
    "giai": _Scheme("8004", 0),
    "ginc": _Scheme("401", 0),
    "gsin": _Scheme("402", 17),
    "gsrn": _Scheme("8018", 18),
    "gsrnp": _Scheme("8017", 18),
    "cpi": _Scheme("8010", 0, "/8011/"),
    "itip": _Scheme("8006", 14, "/21/", indicator=True, pieces=True),
}
SCHEMES: Final = tuple(_SCHEMES)
"""Schemes that patterns may use."""


def parse_pattern(text: str, *, kinds: bool) -> Like:
    """The LIKE pattern of an EPC pattern; with `kinds`, for keys of kinds of things, without serial numbers.

    Raises IdentifierError for a malformed pattern or an unsupported scheme.
    """
    name, _, body = text.removeprefix(PATTERN).partition(":")
    scheme, parts = _SCHEMES.get(name), body.split(".")
    if scheme is None:
        raise IdentifierError(f"patterns of {name[:20]!a} are not supported", hint=f"use one of {', '.join(SCHEMES)}")
    closed = parts.index(_OPEN) if _OPEN in parts else len(parts)
    if len(parts) != scheme.fields or closed == len(parts) or set(parts[closed:]) != {_OPEN}:
        raise IdentifierError(
            f"a pattern of {name} has {scheme.fields} fields, the last of which are *",
            hint=f"write it like {PATTERN}{name}:9506000.{'.'.join('*' * (scheme.fields - 1))}",
        )
    key = _digits(scheme, name, parts[:closed]) if scheme.digits else _letters(scheme, parts[:closed])
    start = link_uri([(scheme.ai, "")])
    return Like(start, f"{_escape(start)}{key}{'' if kinds else _serial(scheme)}")


def _escape(text: str) -> str:
    """Escapes text so that LIKE matches it literally."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def _serial(scheme: _Scheme) -> str:
    if scheme.serial is None:
        return ""
    return "%" if scheme.serial_optional else scheme.serial + "_%"


def _digits(scheme: _Scheme, name: str, closed: Sequence[str]) -> str:
    width = len(scheme.lead) + scheme.digits + (4 if scheme.pieces else 0)
    if not closed:
        known = scheme.lead
    elif len(closed) == 1:
        known = scheme.lead + ("_" if scheme.indicator else "") + _company(closed[0])
    else:
        # With any serial number and pieces the fields make a complete EPC, whose key has the right check digit.
        pieces = ["01", "99"][len(closed) - 2 :] if scheme.pieces else []
        [(_, value), *_] = parse_epc(f"urn:epc:id:{name}:{'.'.join([*closed, *pieces, '0'])}").elements
        known = value[: len(scheme.lead) + scheme.digits + 2 * (len(closed) - 2)]
    return known.ljust(width, "_")


def _letters(scheme: _Scheme, closed: Sequence[str]) -> str:
    if len(closed) < 2:
        return (_company(closed[0]) if closed else "") + "_%"
    [(_, value), *_] = parse_epc(f"urn:epc:id:cpi:{'.'.join(closed)}.0").elements
    return _escape(link_uri([(scheme.ai, value)]).removeprefix(link_uri([(scheme.ai, "")])))


def _company(prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise IdentifierError(f"{prefix[:20]!a} is not a company prefix of 6 to 12 digits")
    return prefix
