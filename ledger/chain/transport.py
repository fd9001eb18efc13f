"""JSON-RPC in two ways: over HTTP, and in process to the embedded chain."""

from __future__ import annotations

from typing import Any, Protocol

import requests
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from ledger.errors import ChainUnreachableError

__all__ = ["HttpTransport", "RpcError", "Transport"]


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
        self._provider = HTTPProvider(url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None)

    def request(self, method: str, params: list[Any]) -> Any:
        try:
            answer = self._provider.make_request(RPCEndpoint(method), params)
        except (requests.RequestException, Web3Exception, ValueError, OSError) as error:
            raise ChainUnreachableError(
                f"the chain at {self.url} does not answer ({type(error).__name__})",
                mend="check the URL and that the node runs; nothing was lost, try again",
            ) from error
        refusal = answer.get("error")
        if refusal is not None:
            raise _as_error(refusal)
        if "result" not in answer:
            raise ChainUnreachableError(f"the chain at {self.url} gave an answer without a result", mend="try again")
        return answer["result"]


def _as_error(refusal: Any) -> RpcError:
    if not isinstance(refusal, dict):
        return RpcError(-32000, str(refusal))
    data = refusal.get("data")
    if isinstance(data, dict):  # some engines wrap it once more
        data = data.get("data") or data.get("result")
    try:
        revert = bytes.fromhex(data.removeprefix("0x")) if isinstance(data, str) else None
    except ValueError:
        revert = None
    return RpcError(int(refusal.get("code", -32000)), str(refusal.get("message", "refused")), revert)
