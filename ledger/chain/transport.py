"""The interface for sending JSON-RPC requests, and its implementation over HTTP."""

from __future__ import annotations

from typing import Any, Protocol

from ledger.chain.http import RpcClient
from ledger.errors import ChainUnreachableError

__all__ = ["HttpTransport", "RpcError", "Transport"]

_MESSAGE_CHARACTERS = 300
_UNNAMED = -32000
"""Code for an error without one: JSON-RPC's generic server error."""


class RpcError(Exception):
    """An error returned by the node: JSON-RPC code, message, and the revert data if there are any."""

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"{message} (code {code})")


class Transport(Protocol):
    """Sends JSON-RPC requests: `HttpTransport` to a node, `EmbeddedChain` to itself."""

    def request(self, method: str, params: list[Any]) -> Any:
        """Return the result's JSON. Raises RpcError if the node returns an error, ChainUnreachableError if it returns
        nothing usable.
        """


class HttpTransport:
    """A node behind a URL. Does not retry: only the caller knows what may be sent again."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self.url = url
        self._client = RpcClient(url, timeout_s)

    def request(self, method: str, params: list[Any]) -> Any:
        try:
            answer = self._client.ask(method, params)
        except OSError as error:
            raise ChainUnreachableError(
                f"the chain at {self.url} does not answer ({type(error.__cause__ or error).__name__})",
                hint="check the URL and that the node is running, then try again; nothing was lost",
            ) from error
        if not isinstance(answer, dict) or ("result" not in answer and answer.get("error") is None):
            raise ChainUnreachableError(
                f"the chain at {self.url} returned an answer without a result",
                hint="check that the URL is that of a JSON-RPC node",
            )
        if answer.get("error") is not None:
            raise _as_error(answer["error"])
        return answer["result"]


def _as_error(refusal: Any) -> RpcError:
    if not isinstance(refusal, dict):
        return RpcError(_UNNAMED, _one_line(refusal))
    data = refusal.get("data")
    if isinstance(data, dict):  # some engines wrap the revert data in an object
        data = data.get("data") or data.get("result")
    try:
        revert = bytes.fromhex(data.removeprefix("0x")) if isinstance(data, str) else None
    except ValueError:
        revert = None
    code = refusal.get("code")
    return RpcError(code if type(code) is int else _UNNAMED, _one_line(refusal.get("message", "refused")), revert)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())[:_MESSAGE_CHARACTERS]
