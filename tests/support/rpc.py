"""Counterparties of a node's client: one that returns scripted answers, and one that fails in transit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from millmark.ledger.chain import Transport
from millmark.ledger.errors import ChainUnreachableError


@dataclass
class ScriptedNode:
    """Answers each method with a value, an exception to raise, or a function of the parameters."""

    answers: Mapping[str, Any]
    asked: list[tuple[str, list[Any]]] = field(default_factory=list)

    def request(self, method: str, params: list[Any]) -> Any:
        self.asked.append((method, params))
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer(*params) if callable(answer) else answer


def lost() -> ChainUnreachableError:
    """The error of a connection that was cut."""
    return ChainUnreachableError("the line is cut")


Handler = Callable[[list[Any]], Any]


@dataclass
class Line:
    """The connection to a node: counts requests, and lets a test replace single methods.

    A handler gets the parameters; it calls `forward` to ask the node itself.
    """

    node: Transport
    handlers: dict[str, Handler] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)

    def request(self, method: str, params: list[Any]) -> Any:
        self.passed.append(method)
        if method in self.handlers:
            return self.handlers[method](params)
        return self.node.request(method, params)

    def cut(self, method: str, *, after: bool, times: int = 1) -> None:
        """Lets the next `times` requests fail: before they reach the node, or on the way back."""
        left = [times]

        def handle(params: list[Any]) -> Any:
            if left[0] <= 0:
                return self.node.request(method, params)
            left[0] -= 1
            if after:
                self.node.request(method, params)
            raise lost()

        self.handlers[method] = handle

    def hold_transactions(self) -> None:
        """The node takes each transaction, and neither mines nor keeps it."""
        self.handlers["eth_sendRawTransaction"] = lambda _: "0x" + "00" * 32

    def hide_receipts(self, times: int) -> None:
        """Hides receipts, as engines do under load: the nonce is counted, but the receipt does not exist yet."""
        left = [times]

        def handle(params: list[Any]) -> Any:
            if left[0] > 0:
                left[0] -= 1
                return None
            return self.node.request("eth_getTransactionReceipt", params)

        self.handlers["eth_getTransactionReceipt"] = handle

    def hide_block(self, number: int) -> None:
        """Hides a block once, as if a reorganisation had taken it."""

        def handle(params: list[Any]) -> Any:
            if params[0] != hex(number):
                return self.node.request("eth_getBlockByNumber", params)
            del self.handlers["eth_getBlockByNumber"]
            return None

        self.handlers["eth_getBlockByNumber"] = handle
