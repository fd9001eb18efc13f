"""Reads JSON of footprints strictly: every member is known, and every number a whole one that JSON can represent."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json
from millmark.ledger.errors import FootprintError

_HEX32 = re.compile("0x[0-9a-f]{64}")


def members_of(value: Json, what: str, needed: Collection[str], optional: Collection[str] = ()) -> Mapping[str, Json]:
    """The members of an object. Raises FootprintError if one is missing or unknown."""
    if not isinstance(value, Mapping):
        raise FootprintError(f"{what} is not a JSON object")
    for name in needed:
        if name not in value:
            raise FootprintError(f"{what} has no {name}")
    for name in value:
        if name not in needed and name not in optional:
            raise FootprintError(f"{what} has the unknown member {name[:40]!a}")
    return value


def number_of(value: Json, what: str, least: int = 0, most: int = MAX_SAFE_INTEGER) -> int:
    """A whole number. Raises FootprintError, also for a number with a fraction and for a truth value."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FootprintError(f"{what} is not a whole number")
    if not least <= value <= most:
        raise FootprintError(f"{what} is {value}, and must be from {least} to {most}")
    return value


def text_of(value: Json, what: str, longest: int = 200) -> str:
    """Text that is not empty. Raises FootprintError."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise FootprintError(f"{what} is not text of 1 to {longest} characters")
    return value


def digest_of(value: Json, what: str) -> bytes:
    """32 bytes from 0x-hex. Raises FootprintError."""
    if not isinstance(value, str) or not _HEX32.fullmatch(value):
        raise FootprintError(f"{what} is not 0x and 64 lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])


def items_of(value: Json, what: str, most: int) -> list[Json]:
    """The items of an array. Raises FootprintError for anything else, and for more than `most`."""
    if not isinstance(value, list) or len(value) > most:
        raise FootprintError(f"{what} is not an array of at most {most} items")
    return list(value)
