"""Errors of the gateway itself, in addition to those of the ledger and of access.

MillmarkError
  TryLaterError              the same request may succeed later
    RateLimitedError         the caller sent too many requests
    InFlightError            the same request is still being processed
    BusyError                too many expensive requests are being processed
    StaleIndexError          suspensions and revoked keys may be missing in the index
  KeyReusedError             an Idempotency-Key was used for a different request
  PreconditionError          the resource changed since the caller read it
  NoChainError               the gateway has no connection to a chain
  NoSignerError              the gateway has no key that can sign for the caller
  InputError
    CursorError              a cursor was not issued for this list
"""

from __future__ import annotations

from millmark.ledger.errors import InputError, MillmarkError, Retry


class TryLaterError(MillmarkError):
    """The same request may succeed after `retry_after_s` seconds."""

    code = "try-later"
    retry = Retry.UNCHANGED

    def __init__(self, cause: str, *, retry_after_s: int, hint: str = "") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(cause, hint=hint or f"send it again in {retry_after_s} s")


class RateLimitedError(TryLaterError):
    """The caller sent too many requests."""

    code = "rate-limited"


class InFlightError(TryLaterError):
    """The same request is still being processed."""

    code = "request-in-flight"


class BusyError(TryLaterError):
    """Too many expensive requests are being processed."""

    code = "busy"


class StaleIndexError(TryLaterError):
    """The gateway does not follow the chain at present, so it cannot tell who may still act."""

    code = "index-stale"


class KeyReusedError(MillmarkError):
    """An Idempotency-Key was used for a different request."""

    code = "idempotency-key-reused"


class PreconditionError(MillmarkError):
    """The resource changed since the caller read it."""

    code = "precondition-failed"


class NoChainError(MillmarkError):
    """The gateway has no connection to a chain."""

    code = "chain-not-configured"
    retry = Retry.OPERATOR


class NoSignerError(MillmarkError):
    """The gateway has no key that can sign for the caller."""

    code = "signer-not-configured"
    retry = Retry.OPERATOR


class NoNameKeyError(NoSignerError):
    """The gateway lacks a name key of its company, and so cannot name anything new."""

    code = "name-key-not-configured"


class NameTakenError(MillmarkError):
    """The company has something with that identifier already."""

    code = "name-taken"


class CursorError(InputError):
    """A cursor was not issued for this list."""

    code = "cursor-refused"
