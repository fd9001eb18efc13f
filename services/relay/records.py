"""Records as people write them down for a key that signs offline: one JSON document, nothing left to chance.

    {"format": "millmark-records", "version": 1, "records": [{"record": "ReceiveLot", "fields": {...}}, ...]}

Fields are those of the record (ledger.records): bytes are 0x-hex, an enumeration is a word, a unit is its UN/ECE code
as text, a claims root that is left out is 32 zero bytes. Instead of `identifier_hash`, `identifier` and its 32-byte
`salt` may stand. Nothing is looked up and nothing is drawn, so the same file always means the same call.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ledger.canonical import parse_json
from ledger.chain import call_data, multicall_data
from ledger.errors import CanonicalError, InputError
from ledger.ids import canonical_identifier, identifier_hash
from ledger.records import RECORD_TYPES, Bytes3, Contract, Record

__all__ = ["MAX_FILE_BYTES", "MOST_RECORDS", "build_call", "parse_records"]

MAX_FILE_BYTES = 1 << 20
MOST_RECORDS = 100
"""In one request: what fits into one transaction with room to spare."""
_FORMAT, _VERSION = "millmark-records", 1
_MOST_DEPTH = 16
_KINDS = {kind.__name__: kind for kind in RECORD_TYPES}
_MEND = "see `millmark relay sign --help` for the form"


def parse_records(content: bytes) -> tuple[Record, ...]:
    """The records of a file, all of one contract. Raises InputError naming the record and what is wrong with it."""
    try:
        document: Any = parse_json(content, max_bytes=MAX_FILE_BYTES, max_depth=_MOST_DEPTH)
    except CanonicalError as error:
        raise InputError(f"the records cannot be read: {error.cause}", hint=_MEND) from None
    if not isinstance(document, dict) or set(document) != {"format", "version", "records"}:
        raise InputError("the records have not the members format, version and records", hint=_MEND)
    if document["format"] != _FORMAT or document["version"] != _VERSION or type(document["version"]) is not int:
        raise InputError(f"this is no {_FORMAT} of version {_VERSION}", hint=_MEND)
    entries = document["records"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_RECORDS:
        raise InputError(f"one request carries 1 to {MOST_RECORDS} records", hint="sign the others in another request")
    records = tuple(_parse_record(number, entry) for number, entry in enumerate(entries, start=1))
    if len({record.contract for record in records}) > 1:
        raise InputError("one request cannot carry records of registry and ledger", hint="sign them in two requests")
    return records


def build_call(records: tuple[Record, ...]) -> tuple[Contract, bytes]:
    """The contract and the call that makes them all, or none."""
    contract, calls = records[0].contract, [call_data(record) for record in records]
    return contract, calls[0] if len(calls) == 1 else multicall_data(contract, calls)


def _parse_record(number: int, entry: object) -> Record:
    if not isinstance(entry, dict) or set(entry) != {"record", "fields"}:
        raise InputError(f"record {number} has not the members record and fields", hint=_MEND)
    kind = _KINDS.get(entry["record"]) if isinstance(entry["record"], str) else None
    if kind is None:
        raise InputError(f"record {number}: there is no record {str(entry['record'])[:40]!a}", hint=_MEND)
    try:
        record: Record = _struct(kind, entry["fields"])
    except InputError as error:
        raise InputError(f"record {number} ({kind.__name__}): {error.cause}", hint=error.hint or _MEND) from None
    return record


def _struct(kind: Any, given: object) -> Any:
    if not isinstance(given, dict):
        raise InputError(f"{kind.__name__} is an object of fields")
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    known = {*names, *(("identifier", "salt") if "identifier_hash" in names else ())}
    unknown = sorted(set(given) - known)
    if unknown:
        raise InputError(f"there is no field {unknown[0][:40]!a}; the fields are {', '.join(names)}")
    return kind(**{name: _field(name, hints[name], given) for name in names})


def _field(name: str, hint: Any, given: Mapping[str, object]) -> object:
    if name == "identifier_hash" and ("identifier" in given or "salt" in given):
        return _hash(given)
    if name not in given:
        if name.endswith("_root"):
            return bytes(32)
        raise InputError(f"{name} is missing")
    return _value(name, hint, given[name])


def _hash(given: Mapping[str, object]) -> bytes:
    if "identifier_hash" in given:
        raise InputError("identifier_hash is given, and identifier or salt too", hint="give one of them")
    if not isinstance(given.get("identifier"), str):
        raise InputError("identifier is no text")
    return identifier_hash(_bytes("salt", given.get("salt"), 32), canonical_identifier(str(given["identifier"])))


def _value(name: str, hint: Any, value: object) -> object:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise InputError(f"{name} is a list")
        return tuple(_value(name, get_args(hint)[0], one) for one in value)
    if hint == Bytes3:
        if not isinstance(value, str) or not value.isascii() or not 1 <= len(value) <= 3:
            raise InputError(f"{name} is a UN/ECE code such as H87")
        return value.encode().ljust(3, b"\0")
    if get_origin(hint) is Annotated and get_args(hint)[0] is bytes:
        return _bytes(name, value, get_args(hint)[1])
    if hint is bytes:
        return _bytes(name, value, None)
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        words = [member.name.lower() for member in hint if member.name != "NONE"]
        if value not in words:
            raise InputError(f"{name} is one of {', '.join(words)}")
        return hint[str(value).upper()]
    if isinstance(hint, type) and is_dataclass(hint):
        return _struct(hint, value)
    return value  # a number or a truth value, which the record itself looks at


def _bytes(name: str, value: object, size: int | None) -> bytes:
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError("no hexadecimal digits")
        found = bytes.fromhex(value[2:])
    except ValueError:
        raise InputError(f"{name} is 0x and hexadecimal digits") from None
    if (size is not None and len(found) != size) or len(value) != 2 + 2 * len(found):
        raise InputError(f"{name} is {size} bytes, 0x and {2 * (size or 0)} hexadecimal digits")
    return found
