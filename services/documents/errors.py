"""Errors of the documents package, below the root in `millmark.ledger.errors`.

MillmarkError
  DocumentError              a document cannot be shared, fetched or opened
    SealBrokenError          a sealed document is damaged, or sealed for another key
    GatewayAnswerError       a gateway does not respond, or its response is malformed
"""

from __future__ import annotations

from millmark.ledger.errors import MillmarkError


class DocumentError(MillmarkError):
    """A document cannot be shared, fetched or opened."""

    code = "document-unusable"


class SealBrokenError(DocumentError):
    """A sealed document is damaged, or sealed for another key."""

    code = "seal-broken"


class GatewayAnswerError(DocumentError):
    """A gateway does not respond, or its response is malformed."""

    code = "gateway-unreachable"
