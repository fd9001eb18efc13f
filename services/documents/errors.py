"""What documents add to the tree of `ledger.errors`.

MillmarkError
  DocumentError              a document cannot be shared, read or opened as it is
    RecipientKeyError        there is no key, or none that counts, to wrap a document for
    SealBrokenError          a sealed document is not what it says, or not for this key
    GatewayAnswerError       a gateway gives no answer, or no usable one
"""

from __future__ import annotations

from ledger.errors import MillmarkError

__all__ = ["DocumentError", "GatewayAnswerError", "RecipientKeyError", "SealBrokenError"]


class DocumentError(MillmarkError):
    """A document cannot be shared, read or opened as it is."""

    code = "document-unusable"


class RecipientKeyError(DocumentError):
    """There is no key, or none that counts, to wrap a document for."""

    code = "recipient-key-unusable"


class SealBrokenError(DocumentError):
    """A sealed document is not what it says, or not for this key."""

    code = "seal-broken"


class GatewayAnswerError(DocumentError):
    """A gateway gives no answer, or no usable one."""

    code = "gateway-unreachable"
