"""HTTP client for a gateway's /v1/relay routes. Responses are untrusted: one that does not parse counts as missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from millmark.ledger.canonical import parse_json
from millmark.ledger.chain import RawLog
from millmark.ledger.errors import CanonicalError, ChainError, ChainUnreachableError, ContractRefusedError, RequestError
from millmark.ledger.records import Contract
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
            found: Any = parse_json(answer.content, max_bytes=_MAX_ANSWER_BYTES, max_depth=_MAX_DEPTH)
        except (httpx.HTTPError, ValueError, CanonicalError):
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


def _refusal(status: int, problem: dict[str, Any]) -> ChainError | RequestError:
    detail = " ".join(str(problem["detail"]).split())[:_MAX_TEXT]
    if str(problem["type"]).rpartition(":")[2] == ContractRefusedError.code:
        return ContractRefusedError("Refused", {"by": detail})
    if status in _LATER or status >= 500:
        return ChainUnreachableError(
            f"the relay is temporarily unavailable: {detail}", hint="nothing was lost; try again"
        )
    if status in (401, 403):
        return ChainError(f"the relay refuses this participant: {detail}", hint="see the gateway's ACCESS.md")
    return RequestError(f"the relay refuses the request: {detail}")


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
