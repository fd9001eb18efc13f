"""JSON of events, read and written in C where that leaves no doubt, else by the ledger's strict reader and writer.

The quick reader takes no less than RFC 8259 asks, but keeps the last of two members with one name, and integers and
depths without bound. So every value is looked at once: what might be refused is given to the strict reader, which
refuses it, or takes it after all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec

from ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_json

__all__ = ["Parsed", "parse_value", "parse_values", "write_canonical"]

_read = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder(order="sorted").encode


class Parsed(NamedTuple):
    value: Json
    plain: bool = False
    """Whether all readers and writers of JSON are known to write its numbers alike."""


class _DoubtError(Exception):
    """Only the strict reader can tell."""


def parse_value(data: bytes, *, max_bytes: int, max_depth: int, repeatable: Collection[str] = frozenset()) -> Parsed:
    """One value, as `parse_json` reads it. Raises CanonicalError."""
    try:
        value = _decode(data, max_bytes)
        strings, plain = _look(value, max_depth)
        _verify_strings(data, strings)
    except _DoubtError:
        return Parsed(parse_json(data, max_bytes=max_bytes, max_depth=max_depth, repeatable=repeatable))
    return Parsed(value, plain)


def parse_values(data: bytes, *, max_bytes: int, max_depth: int) -> list[Parsed]:
    """The values of an array, or the one that is no array, as `parse_json` reads them. Raises CanonicalError."""
    try:
        value = _decode(data, max_bytes)
        values = value if isinstance(value, list) else [value]
        looked_at = [_look(one, max_depth - isinstance(value, list)) for one in values]
        _verify_strings(data, sum([strings for strings, _ in looked_at]))
    except _DoubtError:
        strict = parse_json(data, max_bytes=max_bytes, max_depth=max_depth)
        return [Parsed(one) for one in (strict if isinstance(strict, list) else [strict])]
    return [Parsed(one, plain) for one, (_, plain) in zip(values, looked_at, strict=True)]


def write_canonical(value: Json, plain: bool) -> bytes:
    """As `canonical_json` does. `plain`: as a Parsed has it, of this value or of one that it is a part of."""
    if plain:
        text: bytes = _write(value)
        # Keys are sorted by code point. RFC 8785 sorts by UTF-16 code unit, which differs beyond U+FFFF: four bytes.
        if text.isascii() or max(text) < 0xF0:
            return text
    return canonical_json(value)


def _decode(data: bytes, max_bytes: int) -> Any:
    if len(data) > max_bytes:
        raise _DoubtError
    try:
        return _read(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _DoubtError from None


def _look(value: Json, max_depth: int) -> tuple[int, bool]:
    """How many strings a value holds, names of members among them, and whether it is plain."""
    strings, plain = 0, True
    level: list[Any] = [value if type(value) is dict else (value,)]
    for _ in range(max_depth + (type(value) is not dict)):
        below: list[Any] = []
        for held in level:
            items: Iterable[Any] = held
            if type(held) is dict:
                strings += len(held)
                items = held.values()
            for item in items:
                kind = type(item)
                if kind is str:
                    strings += 1
                elif kind is int:
                    if not -MAX_SAFE_INTEGER <= item <= MAX_SAFE_INTEGER:
                        raise _DoubtError
                elif kind is dict or kind is list:
                    below.append(item)
                elif kind is float and (item.is_integer() or not 1e-4 <= abs(item) < 1e16):
                    if MAX_SAFE_INTEGER < abs(item) < 1e21:
                        raise _DoubtError
                    plain = False
        if not below:
            return strings, plain
        level = below
    raise _DoubtError


def _verify_strings(data: bytes, strings: int) -> None:
    """That nothing was dropped: of two members with one name, the first would be missing."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if data.count(b'"') != 2 * strings:
        raise _DoubtError
