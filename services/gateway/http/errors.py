"""Failures of the gateway itself, beside those of ledger and access.

MillmarkError
  TryLaterError              the same request may be sent again, after a while
    RateLimitedError         too many requests of one caller
    InFlightError            the request is being worked on
    BusyError                too much is being worked on
  KeyReusedError             an Idempotency-Key came back with another request
  PreconditionError          the thing is not as the caller has it any more
  NoChainError               the gateway has no chain to ask
  NoSignerError              the gateway has no key to record with
  InputError
    CursorError              a cursor is not one of this list's
"""

from __future__ import annotations

from ledger.errors import InputError, MillmarkError, Retry

__all__ = [
    "BusyError",
    "CursorError",
    "InFlightError",
    "KeyReusedError",
    "NoChainError",
    "NoSignerError",
    "PreconditionError",
    "RateLimitedError",
    "TryLaterError",
]


class TryLaterError(MillmarkError):
    """The same request may be sent again, after `retry_after_s` seconds."""

    code = "try-later"
    retry = Retry.UNCHANGED

    def __init__(self, cause: str, *, retry_after_s: int, hint: str = "") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(cause, hint=hint or f"send it again in {retry_after_s} s")


class RateLimitedError(TryLaterError):
    """Too many requests of one caller."""

    code = "rate-limited"


class InFlightError(TryLaterError):
    """The request is being worked on."""

    code = "request-in-flight"


class BusyError(TryLaterError):
    """Too much is being worked on."""

    code = "busy"


class KeyReusedError(MillmarkError):
    """An Idempotency-Key came back with another request."""

    code = "idempotency-key-reused"


class PreconditionError(MillmarkError):
    """The thing is not as the caller has it any more."""

    code = "precondition-failed"


class NoChainError(MillmarkError):
    """The gateway has no chain to ask."""

    code = "chain-not-configured"
    retry = Retry.OPERATOR


class NoSignerError(MillmarkError):
    """The gateway has no key to record with."""

    code = "signer-not-configured"
    retry = Retry.OPERATOR


class CursorError(InputError):
    """A cursor is not one of this list's."""

    code = "cursor-refused"
