"""The interfaces for sending JSON-RPC requests, one or several at once, and their implementation over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from millmark.ledger.chain.arrays import Arrays, Call
from millmark.ledger.chain.http import RpcClient
from millmark.ledger.errors import ChainUnreachableError

__all__ = ["ArrayTransport", "HttpTransport", "RpcError", "Transport", "request_each"]

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


@runtime_checkable
class ArrayTransport(Transport, Protocol):
    """A transport on which several requests cost little more than one."""

    def request_all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the result of each request, in order. In its place stands RpcError where the node returned an error,
        ChainUnreachableError where it returned nothing usable.

        Raises ChainUnreachableError if it answered none; then it is unknown which of them it received.
        """


def request_each(transport: Transport, calls: Sequence[Call]) -> list[Any]:
    """Like `ArrayTransport.request_all`, on any transport."""
    if isinstance(transport, ArrayTransport):
        return transport.request_all(calls)
    results: list[Any] = []
    for method, params in calls:
        try:
            results.append(transport.request(method, params))
        except RpcError as error:
            results.append(error)
    return results


class HttpTransport:
    """A node behind a URL. Does not retry, but where the server closed an unused connection: only the caller knows how
    often something may be sent again."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self.url = url
        self._client = RpcClient(url, timeout_s)
        self._arrays = Arrays(self._client)

    def request(self, method: str, params: list[Any]) -> Any:
        try:
            answer = self._client.ask(method, params)
        except OSError as error:
            raise self._silent(error) from error
        return self._result(answer)

    def request_all(self, calls: Sequence[Call]) -> list[Any]:
        try:
            answers = self._arrays.ask_all(calls)
        except OSError as error:
            raise self._silent(error) from error
        results: list[Any] = []
        for answer in answers:
            try:
                results.append(self._result(answer))
            except (RpcError, ChainUnreachableError) as error:
                results.append(error)
        return results

    def _result(self, answer: Any) -> Any:
        if not isinstance(answer, dict) or ("result" not in answer and answer.get("error") is None):
            raise ChainUnreachableError(
                f"the chain at {self.url} returned an answer without a result",
                hint="check that the URL is that of a JSON-RPC node",
            )
        if answer.get("error") is not None:
            raise _as_error(answer["error"])
        return answer["result"]

    def _silent(self, error: OSError) -> ChainUnreachableError:
        return ChainUnreachableError(
            f"the chain at {self.url} does not answer ({type(error.__cause__ or error).__name__})",
            hint="check the URL and that the node is running, then try again; nothing was lost",
        )


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
