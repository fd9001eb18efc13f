"""HTTP client for a gateway's /v1/relay routes, and the file format of records that are signed offline for it.

Responses are untrusted: one that does not parse counts as missing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import httpx

from millmark.ledger import canonical, errors
from millmark.ledger.chain import RawLog, call_data, multicall_data
from millmark.ledger.errors import ChainUnreachableError, ContractRefusedError, InputError
from millmark.ledger.ids import canonical_identifier, identifier_hash
from millmark.ledger.records import RECORD_TYPES, Bytes3, Contract, Record
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Outcome, Terms

T = TypeVar("T")

_TIMEOUT_S = 15.0
_MAX_ANSWER_BYTES = 4 << 20
_MAX_DEPTH = 32
_LATER = (408, 409, 425, 429)
_MAX_TEXT = 1000


class HttpRelay:
    """The relay of one gateway. `token` is a session token or API key of the participant whose key signs.

    All methods raise ChainUnreachableError if the gateway does not answer usably (the request may be repeated), and
    ChainError or RequestError if it refuses.
    """

    def __init__(self, url: str, token: str | None, client: httpx.Client | None = None) -> None:
        # trust_env=False: no proxy and no .netrc from the environment, so that the token goes to this gateway only.
        self._client = client or httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False)
        if token is not None:
            self._client.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._client.close()

    def terms(self, key: bytes) -> Terms:
        return self._ask("GET", f"/v1/relay/keys/{_hex(key)}", None, _terms)

    def simulate(self, contract: Contract, data: bytes, key: bytes) -> int:
        body = {"contract": contract.value, "data": _hex(data), "key": _hex(key)}
        answer = self._ask("POST", "/v1/relay/simulations", body, _simulation)
        if isinstance(answer, ContractRefusedError):
            raise answer
        return answer

    def send(self, raw: bytes) -> None:
        self._ask("POST", "/v1/relay", raw, lambda _: None)

    def look(self, digest: bytes) -> Outcome | None:
        return self._ask("GET", f"/v1/relay/{_hex(digest)}", None, _outcome, missing=None)

    def _ask(self, method: str, path: str, body: object, parse: Callable[[Any], T], **missing: T) -> T:
        """Sends a request and parses the response. `missing` is returned for 404, if it is given."""
        try:
            answer = self._request(method, path, body)
            found: Any = canonical.parse_json(answer.content, max_bytes=_MAX_ANSWER_BYTES, max_depth=_MAX_DEPTH)
        except (httpx.HTTPError, ValueError, errors.CanonicalError):
            raise ChainUnreachableError("the relay does not answer", hint="nothing was lost; try again") from None
        if answer.status_code == 404 and "missing" in missing:
            return missing["missing"]
        try:
            if answer.is_success:
                return parse(found)
            refusal = _refusal(answer.status_code, found)
        except (TypeError, ValueError, KeyError, AttributeError):
            raise ChainUnreachableError(f"the relay's response to {method} is malformed", hint="try again") from None
        raise refusal

    def _request(self, method: str, path: str, body: object) -> httpx.Response:
        if isinstance(body, bytes):
            sent = self._client.build_request(method, path, content=body, headers={"Content-Type": "application/json"})
        else:
            sent = self._client.build_request(method, path, json=body)
        # Read in parts: a hostile gateway could send without end.
        answer = self._client.send(sent, stream=True)
        try:
            content = b""
            for part in answer.iter_bytes():
                content += part
                if len(content) > _MAX_ANSWER_BYTES:
                    raise ValueError("the response is too long")
        finally:
            answer.close()
        return httpx.Response(answer.status_code, content=content)


def _refusal(status: int, problem: dict[str, Any]) -> errors.ChainError | errors.RequestError:
    detail = " ".join(str(problem["detail"]).split())[:_MAX_TEXT]
    if str(problem["type"]).rpartition(":")[2] == ContractRefusedError.code:
        return ContractRefusedError("Refused", {"by": detail})
    if status in _LATER or status >= 500:
        return ChainUnreachableError(
            f"the relay is temporarily unavailable: {detail}", hint="nothing was lost; try again"
        )
    if status in (401, 403):
        return errors.ChainError(f"the relay refuses this participant: {detail}", hint="see the gateway's ACCESS.md")
    return errors.RequestError(f"the relay refuses the request: {detail}")


def _terms(raw: dict[str, Any]) -> Terms:
    return Terms(
        _number(raw["chain_id"]),
        _bytes(raw["forwarder"], 20),
        _number(raw["nonce"]),
        _number(raw["final_nonce"]),
        _number(raw["final_time_s"]),
        _number(raw["now_s"]),
    )


def _simulation(raw: dict[str, Any]) -> int | ContractRefusedError:
    if raw["error_name"] is None:
        return _number(raw["gas"])
    return ContractRefusedError(_text(raw["error_name"])[:64], {"by": _text(raw["error"])})


def _outcome(raw: dict[str, Any]) -> Outcome:
    block = raw["block_number"]
    return Outcome(
        state=OutboxState(raw["state"]),
        error_name=None if raw["error_name"] is None else _text(raw["error_name"]),
        error=None if raw["error"] is None else _text(raw["error"]),
        block_number=None if block is None else _number(block),
        block_hash=None if block is None else _bytes(raw["block_hash"], 32),
        gas_used=None if block is None else _number(raw["gas_used"]),
        logs=tuple(_log(entry, raw) for entry in raw["logs"]),
    )


def _log(raw: dict[str, Any], outcome: dict[str, Any]) -> RawLog:
    return RawLog(
        address=_bytes(raw["address"], 20),
        topics=tuple(_bytes(topic, 32) for topic in raw["topics"]),
        data=_bytes(raw["data"]),
        block_number=_number(outcome["block_number"]),
        block_hash=_bytes(outcome["block_hash"], 32),
        transaction_hash=_bytes(outcome["transaction_hash"], 32),
        log_index=_number(raw["log_index"]),
    )


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a value is not a string")
    return " ".join(value.split())[:_MAX_TEXT]


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("a value is not a whole number below 2^63")
    return value


def _bytes(value: object, size: int | None = None) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError("a value is not 0x-hex")
    found = bytes.fromhex(value[2:])
    if size is not None and len(found) != size:
        raise ValueError(f"{len(found)} bytes instead of {size}")
    return found


# JSON file format for records to be signed offline.
#
#     {"format": "millmark-records", "version": 1, "records": [{"record": "ReceiveLot", "fields": {...}}, ...]}
#
# Fields are those of the record (millmark.ledger.records): bytes are 0x-hex, an enumeration is a word, a unit is its
# UN/ECE code, and an omitted claims root is 32 zero bytes. `identifier` and its 32-byte `salt` may replace
# `identifier_hash`. Nothing is looked up or generated, so the same file always produces the same call.

MAX_FILE_BYTES = 1 << 20
MAX_RECORDS = 100
"""Maximum number of records in one request, which easily fit into one transaction."""
_FORMAT, _VERSION = "millmark-records", 1
_MAX_FILE_DEPTH = 16
_KINDS = {kind.__name__: kind for kind in RECORD_TYPES}
_HINT = "see `millmark relay sign --help` for the format"


def parse_records(content: bytes) -> tuple[Record, ...]:
    """Parses the records of a file, which must all be for one contract. Raises InputError, naming the wrong record and
    the cause."""
    try:
        document: Any = canonical.parse_json(content, max_bytes=MAX_FILE_BYTES, max_depth=_MAX_FILE_DEPTH)
    except errors.CanonicalError as error:
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
    return identifier_hash(_parse_bytes("salt", given.get("salt"), 32), canonical_identifier(str(given["identifier"])))


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
        return _parse_bytes(name, value, get_args(hint)[1])
    if hint is bytes:
        return _parse_bytes(name, value, None)
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        words = [member.name.lower() for member in hint if member.name != "NONE"]
        if value not in words:
            raise InputError(f"{name} must be one of {', '.join(words)}")
        return hint[str(value).upper()]
    if isinstance(hint, type) and is_dataclass(hint):
        return _struct(hint, value)
    return value  # a number or a boolean, which the record itself validates


def _parse_bytes(name: str, value: object, size: int | None) -> bytes:
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
