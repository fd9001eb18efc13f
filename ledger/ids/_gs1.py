"""GS1 keys and their qualifiers: what may follow what, and what a value may be.

Source: GS1 Barcode Syntax Dictionary (github.com/gs1/gs1-syntax-dictionary, release of July 2026), the entries with
`dlpkey` and those they name; check digits and check character pairs by the GS1 General Specifications, section 7.9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ledger.errors import IdentifierError

__all__ = ["ATTRIBUTE_AI", "CSET82", "KEYS", "check_digit", "check_path", "is_known_ai"]

CSET82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""The GS1 AI encodable character set 82, in the order of its check values."""

_CSET32 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83)

KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "00": (),
    "01": (("22", "10", "21"), ("235",)),
    "253": (),
    "255": (),
    "401": (),
    "402": (),
    "414": (("254",), ("7040",)),
    "415": (("8020",),),
    "417": (("7040",),),
    "8003": (),
    "8004": (("7040",),),
    "8006": (("22", "10", "21"),),
    "8010": (("8011",),),
    "8013": (),
    "8017": (("8019",),),
    "8018": (("8019",),),
}
"""Primary key -> alternative sequences of qualifiers, each in the order in which they appear in the path."""

_X, _Y = r"[!\"%-?A-Z_a-z]", r"[#\-/0-9A-Z]"


@dataclass(frozen=True, slots=True)
class _Format:
    """What a value of one application identifier is."""

    name: str
    """As people call it."""
    pattern: re.Pattern[str]
    """The whole value."""
    check_at: int = 0
    """Number of leading digits of which the last is the check digit; 0 for none."""
    digits_from: int = 0
    """Where the digits begin that the check digit covers."""


def _format(name: str, pattern: str, check_at: int = 0, digits_from: int = 0) -> _Format:
    return _Format(name, re.compile(pattern, re.ASCII), check_at, digits_from)


# A key with letters begins with the company prefix, which has four digits at least (linter gcppos1).
_FORMATS: dict[str, _Format] = {
    "00": _format("SSCC", r"\d{18}", 18),
    "01": _format("GTIN", r"\d{14}", 14),
    "10": _format("batch or lot", _X + "{1,20}"),
    "21": _format("serial number", _X + "{1,20}"),
    "22": _format("consumer product variant", _X + "{1,20}"),
    "235": _format("third-party serial number", _X + "{1,28}"),
    "253": _format("GDTI", r"\d{13}" + _X + "{0,17}", 13),
    "254": _format("GLN extension", _X + "{1,20}"),
    "255": _format("GCN", r"\d{13,25}", 13),
    "401": _format("GINC", r"\d{4}" + _X + "{0,26}"),
    "402": _format("GSIN", r"\d{17}", 17),
    "414": _format("GLN of a place", r"\d{13}", 13),
    "415": _format("GLN of the invoicing party", r"\d{13}", 13),
    "417": _format("GLN of a party", r"\d{13}", 13),
    "7040": _format("UIC with extension", r"\d" + _X + "{2}" + r"[\-0-9A-Z_a-z]"),
    "8003": _format("GRAI", r"0\d{13}" + _X + "{0,16}", 14, 1),
    "8004": _format("GIAI", r"\d{4}" + _X + "{0,26}"),
    "8006": _format("ITIP", r"\d{18}", 14),
    "8010": _format("CPID", r"\d{4}" + _Y + "{0,26}"),
    "8011": _format("CPID serial number", r"0|[1-9]\d{0,11}"),
    "8013": _format("GMN", r"\d{4}" + _X + "{0,19}[2-9A-HJ-NP-Z]{2}"),
    "8017": _format("GSRN of a provider", r"\d{18}", 18),
    "8018": _format("GSRN of a recipient", r"\d{18}", 18),
    "8019": _format("service relation instance number", r"\d{1,10}"),
    "8020": _format("payment reference number", _X + "{1,25}"),
}

ATTRIBUTE_AI = re.compile(
    r"0[012]|1[0-35-7]|20|24[0-3]|25[0135]|30|37|3(?:1[0-6]|2[0-9]|3[0-7]|4[0-9]|5[0-7]|6[0-9])[0-5]|39[0-3]\d|394[0-3]"
    r"|395[0-5]|40[0-3]|41[0-7]|42[0-7]|43(?:0\d|1\d|2[0-6]|3[0-3])|700[1-9]|701[01]|702[0-3]|703\d|71[0-7]|723\d|724[0-2]"
    r"|725\d|800[1-9]|801[0237-8]|8026|8030|811[0-2]|9\d",
    re.ASCII,
)
"""The application identifiers that may stand in a query (flag "?" of the dictionary)."""


def is_known_ai(ai: str) -> bool:
    """Tell whether `ai` is a key, a qualifier or a data attribute."""
    return ai in _FORMATS or ATTRIBUTE_AI.fullmatch(ai) is not None


def check_digit(digits: str) -> str:
    """Return the check digit that follows `digits` (weights 3, 1, 3, ... from the right)."""
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def check_path(elements: tuple[tuple[str, str], ...]) -> None:
    """Check that (AI, value) pairs are a primary key and some of its qualifiers, in order, with values as they must be.

    Raises IdentifierError. Not established: that GS1 or a company ever issued the key.
    """
    key, *qualifiers = (ai for ai, _ in elements)
    alternatives = KEYS[key]
    if not any(_is_subsequence(qualifiers, allowed) for allowed in alternatives or ((),)):
        orders = " or ".join(", ".join(allowed) for allowed in alternatives) or "none"
        raise IdentifierError(
            f"({', '.join(qualifiers)}) cannot qualify ({key})", mend=f"qualifiers of ({key}), in this order: {orders}"
        )
    for ai, value in elements:
        _check_value(ai, value)


def _is_subsequence(some: list[str], allowed: tuple[str, ...]) -> bool:
    rest = iter(allowed)
    return all(ai in rest for ai in some)  # `in` consumes the iterator up to the match


def _check_value(ai: str, value: str) -> None:
    rule = _FORMATS[ai]
    if not rule.pattern.fullmatch(value):
        mend = "write a GTIN with 14 digits, zeros in front" if ai == "01" and value.isdecimal() else ""
        raise IdentifierError(f"({ai}) {value[:40]!a} is not a {rule.name}", mend=mend)
    if rule.check_at:
        body, last = value[rule.digits_from : rule.check_at - 1], value[rule.check_at - 1]
        if last != (expected := check_digit(body)):
            raise IdentifierError(
                f"({ai}) {value[:40]!a} has the check digit {last} instead of {expected}", mend="read it again"
            )
    if ai == "8006" and not 1 <= int(value[14:16]) <= int(value[16:18]):
        raise IdentifierError(f"(8006) {value!a} is not piece n of at least n pieces")
    if ai == "8013" and value[-2:] != _check_pair(value[:-2]):
        raise IdentifierError(f"(8013) {value!a} has the wrong check characters", mend="read it again")
    if (ai, value) == ("254", "0"):
        # EPC writes "no extension" as 0 (TDS 2.0 section 6.3.3): as a value it would give one place two names.
        raise IdentifierError("(254) 0 means that there is no extension", mend="leave /254/0 out")


def _check_pair(text: str) -> str:
    """The two check characters of a GMN: values times primes, largest prime first, modulo 1021."""
    weights = reversed(_PRIMES[: len(text)])
    total = sum(CSET82.index(character) * weight for character, weight in zip(text, weights, strict=True)) % 1021
    return _CSET32[total >> 5] + _CSET32[total & 31]
