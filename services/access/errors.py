"""Errors of access, below the root in `millmark.ledger.errors`.

    MillmarkError
      AccessError                access is denied
        UnauthenticatedError     the caller could not be authenticated
          SignInError            a sign-in message or its signature is not valid
        ForbiddenError           the caller is authenticated, but lacks a permission

An error states its reason only if the caller can act on it and nobody else learns from it. A refused credential has no
reason: unknown, altered, expired and revoked ones look alike.
"""

from __future__ import annotations

from millmark.ledger.errors import MillmarkError


class AccessError(MillmarkError):
    """Access is denied."""

    code = "access-refused"


class UnauthenticatedError(AccessError):
    """The caller could not be authenticated."""

    code = "unauthenticated"


class SignInError(UnauthenticatedError):
    """The sign-in message or its signature is not valid."""

    code = "sign-in-refused"


class ForbiddenError(AccessError):
    """The caller lacks a permission."""

    code = "forbidden"
