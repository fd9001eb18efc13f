"""What telling others adds to the tree of `ledger.errors`.

MillmarkError
  TargetRefusedError       the address of a receiver is not one that is sent to
  SignatureRefusedError    a delivery is not signed by the secret, or not now
"""

from __future__ import annotations

from ledger.errors import InputError, MillmarkError

__all__ = ["SignatureRefusedError", "TargetRefusedError"]


class TargetRefusedError(InputError):
    """The address of a receiver is not one that is sent to."""

    code = "webhook-target-refused"


class SignatureRefusedError(MillmarkError):
    """A delivery is not signed by the secret, or not now."""

    code = "webhook-signature-refused"
