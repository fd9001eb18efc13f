"""Bytes and hashes: canonical JSON (RFC 8785), strict JSON parsing (I-JSON, RFC 7493), keccak256, sha256."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NoReturn, TypeAlias, cast

import rfc8785
import sha3  # type: ignore[import-untyped]  # safe-pysha3 ships no types

from millmark.ledger.errors import CanonicalError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value. Parsing returns `list` and `dict`; writing also accepts tuples."""

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer magnitude that every JSON reader represents exactly (RFC 7493 section 2.2)."""

_HEX32 = re.compile("0x[0-9a-f]{64}")
_HINT = "write large integers and bytes as strings"

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False, allow_nan=False
)
_quote = json.encoder.encode_basestring
"""What the encoder above uses."""
_ONLY_TEXT = frozenset({str})
_PLAIN = frozenset({str, bool, type(None)})
_MAX_PLAIN = 100_000
"""Values checked at most. Also stops the check of a value that contains itself."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
# An unterminated string is one match up to the end: retrying at every escaped quote would be quadratic.
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 of `data` as in the EVM: with the original padding, not SHA-3's (FIPS 202)."""
    # Direct call of the C code: the wrappers of the Ethereum packages cost several times the hash itself.
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 of `data` (FIPS 180-4)."""
    return hashlib.sha256(data).digest()


def to_hex(data: bytes) -> str:
    """Return `0x` and two lower-case hexadecimal digits per byte: the form of bytes in JSON and messages."""
    return "0x" + data.hex()


def parse_hex32(text: str) -> bytes:
    """Parse 32 bytes as written by `to_hex`. Raises CanonicalError for any other text."""
    if not _HEX32.fullmatch(text):
        raise CanonicalError(f"{text[:80]!a} is not 32 bytes in hexadecimal", hint="write 0x and 64 lower-case digits")
    return bytes.fromhex(text[2:])


def canonical_json(value: Json) -> bytes:
    """Return the canonical JSON of `value` (RFC 8785), in UTF-8.

    Raises CanonicalError for values that canonical JSON cannot represent exactly: integers beyond 2^53 - 1, NaN and
    infinities, keys that are not strings, lone surrogates, other types, and values that contain themselves or nest too
    deeply.
    """
    text = _plain_text(value)
    if text is not None:
        return text
    try:
        return rfc8785.dumps(value)
    except RecursionError:
        raise CanonicalError("the value is nested too deeply for JSON", hint="flatten it") from None
    except ValueError as error:  # rfc8785's own errors, and UnicodeEncodeError for a surrogate in a key
        cause = "a key contains a lone surrogate" if isinstance(error, UnicodeEncodeError) else str(error)[:120]
        raise CanonicalError(f"not representable as canonical JSON: {cause}", hint=_HINT) from None


def quoted(text: str) -> str:
    """Return the canonical JSON of a string, which `canonical_json` also writes: for those that join many. A lone
    surrogate stays, and cannot be encoded."""
    return _quote(text)


def _plain_text(value: Json) -> bytes | None:
    """Canonical JSON by the standard library's encoder, ten times as fast as rfc8785. None for a value that the two
    might write differently, or that must be refused."""
    if not _is_plain(value):
        return None
    try:
        text = _ENCODER.encode(value)
        # This encoder sorts keys by code point, RFC 8785 by UTF-16 code unit: the order can differ only beyond U+FFFF.
        return text.encode() if text.isascii() or max(text) <= "\uffff" else None
    except (RecursionError, UnicodeEncodeError):
        return None


def _is_plain(value: Json) -> bool:
    """Whether all types are exactly JSON's, and Python and ECMAScript write all numbers alike."""
    # A loop, not recursion: a value may be nested deeper than Python's stack.
    waiting: list[Collection[Json]] = [(value,)]
    looked_at = 0
    while waiting:
        items = waiting.pop()
        looked_at += len(items)
        for item in items:
            kind = type(item)
            if kind in _PLAIN:
                continue
            if kind is dict:
                members = cast("dict[str, Json]", item)
                if not _ONLY_TEXT.issuperset(map(type, members)):
                    return False
                waiting.append(members.values())
            elif kind is list or kind is tuple:
                waiting.append(cast("Sequence[Json]", item))
            elif not _is_plain_number(item):
                return False
        if looked_at > _MAX_PLAIN:
            return False
    return True


def _is_plain_number(item: Json) -> bool:
    if type(item) is int:
        return -MAX_SAFE_INTEGER <= item <= MAX_SAFE_INTEGER
    # Outside this range, and for whole numbers, repr() and ECMAScript's Number::toString differ, such as 1e16 or 2.0.
    return type(item) is float and not item.is_integer() and 1e-4 <= abs(item) < 1e16


def parse_json(data: bytes, *, max_bytes: int, max_depth: int) -> Json:
    """Parse a UTF-8 JSON text of at most `max_bytes` bytes and at most `max_depth` nested arrays and objects.

    Refuses everything that two readers could interpret differently: a byte order mark, duplicate keys, NaN and
    infinities (also by overflow), integers beyond 2^53 - 1, lone surrogates.
    Raises CanonicalError. Not established: that `data` is in canonical form.
    """
    if not isinstance(data, bytes):  # a str has no definite size in bytes, and may contain surrogates unescaped
        raise CanonicalError("JSON must be passed as bytes")
    if len(data) > max_bytes:
        raise CanonicalError(f"JSON of {len(data)} bytes exceeds the limit of {max_bytes}")
    _check_depth(data, max_depth)  # before the parser recurses
    try:
        value: Json = json.loads(
            data.decode("utf-8"),  # json.loads would also accept UTF-16 and UTF-32
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_number,
            parse_int=_small_integer,
            parse_float=_finite_float,
        )
    except RecursionError:
        raise CanonicalError("the JSON is nested too deeply for this reader", hint="flatten it") from None
    except UnicodeDecodeError as error:
        raise CanonicalError(f"the JSON is not UTF-8 at byte {error.start}", hint="encode it as UTF-8") from None
    except json.JSONDecodeError as error:
        cause = f"not JSON: {error.msg} at character {error.pos}"
        raise CanonicalError(cause, hint="give one value as RFC 8259 has it") from None
    if rb"\u" in data:  # only an escape can bring in a surrogate
        _check_surrogates(value)
    return value


def _check_depth(data: bytes, max_depth: int) -> None:
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return  # the common case, without a scan of all brackets
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        if bracket in b"[{":
            depth += 1
            if depth > max_depth:
                raise CanonicalError(f"the JSON is nested more than {max_depth} levels deep", hint="flatten it")
        else:
            depth -= 1


def _check_surrogates(value: Json) -> None:
    for text in _strings(value):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise CanonicalError(
                "a JSON string contains a lone surrogate", hint="escape both halves of a character"
            ) from None


def _strings(value: Json) -> Iterator[str]:
    waiting: list[Json] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            yield from item
            waiting.extend(item.values())
        elif isinstance(item, Sequence):
            waiting.extend(item)


def _object_without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        # Not by most_common, which imports heapq when it is called: the page that verifies has nothing to import from.
        key = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise CanonicalError(f"a JSON object has the key {key[:80]!a} more than once", hint="give each member once")
    return result


def _small_integer(text: str) -> int:
    # Check the length first: converting thousands of digits takes quadratic time.
    if len(text) <= 17 and abs(value := int(text)) <= MAX_SAFE_INTEGER:
        return value
    return _refuse_number(text)


def _finite_float(text: str) -> float:
    value = float(text)
    # RFC 8785 writes floats below 1e21 as integers. From 2^53 on, `_small_integer` would refuse to read them back.
    if value in (float("inf"), float("-inf")) or MAX_SAFE_INTEGER < abs(value) < 1e21:
        _refuse_number(text)
    return value


def _refuse_number(text: str) -> NoReturn:
    raise CanonicalError(f"the JSON number {text[:40]} cannot be represented exactly", hint="write it as a string")
