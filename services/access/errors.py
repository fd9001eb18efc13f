"""What access adds to the tree of `ledger.errors`.

    MillmarkError
      AccessError                who asks may not
        UnauthenticatedError     it is not known who asks
          SignInError            a sign-in message or its signature does not count
        ForbiddenError           it is known, and it is not for them

An error gives its reason when the caller can act on it and nobody else learns from it. A refused credential gets none:
unknown, altered, expired and revoked look alike.
"""

from __future__ import annotations

from ledger.errors import MillmarkError

__all__ = ["AccessError", "ForbiddenError", "SignInError", "UnauthenticatedError"]


class AccessError(MillmarkError):
    """Who asks may not."""

    code = "access-refused"


class UnauthenticatedError(AccessError):
    """It is not known who asks."""

    code = "unauthenticated"


class SignInError(UnauthenticatedError):
    """A sign-in message or its signature does not count."""

    code = "sign-in-refused"


class ForbiddenError(AccessError):
    """Who asks may not do this."""

    code = "forbidden"
