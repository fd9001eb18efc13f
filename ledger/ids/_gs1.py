"""GS1's rules for keys, qualifiers and data attributes: order, values, and which ones require or exclude others."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids.dictionary import ROWS

# North American coupon codes, application identifiers 8110 and 8112.
#
# Source: GS1 US, North American Coupon Application Guideline; GS1 General Specifications, sections 3.9.12 and 3.9.14.
# A length indicator precedes some fields: a digit that, plus a constant from the guideline, is the field's length.


class _MalformedError(Exception):
    """The text is not a coupon."""


class _Digits:
    """The part of a coupon that is not parsed yet. All methods raise _MalformedError."""

    def __init__(self, text: str) -> None:
        self._rest = text

    def __bool__(self) -> bool:
        return bool(self._rest)

    def take(self, count: int) -> str:
        """Remove and return the next `count` digits."""
        found, self._rest = self._rest[:count], self._rest[count:]
        if len(found) != count or not (found.isascii() and found.isdigit()):
            raise _MalformedError
        return found

    def one_of(self, allowed: str) -> str:
        """Remove and return the next digit, which must be one of `allowed`."""
        digit = self.take(1)
        if digit not in allowed:
            raise _MalformedError
        return digit

    def counted(self, indicators: str, more: int) -> None:
        """Skip a length indicator, which must be one of `indicators`, and a field of that length plus `more`."""
        self.take(int(self.one_of(indicators)) + more)


def is_positive_offer(text: str) -> bool:
    """Whether `text` consists of the format, funder, offer and serial number of a positive offer file (8112)."""
    digits = _Digits(text)
    try:
        digits.one_of("01")
        digits.counted("0123456", 6)
        digits.take(6)
        digits.counted("0123456789", 6)
    except _MalformedError:
        return False
    return not digits


def is_coupon(text: str) -> bool:
    """Whether `text` is a coupon code (8110): the fixed fields, then optional ones in ascending order."""
    digits, last = _Digits(text), ""
    try:
        digits.counted("0123456", 6)  # company prefix of the funder
        digits.take(6)  # offer
        digits.counted("12345", 0)  # value of the saving
        _purchase(digits)
        while digits:
            field = digits.one_of("1234569")
            if field <= last:
                return False
            _OPTIONAL[field](digits)
            last = field
    except _MalformedError:
        return False
    return True


def _purchase(digits: _Digits) -> None:
    digits.counted("12345", 0)  # purchase requirement
    digits.one_of("012349")
    digits.take(3)  # family


def _second_purchase(digits: _Digits) -> None:
    digits.one_of("0123")
    _third_purchase(digits)


def _third_purchase(digits: _Digits) -> None:
    _purchase(digits)
    indicator = digits.one_of("01234569")
    if indicator != "9":  # 9: no company prefix follows, it is that of the first purchase
        digits.take(int(indicator) + 6)


def _date(digits: _Digits) -> None:
    text = digits.take(6)
    month, day, leap = int(text[2:4]), int(text[4:]), int(text[:2]) % 4 == 0
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1]):
        raise _MalformedError


def _miscellaneous(digits: _Digits) -> None:
    digits.one_of("01256")  # kind of saving
    digits.one_of("012")  # applies to which item
    digits.take(1)  # store coupon
    digits.one_of("01")  # may be multiplied


_OPTIONAL = {
    "1": _second_purchase,
    "2": _third_purchase,
    "3": _date,
    "4": _date,
    "5": lambda digits: digits.counted("0123456789", 6),  # serial number
    "6": lambda digits: digits.counted("1234567", 6),  # retailer
    "9": _miscellaneous,
}


# Checks of the content of a component of a GS1 value, beyond its characters and length.
#
# Each check takes a component and returns whether it is valid. Source: GS1 General Specifications, sections 3 (meaning
# of each application identifier) and 7.9 (check digits and check characters). The names of the checks are those of the
# GS1 syntax dictionary. The code lists are the current codes of ISO 3166-1 (edition of 2020) and ISO 4217.

_COUNTRIES = (
    "004 008 010 012 016 020 024 028 031 032 036 040 044 048 050 051 052 056 060 064 068 070 072 074 076 084 086 "
    "090 092 096 100 104 108 112 116 120 124 132 136 140 144 148 152 156 158 162 166 170 174 175 178 180 184 188 "
    "191 192 196 203 204 208 212 214 218 222 226 231 232 233 234 238 239 242 246 248 250 254 258 260 262 266 268 "
    "270 275 276 288 292 296 300 304 308 312 316 320 324 328 332 334 336 340 344 348 352 356 360 364 368 372 376 "
    "380 384 388 392 398 400 404 408 410 414 417 418 422 426 428 430 434 438 440 442 446 450 454 458 462 466 470 "
    "474 478 480 484 492 496 498 499 500 504 508 512 516 520 524 528 531 533 534 535 540 548 554 558 562 566 570 "
    "574 578 580 581 583 584 585 586 591 598 600 604 608 612 616 620 624 626 630 634 638 642 643 646 652 654 659 "
    "660 662 663 666 670 674 678 682 686 688 690 694 702 703 704 705 706 710 716 724 728 729 732 740 744 748 752 "
    "756 760 762 764 768 772 776 780 784 788 792 795 796 798 800 804 807 818 826 831 832 833 834 840 850 854 858 "
    "860 862 876 882 887 894"
)
COUNTRIES = frozenset(_COUNTRIES.split())
"""Numeric country codes of ISO 3166-1."""

_COUNTRY_LETTERS = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
    "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
    "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
    "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
    "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
    "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
    "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
COUNTRY_LETTERS = frozenset(_COUNTRY_LETTERS.split())
"""Two-letter country codes of ISO 3166-1 (alpha-2)."""

_CURRENCIES = (
    "008 012 032 036 044 048 050 051 052 060 064 068 072 084 090 096 104 108 116 124 132 136 144 152 156 170 174 "
    "188 191 192 203 208 214 222 230 232 238 242 262 270 292 320 324 328 332 340 344 348 352 356 360 364 368 376 "
    "388 392 398 400 404 408 410 414 417 418 422 426 430 434 446 454 458 462 480 484 496 498 504 512 516 524 532 "
    "533 548 554 558 566 578 586 590 598 600 604 608 634 643 646 654 682 690 694 702 704 706 710 728 748 752 756 "
    "760 764 776 780 784 788 800 807 818 826 834 840 858 860 882 886 901 925 926 927 928 929 930 931 932 933 934 "
    "936 938 940 941 943 944 946 947 948 949 950 951 952 953 955 956 957 958 959 960 961 962 963 964 965 967 968 "
    "969 970 971 972 973 975 976 977 978 979 980 981 984 985 986 990 994 997 999"
)
CURRENCIES = frozenset(_CURRENCIES.split())
"""Numeric currency codes of ISO 4217, including those of funds and metals."""


CSET82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""The GS1 AI encodable character set 82, in the order of the check values."""

_CSET32 = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83)
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@lru_cache(maxsize=4096)
def check_digit(digits: str) -> str:
    """Return the check digit to append to `digits` (weights 3, 1, 3, ... from the right)."""
    return str(-(3 * sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2]))) % 10)


def _check_pair(text: str) -> str:
    """Return the two check characters of a GMN: the sum of values times primes, largest prime first, modulo 1021."""
    weights = reversed(_PRIMES[: len(text)])
    total = sum(CSET82.index(character) * weight for character, weight in zip(text, weights, strict=True)) % 1021
    return _CSET32[total >> 5] + _CSET32[total & 31]


def _is_date(text: str, *, open_day: bool = False) -> bool:
    """Whether `text` is a date YYMMDD. The century is unknown, so 29 February exists in every fourth year and in 00."""
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:])
    if not 1 <= month <= 12:
        return False
    last = 28 if month == 2 and year % 4 else _DAYS[month - 1]
    return (0 if open_day else 1) <= day <= last


def _is_full_date(text: str) -> bool:
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    return int(text[:2]) < 24 and int(text[2:]) < 60


def _is_iban(text: str) -> bool:
    """Whether `text` is an IBAN (ISO 13616): a country, then two check digits by ISO 7064 modulo 97-10."""
    if not re.fullmatch(r"[A-Z]{2}\d{2}[0-9A-Z]+", text, re.ASCII) or text[:2] not in COUNTRY_LETTERS:
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


def _is_piece_of_total(text: str) -> bool:
    half = len(text) // 2
    return 1 <= int(text[:half]) <= int(text[half:])


def _is_birth_sequence(text: str) -> bool:
    return re.fullmatch(r"[1-9]/[1-9]", text, re.ASCII) is not None and text[0] <= text[2]


def _is_pair_checked(text: str) -> bool:
    return 2 < len(text) <= len(_PRIMES) + 2 and text[-2:] == _check_pair(text[:-2])


CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "couponcode": is_coupon,
    "couponposoffer": is_positive_offer,
    "csum": lambda text: text[-1] == check_digit(text[:-1]),
    "csumalpha": _is_pair_checked,
    # A company prefix has at least four digits. Which prefixes GS1 has issued is not known here.
    "gcppos1": lambda text: re.match(r"\d{4}", text, re.ASCII) is not None,
    "gcppos2": lambda text: re.match(r".\d{4}", text, re.ASCII) is not None,
    "hh": lambda text: int(text) < 24,
    "hhmi": _is_time,
    "hyphen": lambda text: set(text) == {"-"},
    "iban": _is_iban,
    "importeridx": lambda text: re.fullmatch(r"[\-0-9A-Z_a-z]", text, re.ASCII) is not None,
    "iso3166": lambda text: text in COUNTRIES,
    "iso3166999": lambda text: text in COUNTRIES or text == "999",
    "iso3166alpha2": lambda text: text in COUNTRY_LETTERS,
    "iso4217": lambda text: text in CURRENCIES,
    "iso5218": lambda text: text in "0129",
    "latitude": lambda text: int(text) <= 1_800_000_000,
    "longitude": lambda text: int(text) <= 3_600_000_000,
    "mediatype": lambda text: 1 <= int(text) <= 10 or int(text) >= 80,
    "mi": lambda text: int(text) < 60,
    "nonzero": lambda text: int(text) > 0,
    "nozeroprefix": lambda text: text == "0" or text[0] != "0",
    "pcenc": lambda text: re.search(r"%(?![0-9A-Fa-f]{2})", text) is None,
    "pieceoftotal": _is_piece_of_total,
    "posinseqslash": _is_birth_sequence,
    "ss": lambda text: int(text) < 60,
    "winding": lambda text: text in "019",
    "yesno": lambda text: text in "01",
    "yymmd0": lambda text: _is_date(text, open_day=True),
    "yymmdd": _is_date,
    "yyyymmdd": _is_full_date,
    "zero": lambda text: int(text) == 0,
}
"""Checks by name. They may assume that the characters and length of the component are those of its row."""


_CHARACTERS = {"n": "0-9", "x": '!"%-?A-Z_a-z', "y": "#\\-/0-9A-Z", "z": "\\-0-9=A-Z_a-z"}


@dataclass(frozen=True, slots=True)
class _Component:
    """The rule for one part of a value."""

    pattern: re.Pattern[str]
    """Matches as many characters as the part can have."""
    optional: bool
    checks: tuple[str, ...]
    """Names in `millmark.ledger.ids._gs1`."""


@dataclass(frozen=True, slots=True)
class AiRule:
    """The rule for one application identifier."""

    name: str
    """Its name, for messages."""
    in_query: bool
    """Whether it may be a data attribute."""
    components: tuple[_Component, ...]
    requires: tuple[tuple[str, ...], ...]
    """Alternatives, one of which must be on the item with all its members; () if none is needed. "n" is any digit."""
    excludes: tuple[str, ...]
    """AIs that must not be on the item; "n" is any digit."""


def _component(text: str) -> _Component:
    shape, *checks = text.split(":")
    least, _, most = shape[1:].rstrip("?").partition("-")
    pattern = f"[{_CHARACTERS[shape[0]]}]{{{least},{most or least}}}"
    if shape[0] == "z":
        pattern = r"(?=[^=]+={0,2}\Z)" + pattern  # padding ends the value
    return _Component(re.compile(pattern), shape.endswith("?"), tuple(checks))


def _codes(text: str) -> Iterator[str]:
    first, _, last = text.partition("-")
    for code in range(int(first), int(last or first) + 1):
        yield f"{code:0{len(first)}}"


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


RULES: dict[str, AiRule] = {
    code: AiRule(
        name,
        where == "query",
        tuple(map(_component, value.split())),
        tuple(tuple(way.split("+")) for way in _split(requires)),
        _split(excludes),
    )
    for codes, where, value, _, requires, excludes, name in ROWS
    for code in _codes(codes)
}
"""Rules by application identifier."""

KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    codes: tuple(_split(way) for way in qualifiers.split("|") if way != "-")
    for codes, _, _, qualifiers, _, _, _ in ROWS
    if qualifiers
}
"""Alternative sequences of qualifiers by primary key, each in the order of the path."""

_QUALIFIERS = {key: frozenset(ai for way in ways for ai in way) for key, ways in KEYS.items()}

ATTRIBUTES = frozenset(ai for ai, rule in RULES.items() if rule.in_query)
"""The application identifiers that may be data attributes in a query."""


def is_known_ai(ai: str) -> bool:
    """Whether `ai` is a key, a qualifier or a data attribute."""
    return ai in RULES


def check_path(elements: tuple[tuple[str, str], ...]) -> None:
    """Check that (AI, value) pairs are a primary key and some of its qualifiers, in order, with valid values. Raises
    IdentifierError. Not established: that GS1 or a company issued the key."""
    check_order(elements)
    key, *qualifiers = (ai for ai, _ in elements)
    if any(set(way) <= set(_QUALIFIERS[key]) for way in RULES[key].requires) and unmet_needs(key, qualifiers):
        # Only (415), the party to pay: without (8020) nobody could tell for what.
        raise IdentifierError(f"({key}) lacks its qualifier", hint=f"add ({RULES[key].requires[0][0]}) to the path")
    for ai, value in elements:
        check_value(ai, value)
        if (ai, value) == ("254", "0"):
            # An EPC writes "no extension" as 0 (TDS 2.0 section 6.3.3). Accepted here, a place would have two names.
            raise IdentifierError("the extension (254) 0 means no extension", hint="leave /254/0 out")


def check_order(elements: tuple[tuple[str, str], ...]) -> None:
    """Check that (AI, value) pairs are a primary key and some of its qualifiers, in order. Raises IdentifierError."""
    key, *qualifiers = (ai for ai, _ in elements)
    alternatives = KEYS[key]
    if not any(_is_subsequence(qualifiers, allowed) for allowed in alternatives or ((),)):
        orders = " or ".join(", ".join(allowed) for allowed in alternatives) or "none"
        raise IdentifierError(
            f"({', '.join(qualifiers)}) cannot qualify ({key})",
            hint=f"allowed qualifiers of ({key}), in this order: {orders}",
        )


def belongs_in_path(elements: tuple[tuple[str, str], ...], ai: str) -> bool:
    """Whether `ai` could qualify the key in the path, beside its qualifiers, and so must not be a data attribute. The
    serial number of a third party (235) stands alone after the GTIN: with it, a batch is a data attribute."""
    key, *qualifiers = (one for one, _ in elements)
    return any(ai in allowed and set(qualifiers) <= set(allowed) for allowed in KEYS[key])


def _is_subsequence(some: list[str], allowed: tuple[str, ...]) -> bool:
    rest = iter(allowed)
    return all(ai in rest for ai in some)  # `in` consumes the iterator up to the match


def check_value(ai: str, value: str, *, digits: bool = True) -> None:
    """Check characters, length and content of a value. Raises IdentifierError. Without `digits`, the content is not
    checked, except for digits where the company prefix must be."""
    rule, rest = RULES[ai], value
    for component in rule.components:
        if not rest and component.optional:
            break
        match = component.pattern.match(rest)
        if match is None:
            raise _malformed(ai, value)
        rest = rest[match.end() :]
        for name in component.checks:
            if (digits or name.startswith("gcppos")) and not CHECKS[name](match[0]):
                raise _wrong(ai, value, name, match[0])
    if rest:
        raise _malformed(ai, value)


def _malformed(ai: str, value: str) -> IdentifierError:
    hint = "write a GTIN with 14 digits, padded with zeros on the left" if ai == "01" and value.isdecimal() else ""
    return IdentifierError(f"({ai}) {value[:40]!a} is not a {RULES[ai].name}", hint=hint)


def _wrong(ai: str, value: str, check: str, part: str) -> IdentifierError:
    shown = f"({ai}) {value[:40]!a}"
    if check == "csum":
        expected = check_digit(part[:-1])
        return IdentifierError(
            f"{shown} has the check digit {part[-1]} instead of {expected}", hint="copy the number again"
        )
    if check == "csumalpha":
        return IdentifierError(f"{shown} has wrong check characters", hint="copy the number again")
    if check == "pieceoftotal":
        return IdentifierError(f"{shown} has a piece number that is 0 or larger than the number of pieces")
    return IdentifierError(f"{shown} is not a {RULES[ai].name}: {part[:40]!a} fails the check {check}")


def excluded_by(ai: str, others: Collection[str]) -> list[str]:
    """Return those of `others` that must not be on the same item as `ai`."""
    return [other for other in others if other != ai and any(_fits(other, one) for one in RULES[ai].excludes)]


def unmet_needs(ai: str, others: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Return the alternatives that `ai` requires on the item, or () if the AIs `others` include one of them."""
    needs = RULES[ai].requires
    if any(all(any(_fits(other, one) for other in others) for one in way) for way in needs):
        return ()
    return needs


def _fits(ai: str, pattern: str) -> bool:
    return len(ai) == len(pattern) and all(wanted in ("n", digit) for digit, wanted in zip(ai, pattern, strict=True))
