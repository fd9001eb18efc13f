"""What a call to a gateway can end with, other than an answer.

GatewayError              root of these; a MillmarkError, so one line says cause and hint
  GatewayUnreachableError no usable answer came, after all retries; nothing is known about the request
  ProblemError            the gateway refused the request: a problem of RFC 9457
  RecordRefusedError      the contract refused the record; nothing was recorded
  RecordWaitingError      the record is stored but not yet final
"""

from __future__ import annotations

from collections.abc import Mapping

from millmark.ledger.errors import MillmarkError


class GatewayError(MillmarkError):
    """A call to a gateway failed."""

    code = "gateway-failed"


class GatewayUnreachableError(GatewayError):
    """No gateway answers, or its answer is unusable."""

    code = "gateway-unreachable"


class ProblemError(GatewayError):
    """The gateway refused the request. `problem` is the last part of the problem's type."""

    code = "gateway-refused"

    def __init__(self, problem: str, status: int, detail: str, *, hint: str = "", request_id: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.problem, self.status, self.request_id = problem, status, request_id
        # Exit code 2 means unusable input, here as for commands that work without a gateway.
        self.exit_code = 2 if status in (400, 422) else 1  # type: ignore[misc]  # of the class elsewhere


class RecordRefusedError(GatewayError):
    """The contract refused the record. `name` is its error's name in Solidity, `values` its arguments by name."""

    code = "record-refused"

    def __init__(self, record: int, name: str, values: Mapping[str, object], detail: str) -> None:
        cause, end, hint = detail.partition("); ")  # as ContractRefusedError writes it
        super().__init__(cause + end.rstrip("; "), hint=hint)
        self.record, self.name, self.values = record, name, values


class RecordWaitingError(GatewayError):
    """The record is not final: it waits for the chain, for an operator, or for an earlier record."""

    code = "record-waiting"

    def __init__(self, record: int, state: str, cause: str, *, hint: str) -> None:
        super().__init__(cause, hint=hint)
        self.record, self.state = record, state
