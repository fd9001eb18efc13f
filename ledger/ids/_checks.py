"""Checks of the content of a component of a GS1 value, beyond its characters and length.

Each check takes a component and returns whether it is valid. Source: GS1 General Specifications, sections 3 (meaning of
each application identifier) and 7.9 (check digits and check characters). The names of the checks are those of the GS1
syntax dictionary.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from ledger.ids._codes import COUNTRIES, COUNTRY_LETTERS, CURRENCIES
from ledger.ids._coupons import is_coupon, is_positive_offer

__all__ = ["CHECKS", "CSET82", "check_digit"]

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
