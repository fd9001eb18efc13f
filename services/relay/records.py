"""JSON file format for records to be signed offline.

    {"format": "millmark-records", "version": 1, "records": [{"record": "ReceiveLot", "fields": {...}}, ...]}

Fields are those of the record (millmark.ledger.records): bytes are 0x-hex, an enumeration is a word, a unit is its
UN/ECE code, and an omitted claims root is 32 zero bytes. `identifier` and its 32-byte `salt` may replace
`identifier_hash`. Nothing is looked up or generated, so the same file always produces the same call.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from millmark.ledger.canonical import parse_json
from millmark.ledger.chain import call_data, multicall_data
from millmark.ledger.errors import CanonicalError, InputError
from millmark.ledger.ids import canonical_identifier, identifier_hash
from millmark.ledger.records import RECORD_TYPES, Bytes3, Contract, Record

MAX_FILE_BYTES = 1 << 20
MAX_RECORDS = 100
"""Maximum number of records in one request, which easily fit into one transaction."""
_FORMAT, _VERSION = "millmark-records", 1
_MAX_DEPTH = 16
_KINDS = {kind.__name__: kind for kind in RECORD_TYPES}
_HINT = "see `millmark relay sign --help` for the format"


def parse_records(content: bytes) -> tuple[Record, ...]:
    """Parses the records of a file, which must all be for one contract. Raises InputError, naming the wrong record and
    the cause."""
    try:
        document: Any = parse_json(content, max_bytes=MAX_FILE_BYTES, max_depth=_MAX_DEPTH)
    except CanonicalError as error:
        raise InputError(f"the records cannot be read: {error.cause}", hint=_HINT) from None
    if not isinstance(document, dict) or set(document) != {"format", "version", "records"}:
        raise InputError("the file does not have exactly the members format, version and records", hint=_HINT)
    # The type is compared as well, because True equals 1.
    if document["format"] != _FORMAT or document["version"] != _VERSION or type(document["version"]) is not int:
        raise InputError(f"the file is not in the format {_FORMAT}, version {_VERSION}", hint=_HINT)
    entries = document["records"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_RECORDS:
        raise InputError(f"one request must have 1 to {MAX_RECORDS} records", hint="sign more in further requests")
    records = tuple(_parse_record(number, entry) for number, entry in enumerate(entries, start=1))
    if len({record.contract for record in records}) > 1:
        raise InputError("one request cannot have records for both registry and ledger", hint="sign two requests")
    return records


def build_call(records: tuple[Record, ...]) -> tuple[Contract, bytes]:
    """The contract and the calldata that makes all records or none."""
    contract, calls = records[0].contract, [call_data(record) for record in records]
    return contract, calls[0] if len(calls) == 1 else multicall_data(contract, calls)


def _parse_record(number: int, entry: object) -> Record:
    if not isinstance(entry, dict) or set(entry) != {"record", "fields"}:
        raise InputError(f"record {number} does not have exactly the members record and fields", hint=_HINT)
    kind = _KINDS.get(entry["record"]) if isinstance(entry["record"], str) else None
    if kind is None:
        raise InputError(f"record {number}: unknown kind of record {str(entry['record'])[:40]!a}", hint=_HINT)
    try:
        record: Record = _struct(kind, entry["fields"])
    except InputError as error:
        raise InputError(f"record {number} ({kind.__name__}): {error.cause}", hint=error.hint or _HINT) from None
    return record


def _struct(kind: Any, given: object) -> Any:
    if not isinstance(given, dict):
        raise InputError(f"the fields of {kind.__name__} are not an object")
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    known = {*names, *(("identifier", "salt") if "identifier_hash" in names else ())}
    unknown = sorted(set(given) - known)
    if unknown:
        raise InputError(f"unknown field {unknown[0][:40]!a}", hint=f"the fields are {', '.join(names)}")
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
        raise InputError(
            "identifier_hash is given together with identifier or salt", hint="give identifier_hash, or both others"
        )
    if not isinstance(given.get("identifier"), str):
        raise InputError("identifier is not a string")
    return identifier_hash(_bytes("salt", given.get("salt"), 32), canonical_identifier(str(given["identifier"])))


def _value(name: str, hint: Any, value: object) -> object:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise InputError(f"{name} must be a list")
        return tuple(_value(name, get_args(hint)[0], one) for one in value)
    if hint == Bytes3:
        if not isinstance(value, str) or not value.isascii() or not 1 <= len(value) <= 3:
            raise InputError(f"{name} must be a UN/ECE code such as H87")
        return value.encode().ljust(3, b"\0")
    if get_origin(hint) is Annotated and get_args(hint)[0] is bytes:
        return _bytes(name, value, get_args(hint)[1])
    if hint is bytes:
        return _bytes(name, value, None)
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        words = [member.name.lower() for member in hint if member.name != "NONE"]
        if value not in words:
            raise InputError(f"{name} must be one of {', '.join(words)}")
        return hint[str(value).upper()]
    if isinstance(hint, type) and is_dataclass(hint):
        return _struct(hint, value)
    return value  # a number or a boolean, which the record itself validates


def _bytes(name: str, value: object, size: int | None) -> bytes:
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError("not 0x-hex")
        found = bytes.fromhex(value[2:])
        if len(value) != 2 + 2 * len(found):
            raise ValueError("white space, which bytes.fromhex skips")
    except ValueError:
        raise InputError(f"{name} must be 0x and hexadecimal digits") from None
    if size is not None and len(found) != size:
        raise InputError(f"{name} must be {size} bytes: 0x and {2 * size} hexadecimal digits")
    return found
