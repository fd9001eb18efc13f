"""Fast JSON for captured events and requests: msgspec where its result is certain to be right, else the strict reader.

msgspec accepts only what RFC 8259 allows, but keeps the last of duplicate members, and bounds neither integers nor
depth. So every value is checked after parsing, and when in doubt parsed again by the strict reader, which decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_json

_read = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder(order="sorted").encode


class Parsed(NamedTuple):
    """A parsed JSON value, and whether it can be written fast."""

    value: Json
    plain: bool = False
    """Whether it is known that all JSON writers format its numbers identically."""


class _DoubtError(Exception):
    """The value may have to be refused: the strict reader decides."""


def parse_value(data: bytes, *, max_bytes: int, max_depth: int) -> Parsed:
    """Parse a value, with the same result as `parse_json`. Raises CanonicalError."""
    try:
        value = _decode(data, max_bytes)
        strings, plain = _look(value, max_depth)
        _verify_strings(data, strings)
    except _DoubtError:
        return Parsed(parse_json(data, max_bytes=max_bytes, max_depth=max_depth))
    return Parsed(value, plain)


def parse_values(data: bytes, *, max_bytes: int, max_depth: int) -> list[Parsed]:
    """Parse the elements of an array, or a single other value, like `parse_json`. Raises CanonicalError."""
    try:
        value = _decode(data, max_bytes)
        values = value if isinstance(value, list) else [value]
        looked_at = [_look(one, max_depth - isinstance(value, list)) for one in values]  # the list itself is a level
        _verify_strings(data, sum([strings for strings, _ in looked_at]))
    except _DoubtError:
        strict = parse_json(data, max_bytes=max_bytes, max_depth=max_depth)
        return [Parsed(one) for one in (strict if isinstance(strict, list) else [strict])]
    return [Parsed(one, plain) for one, (_, plain) in zip(values, looked_at, strict=True)]


def write_canonical(value: Json, plain: bool) -> bytes:
    """Write a value, with the same result as `canonical_json`. `plain` is the member `plain` of the `Parsed` whose
    value this is, or is a part of."""
    if plain:
        text: bytes = _write(value)
        # msgspec sorts keys by code point, RFC 8785 by UTF-16 code unit: the order can differ only beyond U+FFFF, where
        # UTF-8 takes four bytes, the first of them at least 0xF0.
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
    """Number of strings in a value, including member names, and whether it is plain. Raises _DoubtError."""
    strings, plain = 0, True
    # Level by level, not by recursion: this runs for every captured event. A value other than an object is wrapped in a
    # tuple, which takes a level of its own.
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
    """Verify that nothing was dropped: msgspec keeps only the last of duplicate members. Raises _DoubtError."""
    # Without escaped quotes, every string contributes exactly two quotes to the text.
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if data.count(b'"') != 2 * strings:
        raise _DoubtError
