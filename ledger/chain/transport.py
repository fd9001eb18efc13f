"""JSON-RPC in two ways: over HTTP, and in process to the embedded chain."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

import requests
from urllib3.exceptions import HTTPError
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint, RPCResponse

from ledger.errors import ChainUnreachableError

__all__ = ["HttpTransport", "RpcError", "Transport"]

_MOST_BYTES = 32 * 1024 * 1024
"""Of one answer: twice what the logs of the largest block take."""
_CHUNK_BYTES = 1 << 16
_MESSAGE_CHARACTERS = 300
_UNNAMED = -32000
"""Code of a refusal that carries none: JSON-RPC's for any server error."""


class RpcError(Exception):
    """The node's own refusal: JSON-RPC error code, message, and revert data when it sent any."""

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"{message} (code {code})")


class Transport(Protocol):
    """Where requests go."""

    def request(self, method: str, params: list[Any]) -> Any:
        """The result as JSON values. Raises RpcError for the node's refusal, ChainUnreachableError for no answer."""


class HttpTransport:
    """A node behind a URL. Retries nothing: who sends decides what may be sent again."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self.url = url
        self._provider = _BoundedProvider(url, timeout_s)

    def request(self, method: str, params: list[Any]) -> Any:
        try:
            answer = self._provider.make_request(RPCEndpoint(method), params)
        except (requests.RequestException, HTTPError, Web3Exception, ValueError, OSError, RecursionError) as error:
            raise ChainUnreachableError(
                f"the chain at {self.url} does not answer ({type(error).__name__})",
                mend="check the URL and that the node runs; nothing was lost, try again",
            ) from error
        if not isinstance(answer, dict) or ("result" not in answer and answer.get("error") is None):
            raise ChainUnreachableError(
                f"the chain at {self.url} gave an answer without a result", mend="check that the URL is a node's"
            )
        if answer.get("error") is not None:
            raise _as_error(answer["error"])
        return answer["result"]


class _BoundedProvider(HTTPProvider):
    """web3's provider, except that an answer has a largest size and a latest time, and comes from this URL alone."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self._url = url
        self._timeout_s = timeout_s
        self._session = requests.Session()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """web3's own takes the answer to any request for this one's."""
        request = self.encode_rpc_request(method, params)
        answer = self.decode_rpc_response(self._make_request(method, request))
        if isinstance(answer, dict) and answer.get("id") not in (json.loads(request)["id"], None):
            raise requests.RequestException("the answer is to another request")
        return answer

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:  # noqa: ARG002  # web3's signature
        deadline = time.monotonic() + self._timeout_s
        headers = {"Content-Type": "application/json"}
        body = bytearray()
        with self._session.post(
            self._url, request_data, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise requests.HTTPError(f"status {answer.status_code}")
            while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > _MOST_BYTES or time.monotonic() > deadline:
                    raise requests.Timeout("the answer is too large, or takes too long")
        return bytes(body)


def _as_error(refusal: Any) -> RpcError:
    if not isinstance(refusal, dict):
        return RpcError(_UNNAMED, _one_line(refusal))
    data = refusal.get("data")
    if isinstance(data, dict):  # some engines wrap it once more
        data = data.get("data") or data.get("result")
    try:
        revert = bytes.fromhex(data.removeprefix("0x")) if isinstance(data, str) else None
    except ValueError:
        revert = None
    code = refusal.get("code")
    return RpcError(code if type(code) is int else _UNNAMED, _one_line(refusal.get("message", "refused")), revert)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())[:_MESSAGE_CHARACTERS]
